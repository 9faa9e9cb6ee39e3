"""The command separate with --page: what is on the page, and what it never replaces."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from asteroid_tfswa.page import page
from tests.cli.test_separate import run, write, written


def test_page_has_all_songs_that_have_stems(folder, capsys):
    write("songs/one.wav")
    write("songs/cd2/two.mp3")
    assert run("songs") == 0
    shutil.rmtree("separated/one")
    Path("separated/.0123abcd.tmp").mkdir()  # of a page that was killed
    assert run("songs", "--page", "--format", "wav") == 0
    assert capsys.readouterr().err.endswith("Page: separated/page/index.html\n")
    assert sorted(os.listdir("separated")) == ["cd2", "one", "page"]
    data = re.search(r'id="data">(.*?)</script>', Path("separated/page/index.html").read_text())
    songs = json.loads(data[1])
    assert [song["name"] for song in songs] == ["two.mp3", "one.wav"]
    for song in songs:
        stems = [track["stem"] for track in song["tracks"]]
        assert stems == [None, "vocals", "drums"] and not song["hasReferences"]
    assert run("songs", "--page", "--page-megabytes", "nan") == 1
    assert "page_megabytes" in capsys.readouterr().err


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_page_plays_the_track_that_was_separated(folder, capsys):
    write("six.wav", channels=6)
    write("two.wav")
    maps = ["-i", "six.wav", "-i", "two.wav", "-map", "0", "-map", "1", "-c:a", "flac"]
    subprocess.run(["ffmpeg", "-v", "error", *maps, "song.mka"], check=True)
    options = ["--two-stems", "vocals", "--page"]
    assert run("song.mka", "--track", "2", *options) == 0
    page = Path("separated/page/index.html").read_text()
    assert float(re.search(r"sum of the stems: ([-\d.]+) dB", page)[1]) < -60
    capsys.readouterr()
    assert run("song.mka", *options) == 1  # the stems of track 2 exist
    line = capsys.readouterr().err.splitlines()[-1]
    assert "vocals.wav: has 2 channels, its song 6" in line and "--overwrite" in line


def test_page_never_replaces_other_files(folder, capsys):
    write("page.wav")
    write("song.wav")
    assert run("page.wav") == 0
    assert run("song.wav", "--page") == 1
    assert "separated/page: holds files that are not of a page (drums" in capsys.readouterr().err
    assert written() == ["page/drums.wav", "page/vocals.wav"]  # refused before it separates
    for _ in range(2):
        assert run("page.wav", "song.wav", "-o", "out", "--page") == 1
        line = "page.wav: its stem out/page/vocals.wav would lie in out/page, which is for the page"
        assert line in capsys.readouterr().err
        assert {path.split("/")[0] for path in written("out")} == {"page", "song"}
        assert Path("out/page/index.html").is_file() and not Path("out/page/drums.wav").exists()


def test_two_runs_do_not_write_a_page_at_a_time(folder, capsys, monkeypatch):
    write("song.wav")
    status, check = [], page.checks.check_song

    def run_again(song):
        if not status:
            status.append(run("song.wav", "--page"))
        return check(song)

    monkeypatch.setattr(page.checks, "check_song", run_again)
    assert run("song.wav", "--page") == 0 and status == [1]
    assert "error: separated: another run is writing to it" in capsys.readouterr().err
    assert Path("separated/page/index.html").is_file()
