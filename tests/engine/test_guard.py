"""Steps that are not finite: what they leave unchanged, in a loop and in training runs."""

import types

import pytest
import pytorch_lightning as pl
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from asteroid_tfswa.engine.averaging import ExponentialAverage
from asteroid_tfswa.engine.guard import StepGuard
from asteroid_tfswa.engine.losses import LOSSES, get_loss
from asteroid_tfswa.engine.optimizers import make_optimizer
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.separate.chunks import Joiner
from tests.engine import tiny

NAN, INF = float("nan"), float("inf")


def compute_loss(net, batch, kind):
    """A loss that is "good", or where something else than the weights is not finite."""
    loss = net(batch * (NAN if kind == "bad input" else 1)).square().mean()
    if kind == "bad gradient":
        loss.register_hook(lambda gradient: gradient * INF)
    return loss * (INF if kind == "bad loss" else 1)


def train(name, kinds, accumulate=1, scaler=None):
    """Train on one batch of each kind; None leaves it out.

    Returns:
        tuple: weights, running statistics, states of the optimizer, counts.
    """
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = make_optimizer(net.parameters(), optimizer=name, lr=0.05, weight_decay=0.1)
    guard = StepGuard(net, torch.device("cpu"))
    batches = torch.randn(len(kinds), 5, 3)
    for i, (batch, kind) in enumerate(zip(batches, kinds)):
        if kind is None:
            continue
        guard.start_batch()
        loss = compute_loss(net, batch, kind)
        (scaler.scale(loss) if scaler else loss).backward()
        guard.end_batch(loss)
        if (i + 1) % accumulate == 0:
            if scaler:
                scaler.unscale_(optimizer)
            guard.before_step(optimizer)
            scaler.step(optimizer) if scaler else optimizer.step()
            guard.after_step(optimizer)
            if scaler:
                scaler.update()
            optimizer.zero_grad()
    statistics = [net[1].running_mean, net[1].running_var]
    states = [v for state in optimizer.state_dict()["state"].values() for v in state.values()]
    return list(net.parameters()), statistics, states, guard.counts.tolist()


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert torch.equal(a, b) and a.isfinite().all()


@pytest.mark.parametrize("name", ["adam", "adamw", "muon", "sgd"])
@pytest.mark.parametrize("kind", ["bad input", "bad loss", "bad gradient"])
def test_a_bad_step_leaves_everything_as_it_was(name, kind):
    skipped = train(name, ["good", kind, "good", kind, kind])
    expected = train(name, ["good", None, "good", None, None])
    assert_equal(skipped[0], expected[0])
    assert_equal(skipped[1], expected[1])
    assert_equal(skipped[2], expected[2])
    assert skipped[3] == [3, 2, 2]


@pytest.mark.parametrize("name", ["adam", "muon", "ranger", "lamb"])
def test_the_first_step_may_be_bad(name):
    weights, statistics, states, counts = train(name, ["bad input"])
    assert_equal(weights, train(name, [None])[0])
    assert_equal(statistics, [torch.zeros(4), torch.ones(4)])
    assert all(torch.as_tensor(state).isfinite().all() for state in states)
    assert counts == [1, 1, 1]


def test_one_bad_batch_spoils_the_batches_accumulated_with_it():
    skipped = train("adam", ["good", "good", "bad input", "good", "good", "good"], accumulate=2)
    expected = train("adam", ["good", "good", None, None, "good", "good"], accumulate=2)
    for ours, theirs in zip(skipped[:3], expected[:3]):
        assert_equal(ours, theirs)
    assert skipped[3] == [1, 0, 1]


@pytest.mark.parametrize("kind", ["bad loss", "bad gradient"])
def test_a_gradient_scaler_lowers_its_scale(kind):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    skipped = train("adam", ["good", kind, "good"], scaler=scaler)
    expected = train("adam", ["good", None, "good"])
    for a, b in zip(skipped[0], expected[0]):
        torch.testing.assert_close(a, b)
    assert scaler.get_scale() == 512.0 and skipped[3] == [1, 0, 1]


class NoWaiting(TorchDispatchMode):
    """Context in which what waits for the device fails, with "meta" in place of a GPU.

    That is to read a number, to copy a tensor there, and to index with a list, which is copied, or
    with a mask, which is read.
    """

    aten = torch.ops.aten
    READING = (aten._local_scalar_dense.default, aten.nonzero.default)
    READING += (aten.index.Tensor, aten.index_put_.default)
    COPYING = (aten._to_copy.default, aten.copy_.default, aten._foreach_copy_.default)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in self.READING:
            assert args[0].is_cpu, "a number was read"
        out = function(*args, **(kwargs or {}))
        if function in self.COPYING:
            tensors = [x for x in pytree.tree_leaves((args, out)) if isinstance(x, torch.Tensor)]
            assert len({tensor.device for tensor in tensors}) == 1, "a tensor was copied"
        return out


def small_net():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).to("meta")


