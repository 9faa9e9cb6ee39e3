"""Read ahead and write behind in threads."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

DEPTH = 2  # items that wait on either side: enough to overlap, few to hold in memory

_END = object()


def _start_thread():
    """Make a pool of one thread, already running.

    A Ctrl-C that arrives while a pool starts its thread leaves the pool unaware of it, so nothing
    waits for that thread. Start it before there is work.
    """
    pool = ThreadPoolExecutor(1)
    pool.submit(int).result()
    return pool


def read_ahead(items):
    """Take items from a generator in a thread, a few before they are needed.

    Args:
        items (generator): the source. Its exceptions are raised here, in order. It is closed, also
            in the thread, when this generator ends or is closed.

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
    """Call a function in a thread, in order; the caller waits only when it is far behind.

    A context manager: its end waits for the remaining calls. An exception of a call is raised by a
    later call or at the end.

    Args:
        work (callable): the function, which takes one item.
    """

    def __init__(self, work):
        self._work = work
        self._pool = _start_thread()
        self._pending = deque()

    def __enter__(self):
        return self

    def __call__(self, item):
        """Queue a call for an item."""
        if len(self._pending) > DEPTH:
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(self._work, item))

    def __exit__(self, exc_type, exc, traceback):
        self._pool.shutdown(wait=True, cancel_futures=exc_type is not None)
        if exc_type is None:
            for call in self._pending:
                call.result()
