"""Separate many files: continue after one that fails, and report at the end."""

import os
import sys
import threading
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from asteroid_tfswa.arguments import integer
from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.audio.write import FLOAT_WAV
from asteroid_tfswa.errors import InputError, one_line
from asteroid_tfswa.locks import has_leftovers, tidy
from asteroid_tfswa.machine import is_out_of_memory
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
from asteroid_tfswa.threads import Threads

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
    taken=None,
    **kwargs,
):
    """Separate many files with one model; one that fails is skipped and reported.

    Args:
        model (MusicModel): the model, on any device.
        inputs (list of str or Path): see `find_songs`. Files in folders that are stems of other
            songs are no songs.
        output_dir, output, stems, two_stems, mixture_consistency, form, clip: see `separate_file`;
            the field ``{path}`` is the song's folder relative to the input folder.
        overwrite (bool): replace stems that exist. Otherwise songs whose stems all exist are
            skipped, and those of which only some exist fail. Default False.
        n_jobs (int): songs separated at the same time, 1 to 64. Default 1.
        track (int, optional): the audio track of each file to separate, 1 to 999, see `open_song`.
        taken (Path, optional): a folder in which no stem may lie, such as that of a page.
        **kwargs: options of `separate_blocks`.

    Returns:
        Report: the outcome for each song.

    Raises:
        InputError: if an option is invalid or does not fit the model.
    """
    integer("jobs", n_jobs, MAX_JOBS)
    if track is not None:
        integer("track", track, MAX_TRACK)
    plan = StemPlan(model.sources, stems, two_stems, mixture_consistency, form, clip)
    check_template(output, plan.names, plan.form.ext)
    _check_folder(output_dir)
    tidy(output_dir)  # of a page that was not completed
    separate_blocks(model, [], **kwargs)  # checks the options
    report = Report()
    songs, problems = find_songs(inputs, output_dir)
    for given, reason in problems:
        report.fail(given, reason)

    def name(song, folder):
        return stem_paths(song, output_dir, output, plan.names, plan.form.ext, folder, taken)

    def remedy(*pair):
        return tell_apart(*(song_fields(song, songs[song]) for song in pair), output)

    tasks = []
    for song, paths in name_all(songs, inputs, name, report, remedy, overwrite).items():
        try:
            if not overwrite and all(path.is_file() for path in paths):
                report.finish(song, dict(zip(plan.names, paths)), skipped=True)
                for folder in {path.parent for path in paths}:
                    tidy(folder)
            else:
                tasks.append((open_song(song, track), paths))
        except FAILURES as err:
            report.fail(song, err)
    _separate_all(model, tasks, plan, report, overwrite, n_jobs, track, kwargs)
    return report


def _separate_all(model, tasks, plan, report, overwrite, n_jobs, track, options):
    """Separate songs in threads, under a progress bar.

    Args:
        tasks (list[tuple[AudioFile, list[Path]]]): the songs with the files for their stems.
        track (int or None): the audio track to separate.
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
            song, paths = task[0].path, task[1]
            stems = dict(zip(plan.names, paths))
            bar.set_description(one_line(song.name))
            try:
                was_killed = any(has_leftovers(path.parent) for path in paths)
                with stem_folders(paths):
                    # Made by another run in the meantime?
                    if not (overwrite or was_killed) and _exist(song, paths):
                        report.finish(song, stems, skipped=True)
                        return
                    audio = open_audio(song, track)  # it may have changed while others ran
                    separate_audio(model, audio, paths, plan, progress=progress, **options)
                report.finish(song, stems, skipped=False)
            except FAILURES as err:
                report.fail(song, err)
            except CancelledError:
                pass

        if n_jobs == 1:  # in this thread: PyTorch is slower in others
            for task in tasks:
                separate(task)
            return
        with Threads(n_jobs) as threads:
            try:
                for task in tasks:
                    threads.submit(separate, task)
                for _ in tasks:
                    threads.result()
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


def _exist(song, paths):
    """Whether the stems of a song exist; raise InputError if only some of them do."""
    existing = [str(path) for path in paths if os.path.lexists(path)]
    if existing and not all(path.is_file() for path in paths):
        raise InputError(
            f"{song}: some of its stems exist ({', '.join(existing)}); remove them, or replace "
            "them with overwrite (--overwrite)"
        )
    return bool(existing)


def name_all(songs, inputs, name, report, remedy, overwrite=False):
    """Name the files for the stems of all songs; report songs whose names are taken.

    Files that are stems of other songs are left out, unless they were given themselves: so a run
    that writes beside its songs can be repeated. They are never replaced, as no input is: they may
    be somebody else's.

    Args:
        songs (dict[Path, str]): the songs with their folders, see `find_songs`.
        inputs (list of str or Path): what `find_songs` found them from.
        name (callable): the files, list[Path], for a song and its folder.
        report (Report): takes the songs that fail.
        remedy (callable): for two songs with the same names, what to do about it.
        overwrite (bool): whether stems that exist are replaced. Default False.

    Returns:
        dict[Path, list[Path]]: the songs that can be separated with the files for their stems.
    """
    named, problems = {}, {}
    for song, folder in songs.items():
        try:
            named[song] = name(song, folder)
        except FAILURES as err:
            problems[song] = err
    places = set(map(os.path.realpath, songs))
    songs = _without_stems(songs, named, inputs)
    if not overwrite:
        places = set(map(os.path.realpath, songs))
    tasks, taken = {}, {}
    for song in songs:
        try:
            if song in problems:
                raise problems[song]
            outputs = dict.fromkeys(map(os.path.realpath, named[song]), song)
            _check_free(song, outputs, places, taken, remedy)
            taken.update(outputs)
            tasks[song] = named[song]
        except FAILURES as err:
            report.fail(song, err)
    return tasks


def _without_stems(songs, named, inputs):
    """List the songs that are not stems of others, or were given themselves."""
    given = {os.path.realpath(path) for path in inputs if os.path.lexists(path)}
    makers = {os.path.realpath(path): song for song, paths in named.items() for path in paths}
    return [
        song
        for song in songs
        if (place := os.path.realpath(song)) in given or makers.get(place, song) == song
    ]


def _check_free(song, outputs, inputs, taken, remedy):
    """Raise InputError if a song's stems would replace an input or the stems of another song."""
    for place in outputs:
        if place in inputs:
            raise InputError(
                f"{song}: its stem {place} would replace an input; choose another output folder"
            )
        if place in taken:
            other = taken[place]
            raise InputError(
                f"{song}: its stems would have the same names as those of {other}; "
                + remedy(song, other)
            )
