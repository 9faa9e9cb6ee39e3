"""Copy the training recipe to a folder.

The copy runs with the Python that this command runs with, and its configuration is yours to change.
"""

import shlex
import shutil
import sys
from pathlib import Path

import asteroid_tfswa
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_folder

FILES = ("README.md", "run.sh", "train.py", "eval.py", "report.py", "local", "utils")


def add_arguments(parser):
    """Add the command's arguments to an `argparse.ArgumentParser`."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder to make")


def run(args):
    """Copy the files."""
    if args.folder.exists():
        raise InputError(f"{args.folder} exists; give the name of a new folder")
    source = Path(asteroid_tfswa.__file__).parent / "recipe"  # in a checkout a link to egs/musdb18
    with atomic_folder(args.folder) as folder:
        for name in FILES:
            if (source / name).is_dir():
                shutil.copytree(
                    source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy(source / name, folder / name)
        script = folder / "run.sh"
        text = script.read_text(encoding="utf-8")
        python = f"\npython_path={shlex.quote(sys.executable)}\n"
        script.write_text(text.replace("\npython_path=\n", python), encoding="utf-8")
    script = shlex.quote(str(args.folder / "run.sh"))
    print(f"{args.folder}: ready. Try it on built-in songs: bash {script}; options: --help")
