"""Scores of many songs: in parallel, each kept as soon as it is known."""

import hashlib
import json
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from tqdm import tqdm

from asteroid_tfswa.devices import usable_cores, usable_memory
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.scores import museval
from asteroid_tfswa.scores.baselines import best_gain_baseline, mixture_baseline
from asteroid_tfswa.scores.workers import worker_pool

METHODS = ("model", "mixture", "best gain")


@dataclass(frozen=True)
class ScoreJob:
    """A song to score.

    Args:
        name (str): of the song, and of its file of scores.
        references (Path): folder with mixture.wav and <stem>.wav for every stem.
        estimates (Path): folder with <stem>.wav for every stem.
        sources (tuple[str]): the stems.
        fingerprint (str): of the references' audio, see `Song`. Default "".
    """

    name: str
    references: Path
    estimates: Path
    sources: tuple[str, ...]
    fingerprint: str = ""

    @property
    def reference_files(self):
        """list[Path]: the mixture, then every stem."""
        return [self.references / f"{stem}.wav" for stem in ("mixture", *self.sources)]

    @property
    def estimate_files(self):
        """list[Path]: every stem."""
        return [self.estimates / f"{stem}.wav" for stem in self.sources]


def evaluate_songs(jobs, out_dir, n_jobs=None):
    """Score songs in parallel and write `<out_dir>/<song>.json` for each as soon as it is done.

    Songs are not scored again whose file of scores is whole, is newer than their estimates and was
    made by this version of the scorer from the same references (fingerprint, sizes and times).

    Args:
        jobs (list[ScoreJob]): the songs.
        out_dir (str or Path): folder of the scores.
        n_jobs (int or None): songs at a time, a core each. Default: what cores and memory allow.

    Returns:
        list[dict]: for each job `{"song", "sample_rate", "scores": {method: scores}}`, the methods
        being "model" and the baselines "mixture" and "best gain", the scores those of `score_song`.

    Raises:
        InputError: if a file is missing, unreadable or unlike its song's mixture (named).
    """
    paths = {job.name: Path(out_dir) / f"{job.name}.json" for job in jobs}
    n_samples = {job.name: _check_files(job) for job in jobs}
    made_from = {job.name: _made_from(job) for job in jobs}
    known = {job.name: _read_scores(job, paths[job.name], made_from[job.name]) for job in jobs}
    waiting = [job for job in jobs if known[job.name] is None]
    longest = max((n_samples[job.name] for job in waiting), default=0)
    n_jobs = min(n_jobs or _default_n_jobs(longest), max(1, len(waiting)))
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(waiting), desc="scoring", unit="song")
    with bar, worker_pool(n_jobs) as submit:
        songs = {submit(_score_files, job): job.name for job in waiting}
        for done in as_completed(songs):
            name = songs[done]
            with _naming(name):
                known[name] = done.result()
            _write_scores(paths[name], made_from[name], known[name])
            bar.update()
    return list(known.values())


def state_of(paths):
    """Summarise the names, sizes and times of files, to notice that one was replaced.

    Args:
        paths (list[Path]): the files.

    Returns:
        str: a digest.
    """
    stats = [(f"{path.parent.name}/{path.name}", path.stat()) for path in paths]
    return _digest([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])


def _made_from(job):
    """Digest of what the scores of a song depend on besides its estimates."""
    return _digest([museval.version(), job.sources, job.fingerprint, state_of(job.reference_files)])


def _digest(plain):
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def _write_scores(path, made_from, scores):
    # The digest tells whole files from those that something else wrote or changed.
    stored = {"made_from": made_from, "digest": _digest(scores), **scores}
    with atomic_write(path) as tmp:
        tmp.write_text(json.dumps(stored, indent=1, allow_nan=False))


def _read_scores(job, path, made_from):
    """Read the scores that `_write_scores` wrote; None where the song is to be scored (again)."""
    try:
        changed = max(file.stat().st_mtime for file in job.estimate_files)
        if path.stat().st_mtime < changed:
            return None
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored.pop("made_from") != made_from or stored.pop("digest") != _digest(stored):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return stored


def _default_n_jobs(n_samples):
    """Bound by cores, and by the memory that museval takes for that many samples of references."""
    fits = int(usable_memory() / (1.5e9 + 80 * n_samples))  # bytes, measured
    return max(1, min(usable_cores(), fits))


def _check_files(job):
    """Check before anything is scored that all files can be; count all references' samples."""
    paths = [*job.reference_files, *job.estimate_files]
    forms = [_form(path) for path in paths]
    for path, form in zip(paths, forms):
        if form != forms[0]:
            raise InputError(
                f"{path}: has {form}, but {paths[0]} has {forms[0]}; separate the song again"
            )
    return forms[0].n_channels * forms[0].n_samples * len(job.sources)


def _form(path):
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        problem = "cannot be read" if path.is_file() else "is missing"
        raise InputError(f"{path}: {problem}; separate the song again ({error})") from None
    return _Form(info.samplerate, info.channels, info.frames)


class _Form(NamedTuple):
    """What the files of a song have in common."""

    sample_rate: int
    n_channels: int
    n_samples: int

    def __str__(self):
        return f"{self.n_samples} samples of {self.n_channels} channels at {self.sample_rate} Hz"


@contextmanager
def _naming(song):
    """Add the song to an error that came from a worker."""
    try:
        yield
    except (InputError, OSError):
        raise  # name a file already
    except BrokenProcessPool:
        message = "was killed, most likely for lack of memory: score fewer songs at a time (n_jobs)"
        raise InputError(f"{song}: the process scoring it {message}") from None
    except Exception as error:
        raise RuntimeError(f"{song}: scoring failed: {error!r}") from error


def _score_files(job):
    """Score one song, model and baselines."""
    sample_rate = _form(job.reference_files[0]).sample_rate
    mixture, *references = map(_read, job.reference_files)
    references = np.stack(references)
    estimates = {
        "model": np.stack([_read(path) for path in job.estimate_files]),
        "mixture": mixture_baseline(mixture, references),
        "best gain": best_gain_baseline(mixture, references),
    }
    scores = {
        method: museval.score_song(references, estimates[method], job.sources, sample_rate)
        for method in METHODS
    }
    return {"song": job.name, "sample_rate": sample_rate, "scores": scores}


def _read(path):
    """Read audio as (n_channels, time)."""
    try:
        audio, _ = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: cannot be read; separate the song again ({error})") from None
    if not np.isfinite(audio).all():
        raise InputError(f"{path}: has samples that are not numbers; separate the song again")
    return np.ascontiguousarray(audio.T)
