"""Layouts that people have, and the prepared set."""

import importlib.util
import json
from pathlib import Path

import pytest

from asteroid_tfswa.data import musdb18
from asteroid_tfswa.data.songs import find_songs, read_prepared
from asteroid_tfswa.errors import InputError
from tests.data.raw_sets import run, write_set, write_song


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_validation_songs_are_those_of_musdb():
    yaml = pytest.importorskip("yaml")
    spec = importlib.util.find_spec("musdb")  # importing it would need ffmpeg
    if spec is None:
        pytest.skip("musdb is not installed")
    setup = yaml.safe_load((Path(spec.origin).parent / "configs" / "mus.yaml").read_text())
    assert musdb18.VALIDATION_SONGS == set(setup["validation_tracks"])
    assert len(musdb18.VALIDATION_SONGS) == 14
    ids = setup["stem_ids"]
    assert musdb18.STEM_MP4_STREAMS == tuple(sorted(ids, key=ids.get))


def test_all_layouts_are_found_sorted_and_hidden_files_ignored(tmp_path):
    touch(tmp_path / "train" / "b song", "vocals.FLAC", "bass.ogg", "notes.txt", "._bass.wav")
    touch(tmp_path / "train" / ".cache", "vocals.wav")
    touch(tmp_path / "train", "a - x.stem.mp4", "README.md", "._a - x.stem.mp4")
    touch(tmp_path / "test" / "c", "mixture.wav", "vocals.mp3")
    found = find_songs(tmp_path)
    assert list(found) == ["train", "valid", "test"]
    assert [song.name for song in found["train"]] == ["a - x", "b song"]
    stem_mp4, folder = found["train"]
    assert stem_mp4.is_stem_mp4 and not folder.is_stem_mp4
    assert list(stem_mp4.files) == ["bass", "drums", "mixture", "other", "vocals"]
    assert {stem: path.name for stem, path in folder.files.items()} == {
        "bass": "bass.ogg",
        "vocals": "vocals.FLAC",
    }
    assert found["valid"] == []
    assert list(found["test"][0].files) == ["mixture", "vocals"]


def test_song_decoded_beside_its_stem_mp4_is_taken_once_from_its_folder(tmp_path):
    touch(tmp_path / "train", "a.stem.mp4")
    touch(tmp_path / "train" / "a", "vocals.wav")
    (song,) = find_songs(tmp_path)["train"]
    assert song.path == tmp_path / "train" / "a"


def test_nothing_found_says_where_and_what(tmp_path):
    touch(tmp_path / "musdb18hq" / "train" / "a", "vocals.wav")  # one folder too high
    with pytest.raises(InputError, match="no songs found.*stem.mp4.*train/ and test/") as caught:
        find_songs(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such folder"):
        find_songs(tmp_path / "nowhere")


def test_two_files_for_one_stem_are_named(tmp_path):
    touch(tmp_path / "train" / "a", "vocals.wav", "vocals.ogg")
    with pytest.raises(InputError, match="vocals.ogg and vocals.wav are both there"):
        find_songs(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"name": "x"}', '{"songs": 3}', '{"songs": {"train": [{}]}}']
)
def test_damaged_dataset_file_is_one_line(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match="dataset.json: damaged"):
        read_prepared(tmp_path)


def test_missing_dataset_and_missing_audio(tmp_path):
    with pytest.raises(InputError, match="run stage 0"):
        read_prepared(tmp_path)
    song = {"name": "a", "n_samples": 8, "stems": ["vocals"]}
    stored = {
        "name": "n",
        "license": "l",
        "sample_rate": 8000,
        "n_channels": 2,
        "validation": "v",
        "songs": {"train": [song], "valid": [], "test": []},
    }
    (tmp_path / "dataset.json").write_text(json.dumps(stored))
    touch(tmp_path / "train" / "a", "mixture.wav")
    moved = tmp_path / "train" / "a" / "vocals.wav"
    moved.symlink_to(tmp_path / "source" / "vocals.wav")
    with pytest.raises(InputError, match=r"vocals.wav \(a link to .*the file is gone"):
        read_prepared(tmp_path)
    moved.unlink()
    moved.touch()
    assert read_prepared(tmp_path).splits["train"][0].stems == {"vocals": moved}


def test_fingerprint_changes_with_audio_and_splits_only(tmp_path):
    source = write_set(tmp_path / "source")
    data = run(source, tmp_path / "prepared", name="a name")
    before = data.fingerprint
    assert run(source, tmp_path / "again").fingerprint == before != ""
    (tmp_path / "prepared").rename(tmp_path / "moved")
    assert read_prepared(tmp_path / "moved").fingerprint == before

    assert run(source, tmp_path / "other", valid_share=0.5).fingerprint != before
    song = data.splits["test"][0]
    stem = source / "test" / "t" / "bass.wav"
    size = stem.stat().st_size
    write_song(stem.parent, stems=["x", "y", "bass"])  # other noise, of the same length
    for name in "xy":
        (stem.parent / f"{name}.wav").unlink()
    assert stem.stat().st_size == size
    changed = read_prepared(tmp_path / "moved")
    assert changed.fingerprint != before
    assert changed.splits["test"][0].fingerprint != song.fingerprint
    assert changed.splits["train"][0].fingerprint == data.splits["train"][0].fingerprint
