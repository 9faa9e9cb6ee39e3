"""Training from prepared songs to `best_model.pth`; stopped and started again it goes on."""

import contextlib
import logging
import math
import signal
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
import yaml
from asteroid.engine.optimizers import make_optimizer
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader

from asteroid_tfswa.data.dataset import EpochSampler, ShardSampler, TrainSegments, ValidChunks
from asteroid_tfswa.devices import choose_devices
from asteroid_tfswa.engine.checkpoints import (
    SafeCheckpointIO,
    check_continues,
    checkpoint_callbacks,
    save_best_model,
)
from asteroid_tfswa.engine.losses import get_loss
from asteroid_tfswa.engine.progress import RunProgress
from asteroid_tfswa.engine.system import MusicSystem, make_scheduler
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write


def train(model, data, conf, exp_dir, devices=""):
    """Train a model, or go on with its training.

    `exp_dir` gets `conf.yml`, `checkpoints/` with the best and the last epoch, `logs/` for
    TensorBoard, and `best_model.pth`, the model of the epoch with the highest uSDR on the
    validation songs (see `MusicSystem`; unlike the loss it compares across losses, and it counts
    quiet stems and songs like loud ones). With a last epoch in `exp_dir` training continues after
    it, exactly as if it had not stopped; a complete training is left as it is.

    With several GPUs each runs a process of its own, a copy of the command that called this.

    Args:
        model (asteroid.models.base_models.BaseModel): (batch, n_channels, time) to
            (batch, n_src, n_channels, time). Has the best weights afterwards.
        data (PreparedData): with the splits "train" and "valid".
        conf (dict): plain values in the sections "data" (sources, segment, sample_rate,
            random_mix, gain_min, gain_max, channel_swap, num_workers), "optim" (optimizer, lr,
            weight_decay, lr_decay, lr_decay_epochs, warmup_steps) and "training" (epochs,
            epoch_size, batch_size, accumulate, gradient_clipping, precision, loss, seed,
            valid_segment, compile: whether the model goes through `torch.compile`); others are
            saved with it. `batch_size` is per device, `epoch_size` the
            items of an epoch over all devices, `gradient_clipping` the largest norm (0: none).
        exp_dir (str or Path): folder of this training.
        devices (str): "" for all GPUs or, without any, the CPU; "cpu"; "cpu:2" for two processes
            on the CPU; "0" or "0,1" for those GPUs. Default "".

    Returns:
        Path: of `best_model.pth`.

    Raises:
        InputError: if a device is not there, a value cannot be used, the data cannot be read,
            `exp_dir` holds a training of another configuration, or the loss becomes NaN.
        KeyboardInterrupt: after Ctrl-C, once `best_model.pth` of the epochs so far is written.
    """
    exp_dir = Path(exp_dir)
    checkpoints, best_model = exp_dir / "checkpoints", exp_dir / "best_model.pth"
    hardware = choose_devices(devices, conf["training"]["precision"])
    steps_per_epoch = count_steps(conf["training"], hardware["n_devices"])
    epochs_done = check_continues(exp_dir, conf, steps_per_epoch)
    system = make_system(model, data, conf, steps_per_epoch)
    if conf["training"]["compile"]:
        if model.get_model_args().get("gradient_checkpointing"):
            raise InputError(
                "gradient_checkpointing: true does not go with compile: true; set one to false"
            )
        model.compile()
    # Lightning's first epoch asks the workers for items before it has called `set_epoch`.
    system.train_loader.sampler.set_epoch(epochs_done)
    best, is_first = checkpoints / "best.ckpt", rank_zero_only.rank == 0
    if is_first and not epochs_done:
        best.unlink(missing_ok=True)  # of a training that was removed
    try:
        if epochs_done < conf["training"]["epochs"]:
            if is_first:
                with atomic_write(exp_dir / "conf.yml") as tmp:
                    tmp.write_text(yaml.safe_dump(conf, sort_keys=False))
            with quiet_lightning():
                trainer = make_trainer(conf, exp_dir, hardware)
                fit(trainer, system, checkpoints / "last.ckpt" if epochs_done else None)
    finally:
        if is_first and best.exists():
            save_best_model(model, best, data, best_model)
    return best_model


def count_steps(training, n_devices):
    """Count the optimizer steps of one epoch.

    Args:
        training (dict): the section "training" of the configuration.
        n_devices (int): how many devices share an epoch.

    Returns:
        int: at least 1.

    Raises:
        InputError: if an epoch has no full batch for every device.
    """
    batches = training["epoch_size"] // n_devices // training["batch_size"]
    if batches == 0:
        raise InputError(
            f"epoch_size: {training['epoch_size']} items are less than one batch of "
            f"{training['batch_size']} on each of {n_devices} devices; raise it or lower batch_size"
        )
    return math.ceil(batches / training["accumulate"])


