"""Optimizers and schedules by name."""

import copy
import math

import pytest
import torch

from asteroid_tfswa.engine.optimizers import make_optimizer, make_scheduler
from asteroid_tfswa.errors import InputError


def rates(n_steps, **options):
    """Learning rates of the first steps, for a highest one of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make_scheduler(optimizer, **options)
    values = []
    for _ in range(n_steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


def test_schedule_of_the_paper():
    """0.9 after every 1.5 epochs, here of 10 steps, after 4 steps of warm-up."""
    values = rates(46, steps_per_epoch=10, warmup_steps=4)
    assert values[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert values[14:16] == pytest.approx([1.0, 0.9])
    assert values[29:31] == pytest.approx([0.9, 0.81])
    assert values[44:46] == pytest.approx([0.81, 0.729])


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_schedules_over_the_whole_run(schedule):
    """Two epochs of 10 steps; the last step that would follow has a learning rate of zero."""
    values = rates(22, steps_per_epoch=10, epochs=2, schedule=schedule, warmup_steps=4)
    assert values[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    if schedule == "constant":
        assert values[4:] == [1.0] * 18
        return
    done = [step / 16 for step in range(17)]
    falls = [1 - x if schedule == "linear" else (1 + math.cos(math.pi * x)) / 2 for x in done]
    assert values[4:] == pytest.approx(falls + [0.0], abs=1e-12)


def make_net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2), torch.nn.PReLU())


def train(net, optimizers, n_steps):
    torch.manual_seed(1)
    for _ in range(n_steps):
        for optimizer in optimizers:
            optimizer.zero_grad()
        net(torch.randn(5, 3)).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()


def test_muon_is_torch_s_for_matrices_and_adamw_for_the_rest():
    options = {"lr": 0.02, "weight_decay": 0.1}
    ours, theirs = make_net(), make_net()
    matrices = [p for p in theirs.parameters() if p.ndim == 2]
    others = [p for p in theirs.parameters() if p.ndim != 2]
    assert len(matrices) == 2 and len(others) == 3
    muon = torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", **options)
    train(ours, [make_optimizer(ours.parameters(), optimizer="muon", **options)], 3)
    train(theirs, [muon, torch.optim.AdamW(others, **options)], 3)
    for a, b in zip(ours.parameters(), theirs.parameters()):
        assert torch.equal(a, b)


def test_muon_continues_from_its_state_and_follows_a_schedule(tmp_path):
    whole, half, again = make_net(), make_net(), make_net()
    optimizers = [
        make_optimizer(net.parameters(), optimizer="muon", lr=0.02, weight_decay=0.1)
        for net in (whole, half, again)
    ]
    schedulers = [make_scheduler(o, 4, lr_decay=0.1, lr_decay_epochs=1.0) for o in optimizers]
    for net, optimizer, scheduler in zip((whole, half), optimizers, schedulers):
        train(net, [optimizer], 2)
        for _ in range(4):
            scheduler.step()
    assert [group["lr"] for group in optimizers[0].param_groups] == pytest.approx([0.002, 0.002])
    torch.save(optimizers[1].state_dict(), tmp_path / "state")
    again.load_state_dict(copy.deepcopy(half.state_dict()))
    optimizers[2].load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    train(whole, [optimizers[0]], 2)
    train(again, [optimizers[2]], 2)
    for a, b in zip(whole.parameters(), again.parameters()):
        assert torch.equal(a, b)
    assert optimizers[2].state_dict()["param_groups"][0]["lr"] == pytest.approx(0.002)


def test_frozen_parameters_are_left_out():
    net = make_net()
    net[0].requires_grad_(False)
    (group,) = make_optimizer(net.parameters(), lr=0.1).param_groups
    assert len(group["params"]) == 3
    with pytest.raises(InputError, match="optimizer: muon needs matrices"):
        make_optimizer(net[2].parameters(), optimizer="muon", lr=0.1)
    with pytest.raises(InputError, match="freeze: every parameter is frozen"):
        make_optimizer(net[0].parameters(), lr=0.1)
