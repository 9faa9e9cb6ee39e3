"""Reading audio files of any format: by soundfile, and what that cannot read through ffmpeg."""

from collections.abc import Callable
from dataclasses import dataclass
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
        n_samples (int or None): length that the file declares; None if it declares none. What
            ffmpeg reads may be a little longer or shorter.
    """

    path: Path
    sample_rate: int
    n_channels: int
    n_samples: int | None
    _decode: Callable

    @property
    def seconds(self):
        """Length that the file declares in seconds (float), 0 if it declares none."""
        return (self.n_samples or 0) / self.sample_rate

    def blocks(self):
        """Decode the file.

        Yields:
            np.ndarray: (time, chan), float32.

        Raises:
            InputError: if the file is damaged, cut off, has no samples, or samples that are not
                numbers.
        """
        n_read = 0
        for block in self._decode(self):
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
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, TypeError):  # a TypeError for names that end in .raw
        info = None
    # Of an mp3 that does not state its length soundfile guesses one, and reads no further.
    if info is None or (info.format == "MP3" and not intact.mp3_states_length(path)):
        return AudioFile(path, *ffmpeg.probe(path), _decode_with_ffmpeg)
    if intact.wav_is_cut_off(path) or (info.format == "OGG" and not intact.ogg_has_last_page(path)):
        raise intact.cut_off(path)
    if info.frames == 0:
        raise _no_samples(path)
    return AudioFile(path, info.samplerate, info.channels, info.frames, _decode_with_soundfile)


def _decode_with_soundfile(audio):
    n_read = 0
    try:
        with soundfile.SoundFile(audio.path) as reader:
            # Unlike this, reader.blocks() fills up a file that is cut off with old samples.
            while len(block := reader.read(BLOCK, dtype="float32", always_2d=True)):
                n_read += len(block)
                yield block
    except soundfile.LibsndfileError as err:
        raise InputError(f"{audio.path}: is damaged ({err.error_string}); replace it") from err
    if n_read < audio.n_samples:
        raise intact.cut_off(audio.path)


def _decode_with_ffmpeg(audio):
    return ffmpeg.decode(audio.path, audio.sample_rate, audio.n_channels, audio.n_samples, BLOCK)


def _no_samples(path):
    return InputError(f"{path}: holds no audio (0 samples); replace the file")
