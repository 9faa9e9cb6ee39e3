"""Find the streams of Ogg files (Vorbis, Opus, FLAC, Speex) by their page headers."""

import struct
from dataclasses import replace

from asteroid_tfswa.audio.parts import cut_off, split

HEADER = struct.Struct("<4sBBqIIIB")
FIRST_OF_STREAM, LAST_OF_STREAM = 2, 4  # flags


def scan(path, data, info):
    """Find the Ogg files that a file consists of, see `structure.examine`."""
    starts, place = [], 0
    is_first, flags, last_number = False, 0, {}
    while (place := data.find(b"OggS", place)) >= 0:
        if place + HEADER.size > len(data):
            raise cut_off(path)
        was_first = is_first
        _, _, flags, _, stream, number, _, n_segments = HEADER.unpack_from(data, place)
        body = place + HEADER.size + n_segments
        end = body + sum(data[place + HEADER.size : body])
        if end > len(data):
            raise cut_off(path)
        is_first = bool(flags & FIRST_OF_STREAM)
        if is_first and was_first:
            return []  # several streams in parallel
        if is_first:
            starts.append(place)
        elif last_number.get(stream, number - 1) + 1 != number:
            return []  # recorded from the middle of a stream, or with gaps
        last_number[stream] = number
        last, place = place, end
    parts = split(data, starts)
    if starts and not flags & LAST_OF_STREAM:  # soundfile needs the flag to read Opus
        page = bytearray(data[last:end])
        page[5] |= LAST_OF_STREAM
        page[22:26] = bytes(4)
        page[22:26] = _checksum(page).to_bytes(4, "little")
        parts[-1] = replace(parts[-1], repairs={last: bytes(page)})
    return parts


def _checksum(page):
    """Compute the CRC of a page (bytes) whose CRC field is zero."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = crc << 1 ^ (0x104C11DB7 if crc & 0x80000000 else 0)
    return crc
