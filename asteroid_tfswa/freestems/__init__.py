"""Songs rendered from free sounds, to train on."""
