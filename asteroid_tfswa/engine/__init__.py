"""Training: losses, the training system, checkpoints, and `train`, which puts them to work."""

import warnings

from asteroid_tfswa import _compat  # noqa: F401  says what to install

with warnings.catch_warnings():
    # The torchmetrics that asteroid pins warns when it is imported.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    import pytorch_lightning  # noqa: F401
