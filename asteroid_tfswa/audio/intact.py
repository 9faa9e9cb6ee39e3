"""Whether audio files are whole, as far as their own headers can tell."""

import struct

from asteroid_tfswa.errors import InputError

UNKNOWN_SIZE = 0xFFFFFFFF  # what a WAV header says when its writer could not go back to fill it in


def wav_is_cut_off(path):
    """Whether a RIFF header promises more audio than follows; libsndfile reads such files."""
    size_of_file = path.stat().st_size
    with open(path, "rb") as file:
        if file.read(12)[:4] not in (b"RIFF", b"RF64"):
            return False
        size_of_data = UNKNOWN_SIZE
        while len(header := file.read(8)) == 8:
            kind, size = struct.unpack("<4sI", header)
            if kind == b"ds64":  # RF64: sizes of 64 bits, that of the audio after that of the file
                size_of_data = struct.unpack("<Q", file.read(16)[8:])[0]
                size -= 16
            elif kind == b"data":
                if size != UNKNOWN_SIZE:
                    size_of_data = size
                known = size_of_data != UNKNOWN_SIZE
                return known and file.tell() + size_of_data > size_of_file
            file.seek(size + size % 2, 1)
    return False


def mp3_states_length(path):
    """Whether the first frame of an MP3 file is a Xing/Info header, which counts the frames."""
    with open(path, "rb") as file:
        tag = file.read(10)
        if tag[:3] == b"ID3":  # tags come first; four bytes of seven bits say how long they are
            size = sum(byte << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))
            file.seek(10 + size)
        else:
            file.seek(0)
        start = file.read(4096)
    return b"Xing" in start or b"Info" in start


def ogg_has_last_page(path):
    """Whether an Ogg file ends with a page that is flagged as the last of its stream."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 65_307))  # the largest page there can be
        end = file.read()
    page = end[end.rfind(b"OggS") :]
    is_last = len(page) > 27 and page[5] & 4
    return bool(is_last) and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])


def cut_off(path):
    """The error for a file that holds less audio than it declares."""
    return InputError(f"{path}: cut off (it holds less audio than it declares); replace the file")
