"""Configurations and commands: what a user can say, and what is refused in one line."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from asteroid_tfswa.config import parse_command, read_yaml
from asteroid_tfswa.errors import InputError

RECIPE = Path(__file__).resolve().parents[1] / "egs/musdb18"
BASE = """\
data:
  sources: [vocals, drums]  # stems
  rate: 44100  # in Hz
optim:
  lr: 1e-3  # learning rate
  nesterov: false  # or not
  optimizer: adam  # by name
"""


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "conf.yml"
    path.write_text(BASE)
    return path


def parse(base, *argv):
    return parse_command(argparse.ArgumentParser(allow_abbrev=False), base, argv)[1]


def test_file_and_options_change_the_base_in_that_order(base, tmp_path):
    user = tmp_path / "user.yml"
    user.write_text("optim:\n  lr: 2e-3\n  nesterov: true\n")
    conf = parse(base, "--conf", str(user), "--lr", "5e-4", "--sources", "bass")
    assert conf == {
        "data": {"sources": ["bass"], "rate": 44100},
        "optim": {"lr": 5e-4, "nesterov": True, "optimizer": "adam"},
    }


def test_numbers_stay_numbers_and_false_is_false(base):
    assert parse(base)["optim"]["lr"] == 1e-3  # plain YAML 1.1 reads text
    conf = parse(base, "--lr", "1", "--nesterov", "false", "--optimizer", "3")
    assert conf["optim"] == {"lr": 1.0, "nesterov": False, "optimizer": "3"}
    assert isinstance(conf["optim"]["lr"], float)


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--lrr", "1"], r"unknown option --lrr \(did you mean --lr\?\)"),
        (["--lr", "fast"], "--lr must be number: got 'fast'"),
        (["--rate", "44.1"], "--rate must be integer: got '44.1'"),
        (["--nesterov", "2"], "--nesterov must be true or false: got '2'"),
        (["--lr"], "argument --lr: expected one argument"),
        (["--conf", "missing.yml"], "configuration missing.yml cannot be read: No such file"),
    ],
)
def test_options_that_cannot_be_used(base, argv, message):
    with pytest.raises(InputError, match=message):
        parse(base, *argv)


@pytest.mark.parametrize(
    "text, message",
    [
        ("optim:\n  lrate: 1\n", r"unknown key 'lrate' in section 'optim'"),
        ("optm:\n  lr: 1\n", r"unknown section 'optm' \(did you mean optim\?\)"),
        ("optim:\n  lr: fast\n", "lr must be number: got 'fast'"),
        ("data:\n  sources: []\n", "sources must be texts"),
        ("optim:\n  lr: 1\n  lr: 2\n", "the key lr is given twice"),
        ("optim: [", "is not YAML"),
        ("lr: 1\n", "must have sections"),
        ("a: !!python/object/apply:os.getcwd []\n", "is not YAML"),
    ],
)
def test_files_that_cannot_be_used(base, tmp_path, text, message):
    user = tmp_path / "user.yml"
    user.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        parse(base, "--conf", str(user))
    assert str(user) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["demo.yml", "conf.yml"])
def test_configurations_of_the_recipe_build_a_model(name):
    from asteroid_tfswa import TFSWAUNet

    conf = parse(RECIPE / "local/conf.yml", "--conf", str(RECIPE / "local" / name))
    model = TFSWAUNet(sources=conf["data"]["sources"], **conf["filterbank"], **conf["masknet"])
    assert model.sources == ["vocals", "drums", "bass", "other"]


def test_every_key_of_the_recipe_is_unique_and_explained():
    conf = read_yaml(RECIPE / "local/conf.yml")
    keys = [key for section in conf.values() for key in section]
    assert len(keys) == len(set(keys))
    text = subprocess.run(
        [sys.executable, RECIPE / "train.py", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert all(f"--{key} " in text for key in keys)
    assert "(default: none)" not in text and "learning rate (default: 0.001)" in text


def test_a_command_ends_with_one_line_and_no_traceback():
    command = [sys.executable, RECIPE / "train.py", "--data_dir", "nowhere", "--exp_dir", "exp"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and "nowhere" in lines[0]


def test_help_of_the_recipe_from_the_top_of_the_checkout():
    command = ["bash", "egs/musdb18/run.sh", "--help"]
    done = subprocess.run(
        command, cwd=RECIPE.parents[1], capture_output=True, text=True, check=True
    )
    assert "--stage N " in done.stdout and "--compile " in done.stdout
    assert done.stderr == ""
