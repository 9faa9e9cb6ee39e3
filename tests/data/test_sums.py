"""Files beside the stems: sums, copies and mixtures, recognised by name and content."""

import shutil

import numpy as np
import pytest
import soundfile as sf

from asteroid_tfswa.data import musdb18
from asteroid_tfswa.data.prepare import prepare
from asteroid_tfswa.data.raw.sums import is_mixture_name, is_sum_name
from tests.data.raw_sets import RATE, failure, needs_ffmpeg, noise, read

SOURCES = ["bass", "drums", "other", "vocals"]


def waves_of(names, n_samples=4000):
    """Independent stems, of different loudness."""
    return {
        name: noise(index + 10, n_samples) / (2 + index % 4) for index, name in enumerate(names)
    }


def write(folder, waves, suffix="wav"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, wave in waves.items():
        sf.write(
            folder / f"{name}.{suffix}", wave, RATE, subtype="FLOAT" * (suffix == "wav") or None
        )


def summed(waves, *names):
    return sum(waves[name] for name in names)


@pytest.fixture
def source(tmp_path):
    """A set of five songs of four stems, without mixtures."""
    for folder in ("train/a", "train/b", "train/c", "test/t"):
        write(tmp_path / "source" / folder, waves_of(SOURCES))
    return tmp_path / "source"


def song_of(source, sources=SOURCES, **options):
    data = prepare(source, source.parent / "out", sources, sample_rate=RATE, n_jobs=1, **options)
    return data.splits["test"][0], data.notes


@pytest.mark.parametrize("name", ["mix", "Full Mix", "linear_mixture", "MASTER", "mix-down"])
def test_names_of_mixtures(name):
    assert is_mixture_name(name) and is_sum_name(name)


@pytest.mark.parametrize(
    "name",
    ["accompaniment", "Instrumental", "backing track", "karaoke", "minus_vocals", "no-vocals"]
    + ["Mix minus Vocals", "without drums", "NoBass", "MinusOne", "Instrumentals"],
)
def test_names_of_sums(name):
    assert is_sum_name(name) and not is_mixture_name(name)


@pytest.mark.parametrize("name", [*SOURCES, "guitar", "music", "backing vocals", "remix synth"])
def test_names_of_stems(name):
    assert not is_sum_name(name)


@pytest.mark.parametrize("with_mixture", [True, False])
def test_what_musdbconvert_writes_is_not_counted_as_stems(source, with_mixture):
    for folder in source.glob("*/*"):
        waves = waves_of(SOURCES)
        waves["accompaniment"] = summed(waves, "bass", "drums", "other")
        waves["linear_mixture"] = summed(waves, *SOURCES)
        if with_mixture:
            waves["mixture"] = 0.97 * waves["linear_mixture"]
        write(folder, waves)
    song, notes = song_of(source)
    assert list(song.stems) == SOURCES
    expected = waves["mixture" if with_mixture else "linear_mixture"]
    np.testing.assert_allclose(read(song.mixture), expected, atol=1e-6)
    (note,) = notes
    assert (
        note.startswith("4 songs: files that are sums or copies of others, not stems")
        and "accompaniment" in note
    )
    assert ("linear_mixture" in note) == with_mixture


@pytest.mark.parametrize("name", ["mix", "Full-Mix", "linear mixture", "master"])
def test_mixture_of_another_name_serves_as_the_mixture(source, name):
    waves = waves_of(SOURCES)
    loud = np.clip(1.02 * summed(waves, *SOURCES), -0.5, 0.5)  # a limiter's work
    write(source / "test" / "t", {name: loud})
    song, notes = song_of(source)
    assert list(song.stems) == SOURCES and notes == []
    np.testing.assert_allclose(read(song.mixture), loud, atol=1e-6)


@pytest.mark.parametrize("with_mixture", [True, False])
def test_sums_and_copies_of_any_name_are_told_by_content(source, with_mixture):
    waves = waves_of([*SOURCES, "choir"])
    stems = list(waves)
    waves["x1"] = summed(waves, "bass", "drums")
    waves["x2"] = summed(waves, "bass", "drums", "choir")
    waves["x3"] = waves["vocals"].copy()
    waves["x4"] = summed(waves, *stems)
    if with_mixture:
        waves["mixture"] = waves["x4"]
    write(source / "test" / "t", waves)
    song, notes = song_of(source)
    assert list(song.stems) == sorted(stems)
    np.testing.assert_allclose(read(song.mixture), waves["x4"], atol=1e-5)
    assert (
        "1 song: files that are sums or copies of others, not stems" in notes[0]
        and "(x1, x2, x3, x4)" in notes[0]
    )


@pytest.mark.parametrize("with_mixture", [True, False])
def test_what_sources_names_is_a_stem_and_its_parts_are_not(source, with_mixture):
    for folder in source.glob("*/*"):
        waves = waves_of(SOURCES)
        waves["accompaniment"] = summed(waves, "bass", "drums", "other")
        if with_mixture:
            waves["mixture"] = summed(waves, *SOURCES)
        write(folder, waves)
    song, notes = song_of(source, ["vocals", "accompaniment"])
    assert list(song.stems) == ["accompaniment", "vocals"]
    np.testing.assert_allclose(read(song.mixture), summed(waves, *SOURCES), atol=1e-6)
    assert "(bass, drums, other)" in notes[0]


@pytest.mark.parametrize("with_mixture", [True, False])
def test_two_stem_set_keeps_its_instrumental(source, with_mixture):
    for folder in source.glob("*/*"):
        shutil.rmtree(folder)
        waves = waves_of(["vocals", "instrumental"])
        if with_mixture:
            waves["mixture"] = summed(waves, "vocals", "instrumental")
        write(folder, waves)
    song, notes = song_of(source, ["vocals"])
    assert list(song.stems) == ["instrumental", "vocals"] and notes == []
    np.testing.assert_allclose(
        read(song.mixture), summed(waves, "vocals", "instrumental"), atol=1e-6
    )


def test_stems_that_do_not_add_up_are_refused_and_sum_is_the_way_out(source):
    waves = waves_of(SOURCES)
    folder = source / "test" / "t"
    write(folder, {"mixture": 0.5 * summed(waves, *SOURCES)})
    message = failure(source, sources=SOURCES)
    assert f"{folder}: bass, drums, other, vocals do not add up to mixture" in message
    assert "100 % of its energy, 10 % are allowed" in message and "--mixture sum" in message
    song, _ = song_of(source, mixture="sum")
    np.testing.assert_allclose(read(song.mixture), summed(waves, *SOURCES), atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"vocals": "mixture"}, "(vocals equal to mixture)"),
        ({"vocals": "bass"}, "(bass and vocals are equal)"),
        ({"mixture": "silence"}, "mixture, which is silent"),
        ({"mix": "loud"}, "add up to mix: "),
    ],
)
def test_the_reason_why_stems_do_not_add_up_is_named(source, wrong, reason):
    waves = waves_of(SOURCES)
    waves["mixture"] = summed(waves, *SOURCES)
    waves["silence"] = np.zeros_like(waves["bass"])
    waves["loud"] = np.sign(waves["mixture"])
    changed = {name: waves[other] for name, other in wrong.items()}
    if "mix" not in wrong:
        changed = {"mixture": waves["mixture"], **changed}
    write(source / "test" / "t", changed)
    message = failure(source, sources=SOURCES)
    assert reason in message and str(source / "test" / "t") in message


