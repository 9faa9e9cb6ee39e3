"""Channel layouts: the package uses WAV's order of channels, files have others.

A layout is a tuple of channel positions, such as ("FL", "FR", "FC"); an empty one means unknown.
WAV's order is that of POSITIONS.
"""

import struct

# Bits of the channel mask of a WAV file, lowest first.
POSITIONS = tuple(
    "FL FR FC LFE BL BR FLC FRC BC SL SR TC TFL TFC TFR TBL TBC TBR".split()  # front, back, side
)


def _split(table):
    """Split the values of a dict at spaces."""
    return {key: tuple(names.split()) for key, names in table.items()}


# Layouts of files that state only their number of channels.
USUAL = _split(
    {
        1: "FC",
        2: "FL FR",
        3: "FL FR FC",
        4: "FL FR BL BR",
        5: "FL FR FC BL BR",
        6: "FL FR FC LFE BL BR",
        7: "FL FR FC LFE BC SL SR",
        8: "FL FR FC LFE BL BR SL SR",
    }
)
VORBIS = USUAL | _split(
    {
        3: "FL FC FR",
        5: "FL FC FR BL BR",
        6: "FL FC FR BL BR LFE",
        7: "FL FC FR SL SR BC LFE",
        8: "FL FC FR SL SR BL BR LFE",
    }
)
# Apple's layout tags in AIFF and CAF files: their upper 16 bits; the lower ones count channels.
APPLE = _split(
    {
        113: "FL FR FC",
        114: "FC FL FR",
        115: "FL FR FC BC",
        116: "FC FL FR BC",
        117: "FL FR FC SL SR",
        118: "FL FR SL SR FC",
        119: "FL FC FR SL SR",
        120: "FC FL FR SL SR",
        121: "FL FR FC LFE SL SR",
        122: "FL FR SL SR FC LFE",
        123: "FL FC FR SL SR LFE",
        124: "FC FL FR SL SR LFE",
        125: "FL FR FC LFE SL SR BC",
        126: "FL FR FC LFE SL SR FLC FRC",
        127: "FC FLC FRC FL FR SL SR LFE",
        128: "FL FR FC LFE BL BR SL SR",  # as ffmpeg writes and reads it
    }
)
FFMPEG = _split(
    {
        "2.1": "FL FR LFE",
        "3.0": "FL FR FC",
        "3.0(back)": "FL FR BC",
        "4.0": "FL FR FC BC",
        "quad": "FL FR BL BR",
        "quad(side)": "FL FR SL SR",
        "3.1": "FL FR FC LFE",
        "5.0": "FL FR FC BL BR",
        "5.0(side)": "FL FR FC SL SR",
        "4.1": "FL FR FC LFE BC",
        "5.1": "FL FR FC LFE BL BR",
        "5.1(side)": "FL FR FC LFE SL SR",
        "6.0": "FL FR FC BC SL SR",
        "6.0(front)": "FL FR FLC FRC SL SR",
        "hexagonal": "FL FR FC BL BR BC",
        "6.1": "FL FR FC LFE BC SL SR",
        "6.1(back)": "FL FR FC LFE BL BR BC",
        "6.1(front)": "FL FR LFE FLC FRC SL SR",
        "7.0": "FL FR FC BL BR SL SR",
        "7.0(front)": "FL FR FC FLC FRC SL SR",
        "7.1": "FL FR FC LFE BL BR SL SR",
        "7.1(wide)": "FL FR FC LFE BL BR FLC FRC",
        "7.1(wide-side)": "FL FR FC LFE FLC FRC SL SR",
        "octagonal": "FL FR FC BL BR BC SL SR",
    }
)


def arrange(layout, wanted):
    """Find the channel for each wanted position; the other channels fill the remaining ones.

    Args:
        layout (tuple[str, ...]): positions of the channels.
        wanted (tuple[str, ...]): positions wanted, as many.

    Returns:
        list[int]: the index of a channel for each wanted position.
    """
    left = [i for i, position in enumerate(layout) if position not in wanted]
    return [layout.index(p) if p in layout else left.pop(0) for p in wanted]


def in_wav_order(layout):
    """Sort the positions of a layout (tuple of str) into WAV's order."""
    return tuple(sorted(layout, key=POSITIONS.index))


def mask_of(layout):
    """Convert a layout to the channel mask (int) of a WAV header, 0 if it is unknown."""
    return sum(1 << POSITIONS.index(position) for position in layout)


def layout_of_mask(mask, n_channels):
    """Convert the channel mask (int) of a WAV header to a layout of `n_channels`."""
    layout = tuple(position for i, position in enumerate(POSITIONS) if mask >> i & 1)
    return layout if len(layout) == n_channels else ()


def layout_of_ffmpeg(name):
    """Convert ffmpeg's name (str) of a layout, such as "5.1(side)" or "FL+FR+LFE"."""
    layout = FFMPEG.get(name, tuple(name.split("+")))
    return layout if set(layout) <= set(POSITIONS) else ()


def layout_of_file(data, info):
    """Find the layout in the header of a file that soundfile reads.

    Args:
        data (mmap.mmap): the bytes of the file.
        info (soundfile.SoundFile): the open file.

    Returns:
        tuple[str, ...]: positions of the channels in soundfile's order.
    """
    n_channels, layout = info.channels, ()
    if info.format in ("WAVEX", "RF64", "W64"):
        place = data.find(b"fmt ", 0, 1 << 16)
        start = place + (24 if info.format == "W64" else 8)
        if place >= 0 and data[start : start + 2] == b"\xfe\xff":  # WAVE_FORMAT_EXTENSIBLE
            mask = int.from_bytes(data[start + 20 : start + 24], "little")
            layout = layout_of_mask(mask, n_channels)
    elif info.format in ("AIFF", "CAF"):
        place = data.find(b"CHAN" if info.format == "AIFF" else b"chan", 0, 1 << 16)
        layout = _apple_layout(data[place : place + 1024], info.format) if place >= 0 else ()
    elif info.format == "OGG" and info.subtype in ("VORBIS", "OPUS"):
        head = data[data.find(b"OpusHead") :][:19] if info.subtype == "OPUS" else b""
        if not head or head[18] < 2:  # other mapping families have no positions
            layout = VORBIS.get(n_channels, ())
    elif info.format in ("FLAC", "OGG"):
        layout = USUAL.get(n_channels, ())
    return layout if len(layout) == n_channels == len(set(layout)) else ()


def _apple_layout(chunk, form):
    """Read the layout from a CHAN or chan chunk (bytes, with its header)."""
    start = 8 if form == "AIFF" else 12
    if len(chunk) < start + 12:
        return ()
    tag, _, n_described = struct.unpack_from(">3I", chunk, start)
    if tag != 0:
        return APPLE.get(tag >> 16, ())
    labels = [
        struct.unpack_from(">I", chunk, place)[0]
        for place in range(start + 12, min(len(chunk) - 3, start + 12 + 20 * n_described), 20)
    ]
    known = all(1 <= label <= len(POSITIONS) for label in labels)
    return tuple(POSITIONS[label - 1] for label in labels) if known else ()
