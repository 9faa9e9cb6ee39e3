"""One training step and one validation: Asteroid's System for music."""

import math

import torch
from asteroid.engine import System
from asteroid.utils import flatten_dict
from torch.nn.modules.batchnorm import _BatchNorm

from asteroid_tfswa.data.augment import StemBatch
from asteroid_tfswa.devices import over_ranks, rank_and_world
from asteroid_tfswa.engine.guard import StepGuard
from asteroid_tfswa.engine.validation import Validation, check_defined
from asteroid_tfswa.errors import InputError

PREVIEW = 10.0  # seconds of a song that are logged as audio


class MusicSystem(System):
    """Trains a model that turns a mixture into stems, and validates it on whole songs.

    Validation gives the numbers of `Validation.results`, those that `separate` and `score` would
    give; they are the same on every process. Steps whose loss or gradient is not finite are
    skipped, see `StepGuard`, and counted in `skipped_steps`; that batch is logged with the loss
    before.

    Args:
        model (torch.nn.Module): (batch, n_channels, time) -> (batch, n_src, n_channels, time).
        optimizer (torch.optim.Optimizer): the optimizer.
        loss_func (torch.nn.Module): see `get_loss`.
        train_loader (DataLoader): batches of `TrainSegments`.
        val_loader (DataLoader): batches of `ValidChunks`.
        scheduler (torch.optim.lr_scheduler.LRScheduler): stepped after every optimizer step.
        config (dict): plain nested dict, saved in the checkpoints.
        data_fingerprint (str, optional): of the songs, saved in the checkpoints.
    """

    default_monitor = "val_usdr"

    def __init__(
        self,
        model,
        optimizer,
        loss_func,
        train_loader,
        val_loader,
        scheduler,
        config,
        data_fingerprint=None,
    ):
        super().__init__(
            model,
            optimizer,
            loss_func,
            train_loader,
            val_loader,
            {"scheduler": scheduler, "interval": "step"},
            config,
        )
        self.data_fingerprint = data_fingerprint
        self.metrics = {}
        self.licenses = []  # of the data of the model that training began from
        self.max_skipped_steps = config["optim"]["max_skipped_steps"]
        self.skipped_steps = [0, 0, 0]  # `counts` of the guard

    def _estimate(self, mixture, targets):
        estimates = self(mixture).float()
        if estimates.ndim == 3:  # of a mono model, without an axis for channels
            estimates = estimates.unsqueeze(2)
        if estimates.shape != targets.shape:
            raise InputError(
                f"model: returns shape {tuple(estimates.shape)} where the data has "
                f"{tuple(targets.shape)} (batch, n_src, n_channels, time); make its sources and "
                "audio channels those of the data"
            )
        return estimates

    def _loss(self, estimates, targets):
        # The loss is a small difference of waveforms and needs float32.
        with torch.autocast(estimates.device.type, enabled=False):
            return self.loss_func(estimates, targets)

    def on_before_batch_transfer(self, batch, dataloader_idx):
        """Leave the numbers of validation chunks here: to read them there would wait for it."""
        if isinstance(batch, StemBatch):
            return batch
        mixture, targets, numbers = batch
        return mixture, targets, numbers.tolist()

    def on_after_batch_transfer(self, batch, dataloader_idx):
        """Mix the stems of a training batch, see `TrainSegments`; validation has mixtures."""
        return self.train_loader.dataset.mix(batch) if isinstance(batch, StemBatch) else batch

    def on_train_start(self):
        """Start to watch for losses and gradients that are not finite."""
        self.guard = StepGuard(self.model, self.device, self.skipped_steps)
        self.last_loss = torch.zeros((), device=self.device)

    def training_step(self, batch, batch_nb):
        """Return the loss of a batch.

        Args:
            batch (tuple of torch.Tensor): mixture and targets, see `TrainSegments.mix`.
            batch_nb (int): number of the batch in the epoch.

        Returns:
            torch.Tensor: the loss, a scalar.
        """
        self.guard.start_batch()
        mixture, targets = batch
        loss = self._loss(self._estimate(mixture, targets), targets)
        self.batch_loss = loss.detach()
        self.last_loss = torch.where(self.batch_loss.isfinite(), self.batch_loss, self.last_loss)
        self.log("loss", self.last_loss)
        if len(self.loss_func.values) > 1:
            self.log_dict({f"loss_{name}": x for name, x in self.loss_func.values.items()})
        self.log("train_loss", self.last_loss, on_step=False, on_epoch=True, sync_dist=True)
        self.batch_nb = batch_nb
        return loss

    def backward(self, loss):
        """Make the gradient of a step the mean over its batches.

        Lightning divides losses by `accumulate`, but the last step of an epoch may have fewer.

        Args:
            loss (torch.Tensor): of the batch, so divided.
        """
        n_batches, n_each = self.trainer.num_training_batches, self.trainer.accumulate_grad_batches
        n_last = n_batches % n_each
        is_last = self.batch_nb >= n_batches - n_last
        super().backward(loss * (n_each / n_last) if is_last else loss)

    def on_after_backward(self):
        """Note whether the loss was finite."""
        self.guard.end_batch(self.batch_loss)

    def on_before_optimizer_step(self, optimizer):
        """Log the norm of the gradient, and clear a gradient that is not finite."""
        self.log("grad_norm", self.guard.before_step(optimizer))

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None):
        """Make a step, or skip it on all processes."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.guard.after_step(optimizer.optimizer)
        self.log("skipped_steps", self.guard.counts[0].float())

    def on_train_batch_end(self, outputs, batch, batch_nb):
        """Look at the skipped steps now and then, and before an epoch is validated and saved.

        Raises:
            InputError: on all processes, if too many steps in a row were skipped.
        """
        n_done = batch_nb + 1
        if n_done % self.trainer.log_every_n_steps and n_done < self.trainer.num_training_batches:
            return
        self.skipped_steps = self.guard.counts.tolist()
        if self.skipped_steps[2] >= self.max_skipped_steps:
            self._refuse(
                "max_skipped_steps: the loss or its gradient was not a finite number in "
                f"{self.skipped_steps[2]} steps in a row"
            )

    def share_statistics(self):
        """Make the running statistics of all processes their mean."""
        _, world = rank_and_world()
        for module in self.model.modules():
            # Each process has seen its own batches.
            if world > 1 and isinstance(module, _BatchNorm) and module.track_running_stats:
                for buffer in (module.running_mean, module.running_var):
                    buffer.copy_(over_ranks(buffer.clone()) / world)

    def on_validation_epoch_start(self):
        """Reset the sums, and make all processes validate, and save, the same model."""
        self.share_statistics()
        data, n_preview = self.val_loader.dataset, 0
        every, epoch = self.config["validation"]["log_audio_every"], self.current_epoch + 1
        if every and epoch // self.config["validation"]["valid_every"] % every == 0:
            n_preview = round(PREVIEW * data.sample_rate)
        self.validation = Validation(data, self.device, n_preview)

    def validation_step(self, batch, batch_nb):
        """Add a batch of chunks.

        Args:
            batch (tuple): mixture, targets, and a list of the chunks' numbers, see `ValidChunks`.
            batch_nb (int): number of the batch.
        """
        mixture, targets, numbers = batch
        estimates = self._estimate(mixture, targets)
        self.validation.add(numbers, targets, estimates, self._loss)

    def on_validation_epoch_end(self):
        """Log the numbers of the validation.

        Raises:
            InputError: if the loss is not a finite number, every stem is silent, or the number that
                chooses the best epoch is undefined.
        """
        metrics, monitor = self.validation.results(), self.config["validation"]["monitor"]
        if not math.isfinite(metrics["val_loss"]):
            self._refuse("val_loss is not a finite number")
        check_defined(monitor, metrics, self.val_loader.dataset.sources)
        self.metrics = metrics
        # The values are equal on all processes already; their mean changes nothing.
        self.log_dict(self.metrics, sync_dist=True)
        if self.validation.preview and self.logger is not None:
            pieces = torch.cat(self.validation.preview, dim=-1)  # (2, n_src, n_channels, time)
            self.logger.log_song(self.val_loader.dataset, *pieces.numpy(), self.global_step)

    def on_save_checkpoint(self, checkpoint):
        """Save configuration, the data's fingerprint, precision, the last validation's numbers."""
        checkpoint["training_config"] = self.config
        checkpoint["data_fingerprint"] = self.data_fingerprint
        checkpoint["precision"] = self.trainer.precision
        checkpoint["metrics"] = self.metrics
        checkpoint["licenses"] = self.licenses
        checkpoint["skipped_steps"] = self.guard.counts.tolist()

    def on_load_checkpoint(self, checkpoint):
        """Read the last validation's numbers, and count skipped steps from where the count was.

        Earlier versions skipped none.
        """
        self.metrics = checkpoint["metrics"]
        self.licenses = checkpoint.get("licenses", [])
        n_skipped, in_row, _ = checkpoint.get("skipped_steps", self.skipped_steps)
        self.skipped_steps = [n_skipped, in_row, in_row]  # earlier rows have ended

    @staticmethod
    def config_to_hparams(dic):
        """Flatten a configuration for the logger, lists as text.

        Args:
            dic (dict): nested configuration.

        Returns:
            dict: one level, numbers and text only.
        """
        plain = (bool, int, float, str)
        flat = flatten_dict(dic)
        return {
            key: value if isinstance(value, plain) else str(value) for key, value in flat.items()
        }

    def _refuse(self, what):
        raise InputError(
            f"{what} (epoch {self.current_epoch + 1}, step {self.global_step}); lower lr, set "
            "gradient_clipping, or use precision 32-true, in another exp_dir (what was saved is "
            "kept)"
        )