def test_file_that_is_neither_stem_nor_sum_is_named(source):
    waves = waves_of([*SOURCES, "choir"])
    write(source / "test" / "t", {"choir": waves["choir"], "mixture": summed(waves, *SOURCES)})
    assert "test/t: choir: is not in mixture" in failure(source, sources=SOURCES)


def test_sum_by_name_that_is_almost_one_is_refused_without_a_mixture(source):
    waves = waves_of(SOURCES)
    clipped = np.clip(3 * summed(waves, "bass", "drums", "other"), -0.5, 0.5)
    write(source / "test" / "t", {"instrumental": clipped})
    message = failure(source, sources=SOURCES)
    assert "test/t: instrumental: " in message and "its name says so as well" in message


def test_copy_at_another_level_is_refused(source):
    write(source / "test" / "t", {"vox": 0.5 * waves_of(SOURCES)["vocals"]})
    message = failure(source, sources=SOURCES)
    assert "test/t: vox: 100 % of its energy is in other stems too (at other levels)" in message


def test_source_that_is_the_sum_of_the_others_is_refused(source):
    waves = waves_of(SOURCES)
    write(source / "test" / "t", {"vocals": summed(waves, "bass", "drums", "other")})
    assert "test/t: vocals: is the sum of bass, drums, other" in failure(source, sources=SOURCES)


