"""Run Lightning's trainer: its options, its callbacks, and its errors as one line."""

import contextlib
import functools
import logging
import warnings

import pytorch_lightning as pl
from pytorch_lightning.callbacks import LearningRateMonitor

from asteroid_tfswa.engine.averaging import ExponentialAverage
from asteroid_tfswa.engine.processes.children import StopCallback, make_strategy
from asteroid_tfswa.engine.processes.failures import explain
from asteroid_tfswa.engine.processes.signals import STOP_SIGNALS
from asteroid_tfswa.engine.reports.history import History
from asteroid_tfswa.engine.reports.logs import RunLogger, quiet_writer_thread
from asteroid_tfswa.engine.reports.meter import Meter
from asteroid_tfswa.engine.reports.progress import RunProgress
from asteroid_tfswa.engine.reports.record import Record
from asteroid_tfswa.engine.resume.checkpoints import BestCheckpoint, SafeCheckpointIO
from asteroid_tfswa.engine.resume.saving import StateCheckpoint
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.signal_masks import signals_blocked


def make_trainer(conf, folder, hardware, stop):
    """Make Lightning's trainer.

    Args:
        conf (dict): see `train`.
        folder (ExpDir): of the run.
        hardware (dict): of `place`.
        stop (StopCallback): stops it at signals.

    Returns:
        pytorch_lightning.Trainer: for the epochs of the configuration.
    """
    training, validation = conf["training"], conf["validation"]
    decay, meter = conf["optim"]["ema_decay"], Meter(training["batch_size"])
    return pl.Trainer(
        accelerator=hardware["accelerator"],
        devices=hardware["devices"],
        num_nodes=hardware["num_nodes"],
        strategy=make_strategy(training["strategy"], hardware),
        max_epochs=training["epochs"],
        precision=hardware["precision"],
        accumulate_grad_batches=training["accumulate"],
        gradient_clip_val=training["gradient_clipping"] or None,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        check_val_every_n_epoch=validation["valid_every"],
        log_every_n_steps=10,
        logger=RunLogger(folder.path),
        plugins=[SafeCheckpointIO(stop.signals, training["keep_checkpoints"])],
        callbacks=[
            stop,
            *([ExponentialAverage(decay)] if decay else []),
            meter,
            History(folder.path, meter),
            RunProgress(meter, Record(folder.path)),
            LearningRateMonitor(logging_interval="step"),
            # The best epoch first, so that the state remembers it.
            BestCheckpoint(folder.best, validation["monitor"], validation["valid_every"]),
            StateCheckpoint(
                folder.last,
                stop.signals,
                training["save_every_steps"],
                training["save_every_minutes"],
            ),
        ],
    )


def fit(system, conf, folder, hardware, checkpoint, signals):
    """Run Lightning's trainer, and turn its errors into those that commands report.

    Args:
        system (MusicSystem): what to train.
        conf (dict): see `train`.
        folder (ExpDir): of the run.
        hardware (dict): of `place`.
        checkpoint (Path or None): where to continue.
        signals (StopSignals): the context in which this runs.

    Raises:
        InputError: see `train`.
        KeyboardInterrupt: after Ctrl-C or SIGTERM.
    """
    describe = functools.partial(_describe, folder, checkpoint)
    stop = StopCallback(signals, describe)
    starts_others = hardware["n_devices"] > 1 and not hardware["launcher"]
    try:
        kept = STOP_SIGNALS if starts_others else ()
        with quiet_lightning(), quiet_writer_thread(), signals_blocked(kept):
            make_trainer(conf, folder, hardware, stop).fit(system, ckpt_path=checkpoint)
    except BaseException as error:
        described = describe(stop, error)
        raise described from (None if described is signals.received else error)
    finally:
        stop.deadline.cancel()


def _describe(folder, checkpoint, stop, error):
    """The error that is reported in place of one of the trainer's."""
    if stop.signals.received is not None:
        # Lightning raises SystemExit, and code that a signal interrupts may fail in other ways.
        return stop.signals.received
    if stop.failure:
        return InputError(f"devices: {stop.failure}; its own message says why")
    explained = explain(error)
    if isinstance(error, OSError) and error.filename is None:
        return InputError(
            f"{folder.path / 'logs'}: the log cannot be written ({error.strerror}); make room "
            "and run the same command again"
        )
    if explained is None and isinstance(error, Exception) and checkpoint and not stop.started:
        return InputError(
            f"{checkpoint}: training cannot continue from it ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}); {folder.remedy(checkpoint)}"
        )
    return explained or error


@contextlib.contextmanager
def quiet_lightning():
    """Suppress Lightning's hints to developers."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric)\b")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
