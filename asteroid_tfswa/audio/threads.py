"""Reading ahead of the work and writing behind it, in threads of their own."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

DEPTH = 2  # items that wait on either side: enough to overlap, little to hold

_END = object()


def read_ahead(items):
    """Draw items in a thread, a few before they are needed.

    Args:
        items (iterator): what to draw from; what it raises is raised here, in its place.

    Yields:
        the items.
    """
    with ThreadPoolExecutor(1) as pool:
        pending = deque(pool.submit(next, items, _END) for _ in range(DEPTH))
        while (item := pending.popleft().result()) is not _END:
            pending.append(pool.submit(next, items, _END))
            yield item


class WriteBehind:
    """Call a function in a thread, in order, and wait only when it is far behind.

    A context manager: its end waits for the calls that are left. What a call raises is raised by
    the next one or at the end.

    Args:
        work (callable): takes one item.
    """

    def __init__(self, work):
        self._work = work
        self._pool = ThreadPoolExecutor(1)
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
