"""Measure a training run: speed, waiting for data, memory."""

import resource
import sys
import time

import torch
from pytorch_lightning.callbacks import Callback

from asteroid_tfswa.devices import rank_and_world


class Meter(Callback):
    """Logs speed, waiting and memory every few steps, and keeps those of the last epoch.

    Nothing here waits for the device. The waiting share is the share of the time in which the
    process waits for the next batch, measured on the host: an upper bound of the device's own.

    Args:
        batch_size (int): segments in a batch of this process.

    Attributes:
        epoch (dict): of the last epoch: "seconds" of training, "validation_seconds" (0 without
            validation), "segments_per_second" over all processes, "waiting_share" (0 to 1) and
            "memory_gib", the peak so far of the GPU's memory or, on the CPU, of the process's.
    """

    def __init__(self, batch_size):
        self.batch_size = batch_size
        self.epoch = {}
        self._logged = self._begun = self._validation_start = None

    def on_train_start(self, trainer, pl_module):
        """Begin to measure; a run may continue in the middle of an epoch."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer, pl_module):
        """Begin to measure an epoch."""
        self._begun = self._logged = self._now(pl_module)
        self.epoch = {"validation_seconds": 0.0}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Log now and then."""
        now = self._now(pl_module)
        is_last = batch_idx + 1 >= trainer.num_training_batches
        if (batch_idx + 1) % trainer.log_every_n_steps == 0 and trainer.logger is not None:
            numbers = self._between(self._logged, now, pl_module.device)
            trainer.logger.log_metrics(_speed(numbers), step=trainer.global_step)
            self._logged = now
        if is_last:
            self.epoch |= self._between(self._begun, now, pl_module.device)

    def on_validation_start(self, trainer, pl_module):
        """Begin to measure a validation."""
        self._validation_start = time.perf_counter()

    def on_validation_end(self, trainer, pl_module):
        """Measure a validation."""
        self.epoch["validation_seconds"] = time.perf_counter() - self._validation_start

    def _now(self, pl_module):
        """Batches, seconds waited and time so far."""
        return (
            pl_module.trainer.fit_loop.total_batch_idx,
            pl_module.train_loader.seconds_waited,
            time.perf_counter(),
        )

    def _between(self, start, end, device):
        batches, waited, seconds = (b - a for a, b in zip(start, end))
        n_segments = batches * self.batch_size * rank_and_world()[1]
        return {
            "seconds": seconds,
            "segments_per_second": n_segments / seconds,
            "waiting_share": waited / seconds,
            "memory_gib": peak_memory(device) / 2**30,
        }


def _speed(numbers):
    return {key: value for key, value in numbers.items() if key != "seconds"}


def peak_memory(device):
    """Find the most memory used so far: of a GPU, or on the CPU of this process.

    Args:
        device (torch.device): the device.

    Returns:
        int: bytes.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
