"""What made something: versions of packages, commit of a checkout, digest of a model."""

import hashlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path

from asteroid_tfswa import __version__


def versions(packages):
    """Find the versions of packages.

    Args:
        packages (iterable of str): names, as PyPI has them.

    Returns:
        dict: {name: version, or None where it is not installed}, after "asteroid-tfswa" and
        "python".
    """
    found = {"asteroid-tfswa": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def git_state(folder=Path(__file__).parent):
    """Find the commit of a checkout.

    Args:
        folder (Path): a folder in it. Default: that of this package.

    Returns:
        dict or None: "commit", and "dirty", whether tracked files differ from it; None outside a
        checkout or without git.
    """

    def git(*words):
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if not git("ls-files", "__init__.py"):
            return None  # installed into a folder of another project
        status = git("status", "--porcelain", "--untracked-files=no")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(status)}
    except (OSError, subprocess.CalledProcessError):
        return None


def model_digest(model_file):
    """Digest a model file, to know again which model was scored.

    Args:
        model_file (Path): the file.

    Returns:
        str: its SHA-256 in hexadecimal digits.
    """
    return hashlib.sha256(model_file.read_bytes()).hexdigest()
