"""Sources as configuration: sums of files, any number of them, and one model for each."""

import json

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa import TFSWAUNet
from asteroid_tfswa.data.dataset import TrainSegments
from asteroid_tfswa.data.songs import read_prepared
from asteroid_tfswa.data.sources import parts_of, sums_of, trained_sources
from asteroid_tfswa.engine.train import train
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.models.base import MusicModel
from asteroid_tfswa.models.loading import model_args
from asteroid_tfswa.scores.evaluate import evaluate
from tests.conftest import SMALL
from tests.data.raw_sets import RATE, failure, read, run, write_song
from tests.engine.tiny import make_conf

STEMS = ["lead", "backing", "drums", "bass", "keys", "fx"]
SUMS = {"vocals": ["lead", "backing"], "drums": ["drums"], "instruments": ["rest"]}


@pytest.fixture
def source(tmp_path):
    """Songs of six stems; one has no fx."""
    for split, names in {"train": "abc", "test": "t"}.items():
        for name in names:
            stems = STEMS[:-1] if name == "b" else STEMS
            write_song(tmp_path / "raw" / split / name, stems=stems, n_samples=2 * RATE)
    return tmp_path / "raw"


def test_files_are_summed_to_sources_and_the_mixture_stays(source):
    data = run(source, sources=SUMS)
    for song in (song for songs in data.splits.values() for song in songs):
        assert list(song.stems) == ["drums", "instruments", "vocals"]
        raw = source / ("test" if song.name == "t" else "train") / song.name
        files = {path.stem: read(path) for path in raw.iterdir()}
        vocals = files.pop("lead") + files.pop("backing")
        drums = files.pop("drums")
        np.testing.assert_allclose(read(song.stems["vocals"]), vocals, atol=1e-6)
        np.testing.assert_array_equal(read(song.stems["drums"]), drums)
        np.testing.assert_allclose(read(song.stems["instruments"]), sum(files.values()), atol=1e-6)
        total = vocals + drums + sum(files.values())
        np.testing.assert_allclose(read(song.mixture), total, atol=1e-6)
        assert sorted(path.name for path in song.folder.iterdir()) == sorted(
            ["song.json", "mixture.wav", *(f"{stem}.wav" for stem in song.stems)]
        )
    assert json.loads((source.parent / "prepared/dataset.json").read_text())["sums"] == {
        "vocals": ["backing", "lead"],
        "instruments": ["rest"],
    }


def test_a_prepared_set_keeps_its_sums(source):
    before = run(source, sources=SUMS).fingerprint
    assert run(source, sources=dict(reversed(SUMS.items()))).fingerprint == before
    with pytest.raises(InputError, match="was prepared with sums .* choose another data_dir"):
        run(source, sources={"vocals": ["lead"], "rest": ["rest"]})
    with pytest.raises(InputError, match="was prepared with sums"):
        run(source, sources=["lead"])


def test_a_source_may_have_the_name_of_one_of_its_files(source):
    swapped = {"lead": ["backing", "lead"], "bass": ["drums"], "drums": ["bass", "keys"]}
    song = run(source, sources=swapped).splits["test"][0]
    raw = {path.stem: read(path) for path in (source / "test/t").iterdir()}
    assert list(song.stems) == ["bass", "drums", "fx", "lead"]
    np.testing.assert_array_equal(read(song.stems["bass"]), raw["drums"])
    np.testing.assert_allclose(read(song.stems["lead"]), raw["lead"] + raw["backing"], atol=1e-6)
    np.testing.assert_allclose(read(song.stems["drums"]), raw["bass"] + raw["keys"], atol=1e-6)


def test_a_missing_part_is_an_error_or_silent(source):
    parts = {"band": ["bass", "fx"], "vocals": ["lead"]}
    assert "/b: the stem 'fx' is missing" in failure(source, sources=parts)
    everything = {"all": STEMS, "nothing": ["rest"]}
    assert "/a: no stem is left for nothing=rest (found: backing" in failure(
        source, sources=everything
    )
    data = run(source, sources=parts, missing_stems="silence")
    assert any("missing stems are silent (fx)" in note for note in data.notes)
    song = next(s for songs in data.splits.values() for s in songs if s.name == "b")
    np.testing.assert_array_equal(read(song.stems["band"]), read(source / "train/b/bass.wav"))


def test_a_file_beside_the_files_that_are_summed_to_its_name_is_refused(source):
    message = failure(source, sources={"keys": ["lead", "backing"]})
    assert "keys is a file beside backing, lead, which are to be summed to keys" in message


