"""Separate many files: continue after one that fails, and report at the end."""

import os
import sys
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from asteroid_tfswa.arguments import integer
from asteroid_tfswa.audio.write import FLOAT_WAV
from asteroid_tfswa.devices import is_out_of_memory
from asteroid_tfswa.errors import InputError, one_line
from asteroid_tfswa.files import tidy
from asteroid_tfswa.separate.find import find_songs
from asteroid_tfswa.separate.names import (
    OUTPUT,
    check_template,
    song_fields,
    stem_paths,
    tell_apart,
)
from asteroid_tfswa.separate.song import open_song, separate_audio
from asteroid_tfswa.separate.stems import StemPlan, removing_empty, stem_folders
from asteroid_tfswa.separate.stream import separate_blocks

MAX_JOBS, MAX_TRACK = 64, 999


@dataclass
class Report:
    """The outcome for many files.

    Attributes:
        done (list of Path): songs that were separated.
        skipped (list of Path): songs whose stems existed.
        failed (list of str): a line for each input that could not be separated.
        stems (dict): ``{song: {stem: file}}`` of the songs that were separated or skipped.
    """

    done: list = field(default_factory=list)
    skipped: list = field(default_factory=list)
    failed: list = field(default_factory=list)
    stems: dict = field(default_factory=dict)

    def finish(self, song, stems, skipped):
        """Record a song whose stems exist now.

        Args:
            song (Path): the song.
            stems (dict[str, Path]): their files by name.
            skipped (bool): whether they existed before.
        """
        (self.skipped if skipped else self.done).append(song)
        self.stems[song] = stems

    def fail(self, given, reason):
        """Record why an input failed, and print it at once.

        Args:
            given (str or Path): the input.
            reason (str or Exception): the reason. A `RuntimeError` other than for missing memory
                is a bug, and is raised.
        """
        if isinstance(reason, (RuntimeError, MemoryError)) and not isinstance(reason, InputError):
            if not is_out_of_memory(reason):
                raise reason
            reason = "not enough memory to separate it; close other programs"
        given, reason = one_line(given) or "''", one_line(reason)
        line = reason if reason.startswith(given) else f"{given}: {reason}"
        self.failed.append(line)
        tqdm.write(f"error: {line}", file=sys.stderr)


# Exceptions that `Report.fail` takes.
FAILURES = (InputError, OSError, UnicodeError, MemoryError, RuntimeError)


def separate_files(
    model,
    inputs,
    output_dir="separated",
    output=OUTPUT,
    stems=None,
    two_stems=None,
    mixture_consistency=False,
    form=FLOAT_WAV,
    clip="rescale",
    overwrite=False,
    n_jobs=1,
    track=None,
    **kwargs,
):
    """Separate many files with one model; one that fails is skipped and reported.

    Args:
        model (MusicModel): the model, on any device.
        inputs (list of str or Path): see `find_songs`.
        output_dir, output, stems, two_stems, mixture_consistency, form, clip: see `separate_file`;
            the field ``{path}`` is the song's folder relative to the input folder.
        overwrite (bool): also separate songs whose stems all exist. Default False.
        n_jobs (int): songs separated at the same time, 1 to 64. Default 1.
        track (int, optional): the audio track of each file to separate, 1 to 999, see `open_song`.
        **kwargs: `segment`, `overlap`, `batch_size`, `shifts` and `precision` of `separate_blocks`.

    Returns:
        Report: the outcome for each song.

    Raises:
        InputError: if an option is invalid or does not fit the model.
    """
    integer("jobs", n_jobs, MAX_JOBS)
    if track is not None:
        integer("track", track, MAX_TRACK)
    plan = StemPlan(model.sources, stems, two_stems, mixture_consistency, form, clip)
    check_template(output, plan.names)
    _check_folder(output_dir)
    separate_blocks(model, [], **kwargs)  # checks the options
    report = Report()
    songs, problems = find_songs(inputs, output_dir)
    for given, reason in problems:
        report.fail(given, reason)
    tasks = []
    for song, paths in _name_stems(songs, report, output_dir, output, plan):
        try:
            if not overwrite and _exist(paths):
                report.finish(song, dict(zip(plan.names, paths)), skipped=True)
                for folder in {path.parent for path in paths}:
                    tidy(folder)
            else:
                tasks.append((open_song(song, track), paths))
        except FAILURES as err:
            report.fail(song, err)
    _separate_all(model, tasks, plan, report, overwrite, n_jobs, kwargs)
    return report


def _separate_all(model, tasks, plan, report, overwrite, n_jobs, options):
    """Separate songs in threads, under a progress bar.

    Args:
        tasks (list[tuple[AudioFile, list[Path]]]): the songs with the files for their stems.
        options (dict): of `separate_blocks`.
    """
    cancel = threading.Event()
    seconds = sum(audio.seconds for audio, _ in tasks)
    shape = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of audio [{remaining} left]"
    # Songs that fail at the same time may each take an empty folder for one that another needs.
    folders = {path.parent for _, paths in tasks for path in paths}
    bar = tqdm(total=seconds, bar_format=shape, disable=None if tasks else True)
    with removing_empty(folders), bar:

        def progress(n):
            bar.update(n)
            return not cancel.is_set()

        def separate(task):
            audio, paths = task
            stems = dict(zip(plan.names, paths))
            bar.set_description(one_line(audio.path.name))
            try:
                with stem_folders(paths):
                    if not overwrite and _exist(paths):  # made by another run in the meantime
                        report.finish(audio.path, stems, skipped=True)
                        return
                    separate_audio(model, audio, paths, plan, progress=progress, **options)
                report.finish(audio.path, stems, skipped=False)
            except FAILURES as err:
                report.fail(audio.path, err)
            except CancelledError:
                pass

        with ThreadPoolExecutor(n_jobs) as pool:
            try:
                # A single job runs in this thread, which is the one that Ctrl-C reaches.
                list(map(separate, tasks) if n_jobs == 1 else pool.map(separate, tasks))
            except BaseException:
                cancel.set()
                raise


def _check_folder(output_dir):
    """Raise InputError if the folder of all songs cannot be created."""
    try:
        if not os.fspath(output_dir):
            raise OSError(None, "no name")
        with removing_empty([Path(output_dir)]):
            os.makedirs(output_dir, exist_ok=True)
    except (OSError, ValueError) as err:  # ValueError: a null character in the name
        raise InputError(
            f"output_dir (--output-dir): '{output_dir}' cannot be a folder "
            f"({getattr(err, 'strerror', err)}); choose another"
        ) from err


def _exist(paths):
    return all(path.is_file() for path in paths)


def _name_stems(songs, report, output_dir, output, plan):
    """Yield songs with the files for their stems, skipping songs whose output names are taken."""
    inputs = set(map(os.path.realpath, songs))
    taken = {}
    for song, folder in songs.items():
        try:
            paths = stem_paths(song, output_dir, output, plan.names, plan.form.ext, folder)
            for place in map(os.path.realpath, paths):
                if place in inputs:
                    raise InputError(
                        f"{song}: its stem {place} would replace an input; choose another output "
                        "folder"
                    )
                if place in taken:
                    other = taken[place]
                    fields = song_fields(song, folder), song_fields(other, songs[other])
                    raise InputError(
                        f"{song}: its stems would have the same names as those of {other}; "
                        + tell_apart(*fields, output)
                    )
            taken.update((os.path.realpath(path), song) for path in paths)
            yield song, paths
        except FAILURES as err:
            report.fail(song, err)
