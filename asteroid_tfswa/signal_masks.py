"""Keep signals from threads and from the processes that they start."""

import contextlib
import signal


@contextlib.contextmanager
def signals_blocked(signals):
    """Block signals in this thread, and for good in processes and threads that it starts.

    Args:
        signals (iterable of signal.Signals): what to block; () does nothing.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
