"""Start and end the processes of a training run together."""

import functools
import signal
import time

import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader

from asteroid_tfswa.devices import rank_and_world
from asteroid_tfswa.engine.processes.deadline import Deadline
from asteroid_tfswa.engine.processes.signals import (
    STOP_SIGNALS,
    end_with_parent,
    obey_parent,
)
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.signal_masks import signals_blocked

# Seconds that other processes wait before they report an error. If all processes meet it, the first
# one reports it and kills the others in that time.
REPORT_DELAY = 3


class StopCallback(Callback):
    """Lets signals stop Lightning's trainer, and its other processes with it.

    Args:
        signals (StopSignals): the context in which the trainer runs.
        describe (callable): of this and an error of the trainer, to the error that is reported.

    Attributes:
        deadline (Deadline): until when the trainer must have raised an error that it met.
        started (bool): whether training has begun: a checkpoint, if any, is loaded.
        failure (str or None): how another process failed, if one did.
    """

    def __init__(self, signals, describe):
        self.signals = signals
        self.deadline = Deadline(functools.partial(describe, self))
        self.started = False
        self.failure = None

    def on_train_start(self, trainer, pl_module):
        """Replace Lightning's handlers, and its question after SIGTERM.

        At SIGTERM those end the training loop as if it were complete, after an exchange that the
        other processes may never join. The question waits for the device at every batch;
        `StateCheckpoint` has its own.
        """
        self.signals.install()
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None
        self.started = True

    def on_exception(self, trainer, pl_module, exception):
        """End the other processes; Lightning would leave them waiting.

        Lightning also watches them and kills this process once one has ended, so it must forget
        them first.
        """
        if waits_for_others():
            self.deadline.start(exception)
        if rank_zero_only.rank != 0:
            time.sleep(REPORT_DELAY)
            return
        processes = list(getattr(trainer.strategy.launcher, "procs", ()))
        if not isinstance(exception, (InputError, KeyboardInterrupt)):
            self.failure = _find_failure(processes)
        if processes:
            trainer.strategy.launcher.procs.clear()
        for process in processes:
            process.kill()
            process.wait()


def waits_for_others():
    """Whether this process's GPU may wait for other processes.

    Returns:
        bool: False on the CPU, where a process notices when another one has died.
    """
    return rank_and_world()[1] > 1 and torch.distributed.get_backend() == "nccl"


def _find_failure(processes):
    """Describe how another process failed, or return None. It may end a moment later than this."""
    deadline = time.monotonic() + 1
    while processes and time.monotonic() < deadline:
        for rank, process in enumerate(processes, start=1):
            if process.poll():
                return f"process {rank} of {len(processes) + 1} ended with status {process.poll()}"
        time.sleep(0.05)
    return None


def make_strategy(name, hardware):
    """Choose how the processes of a run share its work.

    Args:
        name (str): "ddp" or "fsdp", see `Sharded`.
        hardware (dict): of `place`.

    Returns:
        Strategy: for Lightning's trainer.

    Raises:
        InputError: if there is one device, and no share of a model for another.
    """
    # Lightning would take a SLURM job with one task on several GPUs for a job with a task for each.
    environment = None if hardware["launcher"] else LightningEnvironment()
    if hardware["n_devices"] > 1:
        return {"ddp": Replicated, "fsdp": Sharded}[name](environment)
    if name == "fsdp":
        raise InputError("strategy: fsdp shares a model between devices, and this is one; use ddp")
    return "auto"


class Together:
    """Mixin for a strategy whose other processes get no signals and end with the first one."""

    def setup_environment(self):
        """Unblock signals in the first process, now that the others have started.

        The others have inherited the mask that `signals_blocked` set.
        """
        if rank_zero_only.rank == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        else:
            end_with_parent()
        super().setup_environment()


class Replicated(Together, DDPStrategy):
    """DistributedDataParallel: each process has the whole model.

    `MusicSystem` averages the buffers once before each validation; DDP would broadcast them at
    every step.

    Args:
        environment (ClusterEnvironment or None): None for the launcher's own.
    """

    def __init__(self, environment):
        super().__init__(cluster_environment=environment, broadcast_buffers=False)


class Sharded(Together, ModelParallelStrategy):
    """FSDP2: each process has a share of the weights, gradients and optimizer states.

    Checkpoints hold the whole state in one file, as those of `Replicated`.

    Args:
        environment (ClusterEnvironment or None): None for the launcher's own.
    """

    def __init__(self, environment):
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)
        self.cluster_environment = environment

    def setup_environment(self):
        """Share between all processes; Lightning shares between nodes unless told otherwise."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()


class Loader(DataLoader):
    """A DataLoader whose workers obey their parent alone, and end with it.

    It draws nothing from torch's global generator, whose state then depends on the model alone.

    Attributes:
        seconds_waited (float): how long batches were waited for so far.
    """

    seconds_waited = 0.0

    def __init__(self, dataset, **options):
        generator = torch.Generator().manual_seed(0)  # of the seeds of workers, which draw nothing
        super().__init__(dataset, worker_init_fn=obey_parent, generator=generator, **options)

    def __iter__(self):
        with signals_blocked(STOP_SIGNALS):  # workers inherit the mask
            batches = super().__iter__()
        return self._timed(batches)

    def _timed(self, batches):
        while True:
            start = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self.seconds_waited += time.perf_counter() - start
            yield batch
