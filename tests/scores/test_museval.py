"""Scores: museval's own numbers, silent stems, baselines, songs in parallel, tables."""

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
from asteroid_tfswa.scores.museval import (
    METHODS,
    METRICS,
    ScoreJob,
    _score_files,
    best_gain_baseline,
    evaluate_songs,
    mixture_baseline,
    score_song,
)
from asteroid_tfswa.scores.tables import format_table, summarise, write_summary

museval = pytest.importorskip(
    "museval", reason="scoring needs museval and ffmpeg", exc_type=Exception
)
RATE = 4000
STEMS = ["vocals", "drums"]


def song(seconds=3.5, n_src=2, n_channels=1, seed=0):
    """References and estimates that leak into each other, (n_src, n_channels, time)."""
    rng = np.random.default_rng(seed)
    shape = (n_src, n_channels, int(seconds * RATE))
    references = (0.1 * rng.standard_normal(shape)).astype(np.float32)
    noise = (0.01 * rng.standard_normal(shape)).astype(np.float32)
    return references, references + 0.2 * references.sum(0) + noise


def metric(scores, stem, name):
    frames = next(t["frames"] for t in scores["targets"] if t["name"] == stem)
    return [frame["metrics"][name] for frame in frames]


def as_track(scores, name):
    """The scores as museval's TrackStore, by way of JSON."""
    store = museval.TrackStore(name, win=1.0, hop=1.0)
    store.scores = json.loads(json.dumps(scores, allow_nan=False))
    return store


def write_job(folder, name, references, estimates):
    for kind, signals in (("data", references), ("separated", estimates)):
        (folder / kind / name).mkdir(parents=True)
        for stem, x in zip(STEMS, signals):
            soundfile.write(folder / kind / name / f"{stem}.wav", x.T, RATE, subtype="FLOAT")
    mixture = references.sum(0)
    soundfile.write(folder / "data" / name / "mixture.wav", mixture.T, RATE, subtype="FLOAT")
    return ScoreJob(name, folder / "data" / name, folder / "separated" / name, tuple(STEMS))


@pytest.mark.parametrize("n_channels", [1, 2])
def test_values_are_musevals(n_channels):
    references, estimates = song(n_channels=n_channels)
    references[1, :, RATE : 2 * RATE] = 0  # museval has NaN for all stems there
    scores = score_song(references, estimates, STEMS, RATE)
    sdr, isr, sir, sar = museval.evaluate(
        references.transpose(0, 2, 1).astype(float),
        estimates.transpose(0, 2, 1).astype(float),
        win=RATE,
        hop=RATE,
    )
    for name, values in zip(METRICS, (sdr, sir, isr, sar)):
        for stem, expected in zip(STEMS, values):
            found = np.array(metric(scores, stem, name), dtype=float)
            np.testing.assert_allclose(found, expected, atol=1e-5)
            assert np.isnan(found).tolist() == [False, True, False]
    assert scores["targets"][0]["frames"][2]["time"] == 2.0
    assert scores["left_out"] == {}


def test_form_is_musevals_own():
    class Audio:
        def __init__(self, audio):
            self.audio = audio

    class Track:
        name, rate = "song", RATE

    references, estimates = song()
    track = Track()
    track.targets = dict(zip(STEMS, (Audio(x.T.astype(float)) for x in references)))
    expected = museval.eval_mus_track(
        track, dict(zip(STEMS, (x.T.astype(float) for x in estimates)))
    )
    found = score_song(references, estimates, STEMS, RATE)
    assert found["targets"] == json.loads(expected.json)["targets"]


def test_perfect_and_scaled_estimates():
    references, _ = song()
    perfect = score_song(references, references, STEMS, RATE)
    assert all(v is None or v > 200 for v in metric(perfect, "vocals", "SDR"))
    assert perfect["uSDR"]["vocals"] > 80
    halved = score_song(references, references / 2, STEMS, RATE)  # error: half the amplitude
    assert halved["uSDR"]["drums"] == pytest.approx(6.02, abs=0.01)
    assert metric(halved, "drums", "SDR") == pytest.approx([6.02] * 3, abs=0.01)


def test_usdr_is_the_energy_ratio_of_the_whole_song():
    references, estimates = song(n_channels=2)
    references[0, :, :RATE] *= 10  # a loud second, which a median over frames does not see
    scores = score_song(references, estimates, STEMS, RATE)
    error = np.sum((references[0] - estimates[0]) ** 2.0)
    expected = 10 * np.log10(np.sum(references[0] ** 2.0) / error)
    assert scores["uSDR"]["vocals"] == pytest.approx(expected, abs=1e-3)
    assert abs(np.median(metric(scores, "vocals", "SDR")) - expected) > 2


