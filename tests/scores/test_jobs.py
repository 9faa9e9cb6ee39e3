"""Songs in parallel: picked up where they were left, made again where something changed."""

import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.scores.baselines import best_gain_baseline, mixture_baseline
from asteroid_tfswa.scores.jobs import (
    METHODS,
    _made_from,
    _read_scores,
    _score_files,
    _write_scores,
    evaluate_songs,
)
from asteroid_tfswa.scores.museval import METRICS, score_song
from asteroid_tfswa.scores.tables import format_table, summarise, write_summary
from tests.scores.songs import RATE, STEMS, song, write_job

museval = pytest.importorskip(
    "museval", reason="scoring needs museval and ffmpeg", exc_type=Exception
)


def as_track(scores, name):
    """The scores as museval's TrackStore, by way of JSON."""
    store = museval.TrackStore(name, win=1.0, hop=1.0)
    store.scores = json.loads(json.dumps(scores, allow_nan=False))
    return store


def test_songs_to_table(tmp_path):
    jobs = [write_job(tmp_path, f"song {k}", *song(3, seed=k)) for k in range(3)]
    songs = evaluate_songs(jobs, tmp_path / "scores", n_jobs=2)
    assert [s["song"] for s in songs] == ["song 0", "song 1", "song 2"]
    files = sorted(path.name for path in (tmp_path / "scores").iterdir())
    assert files == ["song 0.json", "song 1.json", "song 2.json"]

    references, estimates = song(3, seed=1)
    best = best_gain_baseline(references.sum(0), references)
    for method, x in zip(
        METHODS, (estimates, mixture_baseline(references.sum(0), references), best)
    ):
        assert songs[1]["scores"][method] == score_song(references, x, STEMS, RATE)

    summary = summarise(songs, STEMS)
    for kind in ("median", "mean"):
        for method in METHODS:
            store = museval.EvalStore(frames_agg="median", tracks_agg=kind)
            for s in songs:
                store.add_track(as_track(s["scores"][method], s["song"]))
            expected = store.agg_frames_tracks_scores()
            for stem in STEMS:
                for name in METRICS if method == "model" else ("SDR", "ISR"):
                    found = summary["scores"][method][stem][name][kind]
                    assert found == pytest.approx(expected[stem][name], abs=1e-9)
    model = summary["scores"]["model"]
    usdr = [s["scores"]["model"]["uSDR"]["drums"] for s in songs]
    assert model["drums"]["uSDR"]["mean"] == pytest.approx(np.mean(usdr))
    average = np.mean([model[stem]["SDR"]["mean"] for stem in STEMS])
    assert model["average"]["SDR"]["mean"] == pytest.approx(average)

    write_summary(summary, tmp_path / "result")
    assert json.loads((tmp_path / "result" / "summary.json").read_text()) == summary
    table = (tmp_path / "result" / "table.md").read_text()
    assert table == format_table(summary)
    assert max(map(len, table.splitlines())) <= 100
    assert f"{model['vocals']['SDR']['median']:.2f}" in table

    # again: nothing to do for songs that are scored, unless they were separated again
    stamps = [(tmp_path / "scores" / name).stat().st_mtime_ns for name in files]
    assert evaluate_songs(jobs, tmp_path / "scores", n_jobs=1) == songs
    assert [(tmp_path / "scores" / name).stat().st_mtime_ns for name in files] == stamps
    (jobs[2].estimates / "drums.wav").write_text("another, damaged")
    os.utime(jobs[2].estimates / "drums.wav", ns=(stamps[2] + 10**9, stamps[2] + 10**9))
    with pytest.raises(InputError, match="song 2/drums.wav"):
        evaluate_songs(jobs, tmp_path / "scores")


@pytest.mark.parametrize("damage", ["missing", "short", "not audio"])
def test_bad_estimate_is_named_before_anything_is_scored(tmp_path, damage):
    references, estimates = song(2)
    jobs = [write_job(tmp_path, name, references, estimates) for name in ("good song", "bad song")]
    path = jobs[1].estimates / "drums.wav"
    if damage == "missing":
        path.unlink()
    elif damage == "not audio":
        path.write_text("hello")
    else:
        soundfile.write(path, estimates[1][:, :-1].T, RATE, subtype="FLOAT")
    with pytest.raises(InputError, match="bad song/drums.wav"):
        evaluate_songs(jobs, tmp_path / "scores")
    assert not list(tmp_path.glob("scores/*"))


def test_estimate_with_nan_is_named(tmp_path):
    job = write_job(tmp_path, "bad song", song(2)[0], song(2)[1] * np.nan)
    with pytest.raises(InputError, match="bad song/vocals.wav: .*not numbers"):
        _score_files(job)  # what a worker does, without the seconds that starting one takes


def test_scores_are_kept_only_if_whole_and_of_the_same_references(tmp_path):
    job = write_job(tmp_path, "song", *song(2))
    path, scores = tmp_path / "scores/song.json", _score_files(job)
    _write_scores(path, _made_from(job), scores)
    assert _read_scores(job, path, _made_from(job)) == json.loads(json.dumps(scores))

    text = path.read_text()
    damages = [text[:1000], text.replace("uSDR", "usdr"), "", "[]", "3", "{}", "null", "[" * 10**5]
    damages += [text.replace("model", "mod\ufffdel"), '{"made_from": [], "digest": NaN}']
    for damage in damages:
        assert damage != text
        path.write_text(damage)
        assert _read_scores(job, path, _made_from(job)) is None
    path.write_bytes(text.encode("utf-16"))
    assert _read_scores(job, path, _made_from(job)) is None

    path.write_text(text)
    assert _read_scores(job, path, _made_from(job))
    reference = job.references / "drums.wav"
    os.utime(reference, ns=(0, 0))  # replaced by an older file of the same size
    assert _read_scores(job, path, _made_from(job)) is None
    other = dataclasses.replace(job, fingerprint="other audio")
    _write_scores(path, _made_from(job), scores)
    assert _read_scores(job, path, _made_from(job))
    assert _read_scores(job, path, _made_from(other)) is None
    soundfile.write(job.estimates / "drums.wav", np.ones((2 * RATE, 1)), RATE)
    assert _read_scores(job, path, _made_from(job)) is None


MAIN = """
import pickle
from pathlib import Path
from asteroid_tfswa.config import run_command
from asteroid_tfswa.scores.jobs import evaluate_songs
if __name__ == "__main__":
    run_command(lambda: evaluate_songs(pickle.loads(Path("jobs").read_bytes()), "scores", 1))
"""


def test_sigterm_keeps_finished_songs(tmp_path):
    jobs = [write_job(tmp_path, f"song {k}", *song(3, seed=k)) for k in range(60)]
    (tmp_path / "jobs").write_bytes(pickle.dumps(jobs))
    (tmp_path / "main.py").write_text(MAIN)
    process = subprocess.Popen(
        [sys.executable, "main.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(tmp_path.glob("scores/song*.json")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=60)  # ends with the last process that holds stderr
    assert process.returncode == 143, messages
    lines = [line for line in messages.splitlines() if line and "scoring" not in line]
    assert lines == ["terminated"]
    finished = list((tmp_path / "scores").iterdir())
    assert 0 < len(finished) < 60
    assert all(json.loads(path.read_text())["scores"]["model"] for path in finished)
