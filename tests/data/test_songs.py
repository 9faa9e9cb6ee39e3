"""Reading the prepared set, and its fingerprint."""

import importlib.util
import json
from pathlib import Path

import pytest

from asteroid_tfswa.data import musdb18
from asteroid_tfswa.data.songs import read_prepared
from asteroid_tfswa.errors import InputError
from tests.data.raw_sets import run, write_set, write_song


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


@pytest.mark.parametrize(
    "text", ["", "[]", '{"name": "x"}', '{"songs": 3}', '{"songs": {"train": [{}]}}', "[" * 9999]
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
    folder = tmp_path / "train" / "a"
    write_song(folder, stems=["mixture"], n_samples=8)
    write_song(tmp_path / "source", stems=["vocals"], n_samples=8)
    vocals = folder / "vocals.wav"
    vocals.symlink_to(tmp_path / "source" / "vocals.wav")
    assert read_prepared(tmp_path).splits["train"][0].stems == {"vocals": vocals}
    write_song(tmp_path / "source", stems=["vocals"], n_samples=9)
    with pytest.raises(InputError, match="vocals.wav: has changed .*9 samples at 8000 Hz"):
        read_prepared(tmp_path)
    (tmp_path / "source" / "vocals.wav").unlink()
    with pytest.raises(InputError, match=r"vocals.wav \(a link to .*the file is missing"):
        read_prepared(tmp_path)


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
