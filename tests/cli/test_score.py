"""`asteroid-tfswa score`: anybody's stems, and a line for each that cannot be scored."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from asteroid_tfswa import InputError
from asteroid_tfswa.cli import main
from asteroid_tfswa.scores.folders import match_songs
from tests.scores.songs import RATE, STEMS, song

BAD = {
    "missing": "missing/drums: not scored, missing in the estimates",
    "unreadable": "unreadable/drums.flac: cannot be read",
    "short": "short/drums.flac: not scored, 7000 samples against 8000; up to 0.1 s are cut",
    "long": "long/drums.flac: not scored, 9000 samples against 8000; up to 0.1 s are cut",
    "rate": "rate/drums.flac: not scored, 8000 Hz against 4000 Hz; resample it",
    "stereo": "stereo/drums.flac: not scored, 2 channels against 1; convert it",
    "nan": "nan/drums.wav: not scored, has samples that are not numbers",
}


def write(folder, signals, suffix=".flac"):
    folder.mkdir(parents=True)
    for stem, x in zip(STEMS, signals):
        subtype = "PCM_24" if suffix == ".flac" else "FLOAT"
        soundfile.write(folder / f"{stem}{suffix}", x.T, RATE, subtype=subtype)


@pytest.fixture
def folders(tmp_path):
    """References in wav with a mixture, estimates in flac, of song "a"."""
    references, estimates = song(2)
    write(tmp_path / "true/a", references, ".wav")
    soundfile.write(tmp_path / "true/a/mixture.wav", references.sum(0).T, RATE, subtype="FLOAT")
    write(tmp_path / "found/a", estimates)
    return tmp_path


def add_bad(folder, case):
    shutil.copytree(folder / "true/a", folder / f"true/{case}")
    shutil.copytree(folder / "found/a", folder / f"found/{case}")
    drums = folder / f"found/{case}/drums.flac"
    wav, _ = soundfile.read(drums)
    if case == "missing":
        drums.unlink()
    elif case == "unreadable":
        drums.write_bytes(b"hello")
    elif case == "short":
        soundfile.write(drums, wav[:7000], RATE)
    elif case == "long":
        soundfile.write(drums, np.append(wav, wav[:1000]), RATE)
    elif case == "rate":
        soundfile.write(drums, wav, 2 * RATE)
    elif case == "stereo":
        soundfile.write(drums, np.stack([wav, wav], axis=1), RATE)
    else:
        drums.unlink()
        soundfile.write(drums.with_suffix(".wav"), np.full(8000, np.nan), RATE, subtype="FLOAT")


def test_every_bad_stem_has_a_line_and_the_others_are_scored(folders):
    for case in BAD:
        add_bad(folders, case)
    shutil.copytree(folders / "true/a", folders / "true/only true")
    shutil.copytree(folders / "found/a", folders / "found/only found")
    soundfile.write(folders / "found/a/guitar.wav", np.ones(8000), RATE)
    soundfile.write(folders / "found/a/bass.wav", np.ones(8000), RATE)
    soundfile.write(folders / "true/a/bass.wav", np.ones(9000), RATE)
    jobs, notes = match_songs(folders / "true", folders / "found")
    assert {job.name: list(job.references) for job in jobs} == {
        "a": ["drums", "vocals"],
        **dict.fromkeys(BAD, ["vocals"]),
    }
    wanted = [*BAD.values(), "a/guitar: not scored, missing in the references"]
    wanted += ["true/a/bass.wav: not scored, 9000 samples against 8000"]
    wanted += [f"only true: not scored, {folders / 'found'} has no such song or several"]
    wanted += [f"only found: not scored, {folders / 'true'} has no such song or several"]
    assert len(notes) == len(wanted)
    assert all(any(text in note for note in notes) for text in wanted)


def test_songs_match_by_path_and_by_unique_name(folders):
    shutil.copytree(folders / "true/a", folders / "more/test/a")
    jobs, notes = match_songs(folders / "more", folders / "found")
    assert [job.name for job in jobs] == ["test - a"] and not notes
    jobs, notes = match_songs(folders / "true/a", folders / "found/a")  # a song each
    assert [job.name for job in jobs] == ["a"] and not notes
    shutil.copytree(folders / "found/a", folders / "found/b")
    shutil.copytree(folders / "true/a", folders / "more/train/a")
    jobs, notes = match_songs(folders / "more", folders / "found")
    assert not jobs and len(notes) == 4  # which of two songs "a" is meant is unclear


def test_links_are_followed_and_songs_are_never_mixed_up(folders):
    for kind in ("true", "found"):
        shutil.copytree(folders / kind / "a", folders / f"{kind}_more/Cafe\u0301")
        (folders / f"{kind}_more/linked").symlink_to(folders / kind / "a")
        (folders / f"{kind}_more/linked/loop").symlink_to(folders / f"{kind}_more")
    jobs, notes = match_songs(folders / "true_more", folders / "found_more")
    assert sorted(job.name for job in jobs) == ["Caf\u00e9", "linked"]
    assert not notes
    for kind in ("true", "found"):
        (folders / kind / "a/loop").unlink()
        (folders / f"{kind}_more/0").symlink_to(folders / f"{kind}_more/Cafe\u0301")
    jobs, notes = match_songs(folders / "true_more", folders / "found_more")
    assert sorted(job.name for job in jobs) == ["Caf\u00e9", "linked"] and not notes
    for kind in ("true", "found"):
        shutil.copytree(folders / kind / "a", folders / f"{kind}_same/x/y")
        shutil.copytree(folders / kind / "a", folders / f"{kind}_same/x - y")
    jobs, notes = match_songs(folders / "true_same", folders / "found_same")
    assert [job.name for job in jobs] == ["x - y"]
    assert len(notes) == 1 and "its name is that of x - y; rename" in notes[0]
    (folders / "found/a").rename(folders / "found/b")
    jobs, notes = match_songs(folders / "true", folders / "found")
    assert not jobs and len(notes) == 2
    assert len(match_songs(folders / "true", folders / "found/b")[0]) == 1  # the song itself


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_folders_without_audio_are_refused(folders, name):
    (folders / "empty").mkdir()
    with pytest.raises(InputError, match=f"{name}: no"):
        match_songs(folders / "true", folders / name)


def test_the_command(folders, capsys, monkeypatch):
    monkeypatch.chdir(folders)
    add_bad(folders, "short")
    wav, _ = soundfile.read("found/a/drums.flac")
    soundfile.write("found/a/drums.flac", wav[:-100], RATE)  # within the tolerance
    soundfile.write("true/a/silent.wav", np.zeros(8000), RATE)
    soundfile.write("found/a/silent.wav", np.zeros(8000), RATE)
    command = ["score", "--reference", "true", "--estimates", "found", "--jobs", "1"]
    with pytest.raises(SystemExit) as end:
        main(command)
    out, err = capsys.readouterr()
    assert end.value.code == 1 and "1 could not be scored:\n  found/short/drums.flac" in err
    assert "| vocals  | model " in out and "ideal mask" in out and "SI-SDR" in out
    assert "- a: SDR, SIR, ISR, SAR, uSDR, SI-SDR of silent (the reference is silent)" in out
    card = json.loads((folders / "scores/score_card.json").read_text())
    assert [s["song"] for s in card["songs"]] == ["a", "short"]
    assert card["songs"][0]["methods"]["model"]["stems"]["drums"]["uSDR"] > 5
    assert len(card["failed"]) == 1 and card["model"] is None
