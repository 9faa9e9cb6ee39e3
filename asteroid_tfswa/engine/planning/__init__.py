"""What a run will need, from a few real steps."""
