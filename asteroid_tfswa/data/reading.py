"""Read parts of prepared files, straight into the memory where they are needed.

soundfile does so for all formats and with all checks. A memory map would save 0.1 ms a stem
(egs/musdb18/README.md has the numbers), which is not worth a second way to read.
"""

import os

import numpy as np
import soundfile

from asteroid_tfswa.errors import InputError


def read_into(out, path, start, song):
    """Read part of a prepared file, which may have changed since it was prepared.

    Args:
        out (np.ndarray): (time, n_channels), contiguous, filled with samples: float32, or int16 for
            files that `is_int16` accepted.
        path (str or Path): a WAV file.
        start (int): first sample.
        song (Song): its song, whose rate and channels it must have.

    Raises:
        InputError: if the file cannot be read, has changed since it was prepared, or has samples
            that are NaN or infinite.
    """
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:  # names need not be UTF-8
            found = (file.samplerate, file.channels)
            if found != (song.sample_rate, song.n_channels):
                raise InputError(
                    f"{path}: {found[0]} Hz and {found[1]} channels, expected {song.sample_rate} "
                    f"Hz and {song.n_channels}; the file was changed, run stage 0 again"
                )
            if out.dtype == np.int16 and file.subtype != "PCM_16":
                raise InputError(
                    f"{path}: {file.subtype} samples, expected PCM_16; the file was changed, run "
                    "stage 0 again"
                )
            file.seek(min(start, file.frames))
            n_read = len(file.read(out=out))
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run stage 0 again") from error
    if n_read < len(out):
        raise InputError(
            f"{path}: ends before sample {start + len(out)}; the file was changed or cut off, run "
            "stage 0 again"
        )
    if out.dtype != np.int16 and not _is_finite(out):
        raise InputError(
            f"{path}: samples from {start} on are not finite numbers; run stage 0 again"
        )


def _is_finite(wave):
    """Whether all samples are finite: their energy, faster than their sum, mostly tells."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.isfinite(np.vdot(wave, wave)) or np.isfinite(wave).all()


def read_segment(path, start, n_samples, song):
    """Read part of a prepared file as float32.

    Args:
        path, start, song: see `read_into`.
        n_samples (int): samples to read, per channel.

    Returns:
        numpy.ndarray: (n_channels, n_samples), float32.

    Raises:
        InputError: see `read_into`.
    """
    wave = np.empty((n_samples, song.n_channels), dtype=np.float32)
    read_into(wave, path, start, song)
    return wave.T


def is_int16(path):
    """Whether the samples of a prepared file (Path) are 16-bit integers (bool).

    Raises:
        InputError: if the file cannot be read.
    """
    try:
        return soundfile.info(os.fsencode(path)).subtype == "PCM_16"
    except soundfile.SoundFileError as error:
        raise InputError(f"{path}: cannot be read ({error}); run stage 0 again") from error
