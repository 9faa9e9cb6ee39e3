"""What a training run tells about itself: table, curves, log."""

import csv
import importlib.metadata
import json
import subprocess
import time
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from asteroid_tfswa.devices import has_bfloat16
from asteroid_tfswa.engine.reports.history import draw_curves
from asteroid_tfswa.engine.reports.progress import RunProgress
from asteroid_tfswa.provenance import git_state
from tests.engine import tiny


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("data"))


def read(exp_dir):
    with open(exp_dir / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_each_epoch_once_after_a_kill(data_dir, tmp_path):
    changes = {"valid_every": 2, "monitor": "val_loss", "epoch_size": 44, "log_audio_every": 1}
    changes["precision"] = "auto"
    tiny.run(data_dir, tmp_path, epochs=3, **changes)
    first, table = read(tmp_path), tmp_path / "history.csv"
    # As if killed after a row was written and before its epoch was saved.
    table.write_text(table.read_text() + table.read_text().splitlines()[-1] + "\n")
    tiny.run(data_dir, tmp_path, epochs=4, **changes)
    rows = read(tmp_path)
    assert rows[:3] == first and [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [bool(row["val_usdr/drums"]) for row in rows] == [False, True, True, True]
    best = torch.load(tmp_path / "best_model.pth", weights_only=True)["metrics"]
    losses = {int(row["epoch"]): float(row["val_loss"]) for row in rows if row["val_loss"]}
    assert best["epoch"] == min(losses, key=losses.get)
    assert best["val_loss"] == pytest.approx(losses[best["epoch"]])
    for row in rows:
        assert 0 <= float(row["waiting_share"]) < 1 and float(row["memory_gib"]) > 0.05
        speed = 44 / float(row["seconds"])
        assert float(row["segments_per_second"]) == pytest.approx(speed, rel=1e-3)
    starts = json.loads((tmp_path / "run.json").read_text())["starts"]
    assert [start["continues"] for start in starts] == ["", "after epoch 3"]
    assert starts[0]["versions"]["torch"] == importlib.metadata.version("torch")
    assert starts[0]["data"]["songs"] == {"train": 3, "valid": 2, "test": 0}
    assert starts[0]["precision"] == ("bf16-mixed" if has_bfloat16("cpu") else "32-true")
    assert starts[0]["seed"] == 3 and starts[0]["data"]["fingerprint"]
    lines = [line.split(" ", 2)[2] for line in (tmp_path / "train.log").read_text().splitlines()]
    assert [line.split(":")[0] for line in lines] == [
        "starts from the first epoch",
        *("epoch 1/3", "epoch 2/3", "epoch 3/3", "complete"),
        *("starts after epoch 3", "epoch 4/4", "complete"),
    ]
    assert "val_loss" not in lines[1] and "val_loss" in lines[2] and " left" in lines[2]
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.size[0] > picture.size[1] > 100

    log = EventAccumulator(str(tmp_path / "logs"), {"images": 0, "audio": 0}).Reload()
    tags = log.Tags()
    assert {"val_csdr/vocals", "segments_per_second", "waiting_share", "memory_gib"} < {
        *tags["scalars"]
    }
    assert "drums/estimate" in tags["audio"] and "drums/both" in tags["images"]
    assert [event.step for event in log.Images("drums/both")] == [22, 33, 44]
    assert log.Audio("drums/reference")[0].length_frames == int(2.3 * tiny.RATE)


def test_names_of_sources_are_no_formulas(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,train_loss,val_usdr/$a_{$\n1,2.0,3.0\n2,1.0,4.0\n")
    draw_curves(tmp_path)
    assert (tmp_path / "curves.png").is_file()


def test_commit_and_whether_it_was_changed(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", "-C", tmp_path, *identity, *words], check=True, capture_output=True)

    assert git_state(tmp_path) is None
    (tmp_path / "__init__.py").write_text("")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    state = git_state(tmp_path)
    assert len(state["commit"]) == 40 and not state["dirty"]
    (tmp_path / "__init__.py").write_text("changed")
    assert git_state(tmp_path) == {**state, "dirty": True}


def test_the_same_seed_gives_the_same_scores(data_dir, tmp_path):
    for name, more in (("one", {}), ("two", {}), ("other", {"seed": 4})):
        tiny.run(data_dir, tmp_path / name, epoch_size=8, **more)
    one, two, other = (
        [[row[key] for key in ("train_loss", "val_usdr", "val_csdr")] for row in read(tmp_path / n)]
        for n in ("one", "two", "other")
    )
    assert one == two != other


@pytest.mark.parametrize("batches, told", [(49, "05:00 left"), (40, "00:30 left"), (50, "0.50000")])
def test_the_time_left_follows_from_what_this_process_did(monkeypatch, batches, told):
    """In epoch 5 of 10, of 10 batches each, which ends 6 s after the start."""
    lines, now = [], [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    bar = RunProgress(SimpleNamespace(epoch={}), SimpleNamespace(line=lines.append))
    trainer = SimpleNamespace(
        fit_loop=SimpleNamespace(total_batch_idx=batches - 1),
        current_epoch=4,
        max_epochs=10,
        num_training_batches=10,
        check_val_every_n_epoch=100,
        callback_metrics={"train_loss": 0.5},
    )
    bar.on_train_start(trainer, None)
    now[0] = 6.0
    bar.on_train_epoch_end(trainer, None)
    assert lines[0].endswith(told)