def test_a_step_does_not_wait_for_the_device():
    """Neither the guard nor a loss, of which SDRs and the trimmed one choose by value."""
    net = small_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    guard = StepGuard(net, torch.device("meta"))
    loss = get_loss(dict.fromkeys(LOSSES, 1.0)).to("meta")
    estimates, targets = torch.randn(2, 2, 3, 1, 4096, device="meta", requires_grad=True)
    with NoWaiting():
        loss(estimates, targets.detach()).backward()
        guard.start_batch()
        value = net(torch.randn(5, 3, device="meta")).square().mean()
        value.backward()
        guard.end_batch(value)
        guard.before_step(optimizer)
        optimizer.step()
        guard.after_step(optimizer)


@pytest.mark.parametrize(
    "wait",
    [
        lambda numbers: numbers.sum().item(),
        lambda numbers: torch.tensor(3).to("meta"),
        lambda numbers: numbers.copy_(torch.ones(3)),
        lambda numbers: numbers[[0, 2]],
    ],
)
def test_waiting_would_be_noticed(wait):
    with pytest.raises(AssertionError, match="was (read|copied)"), NoWaiting():
        wait(torch.ones(3, device="meta"))


def test_an_average_of_weights_does_not_wait_for_the_device():
    module = pl.LightningModule()
    module.net = small_net()
    module.optimizer = module.scheduler = module.train_loader = module.val_loader = None
    strategy = types.SimpleNamespace(root_device=torch.device("meta"))
    average = ExponentialAverage(0.9)
    average.setup(types.SimpleNamespace(strategy=strategy), module, "fit")
    with NoWaiting():
        for step in (1, 1, 2):  # the second batch has no step
            trainer = types.SimpleNamespace(global_step=step)
            average.on_train_batch_end(trainer, module, None, None, 0)
    assert average._average_model.n_averaged == 2


def test_chunks_are_joined_without_waiting_after_the_first():
    join = Joiner(4)
    join(torch.ones(2, 2, 10, device="meta"), is_last=False)
    with NoWaiting():
        join(torch.ones(2, 2, 10, device="meta"), is_last=False)


@pytest.fixture
def spoil(monkeypatch):
    """Function that makes the n-th estimates of training NaN, for each n of a set."""
    good, calls = tiny.TinyModel.forward, [0]

    def spoil(numbers):
        def forward(self, wave):
            calls[0] += self.training
            return good(self, wave) * (NAN if self.training and calls[0] in numbers else 1)

        monkeypatch.setattr(tiny.TinyModel, "forward", forward)

    return spoil


def test_a_training_run_skips_counts_and_continues(tmp_path, spoil):
    """22 steps, three of them bad, stopped between the epochs."""
    data_dir = tiny.make_data(tmp_path / "data")
    spoil({1, 7, 8})
    options = {"epoch_size": 44, "max_skipped_steps": 3, "loss": {"l1": 0.5, "mse": 2.0}}
    tiny.run(data_dir, tmp_path / "exp", epochs=1, **options)
    tiny.run(data_dir, tmp_path / "exp", epochs=2, **options)
    last = torch.load(tmp_path / "exp/checkpoints/last.ckpt", weights_only=True)
    assert last["skipped_steps"] == [3, 0, 0] and last["global_step"] == 22
    assert all(value.isfinite().all() for value in last["state_dict"].values())
    events = {}
    for path in sorted((tmp_path / "exp/logs").iterdir()):
        log = EventAccumulator(str(path))
        log.Reload()
        for tag in log.Tags()["scalars"]:
            events.setdefault(tag, []).extend(event.value for event in log.Scalars(tag))
    assert events["skipped_steps"] == [3.0, 3.0]
    for l1, mse, loss in zip(events["loss_l1"], events["loss_mse"], events["loss"], strict=True):
        assert 0.5 * l1 + 2.0 * mse == pytest.approx(loss)
    for tag in ("loss", "train_loss", "grad_norm"):
        assert len(events[tag]) == 2 and 0 < min(events[tag]) < max(events[tag]) < INF


def test_too_many_bad_steps_in_a_row_end_the_run(tmp_path, spoil):
    data_dir = tiny.make_data(tmp_path / "data")
    spoil(range(5, 100))
    message = r"^max_skipped_steps: .* in 5 steps in a row \(epoch 3, step 9\); lower lr"
    with pytest.raises(InputError, match=message):
        tiny.run(data_dir, tmp_path / "exp", epochs=5, max_skipped_steps=3, ema_decay=0.5)
    last = torch.load(tmp_path / "exp/checkpoints/last.ckpt", weights_only=True)
    assert last["epoch"] == 1 and last["skipped_steps"] == [2, 2, 2]
    for weights in (last["state_dict"], last["current_model_state"]):
        assert all(value.isfinite().all() for value in weights.values())
    best = torch.load(tmp_path / "exp/best_model.pth", weights_only=True)
    assert all(value.isfinite().all() for value in best["state_dict"].values())
