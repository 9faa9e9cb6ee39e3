"""Count the samples of FLAC files by their frames."""

from asteroid_tfswa.audio.parts import split

BEGINNINGS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")  # and a header of 34 bytes
MAX_FRAME = 1 << 20  # bytes at the end that are searched for the last frame
BLOCK_SIZES = {1: 192, **{n: 576 << n - 2 for n in range(2, 6)}}
BLOCK_SIZES |= {n: 256 << n - 8 for n in range(8, 16)}


def scan(path, data, info):
    """Find the FLAC files that a file consists of, see `structure.examine`."""
    starts = [0, *sorted(place for kind in BEGINNINGS for place in _find_all(data, kind, 4))]
    ends = [*starts[1:], len(data)]
    for start, end in zip(starts, ends, strict=True):
        place = data.find(b"fLaC", start, end)  # after tags
        stated = int.from_bytes(data[place + 21 : place + 26], "big") & (1 << 36) - 1
        held = _last_sample(data, place, end)
        if stated == 0 or (held is not None and held > stated):
            return []
    return split(data, starts)


def _find_all(data, pattern, start):
    while (start := data.find(pattern, start)) >= 0:
        yield start
        start += 1


def _last_sample(data, start, end):
    """The number of samples by the header of the last frame; None if no frame is found."""
    block_size = int.from_bytes(data[start + 10 : start + 12], "big")  # the largest of the stream
    place, first = end, max(start, end - MAX_FRAME)
    while (place := data.rfind(b"\xff", first, place)) >= 0:
        if data[place + 1 : place + 2] in (b"\xf8", b"\xf9"):
            number = _sample_after_frame(data[place : place + 16], block_size)
            if number is not None:
                return number
    return None


def _sample_after_frame(header, block_size):
    """The number of the sample after a frame; None if these bytes are not a frame header."""
    is_variable, code = header[1] & 1, header[2] >> 4
    n_ones = 0
    while n_ones < 8 and header[4] << n_ones & 0x80:
        n_ones += 1
    if code == 0 or n_ones in (1, 8) or header[3] & 1:
        return None
    number = header[4] & (0xFF >> n_ones + 1) if n_ones else header[4]
    place = 5
    for byte in header[5 : 5 + max(0, n_ones - 1)]:
        if byte >> 6 != 2:
            return None
        number, place = number << 6 | byte & 0x3F, place + 1
    size = BLOCK_SIZES.get(code)
    if size is None:  # in one byte or two
        n_bytes = code - 5
        size = int.from_bytes(header[place : place + n_bytes], "big") + 1
        place += n_bytes
    place += {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    if place >= len(header) or _crc8(header[:place]) != header[place]:
        return None
    return (number if is_variable else number * block_size) + size


def _crc8(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc
