"""The signals that stop a training run, and who obeys them.

SIGINT (Ctrl-C) and SIGTERM usually reach all processes of a terminal or job at once, and so do
SIGUSR1 and SIGUSR2, which SLURM sends some time before a job must end. Only the processes that a
launcher has started react to them; their workers obey their parent alone.
"""

import contextlib
import ctypes
import functools
import os
import signal
import sys
import threading
import time

from asteroid_tfswa.errors import Terminated, TimeLimit

# What each raises if no other handler was set before.
DEFAULTS = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
    signal.SIGUSR1: functools.partial(TimeLimit, signal.SIGUSR1),
    signal.SIGUSR2: functools.partial(TimeLimit, signal.SIGUSR2),
}
STOP_SIGNALS = tuple(DEFAULTS)
# Signals that follow sooner are the same request, sent to the process and to its group.
SAME_REQUEST = 1.0  # seconds
PR_SET_PDEATHSIG = 1  # of Linux's prctl


class StopSignals:
    """Context in which the first signal of STOP_SIGNALS raises an exception.

    The exception is that of the handler set before, or the one of DEFAULTS. Python calls handlers
    between any two instructions of the main thread. `hold` postpones the exception; a second
    signal, SAME_REQUEST later, raises it all the same. A signal that the process ignores stays
    ignored. Outside the main thread the context does nothing.

    Attributes:
        received (BaseException or None): the exception of the signal received.
    """

    def __init__(self):
        self.received = None
        self._since = 0.0
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
        caller = frame
        while caller is not None:
            if caller.f_code is StopSignals._receive.__code__:
                return  # it interrupts this function: of two signals at once the first counts
            caller = caller.f_back
        if self.received is not None:
            if time.monotonic() - self._since > SAME_REQUEST:
                raise self.received
            return
        self._since = time.monotonic()
        try:
            if self._before[number] == signal.SIG_DFL:
                raise DEFAULTS[number]()
            self._before[number](number, frame)
        except BaseException as exception:
            self.received = exception
            if not self._n_held:
                raise

    def check(self):
        """Raise the exception of a signal received, unless it is postponed.

        Something may have swallowed it when the signal arrived, as a `__del__` does.
        """
        if self.received is not None and not self._n_held:
            raise self.received

    def hold(self):
        """Postpone the exception until `release` is called as often as this."""
        self._n_held += 1

    def release(self):
        """Raise the exception of a signal received since `hold`."""
        self._n_held -= 1
        self.check()

    @contextlib.contextmanager
    def held(self):
        """Postpone the exception of a signal received in the block to the end of the block."""
        self.hold()
        try:
            yield
        except BaseException:
            self._n_held -= 1
            raise
        self.release()

    def _report_unraisable(self, unraisable):
        if unraisable.exc_value is not self.received:  # `check` raises it again
            self._unraisable(unraisable)


def end_with_parent():
    """Make Linux kill this process when its parent ends; other systems do nothing."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def obey_parent(worker_id=0):
    """End this worker only at SIGTERM from its parent; it has inherited `signals_blocked`.

    Args:
        worker_id (int): not used; a DataLoader gives it.
    """
    parent = os.getppid()
    end_with_parent()

    def wait_for_parent():
        while True:
            if signal.sigwaitinfo({signal.SIGTERM}).si_pid == parent:
                os._exit(0)

    threading.Thread(target=wait_for_parent, daemon=True).start()
