"""What a run will need, from real steps."""

import json
import sys

import pytest

from asteroid_tfswa.engine.planning.plan import _largest, _schedule
from asteroid_tfswa.engine.planning.trial import measure
from asteroid_tfswa_cli import main
from tests.engine import tiny

SMALL = """\
data: {segment: 0.2, sample_rate: 8000, num_workers: 0, sources: [vocals, drums]}
filterbank: {n_filters: 64, kernel_size: 64, stride: 32}
masknet: {n_bands: 2, widths: [4, 8], depths: [1, 1], n_heads: [1, 2]}
training: {epochs: 3, epoch_size: 100, batch_size: 1, precision: 32-true, keep_checkpoints: 1}
validation: {valid_segment: 0.4, valid_seconds: 1.0}
"""


def test_a_plan_of_real_steps(tmp_path, capsys):
    data_dir = tiny.make_data(tmp_path / "data")
    (tmp_path / "small.yml").write_text(SMALL)
    command = ["plan", "--conf", str(tmp_path / "small.yml"), "--id", "cpu"]
    main([*command, "--data_dir", str(data_dir), "--json", str(tmp_path / "plan.json")])
    out = capsys.readouterr().out
    assert "device-hours" in out and "\nwith batches of 1: training " in out
    found = json.loads((tmp_path / "plan.json").read_text())
    (trial,) = found["trials"]
    assert 0.1 < trial["memory_gib"] < found["memory_gib"]
    schedule = found["schedule"]
    expected = 300 / trial["segments_per_second"] / 3600
    assert schedule["train_hours"] == pytest.approx(expected)
    assert schedule["hours"] > schedule["train_hours"]
    # Of both songs, 1 s each is validated on; the trial had four chunks of 0.4 s at most.
    expected = 3 * trial["validation_seconds"] * 2.0 / trial["valid_audio"] / 3600
    assert schedule["validation_hours"] == pytest.approx(expected)
    assert trial["valid_audio"] == pytest.approx(3.2)
    sizes = 3 * trial["checkpoint_bytes"] + trial["model_bytes"]
    assert schedule["disk_gib"] == pytest.approx(sizes / 2**30)
    songs = sum(file.stat().st_size for file in data_dir.rglob("*.wav"))
    assert schedule["data_gib"] == pytest.approx(songs / 2**30) and songs > 0


def test_what_cannot_be_written_is_refused_first(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("asteroid_tfswa.cli.plan.plan", lambda *args: pytest.fail("too late"))
    with pytest.raises(SystemExit):
        main(["plan", "--id", "cpu", "--json", str(tmp_path)])
    assert capsys.readouterr() == (
        "",
        f"error: {tmp_path}: is a folder; move it away or choose another name\n",
    )


def test_the_network_is_that_of_the_model_to_start_from(capsys, monkeypatch):
    planned = []
    monkeypatch.setattr("asteroid_tfswa.cli.plan.plan", lambda conf, *_: planned.append(conf))
    monkeypatch.setattr("asteroid_tfswa.cli.plan._print", lambda found: None)
    main(["plan", "--init_from", "small", "--depths", "1", "2"])
    assert planned[0]["masknet"]["widths"] == [48, 96] and planned[0]["masknet"]["depths"] == [1, 2]
    with pytest.raises(SystemExit):
        main(["plan", "--init_from", "smal"])
    assert capsys.readouterr().err.startswith("error: model file not found: 'smal'; ")


def test_ctrl_c_leaves_no_folder(tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    python = tmp_path / "python"  # takes the place of the process that trains
    python.write_text(f"#!/bin/sh\nls {temporary} > {tmp_path}/seen\nkill -INT $PPID\nsleep 60\n")
    python.chmod(0o755)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(KeyboardInterrupt):
        measure(tiny.make_conf(), 1, "32-true")
    assert (tmp_path / "seen").read_text() and not list(temporary.iterdir())


def test_the_largest_batch_grows_with_memory():
    trials = [
        {"precision": "32-true", "batch_size": size, "memory_gib": 2 + 0.5 * size}
        for size in (1, 4, 8)
    ]
    trials.append({"precision": "32-true", "batch_size": 16, "error": "batch_size: memory is full"})
    assert _largest(trials, "32-true", 11.9) == 19
    assert _largest(trials, "bf16-mixed", 11.9) is None


def test_devices_share_the_work():
    conf = {
        "training": {"epochs": 10, "epoch_size": 7200, "keep_checkpoints": 2},
        "validation": {"valid_every": 1, "valid_seconds": 0.0},
    }
    trial = {"batch_size": 4, "segments_per_second": 5.0, "checkpoint_bytes": 100, "model_bytes": 9}
    schedule = _schedule(conf, trial, 4, None)
    assert schedule["hours"] == 1.0 and schedule["device_hours"] == 4.0
    assert schedule["validation_hours"] is None
