"""TFSWA-UNet music source separation for Asteroid.

Importing the package registers its models: ``asteroid.models.get("TFSWAUNet")`` finds them.
"""

from asteroid_tfswa import _compat  # noqa: F401  first: it says what to install
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.models import TFSWAUNet

__version__ = "0.1.0"
__all__ = ["InputError", "TFSWAUNet"]
