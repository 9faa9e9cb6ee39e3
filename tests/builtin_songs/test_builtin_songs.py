"""The built-in songs have the form of MUSDB18-HQ, sound like music, and are reproducible."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from asteroid_tfswa.builtin_songs import make_builtin_songs
from asteroid_tfswa.builtin_songs.render import find_sound_font
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.locks import locked

STEMS = ("bass", "drums", "other", "vocals")

needs_instruments = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("pretty_midi", "tinysoundfont")),
    reason="the built-in songs need pretty_midi and tinysoundfont",
)


def read(song, stem):
    """Samples (time, chan) of a stem as integers that do not overflow when summed."""
    return soundfile.read(song / f"{stem}.wav", dtype="int16")[0].astype(int)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.wav")}


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Two training songs and a test song of eight seconds."""
    folder = tmp_path_factory.mktemp("builtin")
    return make_builtin_songs(folder / "songs", n_train=2, n_test=1, duration=8.0, seed=3)


@needs_instruments
def test_layout_is_that_of_musdb18_hq(songs):
    found = sorted(str(path.relative_to(songs)) for path in songs.rglob("*.wav"))
    folders = ("test/test_01", "train/train_01", "train/train_02")
    assert found == sorted(f"{song}/{stem}.wav" for song in folders for stem in (*STEMS, "mixture"))
    assert not list(songs.glob(".*"))  # nothing unfinished is left
    for path in songs.rglob("*.wav"):
        info = soundfile.info(path)
        assert (info.frames, info.samplerate, info.channels) == (8 * 44100, 44100, 2)


@needs_instruments
def test_mixture_is_the_exact_sum_and_does_not_clip(songs):
    for song in songs.glob("t*/*"):
        mixture = read(song, "mixture")
        np.testing.assert_array_equal(mixture, sum(read(song, stem) for stem in STEMS))
        assert 0.5 * 2**15 < np.abs(mixture).max() < 0.95 * 2**15


@needs_instruments
def test_stems_are_balanced_and_pause(songs):
    for song in songs.glob("t*/*"):
        audio = {stem: read(song, stem) / 2**15 for stem in STEMS}
        energies = [10 * np.log10(np.mean(x**2)) for x in audio.values()]
        assert max(energies) - min(energies) < 6
        blocks = [np.abs(x.reshape(16, -1)).max(axis=1) for x in audio.values()]  # half a second
        assert np.min(blocks) < 1e-3, f"no stem of {song.name} is ever silent"
        assert np.max(blocks, axis=0).min() > 1e-3, f"{song.name} stops altogether"


@needs_instruments
def test_stems_sound_like_what_they_are(songs):
    """The bass is darker than what plays over it; the voice is in the middle, in a room."""
    for song in songs.glob("t*/*"):
        centroid = {}
        for stem in STEMS:
            spectrum = np.abs(np.fft.rfft(read(song, stem).mean(axis=1)))
            centroid[stem] = np.average(np.arange(len(spectrum)) / 8, weights=spectrum**2)
        assert centroid["bass"] < 400
        assert 300 < centroid["vocals"] < 2500
        assert centroid["bass"] < min(centroid["other"], centroid["vocals"])
        vocals = read(song, "vocals")
        assert np.corrcoef(vocals.T)[0, 1] > 0.8
        assert not np.array_equal(vocals[:, 0], vocals[:, 1])


@needs_instruments
def test_songs_differ(songs):
    mixtures = [read(song, "mixture").mean(axis=1) for song in sorted(songs.glob("t*/*"))]
    assert np.abs(np.corrcoef(mixtures) - np.eye(3)).max() < 0.3


@needs_instruments
def test_same_seed_gives_the_same_bytes_in_another_process(songs, tmp_path):
    command = (
        "import sys, asteroid_tfswa_cli; "  # so that no more of the package is imported
        "from asteroid_tfswa.builtin_songs import make_builtin_songs as make; "
        "make(sys.argv[1], n_train=1, n_test=0, duration=8.0, seed=3)"
    )
    subprocess.run([sys.executable, "-c", command, str(tmp_path / "3")], check=True)
    make_builtin_songs(tmp_path / "4", n_train=1, n_test=0, duration=8.0, seed=4)
    first = {name: data for name, data in contents(songs).items() if "train_01" in name}
    assert contents(tmp_path / "3") == first
    assert contents(tmp_path / "4")["train/train_01/bass.wav"] != first["train/train_01/bass.wav"]


