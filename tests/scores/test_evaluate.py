"""Evaluation picks up what exists, and only what the same model and options made."""

import numpy as np
import pytest
import soundfile

from asteroid_tfswa import InputError
from asteroid_tfswa.data.songs import PreparedData, Song
from asteroid_tfswa.scores import evaluate
from asteroid_tfswa.scores.evaluate import _drop_outdated, separate_songs
from tests.stand_ins import RATE, StandIn


@pytest.fixture
def song(tmp_path):
    folder = tmp_path / "song"
    folder.mkdir()
    noise = np.random.default_rng(0).standard_normal((RATE, 2)) / 10
    soundfile.write(folder / "mixture.wav", noise, RATE, subtype="FLOAT")
    return Song("song", folder, {}, folder / "mixture.wav", RATE, RATE, 2)


def test_separated_songs_are_kept(song, tmp_path):
    model = StandIn()
    separate_songs(model, [song], tmp_path / "out", segment=0.5)
    names = sorted(path.name for path in (tmp_path / "out/song").iterdir())
    assert names == sorted(f"{source}.wav" for source in model.sources)
    (tmp_path / "out/song/mark").touch()
    separate_songs(model, [song], tmp_path / "out", segment=0.5)
    assert (tmp_path / "out/song/mark").exists()
    assert not list((tmp_path / "out").glob(".*"))


def test_another_model_or_option_starts_anew(tmp_path):
    (tmp_path / "best_model.pth").write_bytes(b"one")
    estimate = tmp_path / "estimates/song/vocals.wav"

    def is_kept(**options):
        estimate.parent.mkdir(parents=True, exist_ok=True)
        estimate.touch()
        _drop_outdated(tmp_path, tmp_path / "best_model.pth", **options)
        return estimate.exists()

    assert not is_kept(overlap=0.25)  # nobody knows what made it
    assert is_kept(overlap=0.25)
    assert not is_kept(overlap=0.5)
    assert is_kept(overlap=0.5)
    (tmp_path / "best_model.pth").write_bytes(b"two")
    assert not is_kept(overlap=0.5)


def test_a_missing_model_is_an_error_never_a_substitute(tmp_path, song):
    data = PreparedData("set", "none", RATE, 2, "", {"test": [song]})
    with pytest.raises(
        InputError, match="no trained model: .*best_model.pth is missing; run stage 1"
    ):
        evaluate.evaluate(tmp_path, data)
