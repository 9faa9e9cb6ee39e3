"""Read audio files of any format through soundfile, or else through ffmpeg."""

import contextlib
import mmap
import os
import stat
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from asteroid_tfswa.audio import channels, ffmpeg, structure
from asteroid_tfswa.audio.parts import Part, Window, cut_off
from asteroid_tfswa.audio.resample import Resampler
from asteroid_tfswa.errors import InputError

BLOCK = 65536  # samples per channel read at once
SAMPLE_RATES = (100, 10_000_000)  # Hz; beyond these the header is damaged
MAX_CHANNELS = 256


@dataclass(frozen=True)
class AudioFile:
    """An audio file, as `open_audio` found it.

    Attributes:
        path (Path): the file.
        sample_rate (int): in Hz.
        n_channels (int): 1 is mono, 2 is stereo.
        n_samples (int or None): length in samples per channel; None if the file declares none.
        is_exact (bool): whether that length is exact. Files that ffmpeg reads may be a little
            longer or shorter.
        is_plain_wav (bool): whether it is uncompressed WAV, any part of which soundfile can read.
        track (int): the audio track that is read, from 1.
        tracks (tuple[str, ...]): language and title of each of its audio tracks, as far as the
            file states them.
        layout (tuple[str, ...]): positions of the channels, see `asteroid_tfswa.audio.channels`;
            empty if they are unknown.
    """

    path: Path
    sample_rate: int
    n_channels: int
    n_samples: int | None
    is_exact: bool
    is_plain_wav: bool
    track: int
    tracks: tuple[str, ...]
    layout: tuple[str, ...]
    _decode: Callable

    @property
    def seconds(self):
        """float: length in seconds that the file declares, 0 if it declares none."""
        return (self.n_samples or 0) / self.sample_rate

    def measured(self, stop=None):
        """Find the exact length, by decoding the file if its header is not exact.

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
            stop (threading.Event, optional): cancels the decoding when set.

        Yields:
            np.ndarray: (time, chan), float32, the channels in WAV's order.

        Raises:
            InputError: if the file is damaged, cut off, has no samples, or samples that are NaN or
                infinite.
            concurrent.futures.CancelledError: if `stop` is set.
        """
        n_read = 0
        with contextlib.closing(self._decode()) as blocks:  # ends ffmpeg at once, errors included
            for block in blocks:
                if stop is not None and stop.is_set():
                    raise CancelledError
                finite = np.isfinite(block).all(axis=1)
                if not finite.all():
                    where = (n_read + int(finite.argmin())) / self.sample_rate
                    raise InputError(
                        f"{self.path}: holds samples that are not numbers (NaN or infinite, first "
                        f"at {where:.2f} s); repair the file"
                    )
                n_read += len(block)
                yield block
        if n_read == 0:
            raise _no_samples(self.path)


def open_audio(path, track=None):
    """Find what a file holds, without decoding it.

    soundfile reads wav, flac, ogg, opus, mp3 and more; ffmpeg reads everything else, such as m4a,
    stem.mp4 and videos.

    Args:
        path (str or Path): the file.
        track (int, optional): the audio track to read, from 1. Defaults to the one that players
            choose (of a stem.mp4 the mixture), which is the first if the file does not say.

    Returns:
        AudioFile: what it holds.

    Raises:
        InputError: if it is missing, empty, not audio, visibly cut off, or has no such track.
    """
    path = Path(path)
    _check_is_file(path)
    try:
        info = soundfile.info(os.fsencode(path))
    except (soundfile.LibsndfileError, TypeError):  # TypeError: the name ends in .raw
        info = None
    audio = None
    if parts := structure.examine(path, info):
        with contextlib.suppress(soundfile.LibsndfileError):
            audio = _open_parts(path, parts)
    if audio is None:
        # If soundfile can read the header, its length was found to be wrong.
        audio = _open_with_ffmpeg(path, track, is_sure=info is None)
    if track is not None and not 1 <= track <= len(audio.tracks):
        names = ", ".join(f"{i} {label}".strip() for i, label in enumerate(audio.tracks, start=1))
        raise InputError(f"{path}: has no audio track {track}; it has {names}")
    return audio


def _check_is_file(path):
    try:
        found = path.stat()
        is_file = stat.S_ISREG(found.st_mode)
        if is_file or stat.S_ISDIR(found.st_mode):  # opening a pipe or device may block
            open(path, "rb").close()
    except OSError as err:
        raise InputError(f"{path}: cannot be read ({err.strerror}); check the name") from err
    except ValueError:  # a null character
        raise InputError(f"{path}: cannot be the name of a file; check it") from None
    if not is_file:
        raise InputError(f"{path}: is a pipe or device; save the audio to a file first")
    if found.st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes); replace the file")


