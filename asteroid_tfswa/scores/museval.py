"""Scores of separated songs: museval's SDR, SIR, ISR and SAR (BSS Eval v4), and whole-song SDR.

Two definitions of SDR are in use and differ by up to 2 dB, so each has its own name here:

- "SDR" (like "SIR", "ISR", "SAR") is museval's [1]: one value a second, whose median over the
  song is quoted. Published MUSDB18 results are medians over songs of these medians.
- "uSDR" is one value for the whole song, energy of the reference over energy of the error [2].

museval itself is called, not re-implemented: on stems that were coded with loss (mp4, ogg, mp3) its
SIR and SAR hang on rounding, so that equal arithmetic gives other numbers; its SDR does not. A
four-minute song of four stems takes six minutes on one core and 8 GB of memory.

References
    - [1] F.-R. Stoter, A. Liutkus, N. Ito. "The 2018 Signal Separation Evaluation Campaign."
      LVA/ICA 2018. https://github.com/sigsep/sigsep-mus-eval
    - [2] Y. Mitsufuji et al. "Music Demixing Challenge 2021." Frontiers in Signal Processing, 2022.
"""

import json
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
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

METRICS = ("SDR", "SIR", "ISR", "SAR")
METHODS = ("model", "mixture", "best gain")


def score_song(references, estimates, sources, sample_rate=44100, win=1.0, hop=1.0):
    """Score the estimates of one song's stems.

    Args:
        references (np.ndarray): true stems, shape (n_src, n_channels, time).
        estimates (np.ndarray): separated stems, same shape.
        sources (list[str]): names of the stems, in the order of the arrays.
        sample_rate (int): in Hz. Default 44100.
        win (float): length of a frame in seconds. Default 1.
        hop (float): from frame to frame, in seconds. Default 1.

    Returns:
        dict: museval's own form, `{"targets": [{"name", "frames": [{"time", "duration", "metrics":
        {"SDR", "SIR", "ISR", "SAR"}}]}]}` with values in dB, and None where museval has NaN or
        infinity: in frames where a stem is silent, and for the SIR of a song's only stem. Besides,
        `"uSDR": {stem: dB}`, and `"left_out": {stem: reason}` for stems which the metrics do not
        cover because reference or estimate is silent all through; the others are scored without.

    Raises:
        InputError: if the shapes differ or do not fit `sources`.
    """
    if references.shape != estimates.shape or references.shape[:-2] != (len(sources),):
        raise InputError(
            f"references {references.shape} and estimates {estimates.shape} must both have the "
            f"shape (n_src, n_channels, time), n_src being {len(sources)} for sources {sources}"
        )
    return _score_sets(references, [estimates], sources, sample_rate, win, hop)[0]


def mixture_baseline(mixture, references):
    """Take the mixture itself as the estimate of every stem.

    Args:
        mixture (np.ndarray): shape (n_channels, time).
        references (np.ndarray): true stems, shape (n_src, n_channels, time).

    Returns:
        np.ndarray: estimates in the shape of `references`.
    """
    return np.broadcast_to(mixture, references.shape)


def best_gain_baseline(mixture, references):
    """Take the mixture times the gain that suits each stem best: what needs no learning at all.

    Args:
        mixture (np.ndarray): shape (n_channels, time).
        references (np.ndarray): true stems, shape (n_src, n_channels, time).

    Returns:
        np.ndarray: estimates in the shape of `references`; the gain of a stem is the one number
        that makes its squared error over the whole song smallest.
    """
    energy = _dot(mixture, mixture) or 1.0
    gains = [_dot(mixture, reference) / energy for reference in references]
    return np.stack([mixture * np.float32(gain) for gain in gains])


def _score_sets(references, estimate_sets, sources, sample_rate, win=1.0, hop=1.0):
    """Score several sets of estimates of one song; a stem left out of one is left out of all."""
    left_out = {}
    for stem, *signals in zip(sources, references, *estimate_sets):
        silent = [name for name, x in zip(("reference", "estimate"), signals) if _is_silent(x)]
        if silent or any(map(_is_silent, signals)):
            left_out[stem] = f"{silent[0] if silent else 'baseline'} is silent"
    kept = [i for i, stem in enumerate(sources) if stem not in left_out]
    return [
        {
            "targets": _museval_targets(
                references[kept], estimates[kept], [sources[i] for i in kept], sample_rate, win, hop
            ),
            "uSDR": {
                stem: None if _is_silent(reference) else _usdr(reference, estimate)
                for stem, reference, estimate in zip(sources, references, estimates)
            },
            "left_out": left_out,
        }
        for estimates in estimate_sets
    ]


def _museval_targets(references, estimates, stems, sample_rate, win, hop):
    """Call museval and put its values in its own form."""
    if not stems:
        return []
    import museval  # needs ffmpeg to be imported

    if not hasattr(np.linalg, "linalg"):  # NumPy 2; museval 0.4.1 catches its LinAlgError
        np.linalg.linalg = np.linalg
    sdr, isr, sir, sar = museval.evaluate(
        references.transpose(0, 2, 1).astype(np.float64),  # (n_src, time, n_channels)
        estimates.transpose(0, 2, 1).astype(np.float64),
        win=int(win * sample_rate),
        hop=int(hop * sample_rate),
    )
    values = np.stack([sdr, sir, isr, sar], axis=-1)  # (n_src, n_frames, 4), as METRICS
    return [
        {
            "name": stem,
            "frames": [
                {"time": k * hop, "duration": win, "metrics": dict(zip(METRICS, map(_plain, x)))}
                for k, x in enumerate(frames)
            ],
        }
        for stem, frames in zip(stems, values)
    ]


