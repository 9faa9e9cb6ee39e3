"""Exponential moving average of a model's weights."""

import contextlib

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
        super().__init__(multi_avg_fn=self._update)
        self.decay = decay

    def _update(self, averages, current, n_averaged):
        # The number of steps is known here; reading `n_averaged` would wait for the device.
        n_steps = self._latest_update_step
        decay = min(self.decay, (1 + n_steps) / (10 + n_steps))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, current, 1 - decay)
        else:
            torch._foreach_copy_(averages, current)

    def setup(self, trainer, pl_module, stage):
        """Make the average, on the device that trains, of the model alone."""
        self._device = trainer.strategy.root_device
        with _set_aside(pl_module, "optimizer", "scheduler", "train_loader", "val_loader"):
            super().setup(trainer, pl_module, stage)
        # It is compared with numbers at every step.
        self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def named_buffers(self):
        """Yield names and buffers of the averaged model, as `torch.nn.Module.named_buffers`."""
        return self._average_model.module.named_buffers()

    def on_validation_epoch_start(self, trainer, pl_module):
        """Put the average in; the statistics of the last weights become those of all processes."""
        pl_module.share_statistics()
        super().on_validation_epoch_start(trainer, pl_module)


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
