"""Scores of many songs: in parallel, each kept as soon as it is known."""

import json
import sys
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.machine import is_out_of_memory, usable_cores, usable_memory
from asteroid_tfswa.scores.baselines import MaskForm, baselines
from asteroid_tfswa.scores.files import common_form, open_signals
from asteroid_tfswa.scores.names import BASELINES, MODEL, digest_of, json_name, state_of
from asteroid_tfswa.scores.song import score_song
from asteroid_tfswa.workers import worker_pool

FAST_VERSION = 1  # raised whenever the fast scorer's numbers change
BUSY = "busy or unavailable"  # CUDA's message if a GPU takes one process and has one
MAX_ON_GPU = 4  # processes, each with half a GB of its own there; reading and oracles use the CPU


@dataclass(frozen=True)
class ScoreJob:
    """A song to score.

    Args:
        name (str): of the song, and of its files of scores, see `json_name`.
        mixture (Path or None): audio file; without one there are no baselines.
        references (dict[str, Path]): audio file of every stem.
        estimates (dict[str, Path]): the same stems, separated.
        fingerprint (str): of the references' audio, see `Song`. Default "".
        made_by (str): what made the estimates, if it can change behind their times. Default "".
        tolerance (float): seconds by which lengths may differ; the first reference's counts.
            Default 0.
    """

    name: str
    mixture: Path | None
    references: dict[str, Path]
    estimates: dict[str, Path]
    fingerprint: str = ""
    made_by: str = ""
    tolerance: float = 0.0


@dataclass(frozen=True)
class ScoreOptions:
    """How songs are scored.

    Args:
        scorer (str): "fast" or "museval". Default "fast".
        form (MaskForm): of the oracles' masks. Default: sigmoid masks on magnitudes.
        device (str): where the fast scorer computes. Default "cpu".
    """

    scorer: str = "fast"
    form: MaskForm = MaskForm()
    device: str = "cpu"

    def describe(self):
        """Name the scorer and its version.

        Returns:
            str: for example "museval 0.4.1".
        """
        if self.scorer == "museval":
            return f"museval {version('museval')}"
        return f"fast {FAST_VERSION}"


def evaluate_songs(jobs, out_dir, baseline_dir, options=ScoreOptions(), n_jobs=None):
    """Score songs in parallel and write `<song>.json` for each as soon as it is done.

    `out_dir` gets the scores of the estimates, `baseline_dir` those of baselines and oracles,
    which depend on the data alone. A file is kept as long as it is whole and was made by this
    version of the scorer from the same references (fingerprint, sizes and times of the files), in
    `out_dir` also as long as it is newer than the estimates.

    Args:
        jobs (list[ScoreJob]): the songs.
        out_dir (Path): folder of the estimates' scores.
        baseline_dir (Path): folder of the baselines' scores.
        options (ScoreOptions): how to score.
        n_jobs (int or None): songs at a time, a core each. Default: what cores and memory allow.

    Returns:
        tuple[list[dict], list[str]]: for each song that could be scored `{"song", "sample_rate",
        "n_samples", "scores": {method: scores}}`, see METHODS and `score_song`; and for each other
        one a line that says why.
    """
    tasks, failures = [], []
    for job in jobs:
        try:
            tasks += _tasks(job, out_dir, baseline_dir, options)
        except (InputError, OSError) as error:
            failures.append(f"{job.name}: {error}")
    results = {task.path: _read_scores(task) for task in tasks}
    waiting = [task for task in tasks if results[task.path] is None]
    n_jobs = min(n_jobs or _default_n_jobs(waiting, options), max(1, len(waiting)))
    bar = tqdm(total=len(tasks), initial=len(tasks) - len(waiting), desc="scoring", unit="task")
    with bar:
        while waiting:
            killed = _run_tasks(waiting, options, n_jobs, results, failures, bar)
            if killed and n_jobs == 1:  # the others had not begun
                failures.append(
                    f"{killed.pop(0).job.name}: the process scoring it was killed, most likely for "
                    "lack of memory; close other programs and score it again"
                )
                bar.update()
            elif killed:
                bar.write(
                    "a process was killed, most likely for lack of memory: scoring one song at a "
                    "time from here on",
                    file=sys.stderr,
                )
            waiting, n_jobs = killed, 1
    return _by_song(tasks, results), sorted(set(failures))


