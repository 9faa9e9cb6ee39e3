"""Write the numbers of a training run for TensorBoard."""

import contextlib
import threading

import numpy as np
import torch
from pytorch_lightning.loggers import TensorBoardLogger

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.page.pictures import colours, spectrogram


class RunLogger(TensorBoardLogger):
    """TensorBoard's files in `<exp_dir>/logs`. Write errors end the run in one line.

    Args:
        exp_dir (Path): folder of the training run.
    """

    def __init__(self, exp_dir):
        super().__init__(exp_dir, name="logs", version="", default_hp_metric=False)

    def log_metrics(self, metrics, step=None):
        """Write numbers.

        Raises:
            InputError: if the file cannot be written; the message names its folder.
        """
        with self._named():
            super().log_metrics(metrics, step)

    def log_song(self, data, targets, estimates, step):
        """Write the stems of a song as audio (mono) and spectrograms.

        Args:
            data (ValidChunks): has the names of the stems and the sample rate.
            targets (np.ndarray): (n_src, n_channels, time).
            estimates (np.ndarray): same shape.
            step (int): optimizer step.

        Raises:
            InputError: see `log_metrics`.
        """
        with self._named():
            for stem, *waves in zip(data.sources, targets, estimates):
                powers = [spectrogram(wave.T, data.sample_rate) for wave in waves]
                picture = np.concatenate([colours(p, powers[0].max()) for p in powers])
                self.experiment.add_image(f"{stem}/both", picture, step, dataformats="HWC")
                for name, wave in zip(("reference", "estimate"), waves):
                    mono = torch.from_numpy(wave.mean(0, keepdims=True)).clamp(-1, 1)
                    self.experiment.add_audio(f"{stem}/{name}", mono, step, data.sample_rate)

    def save(self):
        """Write buffered numbers; raises like `log_metrics`."""
        with self._named():
            super().save()

    def finalize(self, status):
        """Close the file; after a failed run, ignore that the file cannot be written."""
        with contextlib.suppress(InputError) if status == "failed" else contextlib.nullcontext():
            with self._named():
                super().finalize(status)

    @contextlib.contextmanager
    def _named(self):
        try:
            yield
        except (OSError, ValueError) as error:  # Lightning turns any error into a ValueError
            reason = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(reason, OSError):
                raise
            raise InputError(
                f"{self.root_dir}: the log cannot be written ({reason.strerror or reason}); make "
                "room and run the same command again"
            ) from error


@contextlib.contextmanager
def quiet_writer_thread():
    """Suppress the traceback of TensorBoard's thread when it cannot write.

    The next call that logs a number raises the error again.
    """
    hook = threading.excepthook

    def report(args):
        if not issubclass(args.exc_type, OSError):
            hook(args)

    threading.excepthook = report
    try:
        yield
    finally:
        threading.excepthook = hook
