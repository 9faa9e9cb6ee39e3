"""Training commands that are stopped, killed or run twice; processes that share the work."""

import functools
import os
import re
import signal
import threading
import time

import pytest
import torch
from pytorch_lightning.strategies import SingleDeviceStrategy

from asteroid_tfswa.engine.processes import children, deadline
from asteroid_tfswa.engine.processes.signals import StopSignals
from tests.engine import tiny
from tests.engine.commands import (
    Command,
    be_one_of,
    free_port,
    limit_file_size,
    shrink_shared_memory,
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def start(data_dir, tmp_path):
    """Function that starts a command in `tmp_path / "exp"`."""
    commands = []

    def start(name="out", **options):
        commands.append(Command(tmp_path / name, data_dir, tmp_path / "exp", **options))
        return commands[-1]

    yield start
    for command in commands:
        if command.process.is_alive():
            command.send(signal.SIGKILL)


def load(path):
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize(
    "signum, word, status",
    [(signal.SIGTERM, "terminated", 143), (signal.SIGINT, "interrupted", 130)],
)
def test_a_signal_to_all_processes_ends_in_one_line(start, tmp_path, signum, word, status):
    """The second signal comes while the first one is handled."""
    command = start(epochs=500, num_workers=2)
    command.wait_for("epoch 2/")
    command.send(signum)
    command.send(signal.SIGTERM)
    assert command.end() == status
    *epochs, line = command.lines
    assert line == word
    assert all(epoch.startswith("epoch ") for epoch in epochs)
    assert load(tmp_path / "exp/checkpoints/last.ckpt")["epoch"] + 1 >= len(epochs)
    assert load(tmp_path / "exp/best_model.pth")["metrics"]["epoch"] <= len(epochs)
    left = {path.name for path in (tmp_path / "exp").rglob("*") if path.name[0] == "."}
    assert not left


def test_of_two_signals_at_once_the_first_counts():
    def handle(number, frame):
        signal.raise_signal(signal.SIGTERM)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handle)
    try:
        with pytest.raises(KeyboardInterrupt), StopSignals() as stop:
            signal.raise_signal(signal.SIGINT)
        assert type(stop.received) is KeyboardInterrupt  # not Terminated
    finally:
        signal.signal(signal.SIGINT, before)


def test_python_alone_is_terminated_and_continues(start, data_dir, tmp_path):
    command = start(num_workers=1, epochs=500)
    command.wait_for("epoch 1/")
    os.kill(command.process.pid, signal.SIGTERM)
    assert command.end() == 143
    done = load(tmp_path / "exp/checkpoints/last.ckpt")["epoch"] + 1
    assert start("again", epochs=done + 1).end() == 0
    whole = tiny.run(data_dir, tmp_path / "whole", epochs=done + 1)
    for name, weight in load(whole)["state_dict"].items():
        assert torch.equal(weight, load(tmp_path / "exp/best_model.pth")["state_dict"][name])


@pytest.mark.parametrize("n_bytes, file", [(8000, "checkpoints/last.ckpt"), (400, "conf.yml")])
def test_a_file_that_cannot_be_written_is_named(start, tmp_path, n_bytes, file):
    command = start(setup=functools.partial(limit_file_size, n_bytes))
    assert command.end() == 1
    assert command.lines[-1].startswith(f"error: {tmp_path / 'exp' / file}: ")
    assert re.search("File too large|cannot be written", command.lines[-1])
    assert sum("Error" in line or "error" in line for line in command.lines) == 1


def test_a_full_log_keeps_the_epochs(start, tmp_path):
    """The log grows at every step, the checkpoints do not."""
    command = start(
        setup=functools.partial(limit_file_size, 27000), epochs=900, epoch_size=96, batch_size=1
    )
    assert command.end() == 1
    *epochs, line = command.lines
    assert line.startswith(f"error: {tmp_path / 'exp' / 'logs'}: the log cannot be written (File")
    assert all(epoch.startswith("epoch ") for epoch in epochs)
    assert load(tmp_path / "exp/checkpoints/last.ckpt")["epoch"] + 1 >= len(epochs) > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_little_shared_memory_is_one_line_with_the_remedy(start):
    command = start(setup=functools.partial(shrink_shared_memory, "64k"), num_workers=2)
    assert command.end() == 1
    assert len(command.lines) == 1
    assert command.lines[0].startswith("error: num_workers: the shared memory in /dev/shm is too")


def break_and_hang():
    """Make training fail, and its end wait, as a GPU waits for a process that has died."""
    deadline.SECONDS = 0.1
    children.waits_for_others = lambda: True
    tiny.TinyModel.forward = lambda self, wave: [][0]
    SingleDeviceStrategy.teardown = lambda self: time.sleep(100)


def fail_with_full_memory():
    """The same, with an error that has a line."""
    break_and_hang()
    tiny.TinyModel.forward = lambda self, wave: torch.empty(1).expand(2**60).clone()


def test_an_end_that_waits_for_a_gpu_is_cut_short(start):
    command = start(setup=fail_with_full_memory)
    assert command.end(seconds=60) == 1
    (line,) = command.lines
    assert line.startswith("error: batch_size: memory is full (")
    bug = start("bug", setup=break_and_hang)
    assert bug.end(seconds=60) == 1 and bug.lines[-1] == "IndexError: list index out of range"


def test_an_end_in_time_is_not_cut_short(data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(children, "waits_for_others", lambda: True)
    monkeypatch.setattr(tiny.TinyModel, "forward", lambda self, wave: [][0])
    with pytest.raises(IndexError):
        tiny.run(data_dir, tmp_path / "exp")
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert all(timer.finished.is_set() for timer in timers)


def test_processes_stop_together_at_a_bad_loss(start, tmp_path):
    """Three processes have two chunks to validate on, and the loss of one is not a number.

    The second epoch, which is one step, is skipped on all of them; the third one is too many.
    """
    port = free_port()
    changes = {"devices": "cpu:3", "valid_segment": 3.0, "batch_size": 4, "epoch_size": 12}
    changes |= {"epochs": 5, "max_skipped_steps": 2}
    commands = [
        start(
            f"rank{rank}",
            setup=functools.partial(be_one_of, rank, port, {"LOCAL_RANK": str(rank)}, 1),
            **changes,
        )
        for rank in range(3)
    ]
    assert [command.end() for command in commands] == [1, 1, 1]
    line = "not a finite number in 2 steps in a row (epoch 3, step 3); "
    assert [sum(line in text for text in command.lines) for command in commands] == [1, 1, 1]
    assert len(commands[0].lines) == 3  # and two epochs'
    last = load(tmp_path / "exp/checkpoints/last.ckpt")
    assert last["epoch"] == 1 and last["skipped_steps"] == [1, 1, 1]
    best = load(tmp_path / "exp/best_model.pth")
    assert best["metrics"]["epoch"] == 1
    trained = last["state_dict"]["model.conv.weight"]
    assert torch.equal(trained, best["state_dict"]["conv.weight"])  # unchanged by the second
