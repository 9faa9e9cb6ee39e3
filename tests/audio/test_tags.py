"""Stems get the tags and the cover of their song, in formats that have them."""

import base64
import shutil
import subprocess

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3, TALB, TCON, TDRC, TIT2, TPE1, TRCK
from mutagen.mp4 import MP4, MP4Cover

from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.audio.tags import copy_tags
from asteroid_tfswa.audio.write import AudioFormat
from asteroid_tfswa.separate import separate_file
from tests.stand_ins import StandIn

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TAGS = {
    "title": ["Söng"],
    "artist": ["A", "B"],
    "album": ["Album"],
    "date": ["1999"],
    "tracknumber": ["3/12"],
    "genre": ["Rock"],
}
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")


def picture(kind=3):
    found = Picture()
    found.data, found.mime, found.type = PNG, "image/png", kind
    return found


def write_song(path):
    """Write a song with tags in the manner of its format."""
    wav = 0.1 * np.random.default_rng(0).standard_normal((48000, 2))
    ext = path.suffix[1:]
    if ext == "m4a":
        soundfile.write(path.with_suffix(".wav"), wav, 48000)
        command = ["ffmpeg", "-v", "error", "-i", path.with_suffix(".wav"), path]
        subprocess.run(command, check=True)
        file = MP4(path)
        names = {"title": "\xa9nam", "artist": "\xa9ART", "album": "\xa9alb", "date": "\xa9day"}
        names["genre"] = "\xa9gen"
        for field, name in names.items():
            file[name] = TAGS[field]
        file["trkn"] = [(3, 12)]
        file["covr"] = [MP4Cover(PNG, MP4Cover.FORMAT_PNG)]
        file.save()
        return
    options = {"format": "OGG", "subtype": "OPUS"} if ext == "opus" else {}
    soundfile.write(path, wav, 48000, **options)
    if ext == "mp3":
        frames = ID3()
        for kind, field in zip((TIT2, TPE1, TALB, TDRC, TRCK, TCON), TAGS, strict=True):
            frames.add(kind(encoding=3, text=TAGS[field]))
        frames.add(APIC(encoding=3, mime="image/png", type=3, desc="", data=PNG))
        frames.save(path)
        return
    file = mutagen.File(path)
    file.update(TAGS)
    if ext == "flac":
        file.add_picture(picture())
    else:
        file["metadata_block_picture"] = [base64.b64encode(picture().write()).decode()]
    file.save()


def covers(path):
    file = mutagen.File(path)
    if path.suffix == ".mp3":
        return [(frame.data, frame.mime, frame.type) for frame in file.tags.getall("APIC")]
    if path.suffix == ".flac":
        found = file.pictures
    else:
        found = [Picture(base64.b64decode(block)) for block in file["metadata_block_picture"]]
    return [(one.data, one.mime, one.type) for one in found]


@pytest.mark.parametrize("target", ["mp3", "flac", "ogg"])
@pytest.mark.parametrize(
    "source", ["mp3", "flac", "ogg", "opus", pytest.param("m4a", marks=needs_ffmpeg)]
)
def test_tags_and_cover_go_with_the_stems(tmp_path, source, target):
    song = tmp_path / f"song.{source}"
    write_song(song)
    paths = separate_file(StandIn(), song, tmp_path / "out", form=AudioFormat(target))
    for stem, path in zip(("one", "two"), paths, strict=True):
        tags = mutagen.File(path, easy=True).tags
        expected = TAGS | {"title": [f"Söng ({stem})"]}
        assert {field: list(tags[field]) for field in TAGS} == expected
        assert covers(path) == [(PNG, "image/png", 3)]
        wav = np.concatenate(list(open_audio(path).blocks()))
        assert abs(len(wav) - 48000) < 2500 and len(wav) == open_audio(song).measured().n_samples


@pytest.mark.parametrize("target", ["mp3", "flac", "ogg"])
def test_the_format_decides_not_the_suffix(tmp_path, target):
    write_song(tmp_path / "song.flac")
    file = FLAC(tmp_path / "song.flac")
    file.add_picture(picture(4))  # the back cover, like the front without description
    file.save()
    options = {"output": "{song}_{stem}", "form": AudioFormat(target)}
    for path in separate_file(StandIn(), tmp_path / "song.flac", tmp_path, **options):
        path = path.rename(f"{path}.{target}")
        assert mutagen.File(path, easy=True)["album"] == ["Album"]
        assert covers(path) == [(PNG, "image/png", 3), (PNG, "image/png", 4)]


def test_wav_gets_none_and_a_song_without_tags_gives_none(tmp_path):
    write_song(tmp_path / "song.flac")
    for path in separate_file(StandIn(), tmp_path / "song.flac", tmp_path / "1"):
        assert b"Album" not in path.read_bytes()
    soundfile.write(tmp_path / "plain.wav", np.zeros((48000, 2)), 48000)
    for path in separate_file(
        StandIn(), tmp_path / "plain.wav", tmp_path / "2", form=AudioFormat("flac")
    ):
        assert list(FLAC(path).tags.keys()) in ([], ["encoder"])


@pytest.mark.parametrize("ext", ["mp3", "flac", "ogg"])
def test_damaged_tags_are_left_out(tmp_path, ext):
    """Flip a bit in each byte of the tags: copying never fails, and the audio is intact."""
    song, target = tmp_path / f"song.{ext}", tmp_path / f"stem.{ext}"
    write_song(song)
    whole, rng = song.read_bytes(), np.random.default_rng(0)
    soundfile.write(target, np.zeros((9000, 2)), 48000)
    stem = target.read_bytes()
    for place in rng.integers(0, min(len(whole), 1200), 40):
        data = bytearray(whole)
        data[place] ^= 1 << rng.integers(8)
        song.write_bytes(data)
        target.write_bytes(stem)
        copy_tags(song, target, "vocals")
        assert soundfile.info(target).frames == 9000


def test_tags_too_long_for_flac_never_cost_the_stem(tmp_path):
    write_song(tmp_path / "song.mp3")
    frames = ID3(tmp_path / "song.mp3")
    cover = {"mime": "image/png", "desc": "x" * 9_000_000, "data": bytes(9_000_000)}
    frames.add(APIC(encoding=3, type=3, **cover))  # a FLAC block holds 16 MiB
    frames.save()
    soundfile.write(tmp_path / "stem.flac", np.zeros((9000, 2)), 48000)
    before = (tmp_path / "stem.flac").read_bytes()
    copy_tags(tmp_path / "song.mp3", tmp_path / "stem.flac", "vocals")
    assert (tmp_path / "stem.flac").read_bytes() == before


def test_tags_that_no_format_holds(tmp_path):
    write_song(tmp_path / "song.flac")
    file = FLAC(tmp_path / "song.flac")
    file["date"], file["title"] = ["once upon a time"], ["x" * 1_000_000]
    file.save()
    for ext in ("mp3", "flac", "ogg"):
        target = tmp_path / f"stem.{ext}"
        soundfile.write(target, np.zeros((9000, 2)), 48000)
        copy_tags(tmp_path / "song.flac", target, "vocals")
        assert mutagen.File(target, easy=True)["album"] == ["Album"]
