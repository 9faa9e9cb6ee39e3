"""Find what an audio file holds, whatever its header says.

libsndfile trusts headers. They may state no length (written to a pipe, left by a crash), too little
(files joined by `cat`, Ogg recorded from a stream) or too much (cut off). So the header is compared
with the frames, pages or chunks of the file, without decoding.
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
# Formats that soundfile refuses if several files follow one another or no length is stated.
UNOPENED = {b"RIFF": "WAV", b"RF64": "WAV", b"caff": "CAF"}


def examine(path, info=None):
    """Find the files that a file consists of, usually only itself.

    Args:
        path (Path): the file.
        info (soundfile._SoundFileInfo, optional): of `soundfile.info`, if it can open the file.

    Returns:
        list[Part]: the parts, each of which soundfile reads to its end; empty if only ffmpeg can
        read the whole file.

    Raises:
        InputError: if the file states a length and holds less.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        parts = [Part(0, len(data))]
        # For a header that ends too early or states huge sizes, decoding decides.
        with contextlib.suppress(struct.error, IndexError, OverflowError):
            kind = info.format if info is not None else UNOPENED.get(data[:4])
            if kind in SCANS:
                parts = SCANS[kind](path, data, info)
        return parts if info is not None or len(parts) > 1 else []
