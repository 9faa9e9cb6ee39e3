"""Folders that only one run writes to at a time."""

import contextlib
import errno
import fcntl
import itertools
import os
import threading
from pathlib import Path

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import TEMPORARY, remove_leftovers

LOCK = ".lock"
# The folders that this process has locked. The system's locks do not distinguish the threads of a
# process, so users are counted here.
_held = {}
_held_guard = threading.Lock()


def has_leftovers(folder):
    """Whether a folder holds what killed processes leave, or running ones write.

    Args:
        folder (str or Path): the folder, which need not exist.
    """
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return LOCK in names or any(map(TEMPORARY.match, names))


def tidy(folder):
    """Remove what killed processes left in a folder, unless another run is writing to it.

    Args:
        folder (str or Path): an existing folder. Without leftovers it is only read.
    """
    if has_leftovers(folder):
        with contextlib.suppress(InputError, OSError), locked(folder, shared=True):
            pass


@contextlib.contextmanager
def locked(folder, shared=False):
    """Lock a folder for this process; the lock ends with the process, however that ends.

    What killed processes left in the folder is removed. Disks that do not support locks are used
    without one.

    Args:
        folder (str or Path): created if missing.
        shared (bool): whether other threads of this process may hold a shared lock at the same
            time. Default False.

    Raises:
        InputError: if another run has locked the folder; the message names that process.
    """
    folder = Path(folder)
    key = os.path.realpath(folder)
    with _held_guard:
        if key in _held and not (shared and _held[key].shared):
            raise _in_use(folder, os.getpid())
        if key not in _held:
            _held[key] = _Lock(folder, shared)
        _held[key].n_users += 1
    try:
        yield
    finally:
        with _held_guard:
            _held[key].n_users -= 1
            if not _held[key].n_users:
                _held.pop(key).release()


class _Lock:
    """A folder locked by this process: the lock file and the number of its users."""

    def __init__(self, folder, shared):
        self.folder, self.shared, self.n_users = folder, shared, 0
        self._file = _lock_file(folder)
        try:
            remove_leftovers(folder)
        except BaseException:
            self.release()
            raise

    def release(self):
        with self._file:
            # Ctrl-C may have arrived after a file was created and before its cleanup was set up.
            with contextlib.suppress(OSError):
                remove_leftovers(self.folder)
            (self.folder / LOCK).unlink(missing_ok=True)


def _lock_file(folder):
    """Lock a folder through a file in it; return the open file."""
    path = folder / LOCK
    for attempt in itertools.count():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = open(path, "a+")
        except FileNotFoundError:
            if attempt == 100:
                raise
            continue  # another run removed the empty folder before the file was opened
        try:
            # A record lock: unlike flock's, workers that outlive this process do not inherit it.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            if err.errno in (errno.EACCES, errno.EAGAIN):
                with file:
                    file.seek(0)
                    raise _in_use(folder, file.read().strip() or "unknown") from None
            # Some network disks do not support locks: continue without one.
        if _is_same(file, path):
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            return file
        file.close()  # its owner removed it after it was opened here


def _is_same(file, path):
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _in_use(folder, process):
    return InputError(
        f"{folder}: another run is writing to it (process {process}); wait until it ends, or "
        "choose another folder"
    )