def _run_tasks(tasks, options, n_jobs, results, failures, bar):
    """Score in `n_jobs` processes; return those tasks, in order, that died with a process."""
    killed, submitted = set(), {}
    with worker_pool(n_jobs) as submit:
        for task in tasks:
            try:
                submitted[submit(_score_task, task, options)] = task
            except BrokenProcessPool:
                killed.add(task.path)
        for done in as_completed(submitted):
            task = submitted[done]
            try:
                results[task.path] = done.result()
                _write_scores(task, results[task.path])
            except BrokenProcessPool:
                killed.add(task.path)
                continue
            except (InputError, OSError) as error:  # which name a file
                failures.append(f"{task.job.name}: {error}")
            except Exception as error:
                failures.append(f"{task.job.name}: scoring failed: {error!r}")
            bar.update()
    return [task for task in tasks if task.path in killed]


@dataclass(frozen=True)
class _Task:
    """Some methods of a song, whose scores go into one file."""

    job: ScoreJob
    methods: tuple[str, ...]
    path: Path
    made_from: str
    n_values: int  # samples of all references


def _tasks(job, out_dir, baseline_dir, options):
    mixture = [job.mixture] if job.mixture else []
    references = [*mixture, *job.references.values()]
    form = common_form(_in_order(job), job.tolerance)
    n_values = form.n_samples * form.n_channels * len(job.references)
    facts = [options.describe(), list(job.references), job.fingerprint, state_of(references)]
    path = Path(out_dir) / json_name(job.name)
    yield _Task(job, (MODEL,), path, digest_of([*facts, job.made_by]), n_values)
    if mixture:
        path = Path(baseline_dir) / json_name(job.name)
        yield _Task(job, BASELINES, path, digest_of([*facts, options.form]), n_values)


def _in_order(job):
    """All files of a song, the one whose length counts first."""
    mixture = [job.mixture] if job.mixture else []
    return [*job.references.values(), *mixture, *job.estimates.values()]


def _write_scores(task, scores):
    # The digest tells whole files from those that something else wrote or changed.
    stored = {"made_from": task.made_from, "digest": digest_of(scores), **scores}
    with atomic_write(task.path) as tmp:
        tmp.write_text(json.dumps(stored, indent=1, allow_nan=False))


def _read_scores(task):
    """Read the scores that `_write_scores` wrote; None where they are to be computed (again)."""
    estimates = task.job.estimates.values() if MODEL in task.methods else ()
    try:
        changed = max((file.stat().st_mtime for file in estimates), default=0)
        if task.path.stat().st_mtime < changed:
            return None
        stored = json.loads(task.path.read_text(encoding="utf-8"))
        if stored.pop("made_from") != task.made_from or stored.pop("digest") != digest_of(stored):
            return None
        if MODEL in task.methods and "level" not in stored["scores"][MODEL]:
            return None  # of an earlier version
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return stored


def _by_song(tasks, results):
    """Put the methods of each song together; songs whose estimates have no scores are left out."""
    songs = {}
    for task in tasks:
        found = results[task.path]
        if found and MODEL in task.methods:
            songs[task.job.name] = {**found, "scores": dict(found["scores"])}
        elif found and task.job.name in songs:
            songs[task.job.name]["scores"].update(found["scores"])
    return list(songs.values())


def _default_n_jobs(tasks, options):
    """Bound by cores, and by the memory that scoring takes; bytes, measured."""
    longest = max((task.n_values for task in tasks), default=0)
    n_stems = max((len(task.job.references) for task in tasks), default=1)
    needed = 1.5e9 + 80 * longest if options.scorer == "museval" else 0.6e9 + 0.25e9 * n_stems
    uses_gpu = options.scorer == "fast" and options.device != "cpu"
    most = min(usable_cores(), MAX_ON_GPU) if uses_gpu else usable_cores()
    return max(1, min(most, int(usable_memory() / needed)))


def _score_task(task, options):
    """Score some methods of a song."""
    job = task.job
    form = common_form(_in_order(job), job.tolerance)
    references = open_signals(list(job.references.values()), form.n_samples)
    if MODEL in task.methods:
        sets = {MODEL: open_signals(list(job.estimates.values()), form.n_samples)}
    else:
        mixture = open_signals([job.mixture], form.n_samples)
        sets = baselines(mixture, references, options.form)
    names = list(job.references)
    wanted = (references, sets, names, form.sample_rate, options.scorer)
    try:
        scores = score_song(*wanted, options.device)
    except RuntimeError as error:
        is_busy = BUSY in str(error)
        if options.device == "cpu" or not (is_busy or is_out_of_memory(error)):
            raise
        reason = "is busy" if is_busy else "is out of memory"
        print(f"{job.name}: {options.device} {reason}, scored on the CPU", file=sys.stderr)
        scores = score_song(*wanted)
    return {
        "song": job.name,
        "sample_rate": form.sample_rate,
        "n_samples": form.n_samples,
        "scores": scores,
    }
