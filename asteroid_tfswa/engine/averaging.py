"""Exponential moving average of a model's weights."""

import contextlib
import itertools

import torch
from pytorch_lightning.callbacks import WeightAveraging


class ExponentialAverage(WeightAveraging):
    """Lightning's averaging of weights; the average is validated, saved and exported.

    It moves by `1 - decay` after each optimizer step, by more in the first ones: after n steps the
    decay is at most ``(1 + n) / (10 + n)``. The running statistics of normalisation layers are
    averaged in the same way, so that they belong to the averaged weights.

    Args:
        decay (float): share of the average that remains at each step, below 1.
    """

    def __init__(self, decay):
        super().__init__()
        self.decay = decay

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Move the average after an optimizer step.

        Lightning's own copies the number of steps to the device, which waits for it.
        """
        if trainer.global_step > self._latest_update_step:
            self._move(pl_module)
            self._latest_update_step = trainer.global_step

    @torch.no_grad()
    def _move(self, pl_module):
        average, n_steps = self._average_model, self._latest_update_step
        decay = min(self.decay, (1 + n_steps) / (10 + n_steps))
        is_first, moved, copied = average.n_averaged == 0, [], []
        for pair in zip(_tensors(average.module), _tensors(pl_module)):
            copies = is_first or not pair[0].is_floating_point()
            (copied if copies else moved).append(pair)
        if moved:
            torch._foreach_lerp_(*map(list, zip(*moved)), 1 - decay)
        if copied:
            torch._foreach_copy_(*map(list, zip(*copied)))
        average.n_averaged += 1

    def setup(self, trainer, pl_module, stage):
        """Make the average, on the device that trains, of the model alone."""
        self._device = trainer.strategy.root_device
        with _set_aside(pl_module, "optimizer", "scheduler", "train_loader", "val_loader"):
            super().setup(trainer, pl_module, stage)
        self._average_model.n_averaged = torch.tensor(0)  # here, as every step reads it

    def named_buffers(self):
        """Yield names and buffers of the averaged model, as `torch.nn.Module.named_buffers`."""
        return self._average_model.module.named_buffers()

    def on_validation_epoch_start(self, trainer, pl_module):
        """Put the average in; the statistics of the last weights become those of all processes."""
        pl_module.share_statistics()
        super().on_validation_epoch_start(trainer, pl_module)


def _tensors(module):
    return itertools.chain(module.parameters(), module.buffers())


@contextlib.contextmanager
def _set_aside(module, *names):
    """Context in which attributes are None, so that a copy of the module does not copy them."""
    values = {name: getattr(module, name) for name in names}
    for name in names:
        setattr(module, name, None)
    try:
        yield
    finally:
        for name, value in values.items():
            setattr(module, name, value)
