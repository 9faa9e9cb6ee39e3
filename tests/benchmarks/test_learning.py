"""The race: a run that is cut off continues as if it had not been, and its numbers are right."""

import copy
import json
import shutil

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa.config import read_yaml
from asteroid_tfswa.errors import InputError
from tests.benchmarks.learning import card, other_artists, report, run
from tests.benchmarks.learning.songs import find_songs
from tests.benchmarks.work import RECIPE_CONF
from tests.conftest import SMALL

RATE, STEMS = 8000, ["vocals", "drums"]


@pytest.fixture
def job(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(2):
        folder = tmp_path / f"songs/song{i}"
        folder.mkdir(parents=True)
        for stem in STEMS:
            wave = 0.1 * rng.standard_normal((3 * RATE, 2))
            wave[:RATE] *= 1e-3  # so that the busiest part is known
            soundfile.write(folder / f"{stem}.flac", wave, RATE)
    conf = read_yaml(RECIPE_CONF)
    network = {key: value for key, value in SMALL.items() if key in conf["masknet"]}
    changes = {
        "data": {"sources": STEMS, "sample_rate": RATE, "segment": 0.25},
        "filterbank": {"n_filters": 64, "kernel_size": 64, "stride": 16},
        "masknet": network,
        "optim": {"ema_decay": 0.5, "schedule": "linear"},
        "training": {"batch_size": 2},
    }
    for section, keys in changes.items():
        conf[section].update(keys)
    songs = str(tmp_path / "songs")
    return {
        "name": "ours", "label": "ours", "lr": 1e-3, "conf": conf, "seed": 0,
        "budget": ["steps", 4], "train": [f"{songs}:2"], "valid": [songs], "tests": [songs],
        "cache": str(tmp_path / "cache"), "excerpt": 2.0, "threads": 1,
    }  # fmt: skip


def test_a_run_continues_and_is_reported(job, tmp_path, monkeypatch, capsys):
    whole = run.Run(copy.deepcopy(job), tmp_path / "whole")
    whole.train()
    monkeypatch.setattr(run, "SAVE_EVERY", 0.0)
    cut = run.Run(copy.deepcopy(job), tmp_path / "cut")
    step = cut.step

    def third_step_fails(*batch):
        if cut.done["steps"] == 2:
            raise KeyboardInterrupt
        step(*batch)

    monkeypatch.setattr(cut, "step", third_step_fails)
    with pytest.raises(KeyboardInterrupt):
        cut.train()
    again = run.Run(copy.deepcopy(job), tmp_path / "cut")
    again.train()
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, again.average.state_dict()[name]), name
    assert [p["valid"] for p in again.curve] == [p["valid"] for p in whole.curve]
    assert [p["steps"] for p in again.curve] == [2, 4]
    assert again.done["audio"] == 4 * 2 * 0.25

    result = job | {"curve": again.curve, "parameters": 1, **again.done, **again.score("tests")}
    report.write([result, result], tmp_path)
    assert (tmp_path / "table.md").read_text().count("| - | - | - |") == 1
    costs = again.costs()
    assert 0 < costs["step"] < 60 and 0 < costs["separation"] < 60 and 0.1 < costs["memory"] < 60
    report.write(
        [result, result | {"costs": {"step": 1.5, "separation": 0.5, "memory": 2}}], tmp_path
    )
    table = (tmp_path / "table.md").read_text()
    assert "| s a step | separation s/s | peak GB |" in table and "| 1.5 | 0.5 | 2 |" in table
    score = report.valid_score(result)
    assert f"| {score:.2f} (" in table and f"{score:.2f} (" in capsys.readouterr().out
    assert json.loads((tmp_path / "results.json").read_text())[0]["lr"] == 1e-3


def test_float16_is_refused(job, tmp_path):
    job["conf"]["training"]["precision"] = "16-mixed"
    with pytest.raises(InputError, match="^precision: 16-mixed needs gradients that are scaled"):
        run.Run(job, tmp_path)


