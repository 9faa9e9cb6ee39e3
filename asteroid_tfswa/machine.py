"""Cores and memory: what this process may use, and whether it was too much."""

import contextlib
import os
import re

OUT_OF_MEMORY = re.compile(
    "out of memory|not enough memory|can't allocate memory|CU[A-Z]+_(STATUS_)?ALLOC_FAILED"
    # cuDNN's convolutions: no way to compute them fits into the memory that is left.
    "|unable to find an engine to execute this computation",
    re.IGNORECASE,
)
CGROUP_LIMITS = (
    "/sys/fs/cgroup/memory.max",  # version 2
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",  # version 1
)


def usable_cores():
    """Count the CPU cores that this process may use.

    Returns:
        int: at least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usable_memory():
    """Find out how much memory this process may use: the machine's or, if lower, its container's.

    Returns:
        int: bytes.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
            with open(file, encoding="ascii") as text:
                limits.append(int(text.read()))
    return min(limits)


def is_out_of_memory(err):
    """Whether an exception means that memory ran out.

    torch raises a `RuntimeError`, NumPy a `MemoryError`.

    Args:
        err (Exception): the exception.

    Returns:
        bool: whether doing less at once may succeed.
    """
    if isinstance(err, RuntimeError):
        return OUT_OF_MEMORY.search(str(err)) is not None
    return isinstance(err, MemoryError)
