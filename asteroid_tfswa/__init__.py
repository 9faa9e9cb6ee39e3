"""TFSWA-UNet music source separation for Asteroid.

Importing the package registers its models: ``asteroid.models.get("TFSWAUNet")`` finds them.
"""

import sys

from asteroid_tfswa.errors import InputError

__version__ = "0.1.0"
__all__ = ["InputError", "TFSWAUNet"]

# Asteroid and torch take seconds to import: commands, and processes that they start, import only
# what they need.
if "asteroid_tfswa_cli" not in sys.modules:
    from asteroid_tfswa.models import TFSWAUNet


def __getattr__(name):
    if name != "TFSWAUNet":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from asteroid_tfswa import models

    return models.TFSWAUNet
