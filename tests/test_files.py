"""Files appear whole or not at all."""

import errno
import os
import signal
import stat
from pathlib import Path

import pytest

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import (
    atomic_files,
    atomic_folder,
    atomic_write,
    remove_leftovers,
    require_writable,
)


def test_file_appears_when_the_block_has_ended(tmp_path):
    path = tmp_path / "new" / "folder" / "scores.json"
    with atomic_write(path) as tmp:
        tmp.write_text("half")
        assert not path.exists()
        assert tmp.parent == path.parent and tmp.suffix == ".json" and tmp.name.startswith(".")
    assert path.read_text() == "half"
    assert os.listdir(path.parent) == ["scores.json"]


def test_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(str(path)) as tmp:
        tmp.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("old", [None, "old"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_by_an_error(tmp_path, error, old):
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_text(old)
    with pytest.raises(error), atomic_write(path) as tmp:
        tmp.write_text("half")
        raise error
    assert os.listdir(tmp_path) == ([] if old is None else ["a.txt"])
    assert old is None or path.read_text() == old


def test_nothing_is_left_by_ctrl_c(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a.txt") as tmp:
        tmp.write_text("half")
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    assert os.listdir(tmp_path) == []


def test_error_is_the_users_own_where_the_temporary_file_is_gone(tmp_path):
    with pytest.raises(KeyError), atomic_write(tmp_path / "a.txt") as tmp:
        tmp.unlink()
        raise KeyError


@pytest.mark.parametrize("write, inside", [(atomic_write, ""), (atomic_folder, "/song.wav")])
def test_errors_name_what_was_asked_for(tmp_path, write, inside):
    def error_of(name):
        with pytest.raises(OSError) as error, write(tmp_path / "a") as tmp:
            if write is atomic_write:  # which now cannot be removed
                tmp.unlink()
                tmp.mkdir()
            raise OSError(errno.ENOSPC, "no space", name and f"{tmp}{inside}")
        return error.value

    for name, shown in ((None, tmp_path / "a"), ("tmp", f"{tmp_path}/a{inside}")):
        assert (error_of(name).errno, error_of(name).filename) == (errno.ENOSPC, str(shown))


def test_errors_that_are_a_sentence_keep_it(tmp_path):
    with pytest.raises(OSError) as error, atomic_folder(tmp_path / "a") as tmp:
        raise OSError(f"{tmp}: cannot be written to; is the disk full?")
    assert str(error.value) == f"{tmp_path / 'a'}: cannot be written to; is the disk full?"


def test_pipes_and_what_a_process_has_open_are_written_to_and_stay(tmp_path):
    pipe, log = tmp_path / "pipe", tmp_path / "log.txt"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log.write_text("before, ")
    with open(log) as file:
        for path in (pipe, Path(f"/proc/self/fd/{file.fileno()}")):
            require_writable(path)
            with atomic_write(path) as tmp:
                tmp.write_text("all")
            with pytest.raises(KeyError), atomic_write(path) as tmp:
                tmp.write_text("half")
                raise KeyError
    assert os.read(reader, 99) == b"all" and pipe.is_fifo()
    assert log.read_text() == "before, all"
    os.close(reader)


@pytest.mark.parametrize("name", ["", ".", "a.txt/b", "a" * 300, "a\0"])
def test_names_that_cannot_be_written_are_known_before(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").touch()
    require_writable(Path("a.txt"))
    require_writable(Path("new/folder/b.txt"))
    with pytest.raises((InputError, OSError)):
        require_writable(Path(name))
    monkeypatch.setattr(os, "access", lambda place, mode: str(place) != str(tmp_path))
    with pytest.raises(InputError, match=f"b.txt: {tmp_path} cannot be written to; choose"):
        require_writable(Path("new/folder/b.txt"))


@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_other_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "a.txt") as tmp:
            tmp.write_text("x")
        assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode
        assert os.umask(umask) == umask
    finally:
        os.umask(before)


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as one, atomic_write(path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"  # the last one to finish


# --- several files ---


@pytest.fixture
def stems(tmp_path):
    """Names of three files, the second of which exists."""
    paths = [tmp_path / f"{name}.wav" for name in ("bass", "drums", "vocals")]
    paths[1].write_text("old")
    return paths


def write_all(paths, before_the_end=lambda: None):
    with atomic_files(paths) as tmps:
        for tmp in tmps:
            tmp.write_text("new")
        before_the_end()


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_several_files_appear_together(tmp_path, stems):
    write_all(stems)
    assert contents(tmp_path) == dict.fromkeys(("bass.wav", "drums.wav", "vocals.wav"), "new")


@pytest.mark.parametrize("nth", [0, 1, 2])
def test_a_folder_in_the_way_of_one_file_keeps_all_back(tmp_path, stems, nth):
    stems[nth].unlink(missing_ok=True)
    stems[nth].mkdir()
    before = contents(tmp_path)
    with pytest.raises(InputError, match=f"{stems[nth].name}: is a folder"):
        write_all(stems, before_the_end=lambda: pytest.fail("the work was done first"))
    stems[nth].rmdir()
    with pytest.raises(InputError, match=f"{stems[nth].name}: is a folder"):
        write_all(stems, before_the_end=stems[nth].mkdir)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("nth", range(4))  # the old file moves away, the new ones get their names
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("is_done", [False, True])
def test_a_rename_that_fails_brings_the_old_files_back(
    tmp_path, stems, monkeypatch, nth, error, is_done
):
    rename, calls = os.replace, []

    def fail(*args):
        calls.append(args)
        if len(calls) == nth + 1 and not is_done:
            raise error
        rename(*args)
        if len(calls) == nth + 1:  # as a Ctrl-C at this moment does
            raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(error):
        write_all(stems)
    assert contents(tmp_path) == {"drums.wav": "old"}


def test_names_that_are_too_long_fail_first(tmp_path):
    with pytest.raises(OSError, match="too long"):
        write_all([tmp_path / "a.wav", tmp_path / ("b" * 300)], lambda: pytest.fail("too late"))
    assert os.listdir(tmp_path) == []


# --- folders ---


def test_folder_appears_when_the_block_has_ended(tmp_path):
    with atomic_folder(tmp_path / "song") as tmp:
        (tmp / "a.wav").touch()
        assert not (tmp_path / "song").exists()
    assert os.listdir(tmp_path) == ["song"] and os.listdir(tmp_path / "song") == ["a.wav"]
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "other"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["song"]
    with atomic_folder(tmp_path / "song", replace=True) as tmp:
        (tmp / "b.wav").touch()
        assert os.listdir(tmp_path / "song") == ["a.wav"]
    assert os.listdir(tmp_path) == ["song"] and os.listdir(tmp_path / "song") == ["b.wav"]


def test_only_temporary_files_of_ours_are_leftovers(tmp_path):
    names = [".hidden", ".tmp", "0123abcd.tmp.wav", ".0123abcd.tmp.wav", ".0123abcd.tmp"]
    for name in names[:4]:
        (tmp_path / name).touch()
    (tmp_path / names[4]).mkdir()
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(names[:3])
