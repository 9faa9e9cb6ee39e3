"""The network: maps in, masks out."""

from asteroid_tfswa import _compat  # noqa: F401  says what to install
