"""Separation of many files: finding them, going on after one that fails, and telling in the end."""

import glob
import os
import re
import sys
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.audio.write import FLOAT_WAV
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.separate.names import stem_paths
from asteroid_tfswa.separate.song import OUTPUT, separate_audio
from asteroid_tfswa.separate.stems import StemPlan
from asteroid_tfswa.separate.stream import separate_blocks

# What is taken from folders; files that are named are tried whatever their name.
AUDIO_NAME = re.compile(
    r".+\.(wav|flac|ogg|oga|opus|mp3|m4a|mp4|m4v|aac|ac3|aiff?|aifc|alac|ape|au|avi|caf|flv|mka|mkv"
    r"|mov|mp2|mpc|mpe?g|rf64|tta|w64|webm|wma|wmv|wv)",
    re.IGNORECASE,
)


@dataclass
class Report:
    """What became of many files.

    Attributes:
        done (list of Path): songs that were separated.
        skipped (list of Path): songs whose stems were there.
        failed (list of str): a line for each input that could not be separated.
    """

    done: list = field(default_factory=list)
    skipped: list = field(default_factory=list)
    failed: list = field(default_factory=list)

    def fail(self, given, reason):
        """Note why an input failed, and show it at once."""
        line = str(reason) if str(reason).startswith(str(given)) else f"{given}: {reason}"
        self.failed.append(line)
        tqdm.write(f"error: {line}", file=sys.stderr)


def find_songs(inputs, output_dir=None):
    """Find the files that inputs mean.

    Args:
        inputs (list of str or Path): files, folders (searched with all their folders for names of
            audio and video files; hidden ones are left out) and patterns (``*.mp3``, ``**``).
        output_dir (str or Path, optional): a folder in those that is not searched.

    Returns:
        tuple[list[Path], list[tuple[str, str]]]: the files, each once, and the inputs without any,
        each with the reason.
    """
    songs, problems = {}, []
    for given in map(str, inputs):
        if os.path.isdir(given):
            found = _search(given, output_dir)
            problem = "no audio files in this folder; name another"
        elif os.path.lexists(given):
            found = [Path(given)]
        else:
            found = [Path(p) for p in sorted(glob.glob(given, recursive=True)) if os.path.isfile(p)]
            problem = (
                f"{given}: no such file or folder, and no pattern that fits any; check the name"
            )
        if not found:
            problems.append((given, problem))
        for path in found:
            songs.setdefault(path.resolve(), path)
    return list(songs.values()), problems


def _search(folder, output_dir):
    found, stems = [], output_dir and Path(output_dir).resolve()
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name[0] != "." and Path(root, name).resolve() != stems
        )
        for name in sorted(names):
            if name[0] != "." and AUDIO_NAME.fullmatch(name):
                found.append(Path(root, name))
    return found


def separate_files(
    model,
    inputs,
    output_dir="separated",
    output=OUTPUT,
    overwrite=False,
    n_jobs=1,
    stems=None,
    two_stems=None,
    mixture_consistency=False,
    form=FLOAT_WAV,
    clip="rescale",
    **kwargs,
):
    """Separate files, folders and patterns, with a progress bar; a file that fails is left behind.

    Args:
        model (MusicModel): the model, on any device.
        inputs (list of str or Path): see `find_songs`.
        output_dir, output, stems, two_stems, mixture_consistency, form, clip: see `separate_file`.
        overwrite (bool): separate songs of which all stems are there, too. Default False.
        n_jobs (int): songs at a time. Default 1.
        **kwargs: `segment`, `overlap`, `batch_size`, `shifts` and `precision` of `separate_blocks`.

    Returns:
        Report: what became of each.

    Raises:
        InputError: if an option cannot be used with this model.
    """
    if n_jobs < 1:
        raise InputError(f"jobs: must be at least 1: got {n_jobs}")
    plan = StemPlan(model.sources, stems, two_stems, mixture_consistency)
    # Options that cannot be used fail here, once, instead of for each song.
    stem_paths("song", output_dir, output, plan.names, form.ext)
    list(separate_blocks(model, [], **kwargs))
    report = Report()
    songs, problems = find_songs(inputs, output_dir)
    for given, reason in problems:
        report.fail(given, reason)
    tasks = []
    for song, paths in _name_stems(songs, report, output_dir, output, plan.names, form.ext):
        try:
            if not overwrite and all(path.exists() for path in paths):
                report.skipped.append(song)
            else:
                tasks.append((open_audio(song), paths))
        except (InputError, OSError) as err:
            report.fail(song, err)

    cancel = threading.Event()
    seconds = sum(audio.seconds for audio, _ in tasks)
    shape = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of audio [{remaining} left]"
    with tqdm(total=seconds, bar_format=shape, disable=None if tasks else True) as bar:

        def progress(n):
            bar.update(n)
            return not cancel.is_set()

        def separate(task):
            audio, paths = task
            bar.set_description(audio.path.name)
            try:
                separate_audio(model, audio, paths, plan, form, clip, progress=progress, **kwargs)
                report.done.append(audio.path)
            except (InputError, OSError) as err:
                report.fail(audio.path, err)
            except CancelledError:
                pass

        with ThreadPoolExecutor(n_jobs) as pool:
            try:
                # One song at a time is separated in this thread, where Ctrl-C arrives.
                list(map(separate, tasks) if n_jobs == 1 else pool.map(separate, tasks))
            except BaseException:
                cancel.set()
                raise
    return report


def _name_stems(songs, report, *args):
    """Yield songs with the files for their stems, but those whose names are not free."""
    inputs = {song.resolve() for song in songs}
    taken = {}
    for song in songs:
        try:
            paths = stem_paths(song, *args)
            for path in (path.resolve() for path in paths):
                if path in inputs:
                    raise InputError(
                        f"{song}: its stem {path} would replace an input; choose another output "
                        "folder"
                    )
                if path in taken:
                    raise InputError(
                        f"{song}: its stems would have the names of those of {taken[path]}; use "
                        "--output with {folder}, or separate it to another folder"
                    )
            taken.update((path.resolve(), song) for path in paths)
            yield song, paths
        except (InputError, OSError) as err:
            report.fail(song, err)
