"""Separate one file: reading, separating and writing at the same time."""

import contextlib
import os
import warnings
from collections import deque
from pathlib import Path

import numpy as np
import torch

from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.audio.resample import Resampler
from asteroid_tfswa.audio.write import FLOAT_WAV
from asteroid_tfswa.errors import InputError, SampleRateError
from asteroid_tfswa.separate.names import OUTPUT, stem_paths
from asteroid_tfswa.separate.stems import StemPlan, open_stems, stem_folders
from asteroid_tfswa.separate.stream import separate_blocks
from asteroid_tfswa.threads import WriteBehind, read_ahead

PIECE = 16384  # samples finished at once: small memory blocks are reused, large ones pile up


def separate_file(
    model,
    path,
    output_dir="separated",
    output=OUTPUT,
    stems=None,
    two_stems=None,
    mixture_consistency=False,
    form=FLOAT_WAV,
    clip="rescale",
    track=None,
    **kwargs,
):
    """Separate a file into one file per stem, at constant memory.

    The stems have the sample rate, the channels and, to the sample, the length of the file, and the
    level that they have in it. They appear together when all are complete, and replace files of the
    same names.

    Args:
        model (MusicModel): the model, on any device.
        path (str or Path): a file that soundfile or ffmpeg reads.
        output_dir (str or Path): the output folder. Default ``"separated"``.
        output (str): template of the stems' names in it, see `stem_paths`. Default
            ``"{path}/{song}/{stem}.{ext}"``.
        stems (list of str, optional): the sources to write. Defaults to all.
        two_stems (str, optional): a source to write, together with the rest as ``no_<source>``.
        mixture_consistency (bool): make the sources add up to the input, see `StemPlan`.
            Default False.
        form (AudioFormat): format of the stems. Defaults to 32-bit float WAV.
        clip (str): how to treat stems that would clip in `form`, see `StemPlan`.
            Default ``"rescale"``.
        track (int, optional): the audio track to separate, see `open_song`.
        **kwargs: options of `separate_blocks`.

    Returns:
        list[Path]: the files, in the order of the sources.

    Raises:
        InputError: if the file cannot be read, an option is invalid, or another run is writing to
            the folder of the stems.
        OSError: if a stem cannot be written.
        concurrent.futures.CancelledError: if `progress` returned False.
    """
    plan = StemPlan(model.sources, stems, two_stems, mixture_consistency, form, clip)
    paths = stem_paths(path, output_dir, output, plan.names, form.ext)
    separate_audio(model, open_song(path, track), paths, plan, **kwargs)
    return paths


def open_song(path, track=None):
    """Find what a song's file holds; warn about audio tracks that are not separated.

    Args:
        path (str or Path): the file.
        track (int, optional): the audio track to read, from 1. Defaults to the one that players
            choose (of a stem.mp4 the mixture).

    Returns:
        AudioFile: what it holds.

    Raises:
        InputError: if the file cannot be read or has no such track.
    """
    audio = open_audio(path, track)
    is_stem_mp4 = audio.path.name.lower().endswith(".stem.mp4")
    if track is None and len(audio.tracks) > 1 and not is_stem_mp4:
        names = ", ".join(f"{i} {label}".strip() for i, label in enumerate(audio.tracks, start=1))
        warnings.warn(
            f"{path}: separating audio track {audio.track} of {len(audio.tracks)} ({names}); "
            "choose another with track (asteroid-tfswa separate --track)",
            stacklevel=3,
        )
    return audio


def file_separate(
    model, filename, output_dir=None, force_overwrite=False, resample=False, **kwargs
):
    """Separate a file with the arguments and file names of `asteroid.separate.file_separate`.

    Unlike that function it keeps all channels and the level, and needs constant memory. The files
    are 32-bit float WAV, named ``<file>_est1.wav``, ``<file>_est2.wav`` ... in the order of
    ``model.sources``.

    Args:
        model (MusicModel): the model.
        filename (str or Path): a file that soundfile or ffmpeg reads.
        output_dir (str or Path, optional): the output folder. Defaults to that of `filename`.
        force_overwrite (bool): whether to overwrite existing files; otherwise a song of which any
            exists is left as it is, with a warning. Default False.
        resample (bool): whether to resample a file whose sample rate is not the model's, and the
            sources back; otherwise such a file is an error. Default False.
        **kwargs: options of `separate_blocks`.

    Returns:
        list[Path]: the files, of `estimate_paths`.

    Raises:
        InputError: if the file cannot be read.
        SampleRateError: if its sample rate is not the model's, and `resample` is False.
        OSError: if a file cannot be written.
    """
    paths = estimate_paths(model, filename, output_dir)
    existing = [path for path in paths if os.path.lexists(path)]
    if existing and not force_overwrite:
        warnings.warn(
            f"{existing[0]} already exists, pass force_overwrite=True (-f) to overwrite it",
            stacklevel=2,
        )
        return paths
    audio = open_song(filename)
    if audio.sample_rate != model.sample_rate and not resample:
        raise SampleRateError(
            f"{filename} has a sample rate of {audio.sample_rate} Hz, the model "
            f"{model.sample_rate:g} Hz: pass resample=True (--resample) to resample"
        )
    separate_audio(model, audio, paths, StemPlan(model.sources), **kwargs)
    return paths


