"""Raw sets of every kind become the one prepared layout, whatever interrupts it."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from asteroid_tfswa.data import musdb18
from asteroid_tfswa.data.prepare import check_source, prepare
from asteroid_tfswa.data.reading import read_segment
from asteroid_tfswa.data.songs import read_prepared
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.locks import locked
from tests.data.raw_sets import (
    RATE,
    SOURCES,
    failure,
    needs_ffmpeg,
    noise,
    read,
    run,
    write_set,
    write_song,
)


@pytest.fixture
def source(tmp_path):
    return write_set(tmp_path / "source")


# ---- What comes out ------------------------------------------------------------------------------


def test_wav_stems_are_linked_and_summed_to_a_mixture(source):
    data = run(source, name="mine", license="CC0")
    assert (data.name, data.license, data.sample_rate, data.n_channels) == ("mine", "CC0", RATE, 2)
    assert data == read_prepared(source.parent / "prepared")
    song = data.splits["test"][0]
    assert (song.name, song.n_samples, list(song.stems)) == ("t", 2000, ["bass", "vocals"])
    for path in song.stems.values():
        assert path.is_symlink() and Path(os.readlink(path)).is_absolute()
    info = sf.info(song.mixture)
    assert (info.subtype, info.frames, info.channels) == ("FLOAT", 2000, 2)
    np.testing.assert_array_equal(read(song.mixture), sum(map(read, song.stems.values())))


def test_own_mixture_is_kept_and_extra_stems_too(source):
    write_song(source / "test" / "t", stems=[*SOURCES, "choir"])
    mixture = 0.98 * (noise(0) + noise(1) + noise(2)) / 2  # the stems are half as loud
    for stem, wave in zip([*SOURCES, "choir", "mixture"], [*map(noise, range(3)), 2 * mixture]):
        sf.write(source / "test" / "t" / f"{stem}.flac", wave / 2, RATE)
        (source / "test" / "t" / f"{stem}.wav").unlink(missing_ok=True)
    song = run(source).splits["test"][0]
    assert list(song.stems) == ["bass", "choir", "vocals"]
    as_16_bit = (np.rint(mixture * 2**15) / 2**15).astype("float32")
    np.testing.assert_array_equal(read(song.mixture), as_16_bit)


def test_extra_stems_are_part_of_the_sum(source):
    write_song(source / "test" / "t", stems=["other"])
    song = run(source).splits["test"][0]
    np.testing.assert_allclose(read(song.mixture), sum(map(read, song.stems.values())), atol=1e-6)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_coded_stems_are_decoded_without_clipping(source, suffix):
    folder = source / "train" / "e"
    loud = np.sign(noise(0, 40000)) * 0.99  # coders overshoot on it
    folder.mkdir()
    for stem in SOURCES:
        sf.write(folder / f"{stem}.{suffix}", loud, RATE)
    data = run(source)
    (song,) = [song for song in data.splits["train"] + data.splits["valid"] if song.name == "e"]
    assert song.n_samples == 40000
    assert sf.info(song.stems["bass"]).subtype == "FLOAT" and not song.stems["bass"].is_symlink()
    decoded = read(song.stems["bass"])
    assert len(decoded) == 40000
    if suffix != "flac":
        assert np.abs(decoded).max() > 1.0
    np.testing.assert_array_equal(read(song.mixture), 2 * decoded)  # of two equal stems


def test_joined_files_are_prepared_whole(source):
    folder = write_song(source / "train" / "e", "mp3", n_samples=50000)
    for stem in SOURCES:
        path = folder / f"{stem}.mp3"
        path.write_bytes(2 * path.read_bytes())
    data = run(source)
    (song,) = [song for song in data.splits["train"] + data.splits["valid"] if song.name == "e"]
    assert song.n_samples == 100_000 == len(read(song.mixture)) == len(read(song.stems["bass"]))


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_files_a_little_apart_are_cut_or_padded_to_the_usual_length(source, suffix):
    folder = source / "test" / "t"
    shutil.rmtree(folder)
    write_song(folder, suffix, stems=["vocals", "bass", "choir", "organ"])
    write_song(folder, suffix, stems=["vocals"], n_samples=2400)
    sf.write(folder / f"bass.{suffix}", noise(1, 1200), RATE)
    data = run(source)
    song = data.splits["test"][0]
    waves = {stem: read(path) for stem, path in song.stems.items()}
    assert {len(wave) for wave in waves.values()} == {2000} == {song.n_samples}
    np.testing.assert_allclose(waves["vocals"], noise(0, 2400)[:2000], atol=2**-15)
    np.testing.assert_allclose(waves["bass"][:1200], noise(1, 1200), atol=2**-15)
    assert not waves["bass"][1200:].any()
    np.testing.assert_allclose(read(song.mixture), sum(waves.values()), atol=1e-6)
    assert data.notes == [
        "1 song: files that differed by up to 0.1 s in length were cut or padded."
    ]
    assert "n_samples of bass is 1200, that of choir" in failure_again(source, tolerance=0.05)


def failure_again(source, **options):
    shutil.rmtree(source.parent / "prepared")
    return failure(source, **options)


def test_mono_stems_and_songs_are_copied_to_all_channels(source):
    write_song(source / "test" / "t", stems=["vocals"], n_channels=1)
    write_song(source / "train" / "a", "flac", n_channels=1)
    for stem in SOURCES:
        (source / "train" / "a" / f"{stem}.wav").unlink()
    data = run(source)
    vocals = read(data.splits["test"][0].stems["vocals"])
    np.testing.assert_allclose(vocals, noise(0, 2000, 1).repeat(2, axis=1), atol=2**-15)
    assert data.n_channels == 2 and data.notes == ["2 songs: mono files were copied to 2 channels."]


def test_missing_stems_can_be_silent(source):
    (source / "train" / "a" / "vocals.wav").unlink()
    (source / "test" / "t" / "bass.wav").unlink()
    data = run(source, missing_stems="silence")
    song = data.splits["test"][0]
    assert not read(song.stems["bass"]).any() and list(song.stems) == ["bass", "vocals"]
    np.testing.assert_array_equal(read(song.mixture), read(song.stems["vocals"]))
    assert data.notes == ["2 songs: missing stems are silent (bass, vocals)."]
    (source / "train" / "empty").mkdir()
    shutil.rmtree(source.parent / "prepared")
    message = failure(source, missing_stems="silence")
    assert "empty: the stem 'vocals' is missing (found: no audio files)" in message


@needs_ffmpeg
def test_real_stem_mp4_is_decoded_as_stempeg_does(tmp_path):
    stempeg = pytest.importorskip("stempeg")
    example = stempeg.example_stem_path()
    for place in ("train/a", "train/b", "test/t"):
        path = tmp_path / "source" / f"{place}.stem.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(example)
    data = prepare(tmp_path / "source", tmp_path / "prepared", list(musdb18.STEM_MP4_STREAMS[1:]))
    song = data.splits["test"][0]
    expected, rate = stempeg.read_stems(example, dtype=np.float32)
    assert (song.n_samples, song.sample_rate, song.n_channels) == (expected.shape[1], rate, 2)
    for stem, wave in zip(musdb18.STEM_MP4_STREAMS, expected, strict=True):
        np.testing.assert_array_equal(read(song.folder / f"{stem}.wav"), wave)


@needs_ffmpeg
def test_streams_of_different_length_are_cut_to_the_shortest(tmp_path):
    inputs, maps = [], []
    for index, stem in enumerate(musdb18.STEM_MP4_STREAMS):
        sf.write(tmp_path / f"{stem}.wav", noise(index, 30000 + 1024 * (index == 2)), 44100)
        inputs += ["-i", str(tmp_path / f"{stem}.wav")]
        maps += ["-map", str(index)]
    example = tmp_path / "x.stem.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", *inputs, *maps, "-c:a", "aac", str(example)], check=True
    )
    for place in ("train/a", "train/b", "test/t"):
        path = tmp_path / "source" / f"{place}.stem.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(example)
    sources = list(musdb18.STEM_MP4_STREAMS[1:])
    data = prepare(tmp_path / "source", tmp_path / "prepared", sources, mixture="sum")
    song = data.splits["test"][0]
    assert 30000 <= song.n_samples < 31024
    for path in (song.mixture, *song.stems.values()):
        assert len(read(path)) == song.n_samples


# ---- Which songs validate ------------------------------------------------------------------------


def test_official_split_of_musdb18(tmp_path):
    names = [*musdb18.VALIDATION_SONGS, *(f"song {index}" for index in range(86))]
    for name in names:
        write_song(tmp_path / "source" / "train" / name, n_samples=8)
    write_song(tmp_path / "source" / "test" / "t", n_samples=8)
    data = run(tmp_path / "source")
    assert {song.name for song in data.splits["valid"]} == musdb18.VALIDATION_SONGS
    assert len(data.splits["train"]) == 86
    assert data.name == "MUSDB18-HQ" and "non-commercial" in data.license
    assert "official" in data.validation


def test_own_valid_folder_is_used_as_it_is(source):
    write_song(source / "valid" / "v")
    data = run(source)
    assert [song.name for song in data.splits["valid"]] == ["v"]
    assert [song.name for song in data.splits["train"]] == list("abcd")
    assert (data.name, data.license) == ("source", "unknown")


def test_a_set_may_state_its_name_and_licence(source):
    (source / "about.json").write_text('{"name": "Our songs", "license": "CC BY 4.0"}')
    data = run(source)
    assert (data.name, data.license) == ("Our songs", "CC BY 4.0")
    (source / "about.json").write_text('{"name": "Our songs", "license": "CC BY-NC 4.0"}')
    again = run(source)  # the songs stay, what is said of them follows
    assert (again.name, again.license) == ("Our songs", "CC BY-NC 4.0")
    assert again.fingerprint == data.fingerprint
    assert run(source, name="Ours").name == "Ours"
    (source / "about.json").unlink()
    assert run(source).name == "Ours"  # nothing says anything else


ABOUTS = ["{", "[]", "3", '{"name": "x"}', '{"name": "x", "license": 4}', "", "[" * 10**5]


@pytest.mark.parametrize("text", ABOUTS)
def test_a_damaged_statement_is_refused_before_anything_is_prepared(source, tmp_path, text):
    (source / "about.json").write_text(text)
    with pytest.raises(InputError, match=r'about.json: must be of the form \{"name": "my songs"'):
        run(source)
    assert not list(tmp_path.rglob("dataset.json"))


def test_seeded_share_is_stated_and_repeatable(source, tmp_path):
    first, again, other = (
        run(source, tmp_path / f"p{index}", valid_share=0.5, seed=seed)
        for index, seed in enumerate([0, 0, 3])
    )
    names = [[song.name for song in data.splits["valid"]] for data in (first, again, other)]
    assert names[0] == names[1] != names[2] and len(names[0]) == 2
    assert sorted(names[0] + [song.name for song in first.splits["train"]]) == list("abcd")
    assert "2 of the 4 train songs" in first.validation and "seed 0" in first.validation


# ---- Preparing again -----------------------------------------------------------------------------


def test_complete_set_is_returned_untouched_even_without_its_source(source):
    for folder in sorted(source.glob("*/*")):
        shutil.rmtree(folder)
        write_song(folder, "flac")
    data = run(source)
    before = data.splits["test"][0].mixture.stat().st_mtime_ns
    shutil.rmtree(source)
    assert run(source) == data
    assert data.splits["test"][0].mixture.stat().st_mtime_ns == before


def test_other_source_options_or_songs_are_refused(source, tmp_path):
    check_source(tmp_path / "prepared", source)  # nothing there yet
    run(source)
    for options in ({"seed": 5}, {"valid_share": 0.5}):
        with pytest.raises(InputError, match=f"was prepared with {next(iter(options))}"):
            run(source, **options)
    with pytest.raises(InputError, match="prepared without the stem 'choir'"):
        run(source, sources=["choir"])
    other = tmp_path / "other"
    shutil.copytree(source, other)
    check_source(tmp_path / "prepared", source)
    for check in (lambda: run(other), lambda: check_source(tmp_path / "prepared", other)):
        with pytest.raises(InputError, match=f"source {source}, now it is {other}.*remove"):
            check()
    write_song(source / "train" / "new")
    with pytest.raises(InputError, match="songs have changed"):
        run(source)
    with pytest.raises(InputError, match="is the source itself"):
        run(other, other)
    with pytest.raises(InputError, match="holds songs but no options.json"):
        run(source, other)


def test_finished_songs_are_kept_when_another_one_fails(source):
    for name in "abcd":
        shutil.rmtree(source / "train" / name)
        write_song(source / "train" / name, "flac", n_samples=50000)
    path = source / "train" / "c" / "bass.flac"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert str(path) in failure(source)
    prepared = source.parent / "prepared"
    mixtures = {path.parent.name: path for path in prepared.glob("*/*/mixture.wav")}
    assert sorted(mixtures) == ["a", "b", "d", "t"]
    before = {name: mixture.stat().st_mtime_ns for name, mixture in mixtures.items()}
    path.write_bytes(whole)
    with pytest.raises(InputError, match="seed"):  # the half-prepared set knows its options too
        run(source, seed=1)
    run(source)
    assert {name: mixtures[name].stat().st_mtime_ns for name in mixtures} == before
    assert sorted(os.listdir(prepared)) == [
        "dataset.json",
        "options.json",
        "test",
        "train",
        "valid",
    ]


def test_ctrl_c_leaves_no_half_song_and_preparing_again_completes(source):
    long = write_song(source.parent / "long", "flac", n_samples=1_000_000)
    for name in "abcd":
        shutil.rmtree(source / "train" / name)
        shutil.copytree(long, source / "train" / name)
    prepared = source.parent / "prepared"

    def interrupt_after_the_first_song():
        while not list(prepared.glob("train/[!.]*")):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt_after_the_first_song, daemon=True)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        prepare(source, prepared, SOURCES, sample_rate=RATE, n_jobs=1)
    thread.join()
    assert not (prepared / "dataset.json").exists()
    finished = list(prepared.glob("train/*/mixture.wav"))
    assert 1 <= len(finished) < 3
    assert all(sf.info(mixture).frames == 1_000_000 for mixture in finished)
    assert not list(prepared.rglob(".*"))
    assert len(run(source).splits["train"]) == 3


def snapshot(folder):
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_second_run_is_refused_and_readers_are_not(source):
    prepared = source.parent / "prepared"
    with locked(prepared):
        assert f"{prepared}: another run is writing to it" in failure(source)
    data = run(source)
    with locked(prepared):
        assert run(source) == data == read_prepared(prepared)


def test_what_killed_runs_left_is_removed(source):
    prepared = source.parent / "prepared"
    run(source)
    whole = snapshot(prepared)
    (prepared / "dataset.json").unlink()
    shutil.rmtree(prepared / "train" / "a", ignore_errors=True)
    for folder in (prepared, prepared / "train", prepared / "test"):
        (folder / ".0123abcd.tmp").mkdir()
        (folder / ".0123abcd.tmp" / "bass.wav").touch()
        (folder / ".0123abce.tmp.json").touch()
    run(source)
    assert snapshot(prepared) == whole


@pytest.mark.parametrize(
    "damage",
    [
        lambda prepared: (prepared / "dataset.json").write_text('{"name": "half'),
        lambda prepared: (prepared / "dataset.json").write_text("[]"),
        lambda prepared: (prepared / "options.json").write_bytes(b"\xff"),
        lambda prepared: (prepared / "test/t/vocals.wav").unlink(),
        lambda prepared: (prepared / "test/t/mixture.wav").write_bytes(b"RIFF"),
        lambda prepared: shutil.rmtree(prepared / "test/t"),
        lambda prepared: [
            (prepared / "dataset.json").unlink(),
            (prepared / "test/t/song.json").write_text('{"name": "t", "n_samples": "x"}'),
        ],
        lambda prepared: [
            (prepared / "dataset.json").unlink(),
            (prepared / "test/t/extra.wav").unlink(),
        ],
    ],
)
def test_what_is_damaged_or_missing_is_made_again(source, damage):
    write_song(source / "test" / "t", stems=[*SOURCES, "extra"])
    prepared = source.parent / "prepared"
    run(source)
    whole = snapshot(prepared)
    damage(prepared)
    assert snapshot(prepared) != whole
    data = run(source)
    after = snapshot(prepared)
    if after["options.json"] == b"\xff":  # dataset.json has them too
        after["options.json"] = whole["options.json"]
    assert after == whole and list(data.splits["test"][0].stems) == ["bass", "extra", "vocals"]


def test_songs_whose_source_has_changed_are_made_again(source):
    sf.write(source / "test" / "t" / "bass.flac", noise(5), RATE)
    (source / "test" / "t" / "bass.wav").unlink()
    prepared = source.parent / "prepared"
    data = run(source)
    before = data.fingerprint
    kept = data.splits["train"][0].mixture.stat().st_mtime_ns
    for with_dataset in (True, False):  # both a complete set and an interrupted one
        wave = noise(6 + with_dataset)
        sf.write(source / "test" / "t" / "bass.flac", wave, RATE)
        if not with_dataset:
            (prepared / "dataset.json").unlink()
        again = run(source)
        np.testing.assert_allclose(read(again.splits["test"][0].stems["bass"]), wave, atol=2**-15)
        expected = wave + read(source / "test" / "t" / "vocals.wav")
        np.testing.assert_allclose(read(again.splits["test"][0].mixture), expected, atol=2**-14)
        assert again.fingerprint != before
        assert again.splits["train"][0].mixture.stat().st_mtime_ns == kept


def test_paths_that_are_not_utf8(source):
    strange = Path(os.fsdecode(os.fsencode(source.parent) + b"/caf\xe9"))
    source.rename(strange)
    data = run(strange, strange.parent / "out")
    assert data == run(strange, strange.parent / "out") and data.name == "caf?"
    (strange.parent / "out").rename(strange / "out")
    song = read_prepared(strange / "out").splits["test"][0]
    assert read_segment(song.stems["bass"], 10, 20, song).shape == (2, 20)


def test_damage_that_cannot_be_made_good_is_one_line_with_the_remedy(source):
    prepared = source.parent / "prepared"
    run(source)
    (prepared / "options.json").write_text("{}")
    (prepared / "dataset.json").write_text("")
    with pytest.raises(InputError, match="prepared cannot be used, .* is damaged; remove it"):
        run(source)
    shutil.rmtree(prepared)
    prepared.mkdir()
    (prepared / "dataset.json").write_text("[1, 2]")  # of another program
    with pytest.raises(InputError, match="dataset.json is damaged; remove it or choose"):
        run(source)
    assert (prepared / "dataset.json").read_text() == "[1, 2]"


def test_dataset_file_states_source_and_split(source):
    run(source)
    stored = json.loads((source.parent / "prepared" / "dataset.json").read_text())
    assert stored["source"] == str(source) and stored["validation"].startswith("1 of the 4")
    (entry,) = stored["songs"]["test"]
    assert (entry["name"], entry["n_samples"], entry["stems"]) == ("t", 2000, sorted(SOURCES))
