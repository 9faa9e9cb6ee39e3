"""The command as a whole: its help, its exit status, and names that look like options."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import asteroid_tfswa
from asteroid_tfswa.cli import COMMANDS, main
from tests.trained import make_best_model

REPO = Path(__file__).parents[2]


def status(*argv):
    with pytest.raises(SystemExit) as stop:
        main(list(argv))
    return stop.value.code


def test_help_lists_all_commands(capsys):
    assert status("--help") == 0
    text = capsys.readouterr().out
    assert all(re.search(rf"^    {name} +\w", text, flags=re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    if importlib.util.find_spec(f"asteroid_tfswa.cli.{name}") is None:
        pytest.skip(f"the command {name} is not there yet")
    assert status(name, "--help") == 0
    assert f"usage: asteroid-tfswa {name}" in capsys.readouterr().out


def test_version(capsys):
    assert status("--version") == 0
    assert capsys.readouterr().out == f"asteroid-tfswa {asteroid_tfswa.__version__}\n"


@pytest.mark.parametrize("argv", [[], ["frobnicate"], ["info"], ["info", "model.pth", "--jsn"]])
def test_wrong_use_is_status_2(argv, capsys):
    assert status(*argv) == 2
    assert "usage: asteroid-tfswa" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--", "-x y.pth"], ["./-x y.pth"]])
def test_names_that_start_with_a_dash(argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_best_model(tmp_path / "exp").rename("-x y.pth")
    main(["info", *argv])
    assert "-x y.pth" in capsys.readouterr().out


def test_console_script_in_a_process(tmp_path):
    target = re.search(r"asteroid-tfswa=([\w.]+):(\w+)", (REPO / "setup.py").read_text())
    code = f"from {target[1]} import {target[2]}; {target[2]}()"
    result = subprocess.run(
        [sys.executable, "-c", code, "info", "missing.pth"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        text=True,
    )
    expected = "error: model file not found: 'missing.pth'; check the path\n"
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith(expected)
