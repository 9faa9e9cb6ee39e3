"""The stems of a song: which are written, what they are made of, and writing all or none."""

import contextlib
import math
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from asteroid_tfswa.audio.write import FLOAT_WAV, AudioWriter
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write, require_space

CLIPS = ("rescale", "clamp", "none")
PEAK = 0.999  # of stems that were lowered
BLOCK = 65536


class StemPlan:
    """The stems to write and how they follow from a model's sources.

    Args:
        sources (list of str): the model's sources.
        stems (list of str, optional): the sources to write. Defaults to all.
        two_stems (str, optional): a source that is written with the rest, the mixture without it,
            as ``no_<source>``.
        mixture_consistency (bool): add what is left of the mixture without all sources to them in
            equal shares, so that they add up to it. Default False.

    Raises:
        InputError: if the model has no such source, or the options exclude each other.
    """

    def __init__(self, sources, stems=None, two_stems=None, mixture_consistency=False):
        if stems and two_stems:
            raise InputError("stems and two_stems exclude each other: give one of them")
        if mixture_consistency and len(sources) == 1:
            raise InputError(
                f"mixture_consistency: the model's only source, {sources[0]}, would become the "
                f"mixture; use two_stems {sources[0]} to get the rest"
            )
        wanted = [two_stems] if two_stems else list(dict.fromkeys(stems or sources))
        for name in wanted:
            if name not in sources:
                raise InputError(f"stems: the model has {', '.join(sources)}, but no '{name}'")
        self.names = [two_stems, f"no_{two_stems}"] if two_stems else wanted
        self.two_stems = bool(two_stems)
        self.mixture_consistency = mixture_consistency
        indices = [sources.index(name) for name in wanted]
        # Sources that no stem needs are left behind before they are resampled.
        self.needed = list(range(len(sources))) if mixture_consistency else indices
        self._wanted = indices if mixture_consistency else list(range(len(wanted)))

    def make(self, sources, mixture):
        """Make the stems.

        Args:
            sources (np.ndarray): the sources that `needed` lists, (time, n_needed, chan).
            mixture (np.ndarray): (time, chan).

        Returns:
            np.ndarray: (time, n_stems, chan), in the order of `names`.
        """
        if self.mixture_consistency:
            rest = mixture - sources.sum(axis=1)
            sources = sources + rest[:, None] / sources.shape[1]
        stems = sources[:, self._wanted]  # (time, n_stems, chan)
        if self.two_stems:
            stems = np.concatenate([stems, mixture[:, None] - stems], axis=1)
        return stems


@contextlib.contextmanager
def open_stems(paths, form, sample_rate, n_channels, n_samples, clip):
    """Open one file for each stem; they appear under their names when the block has ended well.

    Stems that would clip are treated as `clip` says, in formats that clip: "rescale" lowers all
    stems by the same gain, and says so in a warning; "clamp" cuts off the samples that are too
    loud; "none" leaves them to the format.

    To know the gain one must have seen all stems. So they are encoded as they come, and 32-bit
    copies kept beside them, of which they are encoded again if one of them would have clipped.

    Args:
        paths (list of Path): the files.
        form (AudioFormat): their format.
        sample_rate (int): in Hz.
        n_channels (int): channels of each.
        n_samples (int or None): the length to come, None if it is not known.
        clip (str): "rescale", "clamp" or "none".

    Yields:
        callable: appends stems, (time, n_stems, chan), to the files.

    Raises:
        InputError: if `clip` is unknown or the format cannot hold the audio.
        OSError: if a file cannot be written.
    """
    if clip not in CLIPS:
        raise InputError(f"clip: '{clip}' is unknown; use one of {', '.join(CLIPS)}")
    form.check(sample_rate, n_channels)
    spec = (sample_rate, n_channels, n_samples)
    keeps_copies = clip == "rescale" and form.clips
    sample_bytes = (form.bits or 4) / 8 + 4 * keeps_copies
    n_bytes = round((n_samples or 0) * n_channels * len(paths) * sample_bytes)
    require_space(paths[0].parent, n_bytes, "write the stems")
    with contextlib.ExitStack() as stack:
        tmps = [stack.enter_context(atomic_write(path)) for path in paths]
        copies = []
        if keeps_copies:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=paths[0].parent)
            )
            copies = [Path(folder, f"{i}.wav") for i in range(len(paths))]
        pool = stack.enter_context(ThreadPoolExecutor(len(paths)))  # codecs are slow: one each
        peak = 0.0
        with contextlib.ExitStack() as writers:
            files = [writers.enter_context(AudioWriter(tmp, form, *spec)) for tmp in tmps]
            spares = [writers.enter_context(AudioWriter(c, FLOAT_WAV, *spec)) for c in copies]

            def write(stems):
                nonlocal peak
                if clip == "clamp" and form.clips:
                    stems = np.clip(stems, -1, 1)
                if copies:
                    peak = max(peak, float(np.abs(stems).max(initial=0)))
                by_stem = list(stems.swapaxes(0, 1))  # (time, chan) each
                list(pool.map(AudioWriter.write, files + spares, by_stem + by_stem))

            yield write
        if peak > 1:
            gain = PEAK / peak
            list(pool.map(lambda pair: _encode(*pair, form, spec, gain), zip(copies, tmps)))
            warnings.warn(
                f"{paths[0].parent}: all stems lowered by {-20 * math.log10(gain):.1f} dB, so that "
                f"none clips in {form}",
                stacklevel=3,
            )


def _encode(source, target, form, spec, gain):
    """Encode a 32-bit copy with a gain."""
    with soundfile.SoundFile(source) as reader, AudioWriter(target, form, *spec) as writer:
        for block in reader.blocks(BLOCK, dtype="float32", always_2d=True):
            writer.write(gain * block)
