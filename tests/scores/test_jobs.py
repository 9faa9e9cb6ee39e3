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
import torch

from asteroid_tfswa.scores import jobs as jobs_module
from asteroid_tfswa.scores.baselines import MaskForm, baselines
from asteroid_tfswa.scores.bsseval import Signals
from asteroid_tfswa.scores.card import make_card, write_results
from asteroid_tfswa.scores.jobs import (
    ScoreOptions,
    _read_scores,
    _score_task,
    _tasks,
    _write_scores,
    evaluate_songs,
)
from asteroid_tfswa.scores.names import FRAME_METRICS, METHODS
from asteroid_tfswa.scores.song import score_song
from asteroid_tfswa.scores.tables import format_table, summarise
from tests.scores.songs import RATE, STEMS, KillingJob, metric, score, song, write_job

museval = pytest.importorskip(
    "museval", reason="scoring needs museval and ffmpeg", exc_type=Exception
)
FORM = ScoreOptions(form=MaskForm(n_fft=256, hop=128))


def run(jobs, folder, n_jobs=1):
    return evaluate_songs(jobs, folder / "scores", folder / "baselines", FORM, n_jobs)


def test_songs_to_results(tmp_path):
    jobs = [write_job(tmp_path, f"song {k}", *song(3, seed=k)) for k in range(3)]
    songs, failed = run(jobs, tmp_path, n_jobs=2)
    assert [s["song"] for s in songs] == ["song 0", "song 1", "song 2"] and failed == []
    files = sorted(tmp_path.glob("scores/*")) + sorted(tmp_path.glob("baselines/*"))
    assert [path.name for path in files] == ["song 0.json", "song 1.json", "song 2.json"] * 2

    references, estimates = song(3, seed=1)
    assert list(songs[1]["scores"]) == list(METHODS)
    assert songs[1]["scores"]["model"] == score(references, estimates)
    sets = baselines(Signals.of(references.sum(0)[None]), Signals.of(references), FORM.form)
    mixture = score_song(Signals.of(references), sets, STEMS, RATE)["mixture"]
    assert songs[1]["scores"]["mixture"]["uSDR"] == mixture["uSDR"]

    summary = summarise(songs, STEMS)
    card = make_card(songs, failed, summary, FORM.describe(), {"name": "noise"})
    write_results(tmp_path / "result", songs, summary, card)
    for kind in ("median", "mean"):
        store = museval.EvalStore(frames_agg="median", tracks_agg=kind)
        store.add_eval_dir(tmp_path / "result/museval")
        expected = store.agg_frames_tracks_scores()
        for stem in STEMS:
            for name in FRAME_METRICS:
                found = summary["scores"]["model"][stem][name][kind]
                assert found == pytest.approx(expected[stem][name], abs=1e-9)
    methods = museval.MethodStore()
    methods.add_eval_dir(tmp_path / "result/museval")
    assert set(methods.df["track"]) == {"song 0", "song 1", "song 2"}

    stored = json.loads((tmp_path / "result/score_card.json").read_text())
    assert stored == card and stored["summary"] == summary
    assert json.loads((tmp_path / "result/summary.json").read_text()) == summary
    of = stored["songs"][1]["methods"]["model"]["stems"]["drums"]
    assert of["frames"]["SDR"] == metric(songs[1]["scores"]["model"], "drums", "SDR")
    assert of["SDR"]["median"] == np.median(of["frames"]["SDR"])
    assert (tmp_path / "result/table.md").read_text() == format_table(summary)

    # again: nothing to do for songs that are scored, unless they were separated again
    stamps = [path.stat().st_mtime_ns for path in files]
    assert run(jobs, tmp_path) == (songs, [])
    assert [path.stat().st_mtime_ns for path in files] == stamps


def test_a_song_that_cannot_be_scored_costs_no_other(tmp_path):
    jobs = [write_job(tmp_path, f"song {k}", *song(2, seed=k)) for k in range(5)]
    jobs[0].estimates["drums"].unlink()
    jobs[1].estimates["drums"].write_text("hello")
    soundfile.write(jobs[2].estimates["drums"], song(2)[1][1][:, :-1].T, RATE, subtype="FLOAT")
    soundfile.write(jobs[3].estimates["drums"], song(2)[1][1].T * np.nan, RATE, subtype="FLOAT")
    songs, failed = run(jobs, tmp_path)
    assert [s["song"] for s in songs] == ["song 4"]
    wanted = ["is missing", "cannot be read", "has 7999 samples", "samples that are not numbers"]
    for k, (line, text) in enumerate(zip(failed, wanted)):
        assert line.startswith(f"song {k}: ") and "drums.wav: " in line and text in line
    assert len(failed) == 4


