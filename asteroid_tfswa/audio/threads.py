"""Reading ahead of the work and writing behind it, in threads of their own."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

DEPTH = 2  # items that wait on either side: enough to overlap, little to hold

_END = object()


def _start_thread():
    """A pool of one thread that runs already.

    Ctrl-C in the moment in which a pool starts a thread hides it from the pool, which then does not
    wait for it. So that moment is over before there is work to wait for.
    """
    pool = ThreadPoolExecutor(1)
    pool.submit(int).result()
    return pool


def read_ahead(items):
    """Draw items in a thread, a few before they are needed.

    Args:
        items (generator): what to draw from; what it raises is raised here, in its place. It is
            closed, in the thread too, when this generator ends or is closed.

    Yields:
        the items.
    """
    with _start_thread() as pool:
        try:
            pending = deque(pool.submit(next, items, _END) for _ in range(DEPTH))
            while (item := pending.popleft().result()) is not _END:
                pending.append(pool.submit(next, items, _END))
                yield item
        finally:
            pool.submit(items.close)


class WriteBehind:
    """Call a function in a thread, in order, and wait only when it is far behind.

    A context manager: its end waits for the calls that are left. What a call raises is raised by
    the next one or at the end.

    Args:
        work (callable): takes one item.
    """

    def __init__(self, work):
        self._work = work
        self._pool = _start_thread()
        self._pending = deque()

    def __enter__(self):
        return self

    def __call__(self, item):
        """Hand over an item."""
        if len(self._pending) > DEPTH:
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(self._work, item))

    def __exit__(self, exc_type, exc, traceback):
        self._pool.shutdown(wait=True, cancel_futures=exc_type is not None)
        if exc_type is None:
            for call in self._pending:
                call.result()
