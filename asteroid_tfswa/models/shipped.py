"""Models that ship with the package, each a file in `asteroid_tfswa/pretrained`."""

from pathlib import Path

from asteroid_tfswa.errors import InputError

FOLDER = Path(__file__).resolve().parents[1] / "pretrained"
DEFAULT = "small"  # what `asteroid-tfswa separate` takes


def shipped_models():
    """Find the models that ship with the package.

    Returns:
        dict[str, Path]: the file of each, by name.
    """
    return {path.stem: path for path in sorted(FOLDER.glob("*.pth"))}


def default_model():
    """Find the model for those who name none.

    Returns:
        Path: its file.

    Raises:
        InputError: if it does not exist.
    """
    path = shipped_models().get(DEFAULT)
    if path is None:
        raise InputError(
            f"{FOLDER / DEFAULT}.pth is missing from this installation; install asteroid-tfswa "
            "again, or name a model: --model FILE"
        )
    return path


def names_hint():
    """The end of a message about a model that was not found."""
    names = ", ".join(shipped_models()) or "none"
    return f"check the path; models that ship with the package: {names}"