def estimate_paths(model, filename, output_dir=None):
    """Name the files that `file_separate` writes.

    Args:
        model (MusicModel): the model.
        filename (str or Path): the song.
        output_dir (str or Path, optional): the output folder. Defaults to that of `filename`.

    Returns:
        list[Path]: ``<file>_est1.wav`` and so on, one for each source.
    """
    filename = Path(filename)
    folder = filename.parent if output_dir is None else Path(output_dir)
    return [folder / f"{filename.stem}_est{i}.wav" for i in range(1, len(model.sources) + 1)]


def separate_audio(model, audio, paths, plan, **kwargs):
    """Separate an `AudioFile` to the files `paths`, one for each of ``plan.names``.

    One thread reads and resamples, others resample back and encode, while the model runs.

    Args:
        model (MusicModel): the model.
        audio (AudioFile): the input.
        paths (list of Path): where to write.
        plan (StemPlan): what to write.
        **kwargs: options of `separate_blocks`.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(stem_folders(paths))
        spec = (audio.sample_rate, audio.n_channels, audio.n_samples, audio.layout)
        write = stack.enter_context(open_stems(paths, plan, *spec, song=audio.path))
        finisher = _Finisher(audio, model, plan, write)
        behind = stack.enter_context(WriteBehind(finisher))
        resampled = _resampled(audio, model.sample_rate, finisher.mixture)
        blocks = stack.enter_context(contextlib.closing(read_ahead(resampled)))
        tensors = (torch.from_numpy(block.T) for block in blocks)  # (chan, time)
        separated = separate_blocks(model, tensors, **kwargs)
        for sources in stack.enter_context(contextlib.closing(separated)):
            behind(sources.numpy())
        behind(None)


def _resampled(audio, to_rate, mixture):
    """Yield blocks at the model's rate; append them to `mixture` as they are read."""
    resampler = Resampler(audio.sample_rate, to_rate, audio.n_channels)
    with contextlib.closing(audio.blocks()) as blocks:
        for block in blocks:
            mixture.append(block)
            yield resampler(block)
    yield resampler.flush()


class _Mixture:
    """The part of the input that has been read and whose stems have not been written yet."""

    def __init__(self):
        self._blocks, self._start, self.n_samples = deque(), 0, 0

    def append(self, block):
        self._blocks.append(block)
        self.n_samples += len(block)

    def take(self, n):
        """Remove and return the next `n` samples, (n, chan)."""
        parts = []
        while n > 0:
            part = self._blocks[0][self._start : self._start + n]
            parts.append(part)
            n -= len(part)
            self._start += len(part)
            if self._start == len(self._blocks[0]):
                self._blocks.popleft()
                self._start = 0
        return np.concatenate(parts)


class _Finisher:
    """Turn the model's sources into stems of the file's sample rate and length."""

    def __init__(self, audio, model, plan, write):
        self.audio, self.plan, self.write = audio, plan, write
        self.mixture = _Mixture()
        n_channels = len(plan.needed) * audio.n_channels
        self.resampler = Resampler(model.sample_rate, audio.sample_rate, n_channels)
        self.n_written = 0

    def __call__(self, sources):
        """Write the stems of sources, (n_src, chan, time); None ends the song."""
        if sources is None:
            # Resampling twice may change the length by a sample.
            block = self.resampler.flush()
            missing = self.mixture.n_samples - self.n_written - len(block)
            self._write(np.pad(block, ((0, max(missing, 0)), (0, 0))))
            return
        # Only NumPy here: torch in a second thread would start a second set of threads, which slow
        # down those of the model.
        if not np.isfinite(sources).all():
            raise InputError(
                f"{self.audio.path}: the model's output is not a number; use another precision or "
                "model"
            )
        n_samples = sources.shape[-1]
        for start in range(0, n_samples, PIECE):
            piece = sources[self.plan.needed, :, start : start + PIECE]  # (n_needed, chan, piece)
            self._write(self.resampler(piece.reshape(-1, piece.shape[-1]).T))

    def _write(self, block):
        block = block[: self.mixture.n_samples - self.n_written]
        if len(block):
            sources = block.reshape(len(block), len(self.plan.needed), -1)
            self.write(self.plan.make(sources, self.mixture.take(len(block))))
            self.n_written += len(block)
