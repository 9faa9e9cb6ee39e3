"""A pool of worker processes that end with the process that started them, however it ends."""

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from asteroid_tfswa.signal_masks import signals_blocked
from asteroid_tfswa_cli import end_with_parent

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def worker_pool(n_workers):
    """Start a pool of processes of one thread each, stopped at once if the block is left early.

    Workers never see Ctrl-C, which reaches all processes of a terminal: their parent stops them.
    If the parent is killed they end by themselves. Like commands they import what they need.

    Args:
        n_workers (int): how many.

    Yields:
        callable: `submit(function, *args)`, which returns a `concurrent.futures.Future`.
    """
    before = set(multiprocessing.active_children())
    environment = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))  # libraries read them when they are imported
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=end_with_parent)

    def submit(function, *args):
        with signals_blocked(
            {signal.SIGINT}
        ):  # submitting starts processes, which inherit the mask
            return pool.submit(function, *args)

    try:
        yield submit
        pool.shutdown()
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in environment.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
