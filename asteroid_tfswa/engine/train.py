"""Train from prepared songs to `best_model.pth`; a stopped run continues."""

import contextlib
import copy
import math
import sys
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import default_convert

from asteroid_tfswa.data.augment import Augment
from asteroid_tfswa.data.dataset import EpochSampler, TrainSegments
from asteroid_tfswa.data.sources import trained_sources
from asteroid_tfswa.engine.chunks import ChunkBatches, ValidChunks
from asteroid_tfswa.engine.losses import get_loss
from asteroid_tfswa.engine.optimizers import make_optimizer, make_scheduler
from asteroid_tfswa.engine.precision import prepare_precision
from asteroid_tfswa.engine.processes.children import Loader
from asteroid_tfswa.engine.processes.launchers import place
from asteroid_tfswa.engine.processes.sharding import ShardedSystem
from asteroid_tfswa.engine.processes.signals import StopSignals
from asteroid_tfswa.engine.reports.history import draw_curves
from asteroid_tfswa.engine.reports.record import Record
from asteroid_tfswa.engine.resume.checkpoints import load_best_model, save_best_model
from asteroid_tfswa.engine.resume.start import ExpDir, Start, training_fingerprint
from asteroid_tfswa.engine.system import MusicSystem
from asteroid_tfswa.engine.trainer import fit
from asteroid_tfswa.engine.validation import check_defined, check_validation, monitors
from asteroid_tfswa.engine.weights import freeze, initialise
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.locks import locked

# What a configuration must have; `target`, beside `sources`, is optional.
KEYS = {
    "data": "sources segment sample_rate num_workers",
    "augment": "",
    "optim": "optimizer lr weight_decay schedule lr_decay lr_decay_epochs warmup_steps ema_decay "
    "max_skipped_steps init_from freeze",
    "training": "epochs epoch_size batch_size accumulate gradient_clipping precision compile loss "
    "seed strategy num_nodes save_every_steps save_every_minutes keep_checkpoints",
    "validation": "valid_segment valid_overlap valid_every valid_seconds monitor log_audio_every",
}


def train(model, data, conf, exp_dir, devices="", defaults=None):
    """Train a model, or continue its training run.

    `exp_dir` gets `conf.yml`, `checkpoints/` with the best epoch and the last states, `logs/` for
    TensorBoard, `history.csv` and `curves.png` with the numbers of each epoch, `run.json` and
    `train.log` with its starts and its lines, and `best_model.pth`, the model of the best epoch, by
    the number of the validation songs that `monitor` names (see `MusicSystem`). Unlike the loss,
    uSDR, the default, is comparable between losses and weighs quiet stems and songs like loud ones.
    If `exp_dir` has a state, training continues from it exactly as if it had not stopped; a
    complete run is left as it is.

    With several devices each has a process of its own, a copy of the command that called this.
    While it runs, signals are handled here: they save the state after the current optimizer step.
    See `StateCheckpoint` and `StopSignals`.

    Args:
        model (asteroid.models.base_models.BaseModel): (batch, n_channels, time) to
            (batch, n_src, n_channels, time). Has the best weights afterwards, in the first process
            and unless its strategy is "fsdp".
        data (PreparedData): with the splits "train" and "valid".
        conf (dict): plain values in sections, at least those of `KEYS`, which local/conf.yml of the
            recipe explains, and in "augment" the attributes of `Augment`; others are saved with it.
            `batch_size` is per device, `epoch_size` counts the items of an epoch over all devices,
            `gradient_clipping` is the largest norm (0: none).
        exp_dir (str or Path): folder of this run.
        devices (str): "" for all GPUs or, without any, the CPU; "cpu"; "cpu:2" for two processes
            on the CPU; "0" or "0,1" for those GPUs. Default "".
        defaults (dict, optional): values of keys that a run of an earlier version did not have,
            in sections. Keys are unique, whichever section they are in.

    Returns:
        Path: of `best_model.pth`.

    Raises:
        InputError: if a device does not exist, a value cannot be used, the data or a checkpoint
            cannot be read, a file cannot be written, memory is full, too many steps in a row are
            skipped, or `exp_dir` is in use or holds a run of another configuration or other data.
        KeyboardInterrupt: after Ctrl-C or, as `Terminated`, SIGTERM or, as `TimeLimit`, SIGUSR1 or
            SIGUSR2, once the state and `best_model.pth` of the epochs so far are written.
    """
    check_keys(conf)
    training = conf["training"]
    hardware = place(devices, training["precision"], training["num_nodes"])
    prepare_precision(model, hardware)
    on_gpu = hardware["accelerator"] == "gpu"
    steps_per_epoch = count_steps(training, hardware["n_devices"])
    fingerprint = training_fingerprint(data)
    system = make_system(model, data, conf, steps_per_epoch, fingerprint, pin_memory=on_gpu)
    if training["strategy"] == "fsdp":
        if conf["optim"]["ema_decay"]:
            raise InputError("ema_decay: Lightning averages no shared weights; use strategy ddp")
        model = copy.deepcopy(model)  # the other one will be in pieces
    if training["compile"]:
        compile_model(system.model)
    folder = ExpDir(Path(exp_dir), conf, defaults, fingerprint)
    is_first = rank_zero_only.rank == 0
    with StopSignals() as stop, locked(folder.path) if is_first else contextlib.nullcontext():
        start = folder.find_start(system.state_dict(), steps_per_epoch, hardware["n_devices"])
        epochs_done = start.epochs
        if is_first:
            folder.tidy(start.checkpoint)
            _tell_precision(start.precision, hardware["precision"])
        if start == Start():  # runs of earlier versions go on
            system.loss_func.check_batch(training["batch_size"] * len(model.sources))
        if start == Start() and conf["optim"]["init_from"]:
            line, system.licenses = initialise(system.model, conf["optim"]["init_from"])
            if is_first:
                print(line)
        n_items = start.batches * training["batch_size"]
        system.train_loader.sampler.start_at(start.epochs, n_items)
        try:
            if epochs_done < training["epochs"]:
                if is_first:
                    folder.write_conf()
                    continues = str(start) if start.checkpoint else ""
                    Record(folder.path).start(continues, data, conf, hardware, fingerprint)
                fit(system, conf, folder, hardware, start.checkpoint, stop)
                epochs_done = training["epochs"]
                if is_first:
                    draw_curves(folder.path)
                    Record(folder.path).line("complete")
        finally:
            with stop.held():
                if is_first and folder.best.exists():
                    save_best_model(model, folder.best, data, folder.best_model, epochs_done)
                elif is_first and folder.best_model.exists():
                    load_best_model(model, folder.best_model)
    return folder.best_model