def test_silent_stems_are_left_out_and_the_others_scored():
    references, estimates = song(n_src=3)
    references[0] = 0
    scores = score_song(references, estimates, ["a", "b", "c"], RATE)
    alone = score_song(references[1:], estimates[1:], ["b", "c"], RATE)
    assert scores["targets"] == alone["targets"]
    assert scores["left_out"] == {"a": "reference is silent"}
    assert scores["uSDR"]["a"] is None and scores["uSDR"]["b"] == alone["uSDR"]["b"]

    estimates[1] = 0  # one stem remains: nothing can interfere, so no SIR
    scores = score_song(references, estimates, ["a", "b", "c"], RATE)
    assert scores["left_out"]["b"] == "estimate is silent"
    assert scores["uSDR"]["b"] == pytest.approx(0, abs=1e-3)
    assert metric(scores, "c", "SIR") == [None] * 3
    assert None not in metric(scores, "c", "SDR")

    references[2] = 0
    scores = score_song(references, estimates, ["a", "b", "c"], RATE)
    assert scores["targets"] == [] and len(scores["left_out"]) == 3


def test_channels_that_cancel_are_silent_to_museval():
    references, estimates = song(n_channels=2)
    references[0, 1] = -references[0, 0]
    assert list(score_song(references, estimates, STEMS, RATE)["left_out"]) == ["vocals"]


def test_stems_that_are_the_same_do_not_crash():
    references = np.zeros((2, 1, 2 * RATE), dtype=np.float32)
    references[:, :, ::RATE] = 2  # makes museval's equations exactly singular
    estimates = references + song(2)[0]
    assert None not in metric(score_song(references, estimates, STEMS, RATE), "drums", "SDR")


def test_song_shorter_than_a_frame_has_one():
    references, estimates = song(seconds=0.4)
    assert len(metric(score_song(references, estimates, STEMS, RATE), "vocals", "SDR")) == 1


def test_shapes_that_differ_are_refused():
    references, estimates = song()
    with pytest.raises(InputError, match="references .* estimates"):
        score_song(references, estimates[..., :-1], STEMS, RATE)
    with pytest.raises(InputError, match="sources"):
        score_song(references, estimates, ["vocals"], RATE)


def test_baselines():
    references, _ = song(n_channels=2)
    references[0] *= 3
    mixture = references.sum(0)
    as_is = mixture_baseline(mixture, references)
    np.testing.assert_array_equal(as_is, np.stack([mixture, mixture]))
    best = best_gain_baseline(mixture, references)
    for reference, estimate in zip(references, best):
        gain = estimate[0, 0] / mixture[0, 0]
        np.testing.assert_allclose(estimate, gain * mixture, rtol=1e-5)
        error, less, more = (
            np.sum((reference - g * mixture) ** 2) for g in (gain, 0.99 * gain, 1.01 * gain)
        )
        assert error < less and error < more
    assert not np.any(best_gain_baseline(np.zeros_like(mixture), references))


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
                for name in METRICS:
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

    # again: nothing to do for songs that are scored, unless they were separated anew
    stamps = [(tmp_path / "scores" / name).stat().st_mtime_ns for name in files]
    assert evaluate_songs(jobs, tmp_path / "scores", n_jobs=1) == songs
    assert [(tmp_path / "scores" / name).stat().st_mtime_ns for name in files] == stamps
    (jobs[2].estimates / "drums.wav").write_text("another, damaged")
    os.utime(jobs[2].estimates / "drums.wav", ns=(stamps[2] + 10**9, stamps[2] + 10**9))
    with pytest.raises(InputError, match="song 2/drums.wav"):
        evaluate_songs(jobs, tmp_path / "scores")
    with pytest.raises(InputError, match="song 0.json.*bass"):
        summarise(songs, ["bass"])


def test_frames_and_stems_without_a_value_in_the_summary():
    references, estimates = song(3)
    references[0, :, :RATE] = 0
    with_gap = score_song(references, estimates, STEMS, RATE)
    references[0] = 0
    without_vocals = score_song(references, estimates, STEMS, RATE)
    songs = [
        {"song": name, "scores": dict.fromkeys(METHODS, scores)}
        for name, scores in (("gap", with_gap), ("instrumental", without_vocals))
    ]
    summary = summarise(songs, STEMS)
    vocals = [v for v in metric(with_gap, "vocals", "SDR") if v is not None]
    assert len(vocals) == 2
    assert summary["scores"]["model"]["vocals"]["SDR"]["mean"] == pytest.approx(np.median(vocals))
    assert summary["n_songs"] == 2
    table = format_table(summarise(songs[1:], STEMS))
    assert "- instrumental: vocals (reference is silent)" in table
    assert "nan" not in table.lower()


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


CTRL_C = """
import pickle, sys
from pathlib import Path
from asteroid_tfswa.scores.museval import evaluate_songs
if __name__ == "__main__":
    try:
        evaluate_songs(pickle.loads(Path("jobs").read_bytes()), "scores", n_jobs=1)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_ctrl_c_keeps_finished_songs_and_stops_all_processes(tmp_path):
    jobs = [write_job(tmp_path, f"song {k}", *song(3, seed=k)) for k in range(60)]
    (tmp_path / "jobs").write_bytes(pickle.dumps(jobs))
    (tmp_path / "main.py").write_text(CTRL_C)
    process = subprocess.Popen(
        [sys.executable, "main.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    while not list(tmp_path.glob("scores/song*.json")) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the group
    _, messages = process.communicate()  # ends when the last process holding stderr has ended
    assert process.returncode == 130, messages
    assert "Traceback" not in messages
    finished = list((tmp_path / "scores").iterdir())
    assert 0 < len(finished) < 60
    assert all(json.loads(path.read_text())["scores"]["model"] for path in finished)
