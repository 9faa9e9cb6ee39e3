"""A torch and torchaudio that cannot work together."""

import os
import subprocess
import sys
from pathlib import Path


def test_a_pair_that_cannot_work_is_one_line_that_says_what_to_install(tmp_path):
    (tmp_path / "torchaudio.py").write_text(
        "raise RuntimeError('PyTorch and TorchAudio were compiled with different CUDA versions')"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", "import asteroid_tfswa"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError: Asteroid cannot be imported with torch 2.")
    assert "different CUDA versions" in message
    assert "pip install 'torch==2.11.*' 'torchaudio==2.11.0'" in message
    assert "During handling" not in done.stderr
