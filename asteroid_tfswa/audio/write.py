"""Write audio files."""

import io
import os
import struct
from dataclasses import dataclass

import numpy as np
import soundfile

from asteroid_tfswa.audio import channels
from asteroid_tfswa.errors import InputError

SUBTYPES = {
    ("wav", 16): "PCM_16",
    ("wav", 24): "PCM_24",
    ("wav", 32): "FLOAT",
    ("flac", 16): "PCM_16",
    ("flac", 24): "PCM_24",
    ("ogg", None): "VORBIS",
    ("mp3", None): "MPEG_LAYER_III",
}
DEFAULT_BITS = {"wav": 32, "flac": 24, "ogg": None, "mp3": None}
# About 256 kbit/s for ogg, 320 for mp3: the codec should not be heard.
ENCODING = {
    "ogg": {"compression_level": 0.2},
    "mp3": {"compression_level": 0.0, "bitrate_mode": "CONSTANT"},
}
PIECE = 8192  # samples written at once; libsndfile crashes on long pieces of ogg
WAV_LIMIT = 3_000_000_000  # bytes; a WAV header holds up to 4 GiB, and lengths may be estimates


@dataclass(frozen=True)
class AudioFormat:
    """A format to write.

    Args:
        ext (str): "wav", "flac", "ogg" or "mp3". Default ``"wav"``.
        bits (int, optional): 16, 24, or 32 (float, for wav). Defaults to 32 for wav and 24 for
            flac; the others have none.

    Raises:
        InputError: if no such format exists.
    """

    ext: str = "wav"
    bits: int | None = None

    def __post_init__(self):
        if self.ext not in DEFAULT_BITS:
            raise InputError(f"format: '{self.ext}' is unknown; use {', '.join(DEFAULT_BITS)}")
        if self.bits is None:
            object.__setattr__(self, "bits", DEFAULT_BITS[self.ext])
        if (self.ext, self.bits) not in SUBTYPES:
            choices = [str(bits) for ext, bits in SUBTYPES if ext == self.ext and bits]
            raise InputError(
                f"bits: {self.ext} has no {self.bits} bits; "
                + (f"use {' or '.join(choices)}" if choices else "leave them out")
            )

    @property
    def clips(self):
        """bool: whether samples beyond full scale are clipped."""
        return self.bits != 32

    def layout(self, n_channels):
        """Find the fixed channel layout of the format.

        Args:
            n_channels (int): the number of channels.

        Returns:
            tuple[str, ...]: see `asteroid_tfswa.audio.channels`; empty if the format has none.
        """
        return (
            {"ogg": channels.VORBIS, "flac": channels.USUAL}.get(self.ext, {}).get(n_channels, ())
        )

    def __str__(self):
        return f"{self.ext} ({self.bits} bits)" if self.bits else self.ext

    def open(self, file, sample_rate, n_channels, n_samples=0):
        """Open a `soundfile.SoundFile` for writing.

        Args:
            file (Path or file object): the destination.
            sample_rate (int): in Hz.
            n_channels (int): channels.
            n_samples (int or None): length in samples, None if unknown. WAV files that are, or may
                become, too long for their header are written as RF64. Default 0.

        Returns:
            soundfile.SoundFile: the file.
        """
        container = "WAVEX" if self.ext == "wav" and n_channels > 2 else self.ext.upper()
        too_long = n_samples is None or n_samples * n_channels * (self.bits or 0) / 8 > WAV_LIMIT
        if self.ext == "wav" and too_long:
            container = "RF64"
        subtype, options = SUBTYPES[self.ext, self.bits], ENCODING.get(self.ext, {})
        if isinstance(file, (str, os.PathLike)):
            file = os.fsencode(file)  # soundfile refuses names that are not UTF-8
        return soundfile.SoundFile(
            file, "w", sample_rate, n_channels, subtype, format=container, **options
        )

    def check(self, sample_rate, n_channels):
        """Raise InputError if the format does not support the sample rate or the channels."""
        try:
            with self.open(io.BytesIO(), sample_rate, n_channels) as file:
                file.write(np.zeros((1, n_channels), "float32"))
        except soundfile.LibsndfileError as err:
            raise InputError(
                f"format: {self.ext} cannot hold {n_channels} channels at {sample_rate} Hz; use wav"
            ) from err


FLOAT_WAV = AudioFormat()


class AudioWriter:
    """Write an audio file block by block; a context manager.

    Args:
        path (Path): the file.
        form (AudioFormat): its format.
        sample_rate (int): in Hz.
        n_channels (int): channels.
        n_samples (int or None): length in samples, None if unknown.
        layout (tuple[str, ...]): positions of the channels, see `asteroid_tfswa.audio.channels`.
            Defaults to the usual layout of that number of channels.

    Raises:
        OSError: here, in `write` or at the end, if the file cannot be written.
    """

    def __init__(self, path, form, sample_rate, n_channels, n_samples, layout=()):
        self.path = path
        layout = layout or channels.USUAL.get(n_channels, ())
        order = channels.arrange(layout, form.layout(n_channels) or layout)
        self._order = order if order != sorted(order) else None
        self._mask = channels.mask_of(layout)
        self._file = self._try(form.open, path, sample_rate, n_channels, n_samples)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._try(self._file.close)
        _complete_header(self.path, self._mask)

    def write(self, block):
        """Append a block, (time, chan), the channels in WAV's order."""
        if self._order is not None:
            block = block[:, self._order]
        block = np.ascontiguousarray(block, dtype="float32")
        for start in range(0, len(block), PIECE):
            self._try(self._file.write, block[start : start + PIECE])

    def _try(self, call, *args):
        try:
            return call(*args)
        # soundfile asserts that everything was written.
        except (soundfile.LibsndfileError, AssertionError) as err:
            raise OSError(f"{self.path.parent}: cannot be written to; is the disk full?") from err


def write_wav(path, blocks, sample_rate, n_channels, n_samples):
    """Write blocks of audio as 32-bit float WAV, which never clips.

    Args:
        path (Path): the file.
        blocks (Iterable[np.ndarray]): (time, chan) each.
        sample_rate (int): in Hz.
        n_channels (int): channels.
        n_samples (int or None): length in samples, None if unknown.

    Raises:
        OSError: if the file cannot be written.
    """
    with AudioWriter(path, FLOAT_WAV, sample_rate, n_channels, n_samples) as writer:
        for block in blocks:
            writer.write(block)


def _complete_header(path, mask):
    """Correct the header that libsndfile writes for a WAV file; do nothing for other formats.

    Args:
        path (Path): the file.
        mask (int): the channel mask, written if the header has one: libsndfile knows few layouts.
    """
    with open(path, "r+b") as file:
        header = file.read(512)
        if header[:4] not in (b"RIFF", b"RF64"):
            return
        format_chunk = header.find(b"fmt ") + 8
        if header[format_chunk : format_chunk + 2] == b"\xfe\xff":  # WAVE_FORMAT_EXTENSIBLE
            file.seek(format_chunk + 20)
            file.write(struct.pack("<I", mask))
        # Float WAV holds the time of writing; without it equal audio gives equal files.
        peak_chunk = header.find(b"PEAK")
        if peak_chunk >= 0:
            file.seek(peak_chunk + 12)  # after the chunk's name, size and version
            file.write(bytes(4))
