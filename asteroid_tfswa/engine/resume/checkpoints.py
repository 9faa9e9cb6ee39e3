"""What a training run keeps on disk: the state it continues from, and the model it produces.

`checkpoints/last.ckpt` is where a run continues, `last-1.ckpt` and so on the states before it, and
`best.ckpt` the best epoch, all Lightning's. `best_model.pth` is the model of the best epoch, for
`from_pretrained`.
"""

import contextlib
import os
from pathlib import Path

import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from asteroid_tfswa.data.musdb18 import license_notice
from asteroid_tfswa.engine.validation import better
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.torch_files import load_torch_file

# The fields that every checkpoint of a run has.
CONTENT = {"state_dict": dict, "epoch": int, "training_config": dict, "metrics": dict}
LAST = "last.ckpt"


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints beside their place and renames them; loads only tensors and plain values.

    Lightning's own writes to the system's temporary folder first. If that is on another disk, the
    rename is a copy, which can stop halfway.

    Args:
        stop (StopSignals): the run's signals, postponed while a checkpoint is written.
        keep (int): how many files `last.ckpt`, `last-1.ckpt` ... are kept. Default 1.
    """

    def __init__(self, stop, keep=1):
        super().__init__()
        self.stop, self.keep = stop, keep

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        """Save a dict to `path`, whole or not at all; see `save`."""
        keep = self.keep if Path(path).name == LAST else 1
        with self.stop.held():
            save(checkpoint, path, keep)

    def load_checkpoint(self, path, map_location=None, weights_only=True):
        """Load a dict from `path`, see `load_checkpoint`."""
        return load_checkpoint(path)


def save(content, path, keep=1):
    """Save with `torch.save`, whole or not at all.

    Args:
        content (dict): tensors and plain values.
        path (str or Path): the file.
        keep (int): how many files are kept, with those of `earlier_states`. Default 1: this one.

    Raises:
        InputError: if it cannot be written; an existing file is unchanged.
    """
    try:
        # Into an open file: given a name, torch stores it inside, and this one is temporary.
        with atomic_write(path) as tmp, open(tmp, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave a name without its content
            _shift(Path(path), keep)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "the disk may be full"
        raise InputError(
            f"{path}: cannot be written ({reason}); make room and run the same command again, "
            "earlier epochs are saved"
        ) from error


def earlier_states(last):
    """Find the states that were saved before the last one.

    Args:
        last (Path): of `last.ckpt`, which need not exist.

    Returns:
        list of Path: `last-1.ckpt` and so on, the newest first.
    """
    found = {path.stem.split("-")[-1]: path for path in last.parent.glob(f"{last.stem}-*.ckpt")}
    return [found[number] for number in sorted(filter(str.isdecimal, found), key=int)]


def _shift(path, keep):
    """Give each state the next number; `path` keeps its name too, so that one always has it."""
    for earlier in reversed(earlier_states(path)):
        number = int(earlier.stem.split("-")[-1]) + 1
        if number < keep:
            os.replace(earlier, path.with_name(f"{path.stem}-{number}.ckpt"))
        else:
            earlier.unlink()
    if keep > 1 and path.exists():
        first = path.with_name(f"{path.stem}-1.ckpt")
        try:
            os.link(path, first)
        except OSError:  # the disk has no hard links
            os.replace(path, first)


def load_checkpoint(path, remedy="choose another exp_dir"):
    """Load a checkpoint of a training run on the CPU.

    Args:
        path (str or Path): a file of `SafeCheckpointIO`.
        remedy (str): what to do if it cannot be used; ends the message.

    Returns:
        dict: Lightning's checkpoint, with "training_config" and "metrics".

    Raises:
        InputError: if the file is damaged, holds anything but tensors and plain values, or is not
            a checkpoint of a training run.
    """
    checkpoint = load_torch_file(path, remedy)
    wrong = not isinstance(checkpoint, dict) or [
        key for key, kind in CONTENT.items() if not isinstance(checkpoint.get(key), kind)
    ]
    if wrong:
        raise InputError(f"{path} is not a checkpoint of a training run; {remedy}")
    return checkpoint


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best epoch and still knows its score after the folder has moved.

    Lightning's own loses the score and takes the next epoch for the best.

    Args:
        path (Path): of `best.ckpt`.
        monitor (str): the logged number that chooses the best epoch.
        valid_every (int): epochs between two validations; the last one is validated too.
    """

    def __init__(self, path, monitor, valid_every):
        super().__init__(
            dirpath=path.parent,
            filename=path.stem,
            monitor=monitor,
            mode=better(monitor),
            every_n_epochs=valid_every,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        """Let the last epoch, whose learning rate is the lowest, be validated in any case."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = self._every_n_epochs = 1

    def load_state_dict(self, state_dict):
        """Read the score from `best.ckpt` where the folder is now, if it exists."""
        path, score = self.format_checkpoint_name({}), state_dict["best_model_score"]
        with contextlib.suppress(InputError, KeyError, TypeError):
            score = torch.tensor(load_checkpoint(path)["metrics"][self.monitor])
        if score is None:  # nothing was validated yet
            return
        here = {"dirpath": self.dirpath, "best_model_path": path, "kth_best_model_path": path}
        best = {"best_model_score": score, "best_k_models": {path: score}}
        super().load_state_dict({**state_dict, **here, **best})


def save_best_model(model, best_checkpoint, data, path, n_epochs=0):
    """Write the model of the best epoch, as `from_pretrained` reads it.

    Besides what `model.serialize()` returns, the file has "training_config", "metrics" (those of
    `Validation.results`, and "epoch", counted from 1), "n_epochs", "data_fingerprint" and, under
    the names of Asteroid's published models, "dataset", "task" and "licenses".

    Args:
        model (asteroid.models.base_models.BaseModel): has the best weights and is on the
            CPU afterwards.
        best_checkpoint (Path): the best epoch's checkpoint.
        data (PreparedData): what the model was trained on.
        path (Path): the file to write.
        n_epochs (int): how many epochs at least were trained. Default 0: unknown.

    Raises:
        InputError: if the checkpoint cannot be read or the file cannot be written.
    """
    checkpoint = load_checkpoint(best_checkpoint)
    weights = {
        key.removeprefix("model."): value
        for key, value in checkpoint["state_dict"].items()
        if key.startswith("model.")  # a loss may have buffers too
    }
    model.cpu().load_state_dict(weights)
    epoch = checkpoint["epoch"] + 1
    package = model.serialize()
    package |= {
        "training_config": checkpoint["training_config"],
        "metrics": {**checkpoint["metrics"], "epoch": epoch},
        "n_epochs": max(n_epochs, epoch),
        "data_fingerprint": checkpoint.get("data_fingerprint"),
        "dataset": data.name,
        "task": "music_separation",
        "licenses": [license_notice(data.name, data.license), *checkpoint.get("licenses", [])],
    }
    save(package, path)


def load_best_model(model, path):
    """Load the weights of a run whose checkpoints are gone.

    Args:
        model (asteroid.models.base_models.BaseModel): receives them.
        path (Path): a file of `save_best_model`.

    Raises:
        InputError: if they do not fit.
    """
    try:
        model.cpu().load_state_dict(load_torch_file(path)["state_dict"])
    except (RuntimeError, KeyError, TypeError) as error:
        raise InputError(f"{path} belongs to another network; choose another exp_dir") from error
