"""Work in threads: read ahead, write behind, several calls at a time."""

import contextlib
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread

DEPTH = 2  # items that wait on either side: enough to overlap, few to hold in memory

_END = object()


class Threads:
    """Threads that make calls, in order, and keep what comes of them.

    Not a pool of `concurrent.futures`: interrupted while it looks at a future, a thread may keep a
    lock of that future, for which the pool's thread would wait forever. A context manager: its end
    waits for calls that have begun and drops the others.

    Args:
        n (int): how many threads.
    """

    def __init__(self, n):
        self._calls, self._ended = SimpleQueue(), SimpleQueue()
        # Daemons: Ctrl-C, in here or in `close`, may leave some without what ends them.
        self._threads = [Thread(target=self._run, daemon=True) for _ in range(n)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        while (call := self._calls.get()) is not None:
            try:
                result = call(), None
            except BaseException as err:
                result = None, err
            self._ended.put(result)
            del call, result  # hold no item while waiting

    def submit(self, function, *args):
        """Queue a call."""
        self._calls.put(partial(function, *args))

    def result(self):
        """Wait for the next call that ends; return its result or raise its exception."""
        while True:
            # A signal that comes just before a wait does not end it, so no wait is long.
            with contextlib.suppress(Empty):
                value, err = self._ended.get(timeout=0.2)
                break
        if err is not None:
            raise err
        return value

    def close(self, *last):
        """Drop the calls that wait, make the `last` ones, and end the threads."""
        with contextlib.suppress(Empty):
            while True:
                self._calls.get_nowait()
        for call in last:
            self._calls.put(call)
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def read_ahead(items):
    """Take items from a generator in a thread, a few before they are needed.

    Args:
        items (generator): the source. Its exceptions are raised here, in order. It is closed, also
            in the thread, when this generator ends or is closed.

    Yields:
        the items.
    """
    thread = Threads(1)
    try:
        for _ in range(DEPTH):
            thread.submit(next, items, _END)
        while (item := thread.result()) is not _END:
            thread.submit(next, items, _END)
            yield item
    finally:
        thread.close(items.close)


class WriteBehind:
    """Call a function in a thread, in order; the caller waits only when it is far behind.

    A context manager: its end waits for the remaining calls. An exception of a call is raised by a
    later call or at the end, and the calls after it that have not begun are not made.

    Args:
        work (callable): the function, which takes one item.
    """

    def __init__(self, work):
        self._work, self._thread, self._pending = work, Threads(1), 0

    def __enter__(self):
        return self

    def __call__(self, item):
        """Queue a call for an item."""
        if self._pending > DEPTH:
            self._wait()
        self._thread.submit(self._work, item)
        self._pending += 1

    def _wait(self):
        self._pending -= 1
        self._thread.result()

    def __exit__(self, exc_type, exc, traceback):
        try:
            while exc_type is None and self._pending:
                self._wait()
        finally:
            self._thread.close()
