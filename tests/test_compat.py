"""A torch and torchaudio that cannot work together."""

import os
import subprocess
import sys
from pathlib import Path


def error_of_import(folder, torchaudio):
    """Import the package with another torchaudio; return what goes to standard error."""
    (folder / "torchaudio.py").write_text(torchaudio)
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", "import asteroid_tfswa"],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{root}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr.strip()


def test_a_pair_that_cannot_work_is_one_line_that_says_what_to_install(tmp_path):
    error = error_of_import(
        tmp_path,
        "raise RuntimeError('PyTorch and TorchAudio were compiled with different CUDA versions')",
    )
    message = error.splitlines()[-1]
    assert message.startswith("ImportError: Asteroid cannot be imported with torch 2.")
    assert "different CUDA versions" in message
    assert "pip install 'torch==2.11.*' 'torchaudio==2.11.0'" in message
    assert "During handling" not in error


def test_another_package_that_is_missing_is_named_by_its_own_error(tmp_path):
    error = error_of_import(tmp_path, "import no_such_package")
    assert error.endswith("ModuleNotFoundError: No module named 'no_such_package'")
