"""Disks: files that are never half-written, folders that one run has at a time, and space."""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
from pathlib import Path

from asteroid_tfswa.errors import InputError

LOCK = ".lock"
TEMPORARY = re.compile(r"\.[0-9a-f]{8}\.tmp")  # how temporary names begin
_held = set()  # folders locked by this process, which the system's locks do not tell apart


def temporary_name(path):
    """Choose a hidden name beside `path` for what will become it.

    Args:
        path (Path): the final name.

    Returns:
        Path: in the same folder, with the same suffix (writers choose the format by it).
    """
    return path.with_name(f".{secrets.token_hex(4)}.tmp{path.suffix}")


@contextlib.contextmanager
def atomic_write(path):
    """Write a file beside `path`, and rename it to `path` once the block has ended without error.

    If the block raises, Ctrl-C included, the temporary file is removed and `path` stays as it was.
    What a killed process leaves is removed by the next one that locks the folder.

    Args:
        path (str or Path): the file to write; missing folders are made.

    Yields:
        Path: the empty file to write to, see `temporary_name`.

    Examples:
        >>> with atomic_write("scores.json") as tmp:
        ...     tmp.write_text("{}")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = temporary_name(path)
    try:
        open(tmp, "x").close()
        yield tmp
        os.replace(tmp, path)
    except BaseException:
        tmp.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_folder(path):
    """Fill a folder beside `path`, and rename it to `path` once the block has ended without error.

    Args:
        path (str or Path): the folder to make, which must not exist.

    Yields:
        Path: the empty folder to fill.
    """
    path = Path(path)
    tmp = temporary_name(path)
    try:
        tmp.mkdir(parents=True)
        yield tmp
        os.rename(tmp, path)
    except BaseException:
        shutil.rmtree(tmp, ignore_errors=True)
        raise


def remove_leftovers(folder):
    """Remove what killed processes left in a folder; only while nobody else writes to it.

    Args:
        folder (str or Path): searched without the folders in it.
    """
    for path in Path(folder).iterdir():
        if TEMPORARY.match(path.name):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder):
    """Have a folder for this process alone; the lock ends with the process, however that ends.

    What killed processes left in the folder is removed. On disks without locks there is none.

    Args:
        folder (str or Path): made if missing.

    Raises:
        InputError: if another run has the folder; the message names it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    key, lock = folder.resolve(), folder / LOCK
    if key in _held:
        raise _in_use(folder, os.getpid())
    _held.add(key)
    try:
        with _lock_file(folder, lock):
            remove_leftovers(folder)
            yield
    finally:
        _held.discard(key)


@contextlib.contextmanager
def _lock_file(folder, path):
    """Hold `path` locked, and remove it in the end."""
    while True:
        file = open(path, "a+")
        try:
            # A record lock: unlike flock's it is not inherited by workers that outlive us.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            if err.errno in (errno.EACCES, errno.EAGAIN):
                with file:
                    file.seek(0)
                    raise _in_use(folder, file.read().strip() or "unknown") from None
            # Some network disks have no locks: work without one.
        with file:
            if not _is_same(file, path):
                continue  # its owner removed it after we had opened it
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_same(file, path):
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _in_use(folder, process):
    return InputError(
        f"{folder}: another run is writing to it (process {process}); wait until it ends, or "
        "choose another folder"
    )


def require_space(folder, n_bytes, purpose):
    """Check that the disk of `folder` has `n_bytes` free.

    Args:
        folder (str or Path): where the files will go; it need not exist yet.
        n_bytes (int): bytes that will be written.
        purpose (str): what they are for, as it ends the sentence "... is needed to".

    Raises:
        InputError: less is free; the message says how much is needed and how much there is.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if n_bytes > free:
        raise InputError(
            f"{folder}: {_readable(n_bytes)} is needed to {purpose}, but only {_readable(free)} is "
            "free there; make room or choose a folder on another disk"
        )


def _readable(n_bytes):
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
