"""A checkout of Asteroid to write into: ASTEROID_CHECKOUT, or a small stand-in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import asteroid
import pytest

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = ROOT / "egs/musdb18/upstream"
sys.path.insert(0, str(UPSTREAM))  # as in a run of the script

GIT = ["git", "-c", "user.name=tests", "-c", "user.email=tests@localhost"]


def git(folder, *args):
    """Run git in a folder and return what it prints."""
    return subprocess.run(
        [*GIT, *args], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def run_in(checkout, *args, cwd=None, check=True):
    """Run Python with the checkout's package; return the finished process."""
    env = {**os.environ, "PYTHONPATH": f"{checkout}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *args], cwd=cwd or checkout, env=env, capture_output=True, text=True
    )
    assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


@pytest.fixture(scope="session")
def real_checkout():
    """ASTEROID_CHECKOUT, or the test is skipped."""
    if "ASTEROID_CHECKOUT" not in os.environ:
        pytest.skip("needs a checkout of Asteroid's master in ASTEROID_CHECKOUT")
    return Path(os.environ["ASTEROID_CHECKOUT"])


@pytest.fixture
def checkout(tmp_path):
    """A repository of Asteroid without the contribution."""
    return new_checkout(tmp_path / "asteroid")


@pytest.fixture(scope="session")
def contribution(tmp_path_factory):
    """A repository of Asteroid with the contribution."""
    from to_asteroid import write_contribution

    folder = new_checkout(tmp_path_factory.mktemp("contribution") / "asteroid")
    write_contribution(folder)
    return folder


def new_checkout(folder):
    """Clone ASTEROID_CHECKOUT, or make a repository of the installed package's files.

    The package has neither tests nor documents: of these files the stand-in has only the lines that
    the contribution looks for.
    """
    if "ASTEROID_CHECKOUT" in os.environ:
        git(folder.parent, "clone", "-q", os.environ["ASTEROID_CHECKOUT"], folder)
        return folder
    from edits import EDITS

    package = Path(asteroid.__file__).parent
    shutil.copytree(package, folder / "asteroid", ignore=shutil.ignore_patterns("__pycache__"))
    for path in {edit.path for edit in EDITS if not edit.path.startswith("asteroid/")}:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        lines = [edit.before for edit in EDITS if edit.path == path]
        (folder / path).write_text("\n".join(lines))
    (folder / ".gitignore").write_text("__pycache__\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "Asteroid")
    return folder
