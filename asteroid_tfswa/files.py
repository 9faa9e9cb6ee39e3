"""Disks: files that are never half-written, and free space."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

from asteroid_tfswa.errors import InputError

TEMPORARY = re.compile(r"\.[0-9a-f]{8}\.tmp")  # how temporary names begin


def temporary_name(path):
    """Choose a hidden name beside `path` to write to before renaming.

    Args:
        path (Path): the final name.

    Returns:
        Path: in the same folder, with the same suffix, by which writers choose the format.
    """
    return path.with_name(f".{secrets.token_hex(4)}.tmp{path.suffix}")


@contextlib.contextmanager
def atomic_write(path):
    """Write a file beside `path`, and rename it to `path` when the block ends without error.

    If the block raises, Ctrl-C included, the temporary file is removed and `path` is unchanged.
    Temporary files of a killed process are removed by the next one that locks the folder.
    A device or pipe, such as /dev/stdout, is not replaced: it gets what was written.

    Args:
        path (str or Path): the file to write; missing folders are created.

    Yields:
        Path: the empty file to write to, see `temporary_name`.

    Examples:
        >>> with atomic_write("scores.json") as tmp:
        ...     tmp.write_text("{}")
    """
    path = Path(path)
    if _is_stream(path):
        with _sent_to(path) as tmp:
            yield tmp
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = temporary_name(path)
    try:
        open(tmp, "x").close()
        yield tmp
        os.replace(tmp, path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # as on a disk that cannot be written to at all
            tmp.unlink(missing_ok=True)
        _name_for_user(error, tmp, path)
        raise


def _is_stream(path):
    """Whether a name is that of a device or pipe, or of what /dev/stdout leads to."""
    is_opened = path.is_symlink() and path.absolute().parts[:2] in (("/", "dev"), ("/", "proc"))
    return path.exists() and not path.is_dir() and (is_opened or not path.is_file())


@contextlib.contextmanager
def _sent_to(stream):
    """Yield a file; what the block writes to it is sent to `stream` when it ends without error."""
    with tempfile.TemporaryDirectory() as folder:
        tmp = Path(folder, f"whole{stream.suffix}")
        tmp.touch()
        try:
            yield tmp
            # Appended: stdout may be a file of the user, with lines above.
            with open(tmp, "rb") as whole, open(stream, "ab") as file:
                shutil.copyfileobj(whole, file)
        except OSError as error:
            _name_for_user(error, tmp, stream)
            raise


def _name_for_user(error, tmp, path):
    """Make an OSError name what the user knows in place of the temporary file or folder."""
    if isinstance(error, OSError) and error.errno is None:  # it is a sentence alone
        error.args = tuple(str(arg).replace(str(tmp), str(path)) for arg in error.args)
    elif isinstance(error, OSError):
        named = str(error.filename or tmp)  # the error for a full disk names no file
        if named == str(tmp) or named.startswith(f"{tmp}{os.sep}"):
            error.filename = str(path) + named.removeprefix(str(tmp))


@contextlib.contextmanager
def atomic_files(paths):
    """Write several files that belong together: all appear, or none does.

    Like `atomic_write`, but if one of the files cannot be renamed to its final name, the others
    are removed and the previous files are restored. A process that is killed while it renames
    leaves some files missing, never a mixture of old and new ones.

    Args:
        paths (list of Path): the files to write; missing folders are created.

    Yields:
        list[Path]: the empty files to write to, see `temporary_name`.

    Raises:
        InputError: if one of the names is that of a folder.
        OSError: before the block begins, if a name is too long or a folder cannot be written to.
    """
    paths = [Path(path) for path in paths]
    tmps = [temporary_name(path) for path in paths]
    try:
        for tmp, path in zip(tmps, paths, strict=True):
            require_file_name(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            open(tmp, "x").close()
        yield tmps
        _rename_all(tmps, paths)
    finally:
        for tmp in tmps:
            with contextlib.suppress(OSError):
                tmp.unlink(missing_ok=True)


def _rename_all(tmps, paths):
    """Rename all files or, if that fails, none."""
    before = {path: temporary_name(path) for path in paths if os.path.lexists(path)}
    try:
        for path in before:
            require_file_name(path)
        for path, kept in before.items():
            os.replace(path, kept)
        for tmp, path in zip(tmps, paths, strict=True):
            os.replace(tmp, path)
    except BaseException:
        for tmp, path in zip(tmps, paths, strict=True):
            if path not in before and not tmp.exists():
                path.unlink(missing_ok=True)
            elif path in before and os.path.lexists(before[path]):
                os.replace(before[path], path)
        raise
    for kept in before.values():
        kept.unlink(missing_ok=True)


def require_file_name(path):
    """Check that a file can have this name, as far as possible before it is written.

    Args:
        path (Path): the file; its folder need not exist.

    Raises:
        InputError: if it is the name of a folder or has a null character.
        OSError: if the name is too long for the disk, or one of its folders is a file.
    """
    if "\0" in str(path):
        raise InputError(f"{path}: a name cannot have a NUL character; choose another name")
    try:
        path.lstat()
        if path.is_dir():
            raise InputError(f"{path}: is a folder; move it away or choose another name")
    except FileNotFoundError:
        # The system does not check the length of a name in a folder that does not exist.
        existing = _existing(path)
        longest = os.pathconf(existing, "PC_NAME_MAX")
        names = path.absolute().relative_to(existing).parts
        if any(len(os.fsencode(name)) > longest for name in names):
            code = errno.ENAMETOOLONG
            raise OSError(code, os.strerror(code), str(path)) from None


def require_writable(path):
    """Check, as far as possible, that a file can be written once long work is done.

    Args:
        path (Path): the file; its folder need not exist.

    Raises:
        InputError: if it is the name of a folder, or its folder cannot be written to.
        OSError: see `require_file_name`.
    """
    require_file_name(path)
    place = path if _is_stream(path) else _existing(path.absolute().parent)
    if not os.access(place, os.W_OK):
        raise InputError(f"{path}: {place} cannot be written to; choose another file")


@contextlib.contextmanager
def atomic_folder(path, replace=False):
    """Fill a folder beside `path`, and rename it to `path` when the block ends without error.

    Args:
        path (str or Path): the folder to create.
        replace (bool): whether to replace a folder that exists. Default False.

    Yields:
        Path: the empty folder to fill.
    """
    path = Path(path)
    tmp = temporary_name(path)
    try:
        tmp.mkdir(parents=True)
        yield tmp
        if replace and path.exists():
            _replace_folder(tmp, path)
        else:
            os.rename(tmp, path)
    except BaseException as error:
        shutil.rmtree(tmp, ignore_errors=True)
        _name_for_user(error, tmp, path)
        raise


def _replace_folder(new, path):
    """Give a folder the name of another one, and remove that."""
    old = path.rename(temporary_name(path))
    try:
        os.rename(new, path)
    except BaseException:
        if not path.exists():
            os.rename(old, path)
        raise
    shutil.rmtree(old)


def remove_leftovers(folder):
    """Remove the temporary files and folders of killed processes.

    Args:
        folder (str or Path): the folder, locked by the caller; its subfolders are not searched.
    """
    for path in Path(folder).iterdir():
        if TEMPORARY.match(path.name):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def require_space(folder, n_bytes, purpose):
    """Check that the disk of `folder` has `n_bytes` free.

    Args:
        folder (str or Path): where the files will go; it need not exist yet.
        n_bytes (int): bytes that will be written.
        purpose (str): completes the sentence "... is needed to".

    Raises:
        InputError: if less is free; the message says how much is needed and how much is free.
    """
    free = shutil.disk_usage(_existing(folder)).free
    if n_bytes > free:
        raise InputError(
            f"{folder}: {_readable(n_bytes)} is needed to {purpose}, but only {_readable(free)} is "
            "free there; make room or choose a folder on another disk"
        )


def _existing(path):
    """The nearest existing parent of `path`, or `path` itself; absolute."""
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return path


def _readable(n_bytes):
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
