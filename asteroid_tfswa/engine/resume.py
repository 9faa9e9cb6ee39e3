"""Find where a training run continues, and check that its folder belongs to the same run."""

import dataclasses
import shutil
import sys

import yaml

from asteroid_tfswa.config import current_value
from asteroid_tfswa.engine.checkpoints import load_checkpoint
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write, remove_leftovers
from asteroid_tfswa.torch_files import load_torch_file

# Keys and sections that may change between runs, because they do not change what an epoch computes.
MAY_CHANGE = ("training.epochs", "training.compile", "data.num_workers", "separation")


def training_fingerprint(data):
    """Identify the training and validation songs; the test songs may change.

    Args:
        data (PreparedData): the prepared songs.

    Returns:
        str: see `PreparedData.fingerprint`.
    """
    splits = {split: data.splits[split] for split in ("train", "valid")}
    return dataclasses.replace(data, splits=splits).fingerprint


class ExpDir:
    """The folder of a training run.

    Args:
        path (Path): the folder, which need not exist.
        conf (dict): the configuration asked for.
        defaults (dict): values of keys that an earlier version did not have, in the same sections.
        fingerprint (str): of `training_fingerprint`.

    Attributes:
        path (Path): the folder.
        checkpoints (Path): the folder of the checkpoints.
        last, best, best_model (Path): the checkpoints and the model.
    """

    def __init__(self, path, conf, defaults, fingerprint):
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"
        self.best_model = path / "best_model.pth"
        self.conf, self.defaults, self.fingerprint = conf, defaults or {}, fingerprint

    def find_start(self, state_dict, steps_per_epoch):
        """Decide where to continue.

        That is after the last epoch or, if its checkpoint is missing, after the best one.

        Args:
            state_dict (dict): what is trained; the checkpoint must have the same shapes.
            steps_per_epoch (int): optimizer steps of one epoch now.

        Returns:
            tuple: the number of epochs done and the checkpoint (Path); 0 and None if nothing was
            saved. Without checkpoints a model of as many epochs as asked for counts as done.

        Raises:
            InputError: if what exists was trained with another configuration, other data or
                another number of devices, is damaged, or is a model without its checkpoints.
        """
        path = next((path for path in (self.last, self.best) if path.exists()), None)
        if path is None:
            return (self._epochs_of_model() if self.best_model.exists() else 0), None
        checkpoint = load_checkpoint(path, self.remedy(path))
        self._check_same_run(checkpoint)
        shapes, expected = (
            {key: getattr(value, "shape", None) for key, value in weights.items()}
            for weights in (checkpoint["state_dict"], state_dict)
        )
        if shapes != expected or not isinstance(checkpoint.get("global_step"), int):
            raise InputError(f"{path} belongs to another network or version; {self.remedy(path)}")
        epochs = checkpoint["epoch"] + 1
        if checkpoint["global_step"] != epochs * steps_per_epoch:
            raise InputError(
                f"devices: the training run in {self.path} began on another number of devices "
                f"({checkpoint['global_step'] // epochs} steps an epoch, now {steps_per_epoch}); "
                "use as many or another exp_dir"
            )
        return epochs, path

    def tidy(self, checkpoint):
        """Remove what killed runs left, and make sure that the best epoch is kept.

        Only the first process of a run calls this.

        Args:
            checkpoint (Path or None): where the run continues.
        """
        if self.checkpoints.is_dir():
            remove_leftovers(self.checkpoints)
        if checkpoint == self.last:
            self._settle_best()

    def write_conf(self):
        """Write `conf.yml`, for people to read."""
        with atomic_write(self.path / "conf.yml") as tmp:
            tmp.write_text(yaml.safe_dump(self.conf, sort_keys=False))

    def _settle_best(self):
        """Make sure that `best.ckpt` or `best_model.pth` holds the best epoch, for a run with a
        `last.ckpt`; a line on stderr says what was lost."""
        try:
            load_checkpoint(self.best)
            return
        except InputError as error:
            state = "is missing" if not self.best.exists() else "cannot be used"
            cause = str(error).removeprefix(str(self.best)).split(";")[0].strip(" :")
        if self._model_is_best():
            self.best.unlink(missing_ok=True)
            found = f"{self.best_model.name} has the best epoch so far"
        else:
            with atomic_write(self.best) as tmp:
                shutil.copyfile(self.last, tmp)
            found = "the last epoch takes its place"
        print(f"{self.best} {state} ({cause}): {found}, training continues", file=sys.stderr)

    def _model_is_best(self):
        states = load_checkpoint(self.last).get("callbacks", {})
        scores = [
            float(state["best_model_score"])
            for key, state in states.items()
            if key.startswith("BestCheckpoint")
        ]
        try:
            metrics = load_torch_file(self.best_model)["metrics"]
            return bool(scores) and abs(metrics["val_usdr"] - scores[0]) < 1e-5 * abs(scores[0])
        except (InputError, KeyError, TypeError):
            return False

    def remedy(self, path):
        """Say what to do about a checkpoint that cannot be used.

        Args:
            path (Path): the checkpoint.

        Returns:
            str: the end of a sentence.
        """
        if path == self.last:
            try:
                epochs = load_checkpoint(self.best)["epoch"] + 1
                return f"remove it to continue after epoch {epochs}, from {self.best.name}"
            except InputError:
                pass
        return f"choose another exp_dir, or remove {self.path} to train again from the start"

    def _epochs_of_model(self):
        remedy = (
            "choose another exp_dir, or move the model away to train again from the start (its "
            "checkpoints are gone, so the run cannot continue)"
        )
        package = load_torch_file(self.best_model, remedy)
        try:
            epochs = package.get("n_epochs", package["metrics"]["epoch"])
            asked, conf = self.conf["training"]["epochs"], package["training_config"]
            if epochs >= asked:
                self._check_same_run({"training_config": conf, **package})
                return epochs
        except (AttributeError, KeyError, TypeError):
            raise InputError(
                f"{self.best_model} is not the model of a training run; {remedy}"
            ) from None
        raise InputError(
            f"{self.best_model} is from a run of {epochs} epochs, not {asked}; {remedy}"
        )

    def _check_same_run(self, saved):
        """Compare configuration and data with those of a checkpoint or model."""
        before, now, defaults = (
            {
                f"{title}.{key}": current_value(key, value)
                for title, section in conf.items()
                for key, value in section.items()
            }
            for conf in (saved["training_config"], self.conf, self.defaults)
        )
        to_zero = now.get("optim.schedule") in ("cosine", "linear")  # at the last epoch
        for key, value in now.items():
            may_change = key in MAY_CHANGE or key.split(".")[0] in MAY_CHANGE
            if may_change and not (to_zero and key == "training.epochs"):
                continue
            # Without a known default, assume that the earlier version did the same.
            began_with = before.get(key, defaults.get(key, value))
            if began_with != value:
                raise InputError(
                    f"{key}: {value} differs from {began_with}, the value that the training run in "
                    f"{self.path} began with ({self.path / 'conf.yml'}); use that value or another "
                    "exp_dir"
                )
        fingerprint = saved.get("data_fingerprint")
        if fingerprint is not None and fingerprint != self.fingerprint:
            raise InputError(
                f"data_dir: its songs are not those with which the training run in {self.path} "
                "began; prepare the same songs again or use another exp_dir"
            )