def make_system(model, data, conf, steps_per_epoch):
    """Put together what is trained, on what, and how.

    Args:
        model (BaseModel): see `train`.
        data (PreparedData): see `train`.
        conf (dict): see `train`.
        steps_per_epoch (int): optimizer steps of one epoch.

    Returns:
        MusicSystem: with its loaders, optimizer and schedule.

    Raises:
        InputError: if the configuration, the data and the model do not fit each other.
    """
    c, training, optim = conf["data"], conf["training"], dict(conf["optim"])
    fits = {"sample_rate": (c["sample_rate"], data.sample_rate, int(model.sample_rate))}
    fits["in_channels"] = (model.in_channels, data.n_channels)
    fits["sources"] = (list(c["sources"]), list(model.sources))
    for key, values in fits.items():
        if any(value != values[0] for value in values):
            raise InputError(f"{key}: {' and '.join(map(str, values))} differ; make them equal")
    train_set = TrainSegments(
        data.splits["train"],
        c["sources"],
        segment=c["segment"],
        epoch_size=training["epoch_size"],
        sample_rate=c["sample_rate"],
        seed=training["seed"],
        random_mix=c["random_mix"],
        gain=(c["gain_min"], c["gain_max"]),
        channel_swap=c["channel_swap"],
    )
    valid_set = ValidChunks(
        data.splits["valid"], c["sources"], training["valid_segment"], c["sample_rate"]
    )
    loading = {
        "batch_size": training["batch_size"],
        "num_workers": c["num_workers"],
        "persistent_workers": c["num_workers"] > 0,
        "pin_memory": torch.cuda.is_available(),
    }
    schedule = {key: optim.pop(key) for key in ("lr_decay", "lr_decay_epochs", "warmup_steps")}
    optimizer = make_optimizer(model.parameters(), **optim)
    return MusicSystem(
        model,
        optimizer,
        get_loss(training["loss"]),
        DataLoader(train_set, sampler=EpochSampler(len(train_set)), drop_last=True, **loading),
        DataLoader(valid_set, sampler=ShardSampler(len(valid_set)), **loading),
        make_scheduler(optimizer, steps_per_epoch, **schedule),
        conf,
    )


def make_trainer(conf, exp_dir, hardware):
    """Make Lightning's trainer.

    Args:
        conf (dict): see `train`.
        exp_dir (Path): folder of the training.
        hardware (dict): of `choose_devices`.

    Returns:
        pytorch_lightning.Trainer: for the epochs of the configuration.
    """
    training = conf["training"]
    # MusicSystem shares the buffers, once before each validation. DDP's own way waits for every
    # process at the first batch, and one with no songs to validate never has a first batch.
    several = hardware["n_devices"] > 1
    strategy = DDPStrategy(broadcast_buffers=False) if several else "auto"
    return pl.Trainer(
        accelerator=hardware["accelerator"],
        devices=hardware["devices"],
        strategy=strategy,
        max_epochs=training["epochs"],
        precision=training["precision"],
        accumulate_grad_batches=training["accumulate"],
        gradient_clip_val=training["gradient_clipping"] or None,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        log_every_n_steps=10,
        logger=TensorBoardLogger(exp_dir, name="logs", version="", default_hp_metric=False),
        plugins=[SafeCheckpointIO()],
        callbacks=[
            RunProgress(),
            LearningRateMonitor(logging_interval="step"),
            *checkpoint_callbacks(exp_dir / "checkpoints", MusicSystem.default_monitor),
        ],
    )


def fit(trainer, system, last_checkpoint):
    """Run the trainer, its errors made the ones that our commands know.

    Args:
        trainer (pytorch_lightning.Trainer): the trainer.
        system (MusicSystem): what to train.
        last_checkpoint (Path or None): where to go on.

    Raises:
        InputError: if data cannot be read, the loss is not finite, a GPU's memory is full, or
            torch.compile finds no compiler.
        KeyboardInterrupt: after Ctrl-C.
    """
    try:
        trainer.fit(system, ckpt_path=last_checkpoint)
    except SystemExit as stop:
        # Lightning turns Ctrl-C into an exit with status 1 and ignores any further one.
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from None
    except InputError as error:
        # From a worker of a DataLoader it comes with that worker's traceback in its message.
        raise InputError(str(error).strip().splitlines()[-1].split("InputError: ")[-1]) from error
    except torch.OutOfMemoryError as error:
        raise InputError(
            "batch_size: the GPU's memory is full; lower batch_size (raise accumulate by the same "
            "factor to keep the same steps), or lower segment or valid_segment"
        ) from error
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        reason = next(line for line in str(error).splitlines() if line.strip())
        raise InputError(
            f"compile: torch.compile does not work here ({reason.strip()}); set compile to false"
        ) from error


@contextlib.contextmanager
def quiet_lightning():
    """Keep back Lightning's advice to the authors of training programs."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(pytorch_lightning|lightning_fabric)\b")
            yield
    finally:
        logger.setLevel(level)
