"""Write the contribution of TFSWA-UNet into a checkout of Asteroid, or convert a model for it."""

import argparse
import os
from pathlib import Path

from convert import convert_model
from edits import apply_edits
from render import render

from asteroid_tfswa.errors import InputError
from asteroid_tfswa_cli import run_command

HERE = Path(__file__).resolve().parent
TEMPLATES = HERE / "templates"
RECIPE = "egs/musdb18/TFSWA-UNet"
UTILS = "../../wham/ConvTasNet/utils"


def write_contribution(checkout):
    """Add model, tests, documentation and recipe to a checkout of Asteroid.

    Running it again changes nothing. What somebody has changed since, such as results in the
    recipe's README, is not written over.

    Args:
        checkout (str or Path): Asteroid's repository.

    Returns:
        list of str: the files that changed, sorted.

    Raises:
        InputError: if the folder is no checkout that can take the change.
    """
    checkout = Path(checkout)
    if not (checkout / "asteroid/models/base_models.py").is_file():
        raise InputError(f"{checkout} is no checkout of Asteroid: asteroid/models is missing")
    files = _rendered()
    new = [path for path, (text, _) in files.items() if _is_new(checkout / path, text)]
    changed = new + apply_edits(checkout)  # the first that writes
    for path in new:
        _write(checkout / path, *files[path])
    link = checkout / RECIPE / "utils"
    if not link.is_symlink():
        link.symlink_to(UTILS)
        changed.append(f"{RECIPE}/utils")
    return sorted(changed)


def _rendered():
    """Text and mode of each new file, by its path in the checkout."""
    files = {}
    for template in TEMPLATES.rglob("*.in"):
        path = str(template.relative_to(TEMPLATES).with_suffix(""))
        files[path] = render(template.read_text(encoding="utf-8")), template.stat().st_mode
    return files


def _is_new(path, text):
    """Whether there is no such file yet.

    Raises:
        InputError: if there is one with another content.
    """
    if not path.exists():
        return True
    if path.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{path} has other content, such as an earlier version of this change or your own "
            "edits: move it away first"
        )
    return False


def _write(path, text, mode):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)  # run.sh is executable


def main(argv=None):
    """Run the command.

    Args:
        argv (list of str, optional): arguments; those of the process by default.
    """
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("checkout", nargs="?", help="repository of Asteroid to write into")
    parser.add_argument(
        "--convert",
        nargs=2,
        metavar=("MODEL", "FILE"),
        help="write the model file MODEL of ours to FILE, for the model of the contribution",
    )
    args = parser.parse_args(argv)
    if args.checkout is None and args.convert is None:
        parser.error("give a checkout of Asteroid, --convert MODEL FILE, or both")
    if args.checkout is not None:
        for path in write_contribution(args.checkout):
            print(os.path.join(args.checkout, path))
    if args.convert is not None:
        convert_model(*args.convert)
        print(args.convert[1])


if __name__ == "__main__":
    run_command(main)
