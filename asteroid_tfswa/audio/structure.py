"""What an audio file holds, whatever its header says.

Headers state no length (written to a pipe, left by a crash), too little (files joined by `cat`, Ogg
recorded from a stream) or too much (cut off), and libsndfile believes them. So what it says is
compared with the units that the container consists of, which costs no decoding.
"""

import contextlib
import mmap
import struct

from asteroid_tfswa.audio import flac, mpeg, ogg, pcm
from asteroid_tfswa.audio.parts import Part

SCANS = {
    "WAV": pcm.scan_wav,
    "WAVEX": pcm.scan_wav,
    "RF64": pcm.scan_wav,
    "AIFF": pcm.scan_aiff,
    "AU": pcm.scan_au,
    "W64": pcm.scan_w64,
    "CAF": pcm.scan_caf,
    "MP3": mpeg.scan,
    "OGG": ogg.scan,
    "FLAC": flac.scan,
}
# What soundfile refuses if several follow one another or no length is stated.
UNOPENED = {b"RIFF": "WAV", b"RF64": "WAV", b"caff": "CAF"}


def examine(path, info=None):
    """Find the files that a file consists of, as a rule itself alone.

    Args:
        path (Path): the file.
        info (soundfile._SoundFileInfo, optional): what soundfile says about it, if it can open it.

    Returns:
        list[Part]: the parts, each of which soundfile reads to its end; none if there is something
        that only ffmpeg reads.

    Raises:
        InputError: if the file states a length and holds less.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        parts = [Part(0, len(data))]
        # Headers that end too early: what counts is then whether the audio can be decoded.
        with contextlib.suppress(struct.error, IndexError):
            kind = info.format if info is not None else UNOPENED.get(data[:4])
            if kind in SCANS:
                parts = SCANS[kind](path, data, info)
        return parts if info is not None or len(parts) > 1 else []
