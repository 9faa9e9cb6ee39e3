"""Memory that was freed, back to the system."""

import contextlib
import ctypes


def _find_malloc_trim():
    with contextlib.suppress(AttributeError, OSError, TypeError):
        return ctypes.CDLL(None).malloc_trim
    return lambda pad: 0


_MALLOC_TRIM = _find_malloc_trim()


def give_back_memory():
    """Give freed memory of this process back to the system.

    glibc keeps much of what is freed, in pieces that do not fit what is asked for next; over large
    maps they pile up to several times what is in use. Where there is no glibc nothing is done.
    """
    _MALLOC_TRIM(0)
