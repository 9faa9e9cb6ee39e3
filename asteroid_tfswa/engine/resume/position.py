"""What Lightning's checkpoints lack to continue in the middle of an epoch.

That is what each process has of its own: random states, running means of logged numbers, and
buffers, which DDP does not share.
"""

import random

import numpy as np
import torch

from asteroid_tfswa.devices import rank_and_world
from asteroid_tfswa.engine.averaging import ExponentialAverage


def process_state(trainer, pl_module, in_epoch):
    """Collect what this process has of its own.

    Args:
        trainer (pytorch_lightning.Trainer): in the training loop.
        pl_module (pytorch_lightning.LightningModule): what it trains.
        in_epoch (bool): whether the epoch is not complete, and its means still grow.

    Returns:
        dict: tensors on the CPU and plain values.
    """
    means = {}
    for metric in trainer.fit_loop.epoch_loop._results.values() if in_epoch else ():
        meta = metric.meta
        if not meta.on_epoch or not metric.is_tensor or metric.has_reset:
            continue
        options = {key: getattr(meta, key) for key in ("prog_bar", "logger", "on_step", "on_epoch")}
        options |= {"reduce_fx": meta.reduce_fx.__name__, "sync_dist": meta.sync.should}
        sums = {key: getattr(metric, key).cpu() for key in metric._defaults}
        means[f"{meta.fx} {meta.name}"] = {"options": options, "sums": sums}
    state = {"random": random_states(pl_module.device), "means": means}
    if rank_and_world()[1] > 1:
        state["buffers"] = {k: buffer.cpu() for k, buffer in _buffers(trainer, pl_module).items()}
    return state


def restore_process_state(state, trainer, pl_module):
    """Restore what `process_state` collected, before the first batch.

    Args:
        state (dict): of the process of the same rank.
        trainer (pytorch_lightning.Trainer): in the training loop.
        pl_module (pytorch_lightning.LightningModule): what it trains.
    """
    results = trainer.fit_loop.epoch_loop._results
    if state["means"]:  # or Lightning would reset them in the first batch
        trainer._logger_connector._first_loop_iter = False
    for key, metric in state["means"].items():
        fx, name = key.split(" ", 1)
        zero = torch.zeros((), device=pl_module.device)
        # Lightning makes a metric when a number is logged for the first time.
        results.log(fx, name, zero, sync_dist_fn=trainer.strategy.reduce, **metric["options"])
        for part, value in metric["sums"].items():
            setattr(results[f"{fx}.{name}"], part, value.to(pl_module.device))
    buffers = _buffers(trainer, pl_module)
    for name, value in state.get("buffers", {}).items():
        buffers[name].copy_(value)
    set_random_states(state["random"], pl_module.device)


def _buffers(trainer, pl_module):
    """The buffers of a module, and those of the average of its weights."""
    buffers = dict(pl_module.named_buffers())
    for callback in trainer.callbacks:
        if isinstance(callback, ExponentialAverage):
            buffers |= {f"average.{name}": buffer for name, buffer in callback.named_buffers()}
    return buffers


def random_states(device):
    """Read the states of the global random generators.

    Args:
        device (torch.device): whose generator counts besides the CPU's. To ask an unused GPU would
            take memory there.

    Returns:
        dict: for `set_random_states`; tensors and plain values.
    """
    kind, keys, *rest = np.random.get_state()
    states = {"python": random.getstate(), "numpy": (kind, keys.tolist(), *rest)}
    states["torch"] = torch.get_rng_state()
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states, device):
    """Set the global random generators.

    Args:
        states (dict): of `random_states`; a GPU's is ignored on the CPU.
        device (torch.device): of this process.
    """
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
