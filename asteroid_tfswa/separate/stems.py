"""The stems of a song: choose them, compute them, and write all or none."""

import contextlib
import math
import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import soundfile

from asteroid_tfswa.audio.tags import copy_tags
from asteroid_tfswa.audio.write import FLOAT_WAV, AudioWriter
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_files, require_space, temporary_name
from asteroid_tfswa.locks import locked

CLIPS = ("rescale", "clamp", "none")
PEAK = 0.999  # of stems after lowering
BLOCK = 65536


class StemPlan:
    """The stems to write, how they are computed from a model's sources, and their format.

    Args:
        sources (list of str): the model's sources.
        stems (list of str, optional): the sources to write. Defaults to all.
        two_stems (str, optional): a source to write, together with the rest of the mixture as
            ``no_<source>``.
        mixture_consistency (bool): add the difference between the mixture and the sum of all
            sources to them in equal shares, so that they add up to the mixture. Default False.
        form (AudioFormat): format of the files. Defaults to 32-bit float WAV.
        clip (str): how to treat stems that would clip, in formats that clip: "rescale" lowers all
            stems of a song by the same gain, with a warning; "clamp" limits samples to full scale;
            "none" leaves them to the format. Default ``"rescale"``.

    Raises:
        InputError: if the model has no such source, or the options exclude each other.
    """

    def __init__(
        self,
        sources,
        stems=None,
        two_stems=None,
        mixture_consistency=False,
        form=FLOAT_WAV,
        clip="rescale",
    ):
        if clip not in CLIPS:
            raise InputError(f"clip: '{clip}' is unknown; use one of {', '.join(CLIPS)}")
        if stems is not None and two_stems is not None:
            raise InputError(
                "stems (--stems) and two_stems (--two-stems) exclude each other: give one of them"
            )
        if mixture_consistency and len(sources) == 1:
            raise InputError(
                f"mixture_consistency: the model's only source, {sources[0]}, would become the "
                f"mixture; use two_stems {sources[0]} to get the rest"
            )
        self.two_stems = two_stems is not None
        option = "two_stems (--two-stems)" if self.two_stems else "stems (--stems)"
        wanted = sources if stems is None else list(dict.fromkeys(stems))
        wanted = [two_stems] if self.two_stems else wanted
        for name in wanted or [""]:
            if name not in sources:
                raise InputError(f"{option}: the model has {', '.join(sources)}, but no '{name}'")
            if name in ("", ".", "..") or set(name) & set("/\0"):
                raise InputError(f"the model's source '{name}' cannot be part of a file name")
        self.names = [two_stems, f"no_{two_stems}"] if self.two_stems else list(wanted)
        self.mixture_consistency, self.form, self.clip = mixture_consistency, form, clip
        indices = [sources.index(name) for name in wanted]
        # Sources that no stem needs are dropped before they are resampled.
        self.needed = list(range(len(sources))) if mixture_consistency else indices
        self._wanted = indices if mixture_consistency else list(range(len(wanted)))

    def make(self, sources, mixture):
        """Compute the stems.

        Args:
            sources (np.ndarray): the sources listed in `needed`, (time, n_needed, chan).
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
def stem_folders(paths):
    """Lock the folders of stems for this process; other threads of it may lock them as well.

    Args:
        paths (list of Path): the stems. Folders that are created and stay empty are removed.

    Raises:
        InputError: if another run is writing to one of the folders.
        OSError: if a folder cannot be created.
    """
    folders = sorted({path.parent for path in paths})
    with removing_empty(folders), contextlib.ExitStack() as stack:
        for folder in folders:
            stack.enter_context(locked(folder, shared=True))
        yield


@contextlib.contextmanager
def removing_empty(folders):
    """Remove folders that are created in the block and stay empty.

    Args:
        folders (list of Path): the folders; their parents are removed under the same conditions.
    """
    missing = {f for folder in folders for f in (folder, *folder.parents) if not f.exists()}
    try:
        yield
    finally:
        for folder in sorted(missing, key=lambda f: len(f.parts), reverse=True):
            with contextlib.suppress(OSError):  # not created, or not empty
                folder.rmdir()


@contextlib.contextmanager
def open_stems(paths, plan, sample_rate, n_channels, n_samples, layout=(), song=None):
    """Open one file for each stem; all appear under their names when the block ends without error.

    The gain is known only at the end. Stems are encoded as they arrive, with a 32-bit copy of each;
    if any would have clipped, all are encoded again from the copies.

    Args:
        paths (list of Path): the files.
        plan (StemPlan): what to write.
        sample_rate (int): in Hz.
        n_channels (int): channels of each.
        n_samples (int or None): their length, None if unknown.
        layout (tuple[str, ...]): positions of the channels, see `AudioWriter`.
        song (Path, optional): the file whose tags are copied to the stems.

    Yields:
        callable: appends stems, (time, n_stems, chan), to the files.

    Raises:
        InputError: if the format does not support the audio, or a file cannot have its name.
        OSError: if a file cannot be written.
    """
    form, clip = plan.form, plan.clip
    form.check(sample_rate, n_channels)
    spec = (sample_rate, n_channels, n_samples, layout)
    keeps_copies = clip == "rescale" and form.clips
    sample_bytes = (form.bits or 4) / 8 + 4 * keeps_copies
    n_bytes = round((n_samples or 0) * n_channels * len(paths) * sample_bytes)
    require_space(paths[0].parent, n_bytes, "write the stems")
    with contextlib.ExitStack() as stack:
        tmps = stack.enter_context(atomic_files(paths))
        copies = []
        if keeps_copies:
            folder = temporary_name(paths[0])
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.mkdir()
            copies = [folder / f"{i}.wav" for i in range(len(paths))]
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
        if song is not None:
            for tmp, stem in zip(tmps, plan.names, strict=True):
                copy_tags(song, tmp, stem)


def _encode(source, target, form, spec, gain):
    """Encode a 32-bit copy with a gain."""
    with soundfile.SoundFile(os.fsencode(source)) as reader, AudioWriter(
        target, form, *spec
    ) as writer:
        for block in reader.blocks(BLOCK, dtype="float32", always_2d=True):
            writer.write(gain * block)