@pytest.mark.parametrize(
    "stems, expected",
    [
        (["vocals", "drums", "rest"], ["drums", "rest"]),
        (["vocals", "rest"], ["rest"]),
        (["vocals", "accompaniment"], ["accompaniment"]),
        (["vocals", "instrumental"], ["instrumental"]),
    ],
)
def test_the_rest_is_every_file_left_whatever_its_name(tmp_path, stems, expected):
    for song in ("train/a", "train/b", "test/t"):
        folder = write_song(tmp_path / "raw" / song, stems=stems)
        total = sum(read(path) for path in folder.iterdir())
        soundfile.write(folder / "mixture.wav", total, RATE, subtype="FLOAT")
    sources = {"vocals": ["vocals"], "accompaniment": ["rest"]}
    data = run(tmp_path / "raw", sources=sources)
    song = data.splits["test"][0]
    assert list(song.stems) == ["accompaniment", "vocals"] and not data.notes
    rest = sum(read(tmp_path / f"raw/test/t/{stem}.wav") for stem in expected)
    np.testing.assert_allclose(read(song.stems["accompaniment"]), rest, atol=1e-6)
    np.testing.assert_allclose(read(song.mixture), rest + read(song.stems["vocals"]), atol=1e-6)


def test_a_rest_of_sums_alone_is_refused(tmp_path):
    for song in ("train/a", "train/b", "test/t"):
        folder = write_song(tmp_path / "raw" / song, stems=["vocals", "drums", "bass"])
        total = read(folder / "drums.wav") + read(folder / "bass.wav")
        soundfile.write(folder / "accompaniment.wav", total, RATE)
    sources = {name: [name] for name in ("vocals", "drums", "bass")} | {"more": ["rest"]}
    message = failure(tmp_path / "raw", sources=sources)
    assert "no stem is left for more=rest, all other files are sums or copies" in message


@pytest.mark.parametrize(
    "sources, named",
    [
        ({"a": ["x"], "b": ["x"]}, "'x' is in two sources"),
        ({"a": ["x", "x"]}, "'x' is in two sources"),
        ({"a": []}, "'a' has no files"),
        ({"a": ["mixture"]}, "'mixture' found"),
        ({"mixture": ["x"]}, "'mixture' found"),
        ({"a": ["rest", "x"]}, "'a' is 'rest' and files"),
        ({"a": ["rest"], "b": ["rest"]}, "'rest' is in two sources"),
        ({}, "give a list of different stem names"),
        (["a", "a"], "give a list of different stem names"),
        ("vocals", "give a list of different stem names"),
    ],
)
def test_sources_that_cannot_be_used(sources, named):
    with pytest.raises(InputError, match=f"^sources: .*{named}"):
        parts_of(sources)


def test_sums_and_targets():
    assert sums_of(["a", "rest"]) == {} and sums_of({"a": ["a"], "b": ["a2"]}) == {"b": ["a2"]}
    assert sums_of({"rest": ["rest"]}) == {"rest": ["rest"]}
    assert trained_sources({"sources": SUMS}) == list(SUMS)
    assert trained_sources({"sources": SUMS, "target": ""}) == list(SUMS)
    assert trained_sources({"sources": list(SUMS), "target": "drums"}) == ["drums"]
    with pytest.raises(InputError, match=r"target must be one of .*\(vocals, drums.*got 'bass'"):
        trained_sources({"sources": SUMS, "target": "bass"})


@pytest.mark.parametrize(
    "sources, target, expected",
    [
        (SUMS, "", 3),
        (STEMS, "", 6),
        ({"vocals": ["lead", "backing"], "accompaniment": ["rest"]}, "vocals", 1),
    ],
)
def test_any_sources_train(source, tmp_path, sources, target, expected):
    run(source, sources=sources, missing_stems="silence")
    data = read_prepared(source.parent / "prepared")
    conf = make_conf(sources=sources, epochs=1, epoch_size=4, batch_size=2)
    conf["data"]["target"] = target
    network = {key: SMALL[key] for key in SMALL if key not in ("sources", "sample_rate")}
    model = TFSWAUNet(**model_args({**conf, "filterbank": {}, "masknet": network}))
    assert len(model.sources) == expected
    train(model, data, conf, tmp_path / "exp", devices="cpu")
    assert MusicModel.from_pretrained(tmp_path / "exp/best_model.pth").sources == model.sources
    if expected == 1:  # scoring solves for 512 taps from every stem to every other
        table, failed = evaluate(tmp_path / "exp", data, device="cpu", segment=1.0, n_jobs=1)
        assert not failed and f"| {target} " in table


def test_the_others_add_to_the_mixture_of_a_target(source):
    data = run(source, sources=STEMS, missing_stems="silence")
    songs = data.splits["train"]
    one, all_of_them = (TrainSegments(songs, names, 0.5, 4, RATE) for names in (["lead"], STEMS))
    assert one.stems == ["lead", *sorted(set(STEMS) - {"lead"})]
    mixture, targets = one[0]
    assert targets.shape[0] == 1 and (mixture - targets[0]).abs().max() > 0.1
    assert torch.isfinite(all_of_them[0][0]).all()
