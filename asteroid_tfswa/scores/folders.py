"""Anybody's stems: two folders of songs made into jobs, and a line for what cannot be scored."""

import contextlib
import os
import unicodedata
from collections import Counter
from pathlib import Path

import soundfile

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.scores.files import form_of
from asteroid_tfswa.scores.jobs import ScoreJob
from asteroid_tfswa.scores.names import digest_of, state_of

SUFFIXES = (".wav", ".flac")
MIXTURE = "mixture"
ITSELF = "."  # path of a song whose stems lie in the folder that was given
TOLERANCE = 0.1  # seconds that estimates may be shorter or longer
BLOCK = 2**20  # samples that are looked at at once


def match_songs(reference_dir, estimates_dir):
    """Find songs with references and estimates: `<song>/<stem>.wav` or `.flac` in both folders.

    Songs match by their path in the two folders, or by the name of their folder where that is
    unique in each. A folder that holds stems itself is one song, and matches the only song of the
    other folder whatever its name. Links are followed.

    Args:
        reference_dir (str or Path): true stems, and "mixture" where baselines are wanted.
        estimates_dir (str or Path): separated stems of the same names.

    Returns:
        tuple[list[ScoreJob], list[str]]: what can be scored, and a line for each file or song
        that cannot.

    Raises:
        InputError: if one of the folders does not exist or holds no audio.
    """
    references, notes = _find(reference_dir)
    estimates, more = _find(estimates_dir)
    notes += more
    jobs, taken = {}, set()
    for path, files in references.items():
        match = _match(path, references, estimates)
        name = _name(path, reference_dir)
        if match is None:
            notes.append(f"{name}: not scored, {estimates_dir} has no such song or several")
            continue
        taken.add(match)
        job, more = _job(name, files, estimates[match])
        notes += more
        if job and job.name in jobs:
            notes.append(f"{name}: not scored, its name is that of {job.name}; rename its folder")
        elif job:
            jobs[job.name] = job
    for path in sorted(set(estimates) - taken):
        name = _name(path, estimates_dir)
        notes.append(f"{name}: not scored, {reference_dir} has no such song or several")
    return list(jobs.values()), notes


def _name(path, folder):
    return Path(folder).absolute().name if path == ITSELF else path


def _find(folder):
    """Songs of a folder, {relative path: {stem: file}}, and notes."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one with <song>/<stem>.wav or .flac")
    songs, notes = {}, []
    for place, names in _walk(folder):
        files = {}
        for path in (Path(place, name) for name in sorted(names) if not name.startswith(".")):
            if path.suffix.lower() not in SUFFIXES:
                continue
            if path.stem in files:
                notes.append(f"{path}: not scored, {files[path.stem].name} is the same stem")
            else:
                files[path.stem] = path
        song = unicodedata.normalize("NFC", str(Path(place).relative_to(folder)))
        if files and song in songs:
            notes.append(
                f"{place}: not scored, another folder has this name in other Unicode characters; "
                "rename one"
            )
        elif files:
            songs[song] = files
    if not songs:
        raise InputError(f"{folder}: no wav or flac files; name one with <song>/<stem>.wav")
    return songs, notes


def _walk(folder):
    """Yield each folder once, with the names of its files: itself, then what links lead to."""
    seen, waiting = set(), [folder]
    while waiting:
        for place, folders, names in os.walk(waiting.pop(0)):
            real = os.path.realpath(place)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            paths = [os.path.join(place, name) for name in folders]
            waiting += filter(os.path.islink, paths)
            yield place, names


def _match(name, references, estimates):
    """The song of `estimates` that is the song `name`; None if there is none or it is unclear."""
    if name in estimates:
        return name
    if len(references) == len(estimates) == 1 and ITSELF in (name, *estimates):
        return next(iter(estimates))
    here, there = (
        [other for other in songs if Path(other).name == Path(name).name]
        for songs in (references, estimates)
    )
    return there[0] if len(here) == len(there) == 1 else None


def _job(name, references, estimates):
    """A job of the stems that can be scored, or None; and notes for the others."""
    references = dict(references)
    mixture = references.pop(MIXTURE, None)
    notes, kept, form = [], [], _usual_form(references.values())
    for stem in sorted({*references, *estimates} - {MIXTURE}):
        try:
            for files, what in ((references, "references"), (estimates, "estimates")):
                if stem not in files:
                    raise InputError(f"{name}/{stem}: not scored, missing in the {what}")
                _compare(files[stem], form_of(files[stem]), form)
                _check_finite(files[stem])
            kept.append(stem)
        except InputError as error:
            notes.append(str(error))
    if mixture and form:
        try:
            _compare(mixture, form_of(mixture), form)
            _check_finite(mixture)
        except InputError as error:
            notes.append(f"{error} (no baselines)")
            mixture = None
    if not kept:
        notes.append(f"{name}: not scored, no stem is left")
        return None, notes
    estimates = {stem: estimates[stem] for stem in kept}
    return (
        ScoreJob(
            name.replace(os.sep, " - "),
            mixture,
            {stem: references[stem] for stem in kept},
            estimates,
            made_by=digest_of([*map(str, estimates.values()), state_of(list(estimates.values()))]),
            tolerance=TOLERANCE,
        ),
        notes,
    )


def _usual_form(paths):
    """The form that most of the files have that can be read; None if none can."""
    forms = Counter()
    for path in paths:
        with contextlib.suppress(InputError):
            forms[form_of(path)] += 1
    return forms.most_common(1)[0][0] if forms else None


def _compare(path, form, wanted):
    """Raise an InputError if a file cannot be compared with the song's first."""
    if form.sample_rate != wanted.sample_rate:
        raise InputError(
            f"{path}: not scored, {form.sample_rate} Hz against {wanted.sample_rate} Hz; "
            "resample it"
        )
    if form.n_channels != wanted.n_channels:
        raise InputError(
            f"{path}: not scored, {form.n_channels} channels against {wanted.n_channels}; "
            "convert it"
        )
    seconds = abs(form.n_samples - wanted.n_samples) / wanted.sample_rate
    if seconds > TOLERANCE:
        raise InputError(
            f"{path}: not scored, {form.n_samples} samples against {wanted.n_samples}; up to "
            f"{TOLERANCE} s are cut or padded"
        )


def _check_finite(path):
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:  # names need not be UTF-8
            for block in file.blocks(BLOCK, dtype="float32"):
                if not abs(block).max(initial=0) < float("inf"):
                    raise InputError(f"{path}: not scored, has samples that are not numbers")
    except soundfile.LibsndfileError as error:
        reason = error.error_string  # without the name
        raise InputError(f"{path}: not scored, cannot be read ({reason})") from None
