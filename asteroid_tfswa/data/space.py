"""Refusing to start what the disk cannot hold."""

import shutil
from pathlib import Path

from asteroid_tfswa.errors import InputError


def require_space(folder, n_bytes, purpose):
    """Check that the disk of `folder` has `n_bytes` free.

    Args:
        folder (str or Path): where the files will go; it need not exist yet.
        n_bytes (int): bytes that will be written.
        purpose (str): what they are for, as it ends the sentence "... is needed to".

    Raises:
        InputError: less is free; the message says how much is needed and how much there is.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if n_bytes > free:
        raise InputError(
            f"{folder}: {_readable(n_bytes)} is needed to {purpose}, but only {_readable(free)} is "
            "free there; make room or choose a folder on another disk"
        )


def _readable(n_bytes):
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
