"""Progress of a training run on the terminal."""

import time

from pytorch_lightning.callbacks import ProgressBar
from tqdm import tqdm


class RunProgress(ProgressBar):
    """One progress bar for the whole run, and one line for each completed epoch.

    The time left includes validation. If the output is not a terminal, only the lines are written.

    Args:
        meter (Meter): measures the epochs; comes before this among the callbacks.
        record (Record): gets the lines, too.
    """

    def __init__(self, meter, record):
        super().__init__()
        self._meter, self._record = meter, record
        self._enabled = True
        self._bar = None

    def disable(self):
        """Show nothing; Lightning calls this on all processes but the first."""
        self._enabled = False

    def enable(self):
        """Show the bar."""
        self._enabled = True

    def on_train_start(self, trainer, pl_module):
        """Start the bar after the batches that are already done."""
        done = trainer.fit_loop.total_batch_idx + 1
        self._first, self._start = done / trainer.num_training_batches, time.monotonic()
        self._bar = tqdm(
            total=trainer.max_epochs * trainer.num_training_batches,
            initial=done,
            unit="batch",
            smoothing=0,
            dynamic_ncols=True,
            disable=None if self._enabled else True,  # None: unless this is not a terminal
        )

    def on_train_epoch_start(self, trainer, pl_module):
        """Show which epoch it is: validation has replaced the description."""
        self._bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Count the batch. Show the loss only now and then: reading it waits for the device."""
        if not self._bar.disable and batch_idx % trainer.log_every_n_steps == 0:
            self._bar.set_postfix(loss=f"{trainer.callback_metrics['loss']:.4f}", refresh=False)
        self._bar.update()

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        """Show the progress of the validation."""
        self._bar.set_description(f"validation {batch_idx + 1}/{trainer.num_val_batches[0]}")

    def on_train_epoch_end(self, trainer, pl_module):
        """Write the line of the epoch above the bar."""
        if not self._enabled:
            return
        epoch, metrics = trainer.current_epoch + 1, trainer.callback_metrics
        parts = [f"loss {metrics['train_loss']:.5f}"]
        if epoch % trainer.check_val_every_n_epoch == 0:
            monitor = pl_module.config["validation"]["monitor"]
            parts.append(f"val_loss {metrics['val_loss']:.5f}")
            for name in dict.fromkeys(("val_usdr", monitor)):
                if name != "val_loss":
                    parts.append(f"{name} {metrics[name]:.2f} dB")
        if "segments_per_second" in self._meter.epoch:  # not if the run continued with validation
            parts.append(f"{self._meter.epoch['segments_per_second']:.3g} segments/s")
        done = epoch - self._first  # epochs since the start, 0 if the run continued with validation
        if done > 0:
            left = (time.monotonic() - self._start) / done * (trainer.max_epochs - epoch)
            parts.append(f"{tqdm.format_interval(left)} left")
        line = f"epoch {epoch}/{trainer.max_epochs}: {', '.join(parts)}"
        self._bar.write(line)
        self._record.line(line)

    def on_train_end(self, trainer, pl_module):
        """Close the bar."""
        self._bar.close()

    def on_exception(self, trainer, pl_module, exception):
        """Close the bar, so that a message starts on a line of its own."""
        if self._bar is not None:
            self._bar.close()
