"""End a process that would wait in vain for its GPU."""

import os
import signal
import sys
import threading
import traceback

from asteroid_tfswa.errors import InputError, Terminated

SECONDS = 30  # more than it takes to move a model to the CPU and to close files


class Deadline:
    """Ends this process if an error has not been raised some time after it was met.

    When a process of a run dies, the GPUs of the others wait for its share of a gradient, up to
    half an hour. Whatever reads from them waits as long, and so does Lightning, which moves the
    model to the CPU before it raises the error. The last state saved is on disk by then.

    Args:
        describe (callable): of the error, to the one that is reported.
    """

    def __init__(self, describe):
        self._describe = describe
        self._timer = None

    def start(self, error):
        """Begin to wait.

        Args:
            error (BaseException): what ends the run.
        """
        self._timer = threading.Timer(SECONDS, self._end, [error])
        self._timer.daemon = True
        self._timer.start()

    def cancel(self):
        """Let the process live: the error was raised, or there was none."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, error):
        error, status = self._describe(error), 1
        if isinstance(error, KeyboardInterrupt):  # as after a second signal: nothing more is said
            of_kind = signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT
            status = 128 + getattr(error, "signum", of_kind)
        elif isinstance(error, (InputError, OSError)):
            print(f"error: {error}", file=sys.stderr)
        else:
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # the main thread cannot: it waits
