"""Read ahead and write behind in threads."""

import contextlib
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread

DEPTH = 2  # items that wait on either side: enough to overlap, few to hold in memory

_END = object()


class _Worker:
    """A thread that makes calls, in order, and keeps their results.

    Not a pool of `concurrent.futures`: interrupted while it waits for a future, a thread may keep
    a lock of that future, for which the pool's thread would wait forever.
    """

    def __init__(self):
        self._calls, self._results = SimpleQueue(), SimpleQueue()
        # A daemon: Ctrl-C, in here or in `close`, may leave it without the call that ends it.
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while (call := self._calls.get()) is not None:
            try:
                result = call(), None
            except BaseException as err:
                result = None, err
            self._results.put(result)
            del call, result  # hold no item while waiting

    def submit(self, call):
        """Queue a call."""
        self._calls.put(call)

    def result(self):
        """Wait for the next result; raise what its call raised."""
        result = None
        while result is None:
            # A signal that comes just before a wait does not end it, so no wait is long.
            with contextlib.suppress(Empty):
                result = self._results.get(timeout=0.2)
        value, err = result
        if err is not None:
            raise err
        return value

    def close(self, *last):
        """Drop the calls that wait, make the `last` ones, and end the thread."""
        with contextlib.suppress(Empty):
            while True:
                self._calls.get_nowait()
        for call in (*last, None):
            self._calls.put(call)
        self._thread.join()


def read_ahead(items):
    """Take items from a generator in a thread, a few before they are needed.

    Args:
        items (generator): the source. Its exceptions are raised here, in order. It is closed, also
            in the thread, when this generator ends or is closed.

    Yields:
        the items.
    """
    worker, take = _Worker(), partial(next, items, _END)
    try:
        for _ in range(DEPTH):
            worker.submit(take)
        while (item := worker.result()) is not _END:
            worker.submit(take)
            yield item
    finally:
        worker.close(items.close)


class WriteBehind:
    """Call a function in a thread, in order; the caller waits only when it is far behind.

    A context manager: its end waits for the remaining calls. An exception of a call is raised by a
    later call or at the end, and the calls after it that have not begun are not made.

    Args:
        work (callable): the function, which takes one item.
    """

    def __init__(self, work):
        self._work, self._worker, self._pending = work, _Worker(), 0

    def __enter__(self):
        return self

    def __call__(self, item):
        """Queue a call for an item."""
        if self._pending > DEPTH:
            self._wait()
        self._worker.submit(partial(self._work, item))
        self._pending += 1

    def _wait(self):
        self._pending -= 1
        self._worker.result()

    def __exit__(self, exc_type, exc, traceback):
        try:
            while exc_type is None and self._pending:
                self._wait()
        finally:
            self._worker.close()
