"""Find the streams of Ogg files (Vorbis, Opus, FLAC, Speex) by their page headers."""

import struct
from dataclasses import replace

from asteroid_tfswa.audio.parts import cut_off, split
from asteroid_tfswa.errors import InputError

HEADER = struct.Struct("<4sBBqIIIB")
FIRST_OF_STREAM, LAST_OF_STREAM = 2, 4  # flags


def scan(path, data, info):
    """Find the Ogg files that a file consists of, see `structure.examine`."""
    starts, place = [], 0
    is_first, flags, before = False, 0, {}  # number and position of the last page of each stream
    while (place := data.find(b"OggS", place)) >= 0:
        if place + HEADER.size > len(data):
            raise cut_off(path)
        was_first = is_first
        _, _, flags, position, stream, number, _, n_segments = HEADER.unpack_from(data, place)
        body = place + HEADER.size + n_segments
        end = body + sum(data[place + HEADER.size : body])
        if end > len(data):
            raise cut_off(path)
        is_first = bool(flags & FIRST_OF_STREAM)
        if is_first and was_first:
            return []  # several streams in parallel
        if is_first:
            starts.append(place)
            before[stream] = number - 1, 0
        last_number, last_position = before.get(stream, (number - 1, 0))
        if number != last_number + 1:
            # Streams recorded from the middle lack pages after those of the header, at position 0.
            if number > last_number and last_position > 0:
                raise InputError(f"{path}: is damaged (pages are missing); replace the file")
            return []
        before[stream] = number, max(position, last_position)
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
