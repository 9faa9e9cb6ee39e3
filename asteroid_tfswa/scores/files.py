"""Stems in files, read piece by piece."""

import os
from typing import NamedTuple

import numpy as np
import soundfile

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.scores.bsseval import Signals


class Form(NamedTuple):
    """What the files of a song have in common."""

    sample_rate: int
    n_channels: int
    n_samples: int

    def __str__(self):
        return f"{self.n_samples} samples of {self.n_channels} channels at {self.sample_rate} Hz"


def form_of(path):
    """Read the form of an audio file.

    Args:
        path (Path): wav or flac.

    Returns:
        Form: from its header.

    Raises:
        InputError: if it is missing, empty or no audio.
    """
    try:
        info = soundfile.info(os.fsencode(path))  # names need not be UTF-8
    except (OSError, TypeError, soundfile.LibsndfileError) as error:
        problem = "cannot be read" if path.exists() else "is missing"
        reason = getattr(error, "error_string", error)  # without the name
        raise InputError(f"{path}: {problem}; make the file again ({reason})") from None
    if not info.frames:
        raise InputError(f"{path}: holds no audio; make the file again")
    return Form(info.samplerate, info.channels, info.frames)


def common_form(paths, tolerance=0.0):
    """Check that files have one form.

    Args:
        paths (list[Path]): the files.
        tolerance (float): seconds by which lengths may differ. Default 0.

    Returns:
        Form: the form of the first.

    Raises:
        InputError: if one cannot be read or differs from the first; the message names it.
    """
    first = form_of(paths[0])
    for path in paths[1:]:
        form = form_of(path)
        excess = abs(form.n_samples - first.n_samples) - tolerance * first.sample_rate
        if form[:2] != first[:2] or excess > 0:
            raise InputError(f"{path}: has {form}, but {paths[0]} has {first}; make them alike")
    return first


def open_signals(paths, n_samples):
    """Open the stems of a song.

    Args:
        paths (list[Path]): files of one sample rate and number of channels.
        n_samples (int): length of the song, to which files are cut or padded with zeros.

    Returns:
        Signals: their samples in single precision. Reading raises an InputError that names the
        file if it ends before its header says or has samples that are not numbers.
    """
    form = form_of(paths[0])
    files = [soundfile.SoundFile(os.fsencode(path)) for path in paths]

    def read(start, stop):
        pieces = [_read(path, file, start, stop) for path, file in zip(paths, files)]
        return np.stack(pieces)

    return Signals(len(paths), form.n_channels, n_samples, read)


def _read(path, file, start, stop):
    length = min(max(file.frames - start, 0), stop - start)
    if not length:
        return np.zeros((file.channels, stop - start), dtype=np.float32)
    try:
        if file.tell() != start:
            file.seek(start)
        audio = file.read(length, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: cannot be read; make the file again ({error})") from None
    if len(audio) < length:
        raise InputError(f"{path}: ends before the length in its header; make the file again")
    if not np.isfinite(audio).all():
        raise InputError(f"{path}: has samples that are not numbers; make the file again")
    return np.pad(audio.T, ((0, 0), (0, stop - start - length)))
