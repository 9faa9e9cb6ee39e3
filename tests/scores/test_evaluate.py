"""Evaluation picks up what exists, and only what the same model and options made."""

import dataclasses
import os
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa import InputError
from asteroid_tfswa.data.songs import PreparedData, Song
from asteroid_tfswa.locks import locked
from asteroid_tfswa.scores import evaluate
from asteroid_tfswa.scores.evaluate import _drop_outdated, _torch_device, separate_songs
from tests.stand_ins import RATE, StandIn
from tests.trained import make_best_model


@pytest.fixture
def song(tmp_path):
    folder = tmp_path / "song"
    folder.mkdir()
    noise = np.random.default_rng(0).standard_normal((RATE, 2)) / 10
    soundfile.write(folder / "mixture.wav", noise, RATE, subtype="FLOAT")
    return Song("song", folder, {}, folder / "mixture.wav", RATE, RATE, 2)


@pytest.mark.parametrize("name", ["song", os.fsdecode(b"s\xf6ng")])  # not UTF-8
def test_separated_songs_are_kept(song, tmp_path, name):
    model, song = StandIn(), dataclasses.replace(song, name=name)
    separate_songs(model, [song], tmp_path / "out", segment=0.5)
    names = sorted(path.name for path in (tmp_path / "out" / name).iterdir())
    assert names == sorted(f"{source}.wav" for source in model.sources)
    (tmp_path / "out" / name / "mark").touch()
    separate_songs(model, [song], tmp_path / "out", segment=0.5)
    assert (tmp_path / "out" / name / "mark").exists()
    assert not list((tmp_path / "out").glob(".*"))


def test_another_model_option_or_mixture_starts_again(song, tmp_path):
    (tmp_path / "best_model.pth").write_bytes(b"one")
    estimate = tmp_path / "estimates/song/vocals.wav"
    record = tmp_path / "estimates/made_with.yml"

    def is_kept(**options):
        estimate.parent.mkdir(parents=True, exist_ok=True)
        estimate.touch()
        fresh = dataclasses.replace(song)  # its fingerprint is computed once
        _drop_outdated(tmp_path, tmp_path / "best_model.pth", [fresh], **options)
        return estimate.exists()

    assert not is_kept(overlap=0.25)  # nobody knows what made it
    assert is_kept(overlap=0.25)
    assert not is_kept(overlap=0.5)
    assert is_kept(overlap=0.5)
    (tmp_path / "best_model.pth").write_bytes(b"two")
    assert not is_kept(overlap=0.5)
    soundfile.write(song.mixture, np.zeros((RATE, 2)), RATE, subtype="FLOAT")
    assert not is_kept(overlap=0.5)
    assert is_kept(overlap=0.5)
    text = record.read_text()
    for damage in (text[:40], "", "[1, 2]", "songs: 3", "\0", "a: 2020-99-99", "[" * 5000, "&a *a"):
        record.write_text(damage)
        assert not is_kept(overlap=0.5)
        assert record.read_text() == text
    record.write_text(text.replace("  song:", "  ../../song: 3\n  song:"))
    assert is_kept(overlap=0.5) and record.read_text() == text
    record.write_bytes(b"\xff\xfe")
    assert not is_kept(overlap=0.5)


def test_a_song_that_left_the_set_leaves_no_results(song, tmp_path):
    (tmp_path / "best_model.pth").write_bytes(b"one")
    other = dataclasses.replace(song, name="other")
    for name in ("song", "other", "mine"):
        (tmp_path / "estimates" / name).mkdir(parents=True)
    (tmp_path / "scores").mkdir()
    _drop_outdated(tmp_path, tmp_path / "best_model.pth", [song, other])
    for name in ("song", "other"):
        (tmp_path / "estimates" / name).mkdir()
        (tmp_path / f"scores/{name}.json").touch()
    results = ("scores/score_card.json", "scores/summary.json", "scores/table.md", "model_card.md")
    for name in results:
        (tmp_path / name).touch()
    _drop_outdated(tmp_path, tmp_path / "best_model.pth", [song, other])
    assert all((tmp_path / name).exists() for name in results)  # nothing has changed
    _drop_outdated(tmp_path, tmp_path / "best_model.pth", [song])
    assert not any((tmp_path / name).exists() for name in results)  # of both songs
    names = {path.name for path in (tmp_path / "estimates").iterdir()}
    assert names == {"made_with.yml", "song", "mine"}
    assert [path.name for path in (tmp_path / "scores").iterdir()] == ["song.json"]


@pytest.mark.parametrize("damage", ["missing", "half", "short", "a file"])
def test_damaged_estimates_are_made_again(song, tmp_path, damage):
    def separate():
        separate_songs(StandIn(), [song], tmp_path / "out", segment=0.5)
        return soundfile.read(tmp_path / "out/song/two.wav")[0]

    whole, path = separate(), tmp_path / "out/song/two.wav"
    if damage == "missing":
        path.unlink()
    elif damage == "half":
        path.write_bytes(path.read_bytes()[:30])
    elif damage == "short":
        soundfile.write(path, whole[:-1], RATE)
    else:
        shutil.rmtree(path.parent)
        path.parent.write_text("not a folder")
    np.testing.assert_array_equal(separate(), whole)


def test_leftovers_go_and_a_second_run_is_refused(song, tmp_path):
    model_file = make_best_model(tmp_path / "exp")
    data = PreparedData("set", "none", RATE, 2, "", {"test": [song]})
    leftovers = [
        tmp_path / "exp/estimates/.0123abcd.tmp",
        tmp_path / "exp/scores/.0123abcd.tmp.json",
    ]
    leftovers[0].mkdir(parents=True)
    leftovers[1].parent.mkdir()
    leftovers[1].touch()
    with locked(model_file.parent), pytest.raises(InputError, match="another run is writing to it"):
        evaluate.evaluate(model_file.parent, data, device="cpu")
    with pytest.raises(InputError, match="has no drums, vocals to compare with"):
        evaluate.evaluate(model_file.parent, data, device="cpu")
    assert not any(path.exists() for path in leftovers)


def test_devices_that_training_takes_are_taken(monkeypatch):
    assert _torch_device("cpu:2") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert _torch_device("1") == torch.device("cuda:1")
    assert _torch_device("0,1") == torch.device("cuda:0")
    assert _torch_device("") == torch.device("cuda:0")


def test_a_missing_model_is_an_error_never_a_substitute(tmp_path, song):
    data = PreparedData("set", "none", RATE, 2, "", {"test": [song]})
    with pytest.raises(
        InputError, match="no trained model: .*best_model.pth is missing; run stage 1"
    ):
        evaluate.evaluate(tmp_path, data)


def test_the_stage_names_songs_without_scores_in_lines(monkeypatch, capsys):
    script = Path(__file__).parents[2] / "egs/musdb18/eval.py"
    monkeypatch.setattr(sys, "argv", [script.name, "--data_dir", "data", "--exp_dir", "exp"])
    monkeypatch.setattr("asteroid_tfswa.data.songs.read_prepared", lambda folder: None)
    monkeypatch.setattr(evaluate, "evaluate", lambda *args, **options: ("table", ["t\n1: reason"]))
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(script), run_name="__main__")
    assert stop.value.code == 1
    assert capsys.readouterr() == ("table\n", "error: 1 song has no scores:\n  t\\n1: reason\n")
