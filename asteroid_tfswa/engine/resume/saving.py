"""When a training run saves the state that it continues from."""

import os
import subprocess
import sys
import time
import warnings

import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.environments import SLURMEnvironment
from pytorch_lightning.utilities import rank_zero_only

from asteroid_tfswa.devices import rank_and_world
from asteroid_tfswa.engine.resume.position import process_state, restore_process_state
from asteroid_tfswa.errors import TimeLimit

GO_ON, SAVE, STOP = range(3)  # what a process asks for at the end of a step
VALIDATION_BEGUN = {"ready": 1, "started": 1, "processed": 0, "completed": 0}


class StateCheckpoint(Checkpoint):
    """Saves the state between optimizer steps: regularly, before validation, after each epoch, and
    when a signal asks the run to stop.

    A signal is obeyed at the end of the current optimizer step or validation batch. Stopped within
    a batch, the workers that read data would report that nobody takes it. All processes of a run
    agree on what to do after every step, in a group of CPU processes, so that no device is waited
    for.

    Args:
        path (Path): the file; `SafeCheckpointIO` keeps earlier ones.
        signals (StopSignals): the context in which the trainer runs.
        every_steps (int): optimizer steps between two states. Default 0: not by steps.
        every_minutes (float): minutes between two states. Default 0: not by time.
    """

    def __init__(self, path, signals, every_steps=0, every_minutes=0.0):
        self.path, self.signals = path, signals
        self.every_steps, self.every_minutes = every_steps, every_minutes
        self._group = None
        self._to_restore = None
        self._saved_at = 0.0
        self._before_validation = False

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        """Add what Lightning leaves out: the position in the epoch and `process_state` of all."""
        epochs = trainer.fit_loop.epoch_progress.current
        batches = trainer.fit_loop.epoch_loop.batch_progress.current
        in_epoch = epochs.processed < epochs.ready
        states = [process_state(trainer, pl_module, in_epoch)]
        world = rank_and_world()[1]
        if world > 1:
            own, states = states[0], [None] * world
            torch.distributed.all_gather_object(states, own, group=self._group)
        checkpoint["processes"] = states
        checkpoint["position"] = {
            "epochs": epochs.processed,
            "batches": batches.ready if in_epoch else 0,
        }
        if self._before_validation:  # or Lightning would skip it
            loops = checkpoint["loops"]["fit_loop"]
            loops["epoch_loop.val_loop.batch_progress"]["total"] = dict(VALIDATION_BEGUN)

    def on_load_checkpoint(self, trainer, pl_module, checkpoint):
        """Keep the states of the processes until training starts."""
        self._to_restore = checkpoint.get("processes")

    def on_train_start(self, trainer, pl_module):
        """Restore the state of this process. From here on signals wait for the end of a batch."""
        rank, world = rank_and_world()
        if world > 1 and torch.distributed.get_backend() != "gloo":
            self._group = torch.distributed.new_group(backend="gloo")
        if self._to_restore:
            restore_process_state(self._to_restore[rank], trainer, pl_module)
            self._to_restore = None
        self._saved_at = time.monotonic()
        self.signals.hold()

    def on_train_epoch_start(self, trainer, pl_module):
        """Stop if a signal has arrived since the last step."""
        if self._agree(GO_ON) == STOP:
            self._stop()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Save and stop where that is due, unless the end of the epoch or a validation follows."""
        loop = trainer.fit_loop.epoch_loop
        if loop._should_accumulate() or loop._num_ready_batches_reached():
            return
        if loop._should_check_val_fx(trainer.fit_loop._data_fetcher):
            return
        steps, minutes = trainer.global_step, (time.monotonic() - self._saved_at) / 60
        due = bool(self.every_steps) and steps % self.every_steps == 0
        due |= bool(self.every_minutes) and minutes >= self.every_minutes
        wish = self._agree(SAVE if due else GO_ON)
        if wish != GO_ON:
            self._save(trainer)
        if wish == STOP:
            self._stop()

    def on_validation_start(self, trainer, pl_module):
        """Save, so that a signal need not wait for the end of the validation."""
        self._before_validation = True
        self._save(trainer)
        self._before_validation = False
        if self._agree(GO_ON) == STOP:
            self._stop()

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        """Stop if a signal has arrived."""
        if self._agree(GO_ON) == STOP:
            self._stop()

    def on_train_epoch_end(self, trainer, pl_module):
        """Save the epoch. A signal waits until the epoch is logged."""
        self._save(trainer)

    def on_train_end(self, trainer, pl_module):
        """Stop at once again."""
        self.signals.release()

    def _save(self, trainer):
        trainer.save_checkpoint(self.path)
        self._saved_at = time.monotonic()

    def _agree(self, wish):
        """The strongest wish of all processes, STOP in those that have received a signal."""
        wish = STOP if self.signals.received is not None else wish
        if rank_and_world()[1] > 1:
            wish = torch.tensor(wish)
            torch.distributed.all_reduce(wish, torch.distributed.ReduceOp.MAX, group=self._group)
        return int(wish)

    def _stop(self):
        if isinstance(self.signals.received, TimeLimit) and rank_zero_only.rank == 0:
            requeue()
        raise self.signals.received or KeyboardInterrupt  # another process received the signal


def requeue():
    """Put the SLURM job of this process back into the queue; do nothing outside such a job."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not SLURMEnvironment.detect() or "SLURM_JOB_ID" not in os.environ:
            return
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        result = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
        reason = result.stderr.strip() if result.returncode else ""
    except OSError as error:
        reason = str(error)
    if reason:
        line = f"scontrol requeue {job}: {reason}; submit the job again to continue the run"
        print(line, file=sys.stderr, flush=True)
