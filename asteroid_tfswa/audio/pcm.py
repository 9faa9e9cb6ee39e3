"""Find how much audio WAV, AIFF, AU, W64 and CAF files hold."""

import struct

from asteroid_tfswa.audio.parts import Part, cut_off, split

# A header whose writer did not know the length states 0, or about the largest number.
LIMITS = (1 << 31, 1 << 32, 1 << 63, 1 << 64)
NEAR_LIMIT = 1 << 16
RIFF = (b"RIFF", b"RIFX", b"RF64")
TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")  # what tag editors append
# Samples that soundfile can also read without a header.
RAW_SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
TEXT = bytes(range(32, 127)) + b"\t\r\n\0"
PIECE = 1 << 20  # bytes searched at once


def states_no_size(size):
    """Whether the size of the audio in a header (int, bytes) only stands for "unknown"."""
    return size == 0 or any(abs(size - limit) < NEAR_LIMIT for limit in LIMITS)


def scan_wav(path, data, info):
    """Find the audio of a WAV file, see `structure.examine`.

    Args:
        path (Path): the file.
        data (mmap.mmap): its bytes.
        info (soundfile._SoundFileInfo or None): of `soundfile.info`; None if it cannot open the
            file.
    """
    if info is not None and info.subtype == "MPEG_LAYER_III":  # soundfile guesses the length
        return []
    starts, place = [], 0
    while place is not None and data[place : place + 4] in RIFF:
        first, size, width = _find_audio(data, place)
        held, after = len(data) - first, None
        if not states_no_size(size):
            if size > held:
                raise cut_off(path)
            after = _end_of_file(data, first + size)
        elif size == 0:
            after = _end_of_chunks(data, first)  # perhaps the file really has no audio
        if after is None:
            return _to_the_end(data, first, width, info) if info is not None else []
        starts.append(place)
        place = after
    return split(data, starts)


def _find_audio(data, start):
    """Find the audio of the RIFF file at `start`: its offset, its size and that of a frame."""
    order = ">" if data[start : start + 4] == b"RIFX" else "<"
    place, size_64, width = start + 12, None, 1
    while True:
        kind, size = struct.unpack_from(f"{order}4sI", data, place)
        place += 8
        if kind == b"data":
            return place, size if size_64 is None else size_64, width
        if kind == b"fmt ":
            width = max(1, struct.unpack_from(f"{order}H", data, place + 12)[0])
        elif kind == b"ds64" and data[start : start + 4] == b"RF64":
            size_64 = struct.unpack_from("<Q", data, place + 8)[0]
        place += size + size % 2


def _end_of_file(data, end):
    """Find the end of the file whose audio ends at `end`; None if more audio follows."""
    for place in (end, end + 1):  # the padding byte of an odd size may be missing
        if (after := _end_of_chunks(data, place)) is not None:
            return after
    # All of it: music that goes on after a header left by a crash may begin with silence.
    pieces = (data[place : place + PIECE] for place in range(end, len(data), PIECE))
    is_text_or_zeros = not any(piece.translate(None, TEXT) for piece in pieces)
    return len(data) if is_text_or_zeros else None


def _end_of_chunks(data, place):
    """Find where the chunks at `place` end, at another file or the end; None if they do not."""
    while place + 8 <= len(data):
        if data[place : place + 4] in RIFF and data[place + 8 : place + 12] == b"WAVE":
            return place
        if data[place : place + 12].startswith(TAGS):
            return len(data)
        kind, size = struct.unpack_from("<4sI", data, place)
        if not (kind.isascii() and kind.decode().isprintable()):
            return None
        place += 8 + size + size % 2
    return len(data) if place <= len(data) + 1 else None


def _to_the_end(data, first, width, info):
    """The audio from `first` to the end of the file, whatever its header says."""
    if info.frames == (len(data) - first) // width:
        return [Part(0, len(data))]  # soundfile does the same
    if info.subtype not in RAW_SUBTYPES:
        return []
    options = {"format": "RAW", "samplerate": info.samplerate, "channels": info.channels}
    options |= {"subtype": info.subtype, "endian": "BIG" if data[:4] == b"RIFX" else "LITTLE"}
    return [Part(first, len(data), options)]


def scan_aiff(path, data, info):
    """Find the audio of an AIFF file, see `structure.examine`."""
    place = 12
    while True:
        kind, size = struct.unpack_from(">4sI", data, place)
        if kind == b"SSND":
            return _if_held(path, data, place + 8, size)
        place += 8 + size + size % 2


def scan_au(path, data, info):
    """Find the audio of an AU file, see `structure.examine`."""
    order = ">" if data[:4] == b".snd" else "<"
    return _if_held(path, data, *struct.unpack_from(f"{order}2I", data, 4))


def scan_w64(path, data, info):
    """Find the audio of a Sony Wave64 file, see `structure.examine`."""
    place = 40
    while True:
        kind, size = struct.unpack_from("<4s12xQ", data, place)
        if kind == b"data":
            return _if_held(path, data, place + 24, size - 24)
        place += max(24, size + -size % 8)


def scan_caf(path, data, info):
    """Find the audio of a Core Audio file, see `structure.examine`."""
    place = 8
    while True:
        kind, size = struct.unpack_from(">4sQ", data, place)
        if kind == b"data":
            return _if_held(path, data, place + 12, size)
        place += 12 + size


def _if_held(path, data, first, size):
    if not states_no_size(size) and first + size > len(data):
        raise cut_off(path)
    return [Part(0, len(data))]
