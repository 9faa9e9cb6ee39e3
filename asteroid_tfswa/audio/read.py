"""Reading audio files of any format: by soundfile, and what that cannot read through ffmpeg."""

import os
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from asteroid_tfswa.audio import ffmpeg, intact
from asteroid_tfswa.errors import InputError

BLOCK = 65536  # samples per channel that are read at once


@dataclass(frozen=True)
class AudioFile:
    """An audio file that can be read.

    Attributes:
        path (Path): the file.
        sample_rate (int): in Hz.
        n_channels (int): 1 is mono, 2 is stereo.
        n_samples (int or None): length in samples per channel; None if the file declares none.
        is_exact (bool): whether it has exactly that length. What ffmpeg reads may be a little
            longer or shorter.
        is_plain_wav (bool): uncompressed WAV, any part of which soundfile can read.
    """

    path: Path
    sample_rate: int
    n_channels: int
    n_samples: int | None
    is_exact: bool
    is_plain_wav: bool
    _decode: Callable

    @property
    def seconds(self):
        """Length that the file declares in seconds (float), 0 if it declares none."""
        return (self.n_samples or 0) / self.sample_rate

    def measured(self, stop=None):
        """Find the exact length, which takes decoding where the header cannot be relied on.

        Args:
            stop (threading.Event, optional): see `blocks`.

        Returns:
            AudioFile: the same file, with `n_samples` exact.
        """
        if self.is_exact:
            return self
        n_samples = sum(len(block) for block in self.blocks(stop))
        return replace(self, n_samples=n_samples, is_exact=True)

    def blocks(self, stop=None):
        """Decode the file.

        Args:
            stop (threading.Event, optional): ends the decoding when it is set.

        Yields:
            np.ndarray: (time, chan), float32.

        Raises:
            InputError: if the file is damaged, cut off, has no samples, or samples that are not
                numbers.
            concurrent.futures.CancelledError: if `stop` has been set.
        """
        n_read = 0
        for block in self._decode(self):
            if stop is not None and stop.is_set():
                raise CancelledError
            finite = np.isfinite(block).all(axis=1)
            if not finite.all():
                where = (n_read + int(finite.argmin())) / self.sample_rate
                raise InputError(
                    f"{self.path}: holds samples that are not numbers (NaN or infinite, first at "
                    f"{where:.2f} s); repair the file"
                )
            n_read += len(block)
            yield block
        if n_read == 0:
            raise _no_samples(self.path)


def open_audio(path):
    """Find out what a file holds, without decoding it.

    soundfile reads wav, flac, ogg, opus, mp3 and more; ffmpeg reads the first audio stream of
    everything else, such as m4a, stem.mp4 (the mixture) and videos.

    Args:
        path (str or Path): the file.

    Returns:
        AudioFile: what it holds.

    Raises:
        InputError: if it is missing, empty, no audio, or visibly cut off.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            is_empty = not file.read(1)
    except OSError as err:
        raise InputError(f"{path}: cannot be read ({err.strerror}); check the name") from err
    if is_empty:
        raise InputError(f"{path}: is empty (0 bytes); replace the file")
    try:
        info = soundfile.info(os.fsencode(path))
    except (soundfile.LibsndfileError, TypeError):  # a TypeError for names that end in .raw
        info = None
    # Of an mp3 that does not state its length soundfile guesses one, and reads no further.
    if info is None or (info.format == "MP3" and not intact.mp3_states_length(path)):
        return AudioFile(path, *ffmpeg.probe(path), False, False, _decode_with_ffmpeg)
    if intact.wav_is_cut_off(path) or (info.format == "OGG" and not intact.ogg_has_last_page(path)):
        raise intact.cut_off(path)
    if info.frames == 0:
        raise _no_samples(path)
    is_plain = info.subtype.startswith("PCM_") or info.subtype in ("FLOAT", "DOUBLE")
    return AudioFile(
        path,
        info.samplerate,
        info.channels,
        info.frames,
        is_exact=True,
        is_plain_wav=is_plain and info.format in ("WAV", "WAVEX", "RF64"),
        _decode=_decode_with_soundfile,
    )


def _decode_with_soundfile(audio):
    n_read = 0
    try:
        with soundfile.SoundFile(os.fsencode(audio.path)) as reader:
            # Unlike this, reader.blocks() fills up a file that is cut off with old samples.
            while len(block := reader.read(BLOCK, dtype="float32", always_2d=True)):
                n_read += len(block)
                yield block
    except soundfile.LibsndfileError as err:
        reason = err.error_string.strip(" .") or f"libsndfile error {err.code}"
        raise InputError(f"{audio.path}: is damaged ({reason}); replace the file") from err
    if n_read < audio.n_samples:
        raise intact.cut_off(audio.path)


def _decode_with_ffmpeg(audio):
    return ffmpeg.decode(audio.path, audio.sample_rate, audio.n_channels, audio.n_samples, BLOCK)


def _no_samples(path):
    return InputError(f"{path}: holds no audio (0 samples); replace the file")
