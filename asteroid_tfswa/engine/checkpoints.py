"""The states that a training keeps on disk: how it goes on, and what it hands over.

`checkpoints/last.ckpt` is where a training goes on, `checkpoints/best.ckpt` its best epoch, both
Lightning's. `best_model.pth` is the model of the best epoch, for `from_pretrained`.
"""

import pickle

import torch
from asteroid.utils import flatten_dict
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write

# Keys and sections that may change between a start and the next: an epoch stays what it was.
MAY_CHANGE = ("training.epochs", "training.compile", "data.num_workers", "separation")


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints beside their place and renames them; loads only tensors and plain values.

    Lightning's own goes by way of the system's temporary folder: from another disk that is a copy,
    which can stop halfway.
    """

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        """Save a dict to `path`, whole or not at all."""
        with atomic_write(path) as tmp:
            torch.save(checkpoint, tmp)

    def load_checkpoint(self, path, map_location=None, weights_only=True):
        """Load a dict from `path`, see `load_checkpoint`."""
        return load_checkpoint(path)


def load_checkpoint(path):
    """Load a checkpoint of a training on the CPU.

    Args:
        path (str or Path): a file of `SafeCheckpointIO`.

    Returns:
        dict: Lightning's checkpoint, with "training_config" and "metrics".

    Raises:
        InputError: if the file is damaged or holds anything but tensors and plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path}: is not a checkpoint of a training, or is damaged; remove it to train anew"
        ) from error


def check_continues(exp_dir, conf, steps_per_epoch):
    """See whether a folder holds a training to go on with.

    Args:
        exp_dir (Path): folder of the training.
        conf (dict): the configuration asked for.
        steps_per_epoch (int): optimizer steps of one epoch now.

    Returns:
        int: epochs done; 0 if nothing was saved.

    Raises:
        InputError: if what is there had another configuration or number of devices, or is damaged.
    """
    last, conf_file = exp_dir / "checkpoints" / "last.ckpt", exp_dir / "conf.yml"
    if not last.exists():
        return 0
    checkpoint = load_checkpoint(last)
    before, now = (flatten_dict(c, sep=".") for c in (checkpoint["training_config"], conf))
    for key in sorted(before.keys() | now.keys()):
        if key in MAY_CHANGE or key.split(".")[0] in MAY_CHANGE:
            continue
        if before.get(key) != now.get(key):
            raise InputError(
                f"{key}: {now.get(key)} differs from {before.get(key)}, with which the training in "
                f"{exp_dir} began ({conf_file}); use that value or another folder"
            )
    epochs = checkpoint["epoch"] + 1
    if checkpoint["global_step"] != epochs * steps_per_epoch:
        raise InputError(
            f"devices: the training in {exp_dir} began on another number of devices "
            f"({checkpoint['global_step'] // epochs} steps an epoch, now {steps_per_epoch}); use "
            "as many or another folder"
        )
    return epochs


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best epoch, and knows its score also after its folder was moved.

    Lightning's own forgets the score then, and takes the next epoch for the best.
    """

    def load_state_dict(self, state_dict):
        """Take up the score, at the place where the file is now."""
        path, score = self.format_checkpoint_name({}), state_dict["best_model_score"]
        here = {"dirpath": self.dirpath, "best_model_path": path, "kth_best_model_path": path}
        super().load_state_dict({**state_dict, **here, "best_k_models": {path: score}})


def checkpoint_callbacks(folder, monitor):
    """Make the callbacks that keep the best and the last epoch.

    Args:
        folder (Path): for `best.ckpt` and `last.ckpt`.
        monitor (str): the logged number whose highest value is best.

    Returns:
        list of ModelCheckpoint: the best one first, so that the last one remembers it.
    """
    common = {
        "dirpath": folder,
        "save_on_train_epoch_end": True,
        "enable_version_counter": False,
    }
    return [
        BestCheckpoint(filename="best", monitor=monitor, mode="max", **common),
        ModelCheckpoint(filename="last", **common),
    ]


def save_best_model(model, best_checkpoint, data, path):
    """Write the model of the best epoch, as `from_pretrained` reads it.

    Beside what `model.serialize()` gives the file has "training_config", "metrics" ("val_loss",
    "val_usdr" and "epoch", counted from 1) and, by the names that Asteroid publishes models with,
    "dataset", "task" and "licenses".

    Args:
        model (asteroid.models.base_models.BaseModel): has the best weights and is on the CPU
            afterwards.
        best_checkpoint (Path): the best epoch's checkpoint.
        data (PreparedData): what the model was trained on.
        path (Path): the file to write.

    Raises:
        InputError: if the checkpoint cannot be read.
    """
    checkpoint = load_checkpoint(best_checkpoint)
    weights = {
        key.removeprefix("model."): value
        for key, value in checkpoint["state_dict"].items()
        if key.startswith("model.")  # a loss may have buffers too
    }
    model.cpu().load_state_dict(weights)
    # The fields that Asteroid's licence notice reads; the licence's own text says all we know.
    license_notice = dict.fromkeys(("title_link", "author", "author_link", "license_link"), "")
    license_notice |= {"title": data.name, "license": data.license, "non_commercial": False}
    package = model.serialize()
    package |= {
        "training_config": checkpoint["training_config"],
        "metrics": {**checkpoint["metrics"], "epoch": checkpoint["epoch"] + 1},
        "dataset": data.name,
        "task": "music source separation",
        "licenses": [license_notice],
    }
    # Into an open file: by name, torch would write that temporary name into it.
    with atomic_write(path) as tmp, open(tmp, "wb") as file:
        torch.save(package, file)
