"""Training commands that are stopped, killed or run twice; processes that share the work."""

import signal

import pytest
import torch

from tests.engine import tiny
from tests.engine.commands import Command


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
