"""Optimizers and learning rate schedules by name."""

import math

import torch
from asteroid.engine import optimizers
from torch.optim.lr_scheduler import LambdaLR

from asteroid_tfswa.errors import InputError


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for matrices and AdamW for all other parameters, as one optimizer.

    Muon's updates are scaled to the size of AdamW's, so that both take the same learning rate and
    weight decay.

    Args:
        params (iterable of torch.nn.Parameter): at least one has two dimensions.
        lr (float): learning rate of both. Default 1e-3.
        weight_decay (float): decoupled weight decay of both. Default 0.0.

    Raises:
        InputError: if no parameter is a matrix.

    References
        - [1] Liu et al., "Muon is Scalable for LLM Training", arXiv 2502.16982
    """

    def __init__(self, params, lr=1e-3, weight_decay=0.0):
        params = list(params)
        matrices = [param for param in params if param.ndim == 2]
        others = [param for param in params if param.ndim != 2]
        if not matrices:
            raise InputError("optimizer: muon needs matrices to train; use adamw")
        options = {"lr": lr, "weight_decay": weight_decay}
        self._parts = [torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", **options)]
        if others:
            self._parts.append(torch.optim.AdamW(others, **options))
        super().__init__([group for part in self._parts for group in part.param_groups], options)
        self._share()

    def _share(self):
        """Let the parts work on the groups and states of this optimizer, one group each."""
        for part, group in zip(self._parts, self.param_groups, strict=True):
            part.param_groups, part.state = [group], self.state

    def load_state_dict(self, state_dict):
        """Load the states of both parts."""
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure=None):
        """Update all parameters.

        Args:
            closure (callable, optional): evaluates the model again and returns the loss.

        Returns:
            what `closure` returns.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss


def make_optimizer(params, optimizer="adam", **options):
    """Make an optimizer.

    Args:
        params (iterable of torch.nn.Parameter): what it updates; those without gradients are left
            out.
        optimizer (str): "muon", see `MuonWithAdamW`, or one of Asteroid's names. Default "adam".
        **options: `lr` and `weight_decay`.

    Returns:
        torch.optim.Optimizer: the optimizer.

    Raises:
        InputError: if there is nothing to update.
    """
    params = [param for param in params if param.requires_grad]
    if not params:
        raise InputError("freeze: every parameter is frozen; nothing is left to train")
    make = MuonWithAdamW if optimizer == "muon" else optimizers.get(optimizer)
    return make(params, **options)


def make_scheduler(
    optimizer,
    steps_per_epoch,
    epochs=1,
    schedule="exponential",
    lr_decay=0.9,
    lr_decay_epochs=1.5,
    warmup_steps=0,
):
    """Make a schedule of the learning rate.

    Args:
        optimizer (torch.optim.Optimizer): has the highest learning rate.
        steps_per_epoch (int): optimizer steps in one epoch.
        epochs (int): epochs over which "cosine" and "linear" fall. Default 1.
        schedule (str): "exponential", the paper's: the learning rate is multiplied by a factor
            every so many epochs; "cosine" or "linear": it falls to zero in that form; "constant".
            Default "exponential".
        lr_decay (float): the factor of "exponential". Default 0.9; 1 keeps the learning rate.
        lr_decay_epochs (float): epochs between two multiplications. Default 1.5.
        warmup_steps (int): optimizer steps over which the learning rate first rises
            linearly; "cosine" and "linear" fall after them. Default 0.

    Returns:
        torch.optim.lr_scheduler.LambdaLR: to be stepped after every optimizer step.
    """

    def decay(step):
        if schedule == "exponential":
            # The margin keeps rounding errors from moving a decay by one step.
            return lr_decay ** int(step / (lr_decay_epochs * steps_per_epoch) + 1e-9)
        done = max(step - warmup_steps, 0) / max(epochs * steps_per_epoch - warmup_steps, 1)
        if schedule == "cosine":
            return (1 + math.cos(math.pi * min(done, 1.0))) / 2
        return 1 - min(done, 1.0) if schedule == "linear" else 1.0

    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (warmup_steps + 1)) * decay(step))