def _tell_precision(began, now):
    """Say in a line that "auto" stands for another precision than before."""
    if began not in (None, now):
        print(f"warning: precision: auto is {now} here, and was {began} so far", file=sys.stderr)


def check_keys(conf):
    """Check that a configuration is complete; a recipe copied from an earlier version may not be.

    Args:
        conf (dict): see `train`.

    Raises:
        InputError: if a section or key is missing.
    """
    for section, keys in KEYS.items():
        missing = [key for key in keys.split() if key not in conf.get(section, {})]
        if section not in conf or missing:
            raise InputError(
                f"{section}: {', '.join(missing) or 'the section'} is missing; this version's "
                "local/conf.yml has all keys, asteroid-tfswa recipe copies it to a new folder"
            )


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


def compile_model(model):
    """Compile a model with `torch.compile` at its first batch.

    Args:
        model (torch.nn.Module): the model.

    Raises:
        InputError: if gradient checkpointing is on.
    """
    if model.get_model_args().get("gradient_checkpointing"):
        raise InputError(
            "gradient_checkpointing: true cannot be combined with compile: true; set one to false"
        )
    model.compile()


def make_system(model, data, conf, steps_per_epoch, fingerprint, pin_memory=False):
    """Assemble the model, its data, its loss, its optimizer and its schedule.

    Args:
        model (BaseModel): see `train`.
        data (PreparedData): see `train`.
        conf (dict): see `train`.
        steps_per_epoch (int): optimizer steps of one epoch.
        fingerprint (str): of the data.
        pin_memory (bool): prepare batches for a GPU, which takes memory there. Default False.

    Returns:
        MusicSystem: with its loaders, optimizer and schedule.

    Raises:
        InputError: if the configuration, the data and the model do not fit each other.
    """
    training, optim = conf["training"], conf["optim"]
    loss = get_loss(training["loss"])
    _check_agreement(model, data, conf, loss)
    train_loader, valid_loader = _loaders(data, conf, pin_memory)
    freeze(model, optim["freeze"])
    optimizer = make_optimizer(
        model.parameters(), **{key: optim[key] for key in ("optimizer", "lr", "weight_decay")}
    )
    schedule = ("schedule", "lr_decay", "lr_decay_epochs", "warmup_steps")
    scheduler = make_scheduler(
        optimizer, steps_per_epoch, training["epochs"], **{key: optim[key] for key in schedule}
    )
    kind = {"ddp": MusicSystem, "fsdp": ShardedSystem}[training["strategy"]]
    return kind(model, optimizer, loss, train_loader, valid_loader, scheduler, conf, fingerprint)


def _check_agreement(model, data, conf, loss):
    """Refuse a configuration that does not suit the model, the data or the loss."""
    c, validation = conf["data"], conf["validation"]
    sources = trained_sources(c)
    check_validation(validation, sources, conf["training"]["epochs"])
    pairs = {"sample_rate": (c["sample_rate"], data.sample_rate, int(model.sample_rate))}
    pairs["in_channels"] = (model.in_channels, data.n_channels)
    pairs["sources"] = (sources, list(model.sources))
    for key, values in pairs.items():
        if any(value != values[0] for value in values):
            raise InputError(f"{key}: {' and '.join(map(str, values))} differ; make them equal")
    for key, seconds in (("segment", c["segment"]), ("valid_segment", validation["valid_segment"])):
        loss.check_length(int(seconds * c["sample_rate"]), key)


def _loaders(data, conf, pin_memory):
    """Make what feeds training and validation; refuse a monitor that no validation song has."""
    c, training, validation = conf["data"], conf["training"], conf["validation"]
    sources = trained_sources(c)
    train_set = TrainSegments(
        data.splits["train"],
        sources,
        segment=c["segment"],
        epoch_size=training["epoch_size"],
        sample_rate=c["sample_rate"],
        seed=training["seed"],
        augment=Augment(**conf["augment"]),
    )
    valid_set = ValidChunks(
        data.splits["valid"],
        sources,
        segment=validation["valid_segment"],
        overlap=validation["valid_overlap"],
        seconds=validation["valid_seconds"],
        sample_rate=c["sample_rate"],
    )
    heard = valid_set.heard()  # rather than find out after an epoch
    check_defined(validation["monitor"], monitors(heard) if heard else (), sources)
    options = {
        "num_workers": c["num_workers"],
        "persistent_workers": c["num_workers"] > 0,
        "pin_memory": pin_memory,
    }
    batch_size = training["batch_size"]
    train_loader = Loader(
        train_set,
        batch_size=batch_size,
        sampler=EpochSampler(len(train_set)),
        drop_last=True,
        collate_fn=default_convert,  # batches are made already
        **options,
    )
    return train_loader, Loader(
        valid_set, batch_sampler=ChunkBatches(valid_set, batch_size), **options
    )
