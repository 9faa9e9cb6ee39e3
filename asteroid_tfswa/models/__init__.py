"""Models, registered with Asteroid."""

from asteroid_tfswa._compat import models
from asteroid_tfswa.models.tfswa_unet import TFSWAUNet

if getattr(models, TFSWAUNet.__name__, None) is None:  # registering twice raises
    models.register_model(TFSWAUNet)

__all__ = ["TFSWAUNet"]
