"""Training: losses, the training system, checkpoints, and `train`, which puts them to work."""

import warnings

with warnings.catch_warnings():
    # torchmetrics, as old as asteroid pins it, warns about its own import.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    import pytorch_lightning  # noqa: F401
