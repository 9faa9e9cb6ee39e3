"""Files inside files: the result of `cat a.mp3 b.mp3`, and samples without a header."""

import io
from dataclasses import dataclass, field

from asteroid_tfswa.errors import InputError


@dataclass(frozen=True)
class Part:
    """A piece of a file that soundfile reads as a file of its own.

    Attributes:
        start (int): offset of its first byte.
        end (int): offset after its last byte.
        options (dict): arguments of `soundfile.SoundFile`, for samples without a header.
        repairs (dict[int, bytes]): bytes to read instead of the file's own, by their offset.
    """

    start: int
    end: int
    options: dict = field(default_factory=dict)
    repairs: dict[int, bytes] = field(default_factory=dict)


class Window(io.RawIOBase):
    """A part of a file as a file object.

    Args:
        path (Path): the file.
        part (Part): the part.
    """

    def __init__(self, path, part):
        self._file = open(path, "rb")
        self._start, self._length = part.start, part.end - part.start
        self._repairs = part.repairs
        self.seek(0)

    def seek(self, offset, whence=io.SEEK_SET):
        """Move to an offset within the part, as `io.IOBase.seek` does."""
        base = 0
        if whence != io.SEEK_SET:
            base = self.tell() if whence == io.SEEK_CUR else self._length
        return self._file.seek(self._start + max(0, base + offset)) - self._start

    def tell(self):
        """Return the offset within the part."""
        return self._file.tell() - self._start

    def readinto(self, buffer):
        """Fill `buffer` up to the end of the part; return the number of bytes."""
        left, place = max(0, self._length - self.tell()), self._file.tell()
        n_read = self._file.readinto(memoryview(buffer)[:left])
        for start, repair in self._repairs.items():
            first, last = max(start, place), min(start + len(repair), place + n_read)
            if first < last:
                buffer[first - place : last - place] = repair[first - start : last - start]
        return n_read

    def close(self):
        """Close the file."""
        self._file.close()
        super().close()


def cut_off(path):
    """Make the error for a file that holds less audio than it declares."""
    return InputError(f"{path}: cut off (it holds less audio than it declares); replace the file")


def split(data, starts):
    """Split a file (bytes) into parts that begin at `starts` (list of int)."""
    return [Part(*ends) for ends in zip(starts, [*starts[1:], len(data)], strict=True)]