@needs_instruments
def test_running_again_makes_only_what_is_missing(tmp_path):
    make_builtin_songs(tmp_path, n_train=1, n_test=0, duration=4.0)
    kept = tmp_path / "train" / "train_01" / "mixture.wav"
    before = kept.stat().st_mtime_ns
    make_builtin_songs(tmp_path, n_train=1, n_test=1, duration=4.0)
    assert kept.stat().st_mtime_ns == before
    assert soundfile.info(tmp_path / "test" / "test_01" / "bass.wav").frames == 4 * 44100


@needs_instruments
def test_one_run_at_a_time_and_broken_songs_are_made_again(tmp_path):
    with locked(tmp_path), pytest.raises(InputError, match=f"{tmp_path}: another run"):
        make_builtin_songs(tmp_path, n_train=1, n_test=0, duration=4.0)
    make_builtin_songs(tmp_path, n_train=1, n_test=0, duration=4.0)
    before = contents(tmp_path)
    (tmp_path / "train" / "train_01" / "bass.wav").unlink()
    (tmp_path / "train" / ".0123abcd.tmp").mkdir()  # of a run that was killed
    make_builtin_songs(tmp_path, n_train=1, n_test=0, duration=4.0)
    assert contents(tmp_path) == before and not list(tmp_path.rglob(".*"))
    with locked(tmp_path):  # reading needs no lock
        assert make_builtin_songs(tmp_path, n_train=1, n_test=0, duration=4.0) == tmp_path
    (tmp_path / "builtin.json").write_text("{")
    with pytest.raises(InputError, match="builtin.json: damaged; remove"):
        make_builtin_songs(tmp_path, n_train=1, n_test=0, duration=4.0)


@needs_instruments
def test_ctrl_c_leaves_no_half_song(tmp_path, monkeypatch):
    write = soundfile.write

    def interrupted(path, *args, **kwargs):
        if "drums" in str(path):
            raise KeyboardInterrupt
        write(path, *args, **kwargs)

    monkeypatch.setattr(soundfile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_builtin_songs(tmp_path, n_train=1, n_test=0, duration=4.0)
    assert not list(tmp_path.rglob("*.wav"))


@needs_instruments
def test_songs_of_another_seed_are_not_passed_off(tmp_path):
    make_builtin_songs(tmp_path, n_train=0, n_test=0, seed=1)
    with pytest.raises(InputError, match="holds songs made with .*'seed': 1.*another folder"):
        make_builtin_songs(tmp_path, n_train=0, n_test=0, seed=2)
    with pytest.raises(InputError, match="holds songs made with .*, not .*'sound_font'"):
        make_builtin_songs(tmp_path, n_train=0, n_test=0, seed=1, sound_font=find_sound_font())


@needs_instruments
def test_another_sound_font_plays_the_same_songs(songs, tmp_path):
    font = tmp_path / "other.sf2"
    font.write_bytes(find_sound_font().read_bytes())
    options = {"n_train": 1, "n_test": 0, "duration": 8.0, "seed": 3}
    make_builtin_songs(tmp_path / "songs", **options, sound_font=font)
    again, first = contents(tmp_path / "songs"), contents(songs)
    assert again["train/train_01/bass.wav"] == first["train/train_01/bass.wav"]
    font.write_bytes(b"RIFF....WAVE")
    for path in (font, tmp_path / "none.sf2"):
        with pytest.raises(InputError, match=f"sound_font: {path} is not a sound font"):
            make_builtin_songs(tmp_path / "others", sound_font=path)


@pytest.mark.parametrize("argument", [{"n_train": -1}, {"seed": -1}, {"duration": 1.0}])
def test_arguments_out_of_range_are_named(tmp_path, argument):
    with pytest.raises(InputError, match=f"{list(argument)[0]} is .*: give"):
        make_builtin_songs(tmp_path / "songs", **argument)
    assert not (tmp_path / "songs").exists()


def test_missing_instruments_name_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install pretty_midi"):
        make_builtin_songs(tmp_path / "songs")
