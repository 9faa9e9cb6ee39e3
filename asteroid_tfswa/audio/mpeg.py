"""Count the frames of MP3 files."""

from asteroid_tfswa.audio.parts import cut_off, split

RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
BITRATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # kbit/s, MPEG 1
LOW_BITRATES = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # MPEG 2 and 2.5
TAG_SIZE = 128  # of ID3v1, at the end


def scan(path, data, info):
    """Find the MP3 files that a file consists of, see `structure.examine`.

    soundfile reads as many frames as the header in the first frame states; without it, it guesses.
    """
    if info.subtype != "MPEG_LAYER_III":
        return []
    starts, stated, found = [], [], []
    place = n_gaps = 0
    while place < len(data):
        if tag_size := _tag_size(data, place):
            place += tag_size
            continue
        size = _frame_size(data, place)
        if not size:
            n_gaps += 1
            place = _next_frame(data, place + 1)
            continue
        n_frames = _stated_frames(data, place)
        if n_frames is not None:
            starts.append(place if starts else 0)
            stated.append(n_frames)
            found.append(0)
        elif not starts:
            return []
        elif place + size <= len(data):
            found[-1] += 1
        place += size
    for n_stated, n_found in zip(stated, found, strict=True):
        if n_stated == 0 or n_found > n_stated:
            return []
        # Some encoders count the header's own frame too, and gaps may be damaged frames.
        if n_found < n_stated - 1 - n_gaps or (n_found < n_stated and place > len(data)):
            raise cut_off(path)
    return split(data, starts)


def _tag_size(data, place):
    """Size of the ID3 or APE tag at `place` in bytes, 0 if there is none."""
    start = data[place : place + 32]
    if start[:3] == b"ID3" and len(start) >= 10:  # the size is four bytes of seven bits
        size = sum(byte << shift for byte, shift in zip(start[6:10], (21, 14, 7, 0), strict=True))
        return 10 + size + (10 if start[5] & 0x10 else 0)
    if start[:3] == b"TAG":
        return TAG_SIZE
    if start[:8] == b"APETAGEX" and len(start) == 32:
        is_header = start[23] & 0x20
        return 32 + (int.from_bytes(start[12:16], "little") if is_header else 0)
    return 0


def _frame_size(data, place):
    """Size of the layer III frame at `place` in bytes, 0 if there is none."""
    header = data[place : place + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return 0
    kbits, factor = (BITRATES, 144) if version == 3 else (LOW_BITRATES, 72)
    return factor * 1000 * kbits[bitrate] // RATES[version][rate] + (header[2] >> 1 & 1)


def _next_frame(data, place):
    """Find the next frame that is followed by another frame, a tag or the end; else the end."""
    while (place := data.find(b"\xff", place)) >= 0:
        size = _frame_size(data, place)
        after = place + size
        if size and (after >= len(data) or _frame_size(data, after) or _tag_size(data, after)):
            return place
        place += 1
    return len(data)


def _stated_frames(data, place):
    """Read the number of frames that the header frame at `place` states.

    Returns:
        int or None: 0 if it states none; None if the frame is audio.
    """
    header = data[place : place + 4]
    is_mpeg_1, is_mono = header[1] >> 3 & 3 == 3, header[3] >> 6 == 3
    side = (17 if is_mono else 32) if is_mpeg_1 else (9 if is_mono else 17)
    start = place + 4 + side + (0 if header[1] & 1 else 2)
    if data[start : start + 4] in (b"Xing", b"Info"):
        has_count = data[start + 7] & 1
        return int.from_bytes(data[start + 8 : start + 12], "big") if has_count else 0
    return 0 if data[place + 36 : place + 40] == b"VBRI" else None
