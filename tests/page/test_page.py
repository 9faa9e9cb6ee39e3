"""The page's files: what they hold, how large they become, and that nothing is injected."""

import base64
import io
import json
import os
import re

import numpy as np
import pytest
import soundfile

from asteroid_tfswa import InputError
from asteroid_tfswa.page import PageSong, write_page
from asteroid_tfswa.page.charts import box_plot, curve
from asteroid_tfswa.page.checks import check_song
from asteroid_tfswa.page.media import Clip, choose_clips, position_on_page
from asteroid_tfswa.page.pictures import spectrogram
from tests.page.songs import RATE, STEMS, make_song


def data_of(index):
    text = index.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def track_of(index, track):
    """Key and audio of a track, as the page's script gets them."""
    text = (index.parent / track["file"]).read_text()
    key, coded = re.fullmatch(r"addTrack\((\".*?\"), '([A-Za-z0-9+/=]+)'\);\n", text).groups()
    return json.loads(key), soundfile.read(io.BytesIO(base64.b64decode(coded)))


def test_every_track_is_there_and_whole(tmp_path):
    index = write_page(tmp_path / "report", "title", [make_song(tmp_path / "song")])
    (song,) = data_of(index)
    assert song["seconds"] == song["length"] == pytest.approx(3)
    kinds = [(track["stem"], track["kind"]) for track in song["tracks"]]
    expected = [(stem, kind) for kind in ("reference", "estimate") for stem in STEMS]
    assert kinds == [(None, "mixture"), *expected]
    onsets = []
    for track in song["tracks"]:
        key, (wave, rate) = track_of(index, track)
        assert key == track["key"] and rate == RATE and abs(len(wave) / rate - 3) < 0.1
        onsets.append(np.argmax(np.abs(wave[:, 0]) > 0.15))
    assert np.ptp(onsets) < 0.005 * RATE
    assert len(song["pictures"]) == 3 * len(STEMS)
    assert all((index.parent / p["file"]).read_bytes()[:4] == b"\x89PNG" for p in song["pictures"])


def test_names_are_text_and_never_markup(tmp_path):
    name = "</script><script>alert(1)</script> & \"ü\" 'x'"
    song = make_song(tmp_path / "song", name, scores={"<b>": 1.0})
    index = write_page(tmp_path / "report", name, [song], summary="<i>", sections=[("<u>", "")])
    text = index.read_text(encoding="utf-8")
    assert data_of(index)[0]["name"] == name
    for markup in ("<script>alert", "<b>", "<i>", "<u>"):
        assert markup not in text
    assert text.count("</script>") == 2  # the page's own


def test_page_is_as_small_as_asked_and_keeps_the_worst_moment(tmp_path):
    frames = {"vocals": [5.0] * 20 + [-3.0] * 10 + [5.0] * 10, "drums": [None] * 40}
    song = make_song(tmp_path / "song", seconds=40, frames=frames)
    index = write_page(tmp_path / "report", "title", [song], megabytes=2.5)
    size = sum(path.stat().st_size for path in index.parent.rglob("*") if path.is_file())
    assert size < 2.7e6
    (known,) = data_of(index)
    assert 10 < known["length"] < 30
    (worst,) = known["worst"]  # drums have no frame with a score
    assert (worst["stem"], worst["start"], worst["seconds"], worst["sdr"]) == ("vocals", 20, 10, -3)
    (clip,) = [c for c in known["clips"] if c["start"] <= 20 and c["start"] + c["seconds"] >= 30]
    assert worst["position"] == pytest.approx(20 - clip["start"])


@pytest.mark.parametrize(
    "seconds, expected",
    [
        (100, [Clip(0.0, 60.0)]),
        (20, [Clip(10, 10), Clip(25, 10)]),  # the rest goes to the middle
        (10, [Clip(10, 10)]),
        (5, [Clip(10, 5)]),
    ],
)
def test_clips(seconds, expected):
    assert choose_clips(60.0, [(10, 10)], seconds) == expected


def test_clips_that_meet_become_one():
    clips = choose_clips(60.0, [(10, 10), (15, 10)], 20)
    assert clips == [Clip(10, 15)]
    assert position_on_page([Clip(10, 5), Clip(30, 5)], 31) == 6
    assert position_on_page([Clip(10, 5), Clip(30, 5)], 20) is None