def test_stem_inside_another_one_is_refused_without_a_mixture(source):
    waves = waves_of([*SOURCES, "guitar", "piano"])
    waves["other"] += waves["guitar"] + waves["piano"]
    write(source / "test" / "t", {name: waves[name] for name in ("other", "guitar", "piano")})
    message = failure(source, sources=SOURCES)
    assert "test/t: other: has guitar, piano in it too, which would be in the mixture" in message
    write(source / "test" / "t", {"mixture": summed(waves, *SOURCES)})
    assert list(song_of(source)[0].stems) == SOURCES  # which tells what is a stem


def test_mixture_that_differs_a_little_is_told(source):
    waves = waves_of(SOURCES)
    write(source / "test" / "t", {"mixture": 0.9 * summed(waves, *SOURCES)})
    (note,) = song_of(source)[1]
    assert note.startswith("1 song: the mixture is not exactly the sum of the stems (the differ")
    assert "has 1.2 % of its energy in test/t); " in note


def test_equal_stems_are_reported_and_silent_ones_are_not(source):
    silence = np.zeros((4000, 2))
    write(source / "test" / "t", {"drums": silence, "other": silence})
    assert song_of(source)[1] == []
    shutil.rmtree(source.parent / "out")
    shutil.copy(source / "train/a/bass.wav", source / "train/a/drums.wav")
    (note,) = song_of(source)[1]
    assert "1 song: some stems are equal (bass, drums of train/a)" in note or (
        "(bass, drums of valid/a)" in note
    )


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_coded_noise_adds_up_and_a_false_stem_does_not(source, suffix):
    folder = source / "test" / "t"
    shutil.rmtree(folder)
    waves = waves_of([*SOURCES, "choir"], n_samples=40000)
    right = {name: waves[name] for name in SOURCES}
    write(folder, {**right, "mixture": summed(waves, *SOURCES)}, suffix)
    song, notes = song_of(source)
    assert list(song.stems) == SOURCES and notes == []
    shutil.rmtree(source.parent / "out")
    write(folder, {"vocals": waves["choir"]}, suffix)
    assert "do not add up" in failure(source, sources=SOURCES)


def test_mixture_that_is_published_with_a_difference_is_accepted(source):
    (source / "test" / "t").rename(source / "test" / "PR - Oh No")
    mixture = summed(waves_of(SOURCES), *SOURCES) * [0.1, 1]
    write(source / "test" / "PR - Oh No", {"mixture": mixture})
    song, _ = song_of(source)
    np.testing.assert_allclose(read(song.mixture), mixture, atol=1e-6)
    assert list(song.stems) == SOURCES


@needs_ffmpeg
def test_real_excerpts_of_musdb18_add_up(tmp_path):
    stempeg = pytest.importorskip("stempeg")
    for place in ("train/a", "train/b", "test/t"):
        path = tmp_path / "source" / f"{place}.stem.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(stempeg.example_stem_path())
    waves, rate = stempeg.read_stems(stempeg.example_stem_path())
    folder = tmp_path / "source" / "test" / "converted"  # as musdbconvert writes it
    folder.mkdir()
    waves = dict(zip(musdb18.STEM_MP4_STREAMS, waves, strict=True))
    waves["accompaniment"] = summed(waves, "bass", "drums", "other")
    waves["linear_mixture"] = summed(waves, *SOURCES)
    for name, wave in waves.items():
        sf.write(folder / f"{name}.wav", wave, rate)
    data = prepare(tmp_path / "source", tmp_path / "out", SOURCES)
    for song in data.splits["test"]:
        assert list(song.stems) == SOURCES
        difference = read(song.mixture) - sum(map(read, song.stems.values()))
        share = np.sum(difference**2) / np.sum(read(song.mixture) ** 2)
        assert 0.01 < share < 0.05  # it is the mixture of the set, and 15 dB from the sum
    assert "1 song: files that are sums or copies of others, not stems" in data.notes[0]