def _plain(value):
    """Round to museval's five digits; None for what JSON cannot say."""
    return round(float(value), 5) if np.isfinite(value) else None


def _dot(x, y):
    return np.einsum("ct,ct->", x, y, dtype=np.float64)


def _usdr(reference, estimate):
    error = reference - estimate
    ratio = (_dot(reference, reference) + 1e-7) / (_dot(error, error) + 1e-7)
    return _plain(10 * np.log10(ratio))


def _is_silent(signal):
    """Say whether museval would call the signal (n_channels, time) silent: channels sum to zero."""
    return not np.any(np.sum(signal, axis=0))


@dataclass(frozen=True)
class ScoreJob:
    """A song to score.

    Args:
        name (str): of the song, and of its file of scores.
        references (Path): folder with mixture.wav and <stem>.wav for every stem.
        estimates (Path): folder with <stem>.wav for every stem.
        sources (tuple[str]): the stems.
    """

    name: str
    references: Path
    estimates: Path
    sources: tuple[str, ...]


def evaluate_songs(jobs, out_dir, n_jobs=None):
    """Score songs in parallel and write `<out_dir>/<song>.json` for each as soon as it is done.

    Songs whose file of scores exists and is newer than their estimates are not scored again.

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
    waiting = [job for job in jobs if not _is_scored(job, paths[job.name])]
    n_samples = max(map(_check_files, waiting), default=0)
    n_jobs = min(n_jobs or _default_n_jobs(n_samples), max(1, len(waiting)))
    bar = tqdm(total=len(jobs), initial=len(jobs) - len(waiting), desc="scoring", unit="song")
    with bar, _workers(n_jobs) as pool:
        with _ctrl_c_held_back():  # processes started here never see it; this one stops them
            songs = {pool.submit(_score_files, job): job.name for job in waiting}
        for done in as_completed(songs):
            with _naming(songs[done]), atomic_write(paths[songs[done]]) as tmp:
                tmp.write_text(json.dumps(done.result(), indent=1, allow_nan=False))
            bar.update()
    return [json.loads(path.read_text()) for path in paths.values()]


def _is_scored(job, path):
    estimates = [job.estimates / f"{stem}.wav" for stem in job.sources]
    changed = max((x.stat().st_mtime for x in estimates if x.is_file()), default=0)
    return path.is_file() and path.stat().st_mtime >= changed


def _default_n_jobs(n_samples):
    """Bound by cores, and by the memory that museval takes for that many samples of references."""
    fits = int(usable_memory() / (1.5e9 + 80 * n_samples))  # bytes, measured
    return max(1, min(usable_cores(), fits))


def _check_files(job):
    """Find out before hours of scoring what cannot be scored; count all references' samples."""
    folders = {job.references: ["mixture", *job.sources], job.estimates: job.sources}
    paths = [folder / f"{stem}.wav" for folder, stems in folders.items() for stem in stems]
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
def _workers(n_jobs):
    """Give a pool of processes with one thread each, gone at once when the block is left early."""
    before = set(multiprocessing.active_children())
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {name: os.environ.get(name) for name in threads}
    os.environ.update(dict.fromkeys(threads, "1"))  # libraries read them when they are imported
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(n_jobs, mp_context=context)
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in environment.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def _ctrl_c_held_back():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def _naming(song):
    """Let an error say which song it came from."""
    try:
        yield
    except (InputError, OSError):
        raise  # name a file already
    except BrokenProcessPool:
        message = "was killed, most likely for want of memory: score fewer songs at a time (n_jobs)"
        raise InputError(f"{song}: the process scoring it {message}") from None
    except Exception as error:
        raise RuntimeError(f"{song}: scoring failed: {error!r}") from error


def _score_files(job):
    """Score one song, model and baselines."""
    sample_rate = _form(job.references / "mixture.wav").sample_rate
    mixture = _read(job.references / "mixture.wav")
    references = np.stack([_read(job.references / f"{stem}.wav") for stem in job.sources])
    estimates = np.stack([_read(job.estimates / f"{stem}.wav") for stem in job.sources])
    baselines = [f(mixture, references) for f in (mixture_baseline, best_gain_baseline)]
    scores = _score_sets(references, [estimates, *baselines], job.sources, sample_rate)
    return {"song": job.name, "sample_rate": sample_rate, "scores": dict(zip(METHODS, scores))}


def _read(path):
    """Read audio as (n_channels, time)."""
    try:
        audio, _ = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: cannot be read; separate the song again ({error})") from None
    if not np.isfinite(audio).all():
        raise InputError(f"{path}: has samples that are not numbers; separate the song again")
    return np.ascontiguousarray(audio.T)
