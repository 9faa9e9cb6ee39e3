"""`asteroid-tfswa doctor`: what works here, what is missing, and what that means."""

import shutil
import sys

import pytest
import torch

from asteroid_tfswa.cli import doctor, main


def test_machine_without_ffmpeg_can_separate_and_train(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    found = {line[9:30].strip(): line for line in lines}
    for name in ("torch", "wav PCM_16", "flac PCM_24", "mp3 MPEG_LAYER_III", "cores"):
        assert found[name].startswith("ok ")
    assert "32-true" in found["model on cpu"]
    assert found["ffmpeg"].startswith("missing ") and "apt install ffmpeg" in found["ffmpeg"]
    assert lines[-1] == "Separation and training can work."


def test_missing_package_that_is_needed_is_status_1(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if it were not installed
    with pytest.raises(SystemExit) as stop:
        main(["doctor"])
    assert stop.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines[:-1] if "tensorboard" in line]
    assert line.startswith("missing ") and "pip install 'asteroid-tfswa'" in line
    assert "tensorboard" in lines[-1]


def test_missing_package_that_is_not_needed_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    check = doctor.check_package("onnxruntime", "onnxruntime", "onnx")
    assert not check.ok and not check.needed
    assert check.remedy == "pip install 'asteroid-tfswa[onnx]'"


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
    check = doctor.check_model(torch.device("meta"))  # has no numbers
    assert not check.ok and not check.needed and "fails (" in check.found