def _check_spec(path, sample_rate, n_channels):
    low, high = SAMPLE_RATES
    if not low <= sample_rate <= high:
        raise InputError(
            f"{path}: states a sample rate of {sample_rate} Hz, possible are {low} to {high}; "
            "repair its header or replace the file"
        )
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise InputError(
            f"{path}: states {n_channels} channels, possible are 1 to {MAX_CHANNELS}; repair its "
            "header or replace the file"
        )


# --- Through soundfile ---


def _open_parts(path, parts):
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(_open_part(path, part)) for part in parts]
        first = readers[0]
        rate, n_channels = first.samplerate, first.channels
        for reader in readers:
            _check_spec(path, reader.samplerate, reader.channels)
            if reader.channels not in (1, n_channels):
                raise InputError(
                    f"{path}: consists of files of {n_channels} and of {reader.channels} channels; "
                    "convert them to the same number"
                )
        lengths = [round(reader.frames * rate / reader.samplerate) for reader in readers]
        is_plain = first.subtype.startswith("PCM_") or first.subtype in ("FLOAT", "DOUBLE")
        is_wav = first.format in ("WAV", "WAVEX", "RF64") and len(parts) == 1
    if sum(lengths) == 0:
        raise _no_samples(path)
    layout = _layout(path, first) if n_channels > 2 else ()
    wav_layout = channels.in_wav_order(layout)
    order = channels.arrange(layout, wav_layout) if layout != wav_layout else None
    return AudioFile(
        path,
        rate,
        n_channels,
        n_samples=sum(lengths),
        is_exact=all(reader.samplerate == rate for reader in readers),
        is_plain_wav=is_plain and is_wav,
        track=1,
        tracks=("",),
        layout=wav_layout,
        _decode=partial(_decode_parts, path, parts, rate, n_channels, order),
    )


def _layout(path, reader):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return channels.layout_of_file(data, reader)


@contextlib.contextmanager
def _open_part(path, part):
    if part == Part(0, path.stat().st_size):
        with soundfile.SoundFile(os.fsencode(path)) as reader:
            yield reader
    else:
        with Window(path, part) as window, soundfile.SoundFile(window, **part.options) as reader:
            yield reader


def _decode_parts(path, parts, sample_rate, n_channels, order):
    """Decode parts one after another, at the sample rate and number of channels of the first.

    `order` (list of int, optional) lists the file's channels in WAV's order.
    """
    for part in parts:
        n_read = 0
        try:
            with _open_part(path, part) as reader:
                resampler = Resampler(reader.samplerate, sample_rate, n_channels)
                # reader.blocks() would fill up a file that is cut off with old samples.
                while len(block := reader.read(BLOCK, dtype="float32", always_2d=True)):
                    n_read += len(block)
                    if block.shape[1] != n_channels:
                        block = np.repeat(block, n_channels, axis=1)
                    elif order is not None:
                        block = block[:, order]
                    yield resampler(block)
                if len(rest := resampler.flush()):
                    yield rest
                n_stated = reader.frames
        except soundfile.LibsndfileError as err:
            reason = err.error_string.strip(" .") or f"libsndfile error {err.code}"
            raise InputError(f"{path}: is damaged ({reason}); replace the file") from err
        if n_read < n_stated:
            raise cut_off(path)


# --- Through ffmpeg ---


def _open_with_ffmpeg(path, track, is_sure):
    streams = ffmpeg.probe(path)
    chosen = next((i for i, stream in enumerate(streams) if stream.is_default), 0)
    if track is not None and 1 <= track <= len(streams):
        chosen = track - 1
    stream = streams[chosen]
    _check_spec(path, stream.sample_rate, stream.n_channels)
    return AudioFile(
        path,
        stream.sample_rate,
        stream.n_channels,
        stream.n_samples,
        is_exact=False,
        is_plain_wav=False,
        track=chosen + 1,
        tracks=tuple(stream.label for stream in streams),
        layout=channels.layout_of_ffmpeg(stream.layout) if stream.layout else (),
        _decode=partial(ffmpeg.decode, path, chosen, stream, BLOCK, is_sure),
    )


def _no_samples(path):
    return InputError(f"{path}: holds no audio (0 samples); replace the file")
