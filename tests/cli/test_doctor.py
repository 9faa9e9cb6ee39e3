"""`asteroid-tfswa doctor`: what works here, what is missing, and what that means."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from asteroid_tfswa.cli import device_checks, doctor, main
from asteroid_tfswa.devices import has_bfloat16

REPO = Path(__file__).parents[2]


def test_machine_without_ffmpeg_can_separate_and_train(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    found = {line[9:31].strip(): line for line in lines}
    for name in ("torch", "wav PCM_16", "flac PCM_24", "mp3 MPEG_LAYER_III", "cores"):
        assert found[name].startswith("ok ")
    assert "32-true" in found["model on cpu"]
    assert found["ffmpeg"].startswith("missing ") and "apt install ffmpeg" in found["ffmpeg"]
    assert lines[-1] == "Separation and training can work."


MODULES = {
    "fine": "print('hello')",
    "broken": "raise RuntimeError('two\\nlines')",
    "crashing": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "ending": "raise SystemExit(3)",
    "incomplete": "import no_such_module",
}


def test_packages_that_are_broken_or_missing(tmp_path, monkeypatch):
    for name, code in MODULES.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    packages = [(name, name, None) for name in MODULES] + [("absent", "absent", "onnx")]
    checks = {check.name: check for check in doctor.check_packages(packages)}
    assert list(checks) == [*MODULES, "absent"]
    assert [check.ok for check in checks.values()] == [True] + [False] * 5
    assert checks["broken"].found == "two lines"
    assert checks["crashing"].found == "its import ends Python with SIGSEGV"
    assert checks["ending"].found == "its import ends Python with status 3"
    assert checks["incomplete"].found == "No module named 'no_such_module'"
    assert checks["incomplete"].remedy == "pip install 'asteroid-tfswa'"
    assert checks["broken"].remedy == "pip install --force-reinstall 'broken'"
    assert checks["absent"].remedy == "pip install 'asteroid-tfswa[onnx]'"
    assert checks["broken"].needed and not checks["absent"].needed


def test_every_package_that_setup_py_requires_is_checked():
    text = (REPO / "setup.py").read_text()
    required = re.search(r"install_requires=\[(.*?)\n    \]", text, flags=re.DOTALL)[1]
    needed = {package for package, _, extra in doctor.PACKAGES if extra is None}
    assert set(re.findall(r'^ +"([\w-]+)', required, flags=re.MULTILINE)) == needed


def test_doctor_works_where_the_package_cannot_be_imported(tmp_path):
    for name in ("torch", "torchaudio", "soundfile", "pytorch_lightning"):
        (tmp_path / f"{name}.py").write_text("raise OSError('libcudart.so.13 is missing')")
    (tmp_path / "numpy.py").write_text("import no_such_module")
    done = subprocess.run(
        [sys.executable, "-c", "from asteroid_tfswa_cli import main; main()", "doctor"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPO}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    found = {line[9:31].strip(): line for line in lines}
    for name in ("torch", "torchaudio", "soundfile", "pytorch-lightning"):
        assert found[name].startswith("missing ") and "libcudart.so.13" in found[name]
    assert "no_such_module" in found["numpy"] and "pip install" in found["numpy"]
    assert found["pyyaml"].startswith("ok ") and found["cores"].startswith("ok ")
    assert lines[-1].startswith("Separation and training cannot work yet: see torch, torchaudio")


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="needs Linux")
def test_torch_and_the_kernel_agree_on_bfloat16_in_the_cpu():
    (check,) = [each for each in doctor.check_cpu() if each.name.startswith("bfloat16")]
    assert check.found.startswith("in hardware") == has_bfloat16("cpu")


def test_program_that_fails_is_not_taken_for_one_that_works(tmp_path, monkeypatch):
    broken = tmp_path / "ffmpeg"
    broken.write_text(f"#!{shutil.which('sh')}\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = doctor.check_program("ffmpeg")
    assert not check.ok and "status 3" in check.found


def test_format_that_libsndfile_cannot_write():
    check = doctor.check_format("ogg", "PCM_16")
    assert not check.ok and not check.needed and "libsndfile" in check.found


def test_device_on_which_the_model_fails():
    check = device_checks.check_model(torch.device("meta"))  # has no numbers
    assert not check.ok and not check.needed and "fails (" in check.found
