"""Find where a training run continues, and check that its folder belongs to the same run."""

import contextlib
import dataclasses
import shutil
import sys
from pathlib import Path

import yaml

from asteroid_tfswa.config import current_value
from asteroid_tfswa.engine.resume.checkpoints import LAST, earlier_states, load_checkpoint
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write, remove_leftovers
from asteroid_tfswa.torch_files import load_torch_file

# Keys that may change between runs, because they do not change what an epoch computes. All keys of
# the section "separation" may change too.
MAY_CHANGE = (
    "epochs",
    "compile",
    "num_workers",
    "max_skipped_steps",
    "save_every_steps",
    "save_every_minutes",
    "keep_checkpoints",
    "log_audio_every",
)


@dataclasses.dataclass
class Start:
    """Where a run continues.

    Attributes:
        epochs (int): epochs done. Default 0.
        batches (int): batches done on each device in the epoch after them. Default 0.
        checkpoint (Path or None): the state of that moment. Default None: nothing was saved.
        precision (str or None): of that state, as Lightning names it. Default None: not known.
    """

    epochs: int = 0
    batches: int = 0
    checkpoint: Path | None = None
    precision: str | None = None

    def __str__(self):
        return f"in epoch {self.epochs + 1}" if self.batches else f"after epoch {self.epochs}"


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
        defaults (dict): values of keys that an earlier version did not have, in sections.
        fingerprint (str): of `training_fingerprint`.

    Attributes:
        path (Path): the folder.
        checkpoints (Path): the folder of the checkpoints.
        last, best, best_model (Path): the checkpoints and the model.
    """

    def __init__(self, path, conf, defaults, fingerprint):
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / LAST
        self.best = self.checkpoints / "best.ckpt"
        self.best_model = path / "best_model.pth"
        self.conf, self.defaults, self.fingerprint = conf, defaults or {}, fingerprint

    def find_start(self, state_dict, steps_per_epoch, n_devices):
        """Decide where to continue: from the newest state or, if there is none, the best epoch's.

        Args:
            state_dict (dict): what is trained; the checkpoint must have the same shapes.
            steps_per_epoch (int): optimizer steps of one epoch now.
            n_devices (int): devices that share an epoch now.

        Returns:
            Start: without checkpoints a model of as many epochs as asked for counts as done.

        Raises:
            InputError: if what exists was trained with another configuration, other data or
                another number of devices, is damaged, or is a model without its checkpoints.
        """
        path = next(iter(self._states()), None)
        if path is None:
            return Start(self._epochs_of_model() if self.best_model.exists() else 0)
        checkpoint = load_checkpoint(path, self.remedy(path))
        self._check_same_run(checkpoint)
        shapes, expected = (
            {key: getattr(value, "shape", None) for key, value in weights.items()}
            for weights in (checkpoint["state_dict"], state_dict)
        )
        if shapes != expected or not isinstance(checkpoint.get("global_step"), int):
            raise InputError(f"{path} belongs to another network or version; {self.remedy(path)}")
        began_on = _n_devices(checkpoint, steps_per_epoch, n_devices)
        if began_on != n_devices:
            raise InputError(
                f"devices: the training run in {self.path} began on {began_on}, not {n_devices}; "
                "use as many or another exp_dir"
            )
        return _start(checkpoint, path)

    def _states(self):
        """The checkpoints that a run can continue from, the one to prefer first."""
        candidates = [self.last, *earlier_states(self.last), self.best]
        return [path for path in candidates if path.exists()]

    def tidy(self, checkpoint):
        """Remove what killed runs left, and make sure that the best epoch is kept.

        Only the first process of a run calls this.

        Args:
            checkpoint (Path or None): where the run continues.
        """
        if self.checkpoints.is_dir():
            remove_leftovers(self.checkpoints)
        if checkpoint not in (None, self.best):
            self._settle_best(checkpoint)

    def write_conf(self):
        """Write `conf.yml`, for people to read."""
        with atomic_write(self.path / "conf.yml") as tmp:
            tmp.write_text(yaml.safe_dump(self.conf, sort_keys=False))

    def _settle_best(self, path):
        """Make sure that `best.ckpt` or `best_model.pth` holds the best epoch of the state `path`;
        a line on stderr says what was lost."""
        score = self._best_score(path)
        if score is None:
            return
        try:
            load_checkpoint(self.best)
            return
        except InputError as error:
            state = "is missing" if not self.best.exists() else "cannot be used"
            cause = str(error).removeprefix(str(self.best)).split(";")[0].strip(" :")
        if self._model_is_best(score):
            self.best.unlink(missing_ok=True)
            found = f"{self.best_model.name} has the best epoch so far"
        else:
            with atomic_write(self.best) as tmp:
                shutil.copyfile(path, tmp)
            found = "the last epoch takes its place"
        print(f"{self.best} {state} ({cause}): {found}, training continues", file=sys.stderr)

    def _best_score(self, path):
        """The best validation's score when a state was saved; None before the first validation."""
        states = load_checkpoint(path).get("callbacks", {})
        scores = [
            state.get("best_model_score")
            for key, state in states.items()
            if key.startswith("BestCheckpoint")
        ]
        return next((float(score) for score in scores if score is not None), None)

    def _model_is_best(self, score):
        try:
            found = load_torch_file(self.best_model)["metrics"][self.conf["validation"]["monitor"]]
            return abs(found - score) < 1e-5 * abs(score)
        except (InputError, KeyError, TypeError):
            return False

    def remedy(self, path):
        """Say what to do about a checkpoint that cannot be used.

        Args:
            path (Path): the checkpoint.

        Returns:
            str: the end of a sentence.
        """
        states = self._states()
        for older in states[states.index(path) + 1 :] if path in states else ():
            with contextlib.suppress(InputError):
                start = _start(load_checkpoint(older), older)
                return f"remove it to continue {start}, from {older.name}"
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
                key: current_value(key, value)
                for section in conf.values()
                for key, value in section.items()
            }
            for conf in (saved["training_config"], self.conf, self.defaults)
        )
        to_zero = now.get("schedule") in ("cosine", "linear")  # at the last epoch
        for key, value in now.items():
            may_change = key in MAY_CHANGE or key in self.conf.get("separation", {})
            if may_change and not (to_zero and key == "epochs"):
                continue
            # Without a known default, assume that the earlier version did the same.
            began_with = before.get(key, defaults.get(key, value))
            # The order of a mapping of sources is that of the model's outputs.
            if began_with != value or (key == "sources" and list(began_with) != list(value)):
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


def _start(checkpoint, path):
    """Where a checkpoint continues; those of earlier versions were all saved after an epoch."""
    position = checkpoint.get("position", {"epochs": checkpoint["epoch"] + 1, "batches": 0})
    return Start(position["epochs"], position["batches"], path, checkpoint.get("precision"))


def _n_devices(checkpoint, steps_per_epoch, n_devices):
    """How many devices shared an epoch; an earlier version's checkpoint tells it by its steps."""
    if "processes" in checkpoint:
        return len(checkpoint["processes"])
    epochs = checkpoint["epoch"] + 1
    if checkpoint["global_step"] == epochs * steps_per_epoch:
        return n_devices
    steps = checkpoint["global_step"] // epochs
    return f"another number ({steps} steps an epoch, now {steps_per_epoch})"