def test_a_killed_process_costs_one_song(tmp_path, capsys):
    jobs = [write_job(tmp_path, f"song {k}", *song(2, seed=k)) for k in range(4)]
    jobs = [dataclasses.replace(job, mixture=None) for job in jobs]  # one task each
    jobs[1] = KillingJob(**vars(jobs[1]))
    songs, failed = run(jobs, tmp_path, n_jobs=2)
    assert [s["song"] for s in songs] == ["song 0", "song 2", "song 3"]
    assert len(failed) == 1 and failed[0].startswith("song 1: the process scoring it was killed")
    assert "scoring one song at a time" in capsys.readouterr().err


def test_scores_are_kept_only_if_whole_and_of_the_same_references(tmp_path):
    job = write_job(tmp_path, "song", *song(2))

    def task(job=job, options=FORM):
        return next(iter(_tasks(job, tmp_path / "scores", tmp_path / "baselines", options)))

    path, scores = tmp_path / "scores/song.json", _score_task(task(), FORM)
    _write_scores(task(), scores)
    assert _read_scores(task()) == json.loads(json.dumps(scores))

    text = path.read_text()
    damages = [text[:1000], text.replace("uSDR", "usdr"), "", "[]", "3", "{}", "null", "[" * 10**5]
    damages += [text.replace("model", "mod\ufffdel"), '{"made_from": [], "digest": NaN}']
    for damage in damages:
        assert damage != text
        path.write_text(damage)
        assert _read_scores(task()) is None
    path.write_bytes(text.encode("utf-16"))
    assert _read_scores(task()) is None

    path.write_text(text)
    assert _read_scores(task())
    assert _read_scores(task(options=ScoreOptions("museval"))) is None
    assert _read_scores(task(dataclasses.replace(job, fingerprint="other audio"))) is None
    os.utime(job.references["drums"], ns=(0, 0))  # replaced by an older file of the same size
    assert _read_scores(task()) is None
    _write_scores(task(), scores)
    assert _read_scores(task())
    later = path.stat().st_mtime_ns + 10**9
    os.utime(job.estimates["drums"], ns=(later, later))  # separated again
    assert _read_scores(task()) is None


MAIN = """
import pickle
from pathlib import Path
from asteroid_tfswa_cli import run_command
from asteroid_tfswa.scores.jobs import evaluate_songs
if __name__ == "__main__":
    jobs = pickle.loads(Path("jobs").read_bytes())
    run_command(lambda: evaluate_songs(jobs, "scores", "baselines", n_jobs=1))
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
    assert not list(tmp_path.rglob("*.tmp*"))


@pytest.mark.parametrize(
    "error, reason",
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "is out of memory"),
        (RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable"), "is busy"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_left_for_the_cpu(
    tmp_path, monkeypatch, capsys, error, reason
):
    job = write_job(tmp_path, "song", *song(2))
    options = dataclasses.replace(FORM, device="cuda")
    task = next(iter(_tasks(job, tmp_path / "scores", tmp_path / "baselines", options)))
    devices = []

    def on_this_gpu(*args):
        devices.append(args[5:])
        if devices[-1] == ("cuda",):
            raise error
        return score_song(*args)

    monkeypatch.setattr(jobs_module, "score_song", on_this_gpu)
    found = _score_task(task, options)["scores"]["model"]
    assert devices == [("cuda",), ()] and found == score(*song(2))
    assert f"song: cuda {reason}, scored on the CPU" in capsys.readouterr().err


def test_museval_is_not_held_to_the_processes_that_fit_on_a_gpu(monkeypatch):
    monkeypatch.setattr(jobs_module, "usable_cores", lambda: 16)
    monkeypatch.setattr(jobs_module, "usable_memory", lambda: 10**12)
    for scorer, n_jobs in (("fast", 4), ("museval", 16)):
        options = dataclasses.replace(FORM, scorer=scorer, device="cuda")
        assert jobs_module._default_n_jobs([], options) == n_jobs


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_scores_like_the_cpu():
    references, estimates = song(4, n_channels=2)
    on = [score_song(references, {"m": estimates}, STEMS, RATE, device=d) for d in ("cpu", "cuda")]
    for stem in STEMS:
        for name in FRAME_METRICS:
            found = [metric(scores["m"], stem, name) for scores in on]
            assert found[0] == pytest.approx(found[1], abs=1e-4)
