"""Writing files so that nothing is ever half-written."""

import contextlib
import os
import tempfile
from pathlib import Path


@contextlib.contextmanager
def atomic_write(path):
    """Give a temporary name beside `path`, and rename it to `path` once the block has ended well.

    The temporary name keeps the suffix of `path` (writers choose the format by it) and starts with
    a dot. If the block raises, Ctrl-C included, the temporary file is removed and `path` stays as
    it was.

    Args:
        path (str or Path): the file to write; missing folders are made.

    Yields:
        Path: the temporary name to write to.

    Examples:
        >>> with atomic_write("scores.json") as tmp:
        ...     tmp.write_text("{}")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp" + path.suffix, dir=path.parent)
    os.close(handle)
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(name, 0o666 & ~umask)  # mkstemp makes files private; ours are as open as any other
    try:
        yield Path(name)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
