import os

import pytest

from asteroid_tfswa.separate import find_songs

FILES = ("a.wav", "cd1/b.flac", "cd1/live/c.mp3", "cd2/d.WAV", "cd2/notes.txt", ".hidden/e.wav")


@pytest.fixture
def album(tmp_path, monkeypatch):
    """A folder of songs, as the working folder."""
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*inputs):
    songs, problems = find_songs(inputs)
    assert not problems
    return {str(song): folder for song, folder in songs.items()}


ALL = {"a.wav": ".", "cd1/b.flac": "cd1", "cd1/live/c.mp3": "cd1/live", "cd2/d.WAV": "cd2"}


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("**", ALL),
        ("**/", ALL),
        ("**/*", ALL),
        ("**/**/*", ALL),
        ("*/**", {"cd1/b.flac": "cd1", "cd1/live/c.mp3": "cd1/live", "cd2/d.WAV": "cd2"}),
        ("cd1/**", {"cd1/b.flac": ".", "cd1/live/c.mp3": "live"}),
        ("cd[1]/**/c.mp3", {"cd1/live/c.mp3": "cd1/live"}),
        ("**/live/*.mp3", {"cd1/live/c.mp3": "cd1/live"}),
        ("**/*.txt", {"cd2/notes.txt": "cd2"}),
        ("*.wav", {"a.wav": "."}),
        ("cd*/*", {"cd1/b.flac": "cd1", "cd2/d.WAV": "cd2"}),
    ],
)
def test_patterns(album, pattern, expected):
    assert found(pattern) == expected
    absolute = {str(album / song): folder for song, folder in expected.items()}
    assert found(f"{album}/{pattern}") == absolute


def test_stars_end_where_links_lead_back(album):
    """With three links back to the top, glob finds 3^40 folders."""
    for name in ("loop1", "loop2", "cd1/loop3"):
        os.symlink(album, name)
    assert found("**") == ALL
