"""Skip optimizer steps whose loss or gradient is not a finite number.

Whether a step is bad is known on the device alone, and reading it there would wait for the device
at every step. So a bad step is computed with gradients of zero, and what it changed is put back.
"""

import torch
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _BatchNorm

from asteroid_tfswa.devices import over_ranks


class StepGuard:
    """Undoes optimizer steps, on all processes, if the loss or gradient of one is not finite.

    Weights, the optimizer's state and the running statistics of normalisation layers stay as they
    were. What counts steps advances: the schedule of the learning rate, the average of the weights
    (towards unchanged weights) and counters that an optimizer keeps on the CPU for a model on a
    GPU.

    Args:
        model (torch.nn.Module): the model, on its device.
        device (torch.device): that device.
        counts (list of int): of a run that continues, see below.

    Attributes:
        counts (torch.Tensor): number of steps skipped, of those skipped in a row just now, and of
            the most that were skipped in a row since training began or continued.
    """

    def __init__(self, model, device, counts=(0, 0, 0)):
        self.statistics = [
            buffer
            for module in model.modules()
            if isinstance(module, _BatchNorm) and module.track_running_stats
            for buffer in (module.running_mean, module.running_var)
        ]
        self.bad = torch.zeros((), device=device)  # 1 if something in this step was not finite
        self.counts = torch.tensor(counts, device=device)
        self._before_step = None  # running statistics before the first batch of a step

    def start_batch(self):
        """Remember the running statistics, before the first batch of a step."""
        if self._before_step is None:
            self._before_step = self._flat_statistics()

    def end_batch(self, loss):
        """Note whether a loss is finite.

        Args:
            loss (torch.Tensor): of the batch.
        """
        self.bad.masked_fill_(~loss.detach().isfinite(), 1.0)

    def before_step(self, optimizer):
        """Decide whether the step is skipped.

        Args:
            optimizer (torch.optim.Optimizer): gradients are accumulated, unscaled and not clipped.

        Returns:
            torch.Tensor: norm of the gradient; not finite in a bad step.
        """
        gradients = [
            param.grad
            for group in optimizer.param_groups
            for param in group["params"]
            if param.grad is not None
        ]
        is_sharded = any(isinstance(gradient, DTensor) for gradient in gradients)
        gradients = [_local(gradient) for gradient in gradients]
        norm = torch.nn.utils.get_total_norm(gradients)
        if is_sharded:
            norm = over_ranks(norm.square()).sqrt()
        self.bad.masked_fill_(~norm.isfinite(), 1.0)
        over_ranks(self.bad, "MAX")
        is_bad = self.bad > 0
        for gradient in gradients:
            gradient.masked_fill_(is_bad, 0.0)
        tensors = _tensors(optimizer, self.bad.device)
        self._kept = dict(zip(tensors, torch._foreach_mul(list(tensors.values()), 1.0)))  # copies
        return norm

    def after_step(self, optimizer):
        """Put back what a bad step changed, and statistics that are not finite, and count.

        Args:
            optimizer (torch.optim.Optimizer): has made its step.
        """
        tensors = _tensors(optimizer, self.bad.device)
        changed = [tensors[key] for key in self._kept]
        # Products, since all are finite: they take fewer kernels than a choice for each tensor.
        kept = torch._foreach_mul(list(self._kept.values()), self.bad)
        torch._foreach_mul_(changed, 1 - self.bad)
        torch._foreach_add_(changed, kept)
        del self._kept
        if self.statistics:
            flat = self._flat_statistics()
            flat = torch.where(flat.isfinite() & (self.bad == 0), flat, self._before_step)
            sizes = [buffer.numel() for buffer in self.statistics]
            torch._foreach_copy_(self.statistics, list(flat.split(sizes)))
        self._before_step = None
        n_skipped, n_in_row, most = self.counts.unbind()
        was_bad = self.bad.long()
        n_in_row = (n_in_row + 1) * was_bad
        self.counts = torch.stack([n_skipped + was_bad, n_in_row, torch.maximum(most, n_in_row)])
        self.bad = torch.zeros_like(self.bad)

    def _flat_statistics(self):
        return torch.cat([buffer.flatten() for buffer in self.statistics or [self.bad]])


def _tensors(optimizer, device):
    """Parameters and states that an optimizer changes on the device, by parameter and name."""
    tensors = {}
    for group in optimizer.param_groups:
        for param in group["params"]:
            if param.grad is None:
                continue
            tensors[param, ""] = _local(param.detach())
            for name, value in optimizer.state.get(param, {}).items():
                if isinstance(value, torch.Tensor) and value.is_floating_point():
                    if value.device == device:
                        tensors[param, name] = _local(value)
    return tensors


def _local(tensor):
    """The part of a sharded tensor that this process has."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
