"""Sets that cannot be used get one clear line that names the song and the file."""

import math
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import soundfile as sf

from asteroid_tfswa import files
from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.data import decode
from asteroid_tfswa.data.raw.find import find_raw_songs
from asteroid_tfswa.errors import InputError
from tests.data.raw_sets import (
    RATE,
    SOURCES,
    failure,
    needs_ffmpeg,
    noise,
    run,
    write_set,
    write_song,
)

REALMUSIC = Path(__file__).parents[3] / "shared" / "data" / "realmusic"


@pytest.fixture
def source(tmp_path):
    return write_set(tmp_path / "source")


def test_too_few_songs(source):
    shutil.rmtree(source / "test")
    assert "too few songs (3 train, 1 valid, 0 test)" in failure(source)
    write_song(source / "test" / "t")
    for name in "bcd":
        shutil.rmtree(source / "train" / name)
    assert "0 train, 1 valid, 1 test" in failure(source)


def test_missing_stem_is_named_and_all_problems_counted(source):
    (source / "train" / "a" / "vocals.wav").unlink()
    (source / "train" / "c" / "bass.wav").write_bytes(b"RIFF of nothing")
    message = failure(source)
    assert f"{source / 'train' / 'a'}: the stem 'vocals' is missing (found: bass)" in message
    assert "(and 1 more song has problems)" in message


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("share", [0.4, 0.97])
def test_file_cut_off_in_the_middle_is_named(source, suffix, share):
    # Both stems are cut at the same place, so that their lengths still agree.
    write_song(source / "train" / "e", suffix, n_samples=50000)
    for stem in SOURCES:
        path = source / "train" / "e" / f"{stem}.{suffix}"
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
    message = failure(source)
    assert f"{source / 'train' / 'e'}" in message and "replace the file" in message


def test_wav_with_chunks_after_the_audio_and_rf64_are_whole(source):
    path = source / "train" / "a" / "bass.wav"
    path.write_bytes(path.read_bytes() + b"LIST\x04\x00\x00\x00INFO")
    sf.write(source / "train" / "b" / "bass.wav", noise(0), RATE, format="RF64")
    run(source)


def test_rf64_cut_off(source):
    path = source / "train" / "b" / "bass.wav"
    with sf.SoundFile(path, "w", RATE, 2, "PCM_16", format="RF64") as file:
        file.write(noise(0))
    path.write_bytes(path.read_bytes()[:-100])
    assert f"{path}: cut off" in failure(source)


@pytest.mark.parametrize(
    ("change", "aspect"),
    [
        ({"n_samples": 1199}, "n_samples of bass is 1199, that of choir in the same song is 2000"),
        ({"n_samples": 2801}, "n_samples of bass is 2801, that of choir in the same song is 2000"),
        ({"rate": 16000}, "sample_rate of bass is 16000, that of choir in the same song is 8000"),
        ({"n_channels": 3}, "n_channels of bass is 3, that of choir in the same song is 2"),
        ({"n_samples": 0}, "holds no audio"),
    ],
)
def test_the_file_unlike_the_others_is_named(source, change, aspect):
    write_song(source / "train" / "b", stems=["vocals", "choir"])
    write_song(source / "train" / "b", stems=["bass"], **change)
    message = failure(source)
    assert aspect in message and str(source / "train" / "b" / "bass.wav") in message


def test_song_unlike_the_others(source):
    write_song(source / "train" / "b", n_channels=3)
    assert f"{source / 'train' / 'b'}: n_channels is 3" in failure(source)
    write_song(source / "train" / "b", rate=16000)
    message = failure(source)
    assert "sample_rate is 16000, but 8000 is required" in message and "ffmpeg -ar 8000" in message


@needs_ffmpeg
def test_mp3_without_a_length_is_measured(source):
    folder = write_song(source / "train" / "e", "mp3", n_samples=50000)
    path = folder / "bass.mp3"
    path.write_bytes(path.read_bytes().replace(b"Xing", b"xxxx").replace(b"Info", b"xxxx"))
    message = failure(source)
    assert "n_samples of vocals is 50000, that of bass in the same song is 5" in message


def test_no_space_left_is_said_before_anything_is_decoded(source, monkeypatch):
    usage = shutil.disk_usage(source)._replace(free=1000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage)
    assert "0.1 MB is needed to prepare the data, but only 0.0 MB is free" in failure(source)
    assert not (source.parent / "prepared").exists()


def test_write_that_fails_is_an_oserror_not_a_bad_song(source):
    write_song(source / "train" / "e", "flac", n_samples=50_000)
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # as if the disk were full there
    try:
        with pytest.raises(OSError, match="cannot be written to; is the disk full"):
            run(source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(run(source).splits["train"]) == 4


@needs_ffmpeg
def test_unusable_stem_mp4(source):
    path = source / "train" / "e.stem.mp4"
    path.write_bytes(b"not an mp4 file")
    assert f"{path}: is not audio that can be read" in failure(source)
    wav = source / "train" / "a" / "bass.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", wav, "-c:a", "aac", path], check=True)
    assert "1 audio streams found" in failure(source)


def test_stem_mp4_without_ffmpeg_says_how_to_get_it(source, monkeypatch):
    (source / "train" / "e.stem.mp4").touch()
    monkeypatch.setenv("PATH", "")
    message = failure(source)
    assert "ffmpeg, which is not on PATH" in message and "apt install ffmpeg" in message


@needs_ffmpeg
def test_stem_mp4_cut_off_is_named(tmp_path):
    example = pytest.importorskip("stempeg").example_stem_path()
    path = tmp_path / "x.stem.mp4"
    # Index first, then the audio: ffmpeg opens such a file even where its end is missing.
    command = ["ffmpeg", "-v", "error", "-i", example, "-map", "0:a", "-c", "copy"]
    subprocess.run([*command, "-movflags", "faststart", str(path)], check=True)
    path.write_bytes(path.read_bytes()[:600_000])
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="x.stem.mp4: (cut off|ffmpeg cannot decode it)"):
        decode.decode_stem_mp4(path, tmp_path / "out", threading.Event())


@pytest.mark.parametrize(
    "options",
    [{"sources": "vocals"}, {"sources": []}, {"sources": ["mixture"]}, {"valid_share": 1.0}]
    + [{"mixture": "all"}, {"missing_stems": "zero"}, {"tolerance": -1}, {"tolerance": math.nan}],
)
def test_unusable_arguments_are_named(source, options):
    name, value = next(iter(options.items()))
    message = failure(source, **options)
    assert message.startswith(f"{name}: ")
    assert str(value) in message or "mixture" in message


@pytest.mark.skipif(not REALMUSIC.is_dir(), reason="shared/data/realmusic is not there")
def test_real_songs_are_found_and_whole():
    songs = find_raw_songs(REALMUSIC)
    assert (len(songs["train"]), len(songs["test"])) == (4, 1)
    for song in songs["train"] + songs["test"]:
        infos = [open_audio(path) for path in song.files.values()]
        kinds = {(info.sample_rate, info.n_channels, info.n_samples) for info in infos}
        assert len(kinds) == 1 and infos[0].sample_rate == 44100
