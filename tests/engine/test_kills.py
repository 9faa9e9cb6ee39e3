"""Runs that are killed at random moments end exactly like a run that was never stopped.

`KILLS=20 pytest tests/engine/test_kills.py -s` is the night mode: as many kills, and their record.
"""

import os
import random
import re
import signal
import time

import torch

from tests.engine import tiny
from tests.engine.commands import Command

N_KILLS = int(os.environ.get("KILLS", 3))
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1)
STATUS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGUSR1: 138}
# 5 batches and 3 steps an epoch; every step of the killed runs is saved.
CONF = {"epochs": 5, "epoch_size": 20, "accumulate": 2, "num_workers": 1}
CONF |= {"ema_decay": 0.9, "keep_checkpoints": 2}


def drop_out():
    """Make training depend on torch's random state and take longer."""
    forward = tiny.TinyModel.forward

    def forward_with_dropout(self, wave):
        estimates = forward(self, wave)
        if self.training:
            time.sleep(0.01)
        return torch.nn.functional.dropout(estimates, 0.2, self.training)

    tiny.TinyModel.forward = forward_with_dropout


def load(path):
    return torch.load(path, weights_only=True)


def epochs(command):
    """The lines of epochs, without speed and time left."""
    lines = [line for line in command.lines if line.startswith("epoch ")]
    return {re.split(r", [\d.:]+ (?:segments/s|left)", line)[0] for line in lines}


def same(a, b):
    """Whether two states are equal, bit by bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def kill(command, rng, seconds):
    """End a command in one of several ways, after at most so many seconds; say how it ended."""
    time.sleep(rng.uniform(0, seconds))
    signum = rng.choice(SIGNALS)
    command.send(signum)
    status = command.end()
    assert status in (0, STATUS[signum], -signum), (signum, command.lines)
    assert len(command.lines) - len(epochs(command)) <= 1, (signum, command.lines)
    return f"{signum.name}, exit status {status}", status


def test_a_killed_run_ends_like_one_that_was_never_stopped(tmp_path):
    data_dir = tiny.make_data(tmp_path / "data")
    rng = random.Random(N_KILLS)

    def start(exp, **changes):
        return Command(
            tmp_path / "out", data_dir, tmp_path / exp, setup=drop_out, **{**CONF, **changes}
        )

    whole = start("whole")
    assert whole.end() == 0
    seconds = time.time() - (tmp_path / "whole/conf.yml").stat().st_mtime
    expected, n_kills, n_runs = epochs(whole), 0, 0
    while n_kills < N_KILLS:
        n_runs += 1
        exp, seen, status = f"killed{n_runs}", set(), None
        while status != 0:
            command = start(exp, save_every_steps=1)
            if n_kills < N_KILLS:
                record, status = kill(command, rng, 0.8 * seconds)
                n_kills += status != 0
            else:
                record, status = "not killed", command.end()
                assert status == 0, command.lines
            seen |= epochs(command)
            print(f"run {n_runs}: {record}, epochs so far {len(seen)} of {len(expected)}")
        assert seen == expected
        assert_same(tmp_path / "whole", tmp_path / exp)
    print(f"{n_kills} kills in {n_runs} runs; all ended like the one that was never stopped")


def assert_same(whole, killed):
    """Compare all that two runs hand over and would continue from, bit by bit."""
    a, b = (load(folder / "checkpoints/last.ckpt") for folder in (whole, killed))
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "position"):
        assert same(a[key], b[key]), key
    # Python's and NumPy's generators are seeded by the system, and nothing draws from them.
    assert same(*(state["processes"][0]["random"]["torch"] for state in (a, b)))
    a, b = (load(folder / "best_model.pth") for folder in (whole, killed))
    a["training_config"]["training"]["save_every_steps"] = 1
    assert same(a, b)
