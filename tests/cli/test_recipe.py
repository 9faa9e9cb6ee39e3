"""`asteroid-tfswa recipe`: a copy that runs with the Python that made it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asteroid_tfswa_cli import main

ROOT = Path(__file__).parents[2]


def run(command, *arguments, **env):
    return subprocess.run(
        [*command, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
    )


def test_copy_is_the_recipe_and_runs(tmp_path, capsys):
    copy = tmp_path / "my recipe"
    main(["recipe", str(copy)])
    assert f"bash '{copy}/run.sh'" in capsys.readouterr().out
    for path in copy.rglob("*"):
        original = ROOT / "egs/musdb18" / path.relative_to(copy)
        assert path.is_dir() or path.name == "run.sh" or path.read_bytes() == original.read_bytes()
    scripts = re.findall(r'"\$python_path" (\S+\.py)', (copy / "run.sh").read_text())
    assert len(scripts) == 4 and all((copy / script).is_file() for script in scripts)
    assert "--musdb18_dir" in run(["bash"], copy / "run.sh", "--help").stdout
    done = run(["bash"], copy / "run.sh", "--stage", "1", "--data_dir", tmp_path / "none")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ") and "none" in done.stderr
    assert (copy / "logs").is_dir() and not (ROOT / "egs/musdb18/exp/train_tfswaunet_none").exists()


def test_folder_that_exists_is_left_alone(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["recipe", str(tmp_path)])
    assert stop.value.code == 1
    assert capsys.readouterr().err == (f"error: {tmp_path} exists; give the name of a new folder\n")


def test_installed_package_has_it(tmp_path):
    build = [sys.executable, "setup.py", "-q", "egg_info", "-e", tmp_path, "build", "-b", tmp_path]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    recipe = tmp_path / "lib/asteroid_tfswa/recipe"
    names = {str(path.relative_to(recipe)) for path in recipe.rglob("*") if path.is_file()}
    assert {"run.sh", "train.py", "eval.py", "local/conf.yml", "utils/supervise.sh"} <= names
    program = "import sys; from asteroid_tfswa_cli import main; main(sys.argv[1:])"
    installed = {"PYTHONPATH": str(tmp_path / "lib")}
    done = run([sys.executable, "-c", program], "recipe", tmp_path / "copy", **installed)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy/local/conf.yml").is_file()