def test_names_that_are_not_utf_8(tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    index = write_page(tmp_path / "report", name, [make_song(tmp_path / "song", name, seconds=1)])
    assert "<title>caf?.wav</title>" in index.read_text(encoding="utf-8")
    assert data_of(index)[0]["name"] == name


def test_a_page_is_replaced_and_other_folders_are_not(tmp_path):
    song = make_song(tmp_path / "song", seconds=1)
    write_page(tmp_path / "report", "one", [song])
    for name in ("._index.html", "media/._0-0.js"):  # of macOS
        (tmp_path / "report" / name).touch()
    (tmp_path / "link").symlink_to("report")
    assert write_page(tmp_path / "link", "two", [song]) == tmp_path / "link/index.html"
    assert (tmp_path / "link").is_symlink() and not (tmp_path / "report/._index.html").exists()
    assert "two" in (tmp_path / "report/index.html").read_text()
    (tmp_path / "link").unlink()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").touch()
    with pytest.raises(InputError, match=r"mine: holds .* not of a page \(letter.txt\)"):
        write_page(tmp_path / "mine", "title", [song])
    (tmp_path / "mine/letter.txt").rename(tmp_path / "mine/index.html")
    with pytest.raises(InputError, match=r"not of a page \(index.html\); move it away, or choose"):
        write_page(tmp_path / "mine", "title", [song])
    (tmp_path / "report/vocals.wav").touch()  # of a song named as the page
    with pytest.raises(InputError, match=r"not of a page \(vocals.wav\)"):
        write_page(tmp_path / "report", "title", [song])
    (tmp_path / "report/vocals.wav").unlink()
    with pytest.raises(InputError, match="page_megabytes: 0.01 is less than a second of each of 1"):
        write_page(tmp_path / "small", "title", [song], megabytes=0.01)
    missing = PageSong("x", tmp_path / "none.wav", {"vocals": tmp_path / "none.wav"})
    with pytest.raises(InputError, match="none.wav"):
        write_page(tmp_path / "report", "three", [missing])
    assert "two" in (tmp_path / "report/index.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "report", "song"]


def test_checks_tell_what_is_wrong(tmp_path):
    song = make_song(tmp_path / "song", hop=0.5, overlap=0.1)
    rest, clipped, joins = check_song(song)
    assert re.search(r"sum of the stems: -[5-9]\d", rest) and clipped.endswith("none.")
    wave, _ = soundfile.read(song.estimates["drums"])
    wave[::100] = 1.0
    wave[round(1.5 * RATE) : round(1.6 * RATE) : 2] = -0.9  # rough at a join
    soundfile.write(song.estimates["drums"], wave, RATE, subtype="FLOAT")
    rest, clipped, joins = check_song(song)
    assert "drums" in clipped and "vocals" not in clipped
    assert float(re.search(r"([+-][\d.]+) dB\.$", joins)[1]) > 3
    assert float(re.search(r"stems: ([-\d.]+)", rest)[1]) > -20


def test_spectrogram_shows_a_tone_where_it_is():
    time = np.arange(3 * RATE) / RATE
    for frequency, row in ((100, 0), (1000, 0), (8000, 0)):
        power = spectrogram(np.sin(2 * np.pi * frequency * time)[:, None], RATE)
        rows = np.geomspace(40, 16000, len(power) + 1)[::-1]
        row = power[:, power.shape[1] // 2].argmax()
        assert rows[row + 1] * 0.9 < frequency < rows[row] * 1.1


def test_charts_tell_their_values():
    svg = box_plot("cSDR", "dB", {"vocals": {"model": [1.0, 2.0, 3.0], "mixture": []}})
    assert "vocals, model: median 2.0 dB" in svg and svg.count('<g class="box') == 1
    assert box_plot("cSDR", "dB", {"vocals": {"model": []}}) == ""
    strange = box_plot("cSDR", "dB", {os.fsdecode(b"\x1b\xe9 &"): {"model": [1.0]}})
    assert "\\x1b\\udce9 &amp;, model: median" in strange and strange.isprintable()
    assert curve("loss", "", [(1, 1.0)]) == ""
    assert "lowest 1, highest 3" in curve("loss", "", [(0, 3.0), (1, float("nan")), (2, 1.0)])
