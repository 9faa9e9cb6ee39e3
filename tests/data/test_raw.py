"""Layouts that people use, and what else lies beside the songs."""

import os

import pytest

from asteroid_tfswa.data.raw.find import find_raw_songs
from asteroid_tfswa.errors import InputError


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_all_layouts_are_found_sorted_and_hidden_files_ignored(tmp_path):
    touch(tmp_path / "train" / "b song", "vocals.FLAC", "bass.ogg", "notes.txt", "._bass.wav")
    touch(tmp_path / "train" / ".cache", "vocals.wav")
    touch(tmp_path / "train", "a - x.stem.mp4", "README.md", "._a - x.stem.mp4")
    touch(tmp_path / "test" / "c", "mixture.wav", "vocals.mp3")
    found = find_raw_songs(tmp_path)
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
    (song,) = find_raw_songs(tmp_path)["train"]
    assert song.path == tmp_path / "train" / "a"


def test_nothing_found_says_where_and_what(tmp_path):
    touch(tmp_path / "musdb18hq" / "train" / "a", "vocals.wav")  # one folder too high
    with pytest.raises(InputError, match="no songs found.*stem.mp4.*train/ and test/") as caught:
        find_raw_songs(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such folder"):
        find_raw_songs(tmp_path / "nowhere")


def test_two_files_for_one_stem_are_named(tmp_path):
    touch(tmp_path / "train" / "a", "vocals.wav", "vocals.ogg")
    with pytest.raises(InputError, match="vocals.ogg and vocals.wav both exist"):
        find_raw_songs(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["@eaDir", "__MACOSX", "#recycle", ".Trash-1000", "lost+found", "$RECYCLE.BIN", "._a"]
    + ["System Volume Information", ".stem.mp4", "._x.stem.mp4"],
)
def test_what_storage_and_archives_add_is_no_song(tmp_path, name):
    touch(tmp_path / "train" / name, "vocals.wav@SynoEAStream", "vocals.wav")
    touch(tmp_path / "train" / "@home", "vocals.wav", "._vocals.wav")
    touch(tmp_path / "train" / "@home" / "@eaDir")
    (song,) = find_raw_songs(tmp_path)["train"]
    assert (song.name, list(song.files)) == ("@home", ["vocals"])


def test_links_are_followed_and_songs_found_once(tmp_path):
    touch(tmp_path / "elsewhere" / "a", "vocals.wav")
    (tmp_path / "set" / "train").mkdir(parents=True)
    (tmp_path / "set" / "train" / "a").symlink_to(tmp_path / "elsewhere" / "a")
    (tmp_path / "set" / "test").symlink_to(tmp_path / "tests")
    with pytest.raises(InputError, match="set/test: is a link to .*tests, which does not exist"):
        find_raw_songs(tmp_path / "set")
    touch(tmp_path / "tests" / "t", "vocals.wav")
    found = find_raw_songs(tmp_path / "set")
    assert [[song.name for song in songs] for songs in found.values()] == [["a"], [], ["t"]]

    again = tmp_path / "tests" / "u"
    again.symlink_to(tmp_path / "elsewhere" / "a")
    with pytest.raises(InputError, match="test/u: is the same folder as .*train/a; remove one"):
        find_raw_songs(tmp_path / "set")
    again.unlink()
    again.symlink_to(again)
    with pytest.raises(InputError, match="test/u: is a link .* or leads back to itself"):
        find_raw_songs(tmp_path / "set")


def test_stems_that_are_no_files_are_named(tmp_path):
    touch(tmp_path / "train" / "a", "vocals.wav")
    bad = tmp_path / "train" / "a" / "bass.wav"
    bad.symlink_to("nowhere.wav")
    with pytest.raises(InputError, match="a/bass.wav: is a link to nowhere.wav"):
        find_raw_songs(tmp_path)
    bad.unlink()
    os.mkfifo(bad)
    with pytest.raises(InputError, match="a/bass.wav: is not a regular file"):
        find_raw_songs(tmp_path)
    bad.unlink()
    bad.mkdir()
    assert list(find_raw_songs(tmp_path)["train"][0].files) == ["vocals"]


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines", b"\x1b[31mred"])
def test_names_that_break_lines_and_tables_are_refused(tmp_path, name):
    folder = os.path.join(os.fsencode(tmp_path), b"train", name)
    os.makedirs(folder)
    with pytest.raises(InputError, match="control characters or bytes that are not UTF-8") as error:
        find_raw_songs(tmp_path)
    assert str(error.value).isprintable()
    os.rename(folder, os.path.join(os.path.dirname(folder), "Café 🎵\u200d".encode()))
    (song,) = find_raw_songs(tmp_path)["train"]
    assert song.name == "Café 🎵\u200d"
