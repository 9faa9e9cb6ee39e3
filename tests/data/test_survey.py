"""check-data: what is found in broken sets, and nothing in sound ones."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import soundfile as sf

from asteroid_tfswa.data.fingerprints import find_same, fingerprint
from asteroid_tfswa.data.prepare import prepare
from asteroid_tfswa.data.survey import KINDS, survey
from asteroid_tfswa_cli import main
from tests.data.raw_sets import needs_ffmpeg

RATE = 16000
SOURCES = ["bass", "vocals"]


def music(seed, seconds=8.0):
    """Tones that change every tenth of a second, in noise; stereo."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    pitches = np.repeat(rng.uniform(100, 3000, (4, int(10 * seconds) + 1)), RATE // 10, axis=1)
    phases = 2 * np.pi * np.cumsum(pitches[:, : len(time)], axis=1) / RATE
    wave = 0.05 * np.sin(phases).sum(0) + 0.01 * rng.standard_normal(len(time))
    return np.stack([wave, 0.5 * wave], axis=1)


def write(folder, name, number, **changes):
    """A song of two stems and their mixture; `changes` replace files."""
    path = folder / name
    path.mkdir(parents=True)
    waves = {"bass": music(2 * number), "vocals": music(2 * number + 1)}
    waves["mixture"] = sum(waves.values())
    for stem, wave in (waves | changes).items():
        if wave is not None:
            sf.write(path / f"{stem}.wav", wave, RATE, subtype="FLOAT")
    return path


@pytest.fixture
def sound(tmp_path):
    """A set without problems."""
    for number, name in enumerate(("train/a", "train/b", "valid/c", "test/d")):
        write(tmp_path / "set", name, number)
    return tmp_path / "set"


def kinds(report):
    return sorted((p["kind"], f"{p['split']}/{p['song']}") for p in report["problems"])


def test_a_sound_set_raw_and_prepared(sound, tmp_path, capsys):
    prepare(sound, tmp_path / "prepared", SOURCES, sample_rate=RATE)
    for folder in (sound, tmp_path / "prepared"):
        main(["check-data", str(folder), "--json", str(tmp_path / "report.json")])
        assert capsys.readouterr().out.endswith("0 problems\n")
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["splits"]["train"]["songs"] == 2
        assert report["splits"]["train"]["stem_hours"]["bass"] == pytest.approx(16 / 3600, 1e-2)
        assert report["sample_rates"] == {str(RATE): 4} and report["sources"] == SOURCES
        song = report["songs"][0]
        assert song["difference"] < 1e-6 and song["files"]["bass"]["clipped"] == 0
    with sf.SoundFile(tmp_path / "prepared/test/d/song.wav", "w", RATE, 1) as file:
        file.write(np.zeros(10))
    (tmp_path / "prepared/train/a/bass.wav").unlink()
    assert ("prepared", "None/None") in kinds(survey(tmp_path / "prepared"))
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["check-data", str(sound), "--json", str(tmp_path)])
    line = f"error: {tmp_path}: is a folder; move it away or choose another name\n"
    assert capsys.readouterr() == ("", line)
    with open("/dev/full", "wb") as full, pytest.raises(SystemExit):
        main(["check-data", str(sound), "--json", f"/proc/self/fd/{full.fileno()}"])
    out, err = capsys.readouterr()
    assert out.endswith("0 problems\n") and err.endswith(": No space left on device\n")


def test_every_kind_of_problem_is_found(sound, capsys):
    bass, vocals = music(100), music(101)
    loud = np.clip(30 * bass, -1, 1)
    write(sound, "train/clipped", 10, bass=loud, mixture=None)
    write(sound, "train/copied", 11, bass=vocals, vocals=vocals, mixture=None)
    write(sound, "train/missing", 12, bass=None, mixture=None)
    write(sound, "train/other mixture", 13, mixture=music(102))
    write(sound, "train/short", 14, bass=bass[: 3 * RATE], mixture=None)
    write(sound, "train/silent", 15, bass=0 * bass, mixture=None)
    (write(sound, "train/text", 16, mixture=None) / "bass.wav").write_text("no audio")
    damaged = write(sound, "train/na\u00adn", 17, vocals=bass + np.inf, mixture=None)
    shutil.copy(sound / "train/b/bass.wav", damaged / "bass.wav")
    six = {stem: np.tile(music(110 + i), 3) for i, stem in enumerate(SOURCES)}
    write(sound, "train/six channels", 18, **six, mixture=None)
    sf.write(write(sound, "train/mono", 19, mixture=None) / "bass.wav", music(120)[:, 0], RATE)
    rate = write(sound, "test/rate", 20, mixture=None)
    for stem, wave in (("bass", music(103)[::2]), ("vocals", music(104)[::2])):
        sf.write(rate / f"{stem}.wav", wave, RATE // 2)
    with pytest.raises(SystemExit) as ended:
        main(["check-data", str(sound)])
    assert ended.value.code == 1 and "clipped: " in capsys.readouterr().out
    report = survey(sound, n_jobs=2)
    assert next(p for p in report["problems"] if p["kind"] == "channels")["message"] == (
        "train/six channels: 6 channels, most songs 2"
    )
    assert kinds(report) == [
        ("channels", "train/six channels"),
        ("clipped", "train/clipped"),
        ("duplicate", "train/copied"),
        ("format", "train/short"),
        ("missing", "train/missing"),
        ("repeated", "train/na\u00adn"),  # its only readable file is half of another song
        ("sample_rate", "test/rate"),
        ("silent", "train/silent"),
        ("sum", "train/other mixture"),
        ("unreadable", "train/na\u00adn"),
        ("unreadable", "train/text"),
    ]
    with pytest.raises(SystemExit):
        main(["check-data", str(sound), "--jobs", "-1"])
    assert "error: --jobs must be 1 or more: got -1" in capsys.readouterr().err
    main(["check-data", str(sound), "--allow", *(KINDS.keys() - {"leak", "prepared"})])


@needs_ffmpeg
def test_one_song_in_train_and_test_is_recognised(sound, tmp_path):
    """Softer, later, as mp3, at another rate, under another name, and without a mixture."""
    waves = {"bass": music(0), "vocals": music(1)}  # those of train/a
    path = sound / "test/renamed"
    path.mkdir()
    for stem, wave in waves.items():
        late = np.concatenate([0.01 * music(50, 2.13), 0.3 * wave])
        sf.write(tmp_path / "x.wav", late, RATE)
        command = ["ffmpeg", "-v", "error", "-i", tmp_path / "x.wav", "-ar", "22050", "-b:a", "64k"]
        subprocess.run([*command, path / f"{stem}.mp3"], check=True)
    shutil.copytree(sound / "train/b", sound / "train/again")
    report = survey(sound)
    found = kinds(report)
    assert ("leak", "test/renamed") in found and ("repeated", "train/b") in found
    assert sum(kind in ("leak", "repeated") for kind, _ in found) == 2
    leak = next(p["message"] for p in report["problems"] if p["kind"] == "leak")
    assert "train/a and test/renamed" in leak and "2.1 s apart" in leak


def test_silence_and_short_songs_are_not_one_recording():
    prints = [fingerprint(np.zeros(n, dtype=np.float32)) for n in (0, 100, 80000, 80000)]
    assert find_same(prints) == []