def test_a_song_without_a_score_is_refused(job, tmp_path):
    run.Run(job, tmp_path).check_songs()
    for k, stem in enumerate(STEMS):  # one after the other
        wave = np.ones((4, RATE)) * (np.arange(4) // 2 == k)[:, None]
        soundfile.write(tmp_path / f"songs/song1/{stem}.wav", 0.1 * wave.ravel(), RATE)
        (tmp_path / f"songs/song1/{stem}.flac").unlink()
    job["excerpt"] = None
    with pytest.raises(InputError, match="song1: in no second do all its stems sound.*leave it"):
        run.Run(job, tmp_path).check_songs()


def test_songs_of_one_name_are_two(job, tmp_path):
    (tmp_path / "songs/cd1").mkdir()
    shutil.copytree(tmp_path / "songs/song0", tmp_path / "songs/cd1/song0")
    songs = find_songs(tmp_path / "songs", STEMS, tmp_path / "cache")
    assert [song.name for song in songs] == ["cd1/song0", "song0", "song1"]


def test_sdrs_leave_silent_stems_out():
    stems = np.random.default_rng(0).standard_normal((3, 2, 4 * RATE)).astype(np.float32)
    stems[1] = 0
    estimates = stems * 0.9
    estimates[0, :, : 2 * RATE] = 0.5 * stems[0, :, : 2 * RATE]
    scores = run.sdrs(["a", "b", "c"], stems, estimates, RATE)
    assert scores.keys() == {"a", "c"}
    assert scores["c"] == pytest.approx([20, 20], abs=0.01)
    assert scores["a"] == pytest.approx([13.01, 8.86], abs=0.1)


def test_excerpts_are_the_busiest_part(job, tmp_path):
    folder = tmp_path / "songs"
    song = find_songs(folder, STEMS, tmp_path / "cache", 2.0)[0]
    wave, rate = soundfile.read(song.stems["vocals"])
    assert rate == RATE and song.n_samples == 2 * RATE
    assert np.square(wave).mean() == pytest.approx(0.01, rel=0.1)


def test_the_scores_of_a_card(job, tmp_path, capsys, make_model):
    torch.save(make_model().serialize(), tmp_path / "model.pth")
    silent = tmp_path / "songs/song1/drums.flac"
    soundfile.write(silent, np.zeros((3 * RATE, 2)), RATE)
    card.main([str(tmp_path / "model.pth"), str(tmp_path / "songs")])
    title, header, model, gain = capsys.readouterr().out.strip().splitlines()
    assert title == f"{tmp_path / 'songs'}, 2 songs, cSDR, dB" and header.split() == [
        "mean",
        *STEMS,
    ]
    assert model.split()[0] == str(tmp_path / "model.pth") and model.count(" to ") == 3

    # Of two independent stems of equal power half the mixture comes closest, at 3 dB; a stem that
    # sounds alone is its mixture.
    values = [float(word.strip("()")) for word in gain.split() if word.strip("()")[-1].isdigit()]
    mean, vocals, (drums, low, high) = values[0], values[3], values[6:]
    assert vocals > 20 and drums == pytest.approx(3, abs=0.2) and low <= drums <= high
    assert mean == pytest.approx((vocals + drums) / 2, abs=0.01)
    draws = np.arange(1001.0)
    means = card.row({"a": {"x": (1.0, draws), "y": (3.0, draws)}})
    assert means == ["2.00 (25.00 to 975.00)"] * 2


def test_songs_of_other_artists_are_put_together(tmp_path, capsys):
    """Mono files get their place, loops are repeated, what is missing is silent."""
    folder = tmp_path / "clingo-mixer/stems"
    folder.mkdir(parents=True)
    tone = 0.1 * np.sin(2 * np.pi * 441 * np.arange(44100) / 44100)
    for stem, parts in other_artists.SONGS["valid/clingo"][3].items():
        for part, *_ in parts:
            soundfile.write(folder / f"{part}.wav", tone if stem == "other" else 0 * tone, 44100)
    other_artists.main([str(tmp_path), str(tmp_path / "songs")])
    assert "valid/clingo: made" in capsys.readouterr().out
    stems = {
        stem: soundfile.read(tmp_path / f"songs/valid/clingo/{stem}.wav")[0]
        for stem in other_artists.STEMS
    }
    assert [path.name for path in (tmp_path / "songs").glob("*/*")] == ["clingo"]
    assert not any(np.abs(stems[stem]).max() for stem in ("vocals", "drums", "bass"))
    # guitars at -0.6 and 0.6, a piano of 0.6 in the middle, then everything to a peak of 0.9
    expected = tone / 0.1 * 0.9
    np.testing.assert_allclose(stems["other"].T, np.tile(expected, (2, 31)), atol=1e-3)
