"""Stop a training run at signals, and let none of its processes outlive it.

Only the first process of a run reacts to Ctrl-C and SIGTERM, which usually reach all processes of a
terminal or job at once. It cleans up and ends the others.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader

from asteroid_tfswa.errors import InputError, Terminated

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
PR_SET_PDEATHSIG = 1  # of Linux's prctl
# Seconds that other processes wait before they report an error. If all processes meet it, the first
# one reports it and kills the others in that time.
REPORT_DELAY = 3


class StopSignals:
    """Context in which the first SIGINT or SIGTERM raises an exception and later ones do nothing.

    The exception is that of the handler set before, `KeyboardInterrupt` or `Terminated` by default.
    Python calls handlers between any two instructions of the main thread. `held` postpones the
    exception. If something swallows it, as a `__del__` does, `check` raises it again. A signal that
    the process ignores stays ignored. Outside the main thread the context does nothing.

    Attributes:
        received (BaseException or None): the exception of the signal received.
    """

    def __init__(self):
        self.received = None
        self._n_held = 0
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
            self._before = {n: h for n, h in before.items() if h not in (signal.SIG_IGN, None)}
        self._unraisable = sys.unraisablehook
        sys.unraisablehook = self._report_unraisable
        self.install()
        return self

    def __exit__(self, *error):
        sys.unraisablehook = self._unraisable
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def install(self):
        """Set the handlers; call it again after a library has set its own."""
        for number in self._before:
            signal.signal(number, self._receive)

    def _receive(self, number, frame):
        if self.received is not None:
            return
        try:
            if self._before[number] == signal.SIG_DFL:
                raise Terminated
            self._before[number](number, frame)
        except BaseException as exception:
            self.received = exception
            if not self._n_held:
                raise

    def check(self):
        """Raise the exception of a signal received, unless it is postponed."""
        if self.received is not None and not self._n_held:
            raise self.received

    @contextlib.contextmanager
    def held(self):
        """Postpone the exception of a signal received in the block to the end of the block."""
        self._n_held += 1
        try:
            yield
        finally:
            self._n_held -= 1
        self.check()

    def _report_unraisable(self, unraisable):
        if unraisable.exc_value is not self.received:  # `check` raises it again
            self._unraisable(unraisable)


class StopCallback(Callback):
    """Lets signals stop Lightning's trainer, and its other processes with it.

    Args:
        signals (StopSignals): the context in which the trainer runs.

    Attributes:
        started (bool): whether training has begun: a checkpoint, if any, is loaded.
        failure (str or None): how another process failed, if one did.
    """

    def __init__(self, signals):
        self.signals = signals
        self.started = False
        self.failure = None
        self._saving = contextlib.ExitStack()

    def on_train_start(self, trainer, pl_module):
        """Replace Lightning's handlers.

        At SIGTERM those end the training loop as if it were complete, after an exchange that the
        other processes may never join.
        """
        self.signals.install()
        self.started = True

    def on_train_epoch_end(self, trainer, pl_module):
        """Postpone signals until the callbacks after this one have saved the epoch."""
        self._saving.enter_context(self.signals.held())

    def on_train_epoch_start(self, trainer, pl_module):
        """Stop at once again."""
        self._saving.close()

    def on_train_end(self, trainer, pl_module):
        """Stop at once again."""
        self._saving.close()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        """Stop if a signal's exception was swallowed."""
        self.signals.check()

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        """Stop if a signal's exception was swallowed."""
        self.signals.check()

    def on_exception(self, trainer, pl_module, exception):
        """End the other processes; Lightning would leave them waiting.

        Lightning also watches them and kills this process once one has ended, so it must forget
        them first.
        """
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


def _find_failure(processes):
    """Describe how another process failed, or return None. It may end a moment later than this."""
    deadline = time.monotonic() + 1
    while processes and time.monotonic() < deadline:
        for rank, process in enumerate(processes, start=1):
            if process.poll():
                return f"process {rank} of {len(processes) + 1} ended with status {process.poll()}"
        time.sleep(0.05)
    return None


class Strategy(DDPStrategy):
    """DDP whose other processes get no signals and end with the first one.

    `MusicSystem` averages the buffers once before each validation; DDP would broadcast them at
    every step.
    """

    def __init__(self):
        super().__init__(broadcast_buffers=False)

    def setup_environment(self):
        """Unblock signals in the first process, now that the others have started.

        The others have inherited the mask that `signals_blocked` set.
        """
        if rank_zero_only.rank == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        else:
            end_with_parent()
        super().setup_environment()


class Loader(DataLoader):
    """A DataLoader whose workers obey their parent alone, and end with it."""

    def __init__(self, dataset, **options):
        super().__init__(dataset, worker_init_fn=_obey_parent, **options)

    def __iter__(self):
        with signals_blocked():  # workers inherit the mask
            return super().__iter__()


@contextlib.contextmanager
def signals_blocked(blocked=True):
    """Block SIGINT and SIGTERM in this thread and in processes and threads that it starts.

    Args:
        blocked (bool): False to do nothing. Default True.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS if blocked else ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent():
    """Make Linux kill this process when its parent ends; other systems do nothing."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _obey_parent(worker_id):
    """End a worker only at SIGTERM from its parent; SIGINT and other SIGTERMs are blocked."""
    parent = os.getppid()
    end_with_parent()

    def wait_for_parent():
        while True:
            if signal.sigwaitinfo({signal.SIGTERM}).si_pid == parent:
                os._exit(0)

    threading.Thread(target=wait_for_parent, daemon=True).start()
