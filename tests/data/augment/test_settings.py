import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa.config import read_yaml
from asteroid_tfswa.data.augment import Augment
from asteroid_tfswa.data.augment.effects import EFFECTS, STEM_EFFECTS
from asteroid_tfswa.data.augment.settings import TEMPO
from asteroid_tfswa.data.dataset import TrainSegments
from asteroid_tfswa.data.songs import Song

RECIPE = Path(__file__).resolve().parents[3] / "egs/musdb18"
RATE = 8000
NONE = {"random_mix": 0.0, "gain_min": 1.0, "gain_max": 1.0, "channel_swap": 0.0}
LATER = ("polarity", "silence", "mix_audio", *TEMPO, *STEM_EFFECTS, *EFFECTS)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    rng = np.random.default_rng(0)
    songs = []
    for name in ("one", "two"):
        paths = {stem: folder / f"{name}-{stem}.wav" for stem in ("bass", "drums", "vocals")}
        for path in paths.values():
            soundfile.write(path, 0.2 * rng.standard_normal((2 * RATE, 2)), RATE)
        songs.append(Song(name, folder, paths, folder / "none.wav", 2 * RATE, RATE, 2))
    return songs


def make(songs, **settings):
    """Items of a second with two of three stems as targets."""
    augment = Augment(**NONE | settings)
    return TrainSegments(songs, ["vocals", "drums"], 1.0, 10, RATE, augment=augment)


def test_keys_and_defaults_are_those_of_the_recipe():
    assert dataclasses.asdict(Augment()) == read_yaml(RECIPE / "local/conf.yml")["augment"]


@pytest.mark.parametrize("name", LATER)
def test_each_augmentation_changes_its_share_of_the_items(songs, name):
    limits = {"lowpass_min": 500.0, "lowpass_max": 3000.0}
    plain, never, sometimes, always = (
        make(songs, **{name: share}, **limits) for share in (0.0, 0.0, 0.5, 1.0)
    )
    changed = 0
    for number in range(12):
        mixture, targets = plain[number]
        assert torch.equal(never[number][0], mixture)
        assert not torch.equal(always[number][0], mixture)
        assert not torch.equal(always[number][1], targets)
        changed += not torch.equal(sometimes[number][0], mixture)
    assert 2 <= changed <= 12


def test_turning_one_on_changes_nothing_that_others_draw(songs):
    one = make(songs, random_mix=0.5, polarity=0.5, channel_swap=0.5, lowpass=1.0)
    both = make(songs, random_mix=0.5, polarity=0.5, channel_swap=0.5, lowpass=1.0, silence=0.5)
    for number in range(6):
        a, b = one[number][1], both[number][1]
        for before, after in zip(a, b):
            assert torch.equal(before, after) or not after.any()


def test_polarity_and_silence(songs):
    plain, changed = make(songs), make(songs, polarity=0.5, silence=0.25)
    factors = []
    for number in range(20):
        for before, after in zip(plain[number][1], changed[number][1]):
            factors.append((after[0, 100] / before[0, 100]).item())
            torch.testing.assert_close(after, before * factors[-1])
    counts = [np.isclose(factors, value).sum() for value in (1, -1, 0)]
    assert sum(counts) == 40 and min(counts) > 3
    assert not make(songs, silence=1.0)[0][0].any()


@pytest.mark.parametrize("name", STEM_EFFECTS)
def test_stems_are_changed_one_by_one(songs, name):
    plain, data = make(songs), make(songs, **{name: 0.5})
    changed = []
    for number in range(30):
        pairs = zip(plain[number][1], data[number][1])
        changed.append(tuple(not torch.equal(before, after) for before, after in pairs))
    assert len(set(changed)) == 4  # both, one, the other, none


def test_mix_audio_adds_a_segment_of_the_same_source(songs):
    data, plain = make(songs, mix_audio=1.0), make(songs)
    for number in range(3):
        for stem, before, after in zip(data.sources, plain[number][1], data[number][1]):
            second = (after - before)[0].numpy()
            waves = [soundfile.read(song.stems[stem], dtype="float32")[0][:, 0] for song in songs]
            found = [np.correlate(wave, second, "valid").max() for wave in waves]
            assert max(found) == pytest.approx((second**2).sum(), rel=1e-3)


@pytest.mark.parametrize("name", TEMPO)
def test_songs_as_long_as_the_segment_can_be_played_faster(songs, name):
    data = TrainSegments(songs, ["vocals"], 2.0, 4, RATE, augment=Augment(**NONE | {name: 1.0}))
    for number in range(3):
        mixture, targets = data[number]
        assert mixture.shape == (2, 2 * RATE) and mixture.isfinite().all() and targets.any()


def test_whole_items_are_sums(songs):
    """Without extra stems the mixture is the sum of the targets, whatever is on."""
    everything = {name: 0.5 for name in LATER} | {"lowpass_min": 500.0}
    augment = Augment(**everything)
    data = TrainSegments(songs, ["vocals", "drums", "bass"], 1.0, 10, RATE, augment=augment)
    for number in range(6):
        mixture, targets = data[number]
        torch.testing.assert_close(targets.sum(0), mixture, atol=1e-5, rtol=1e-5)
