"""`asteroid-tfswa score`: anybody's stems, and a line for each that cannot be scored."""

import json
import os
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
    other = "x/Caf\u00e9"  # as another folder's name in other characters
    for kind in ("true", "found"):
        shutil.copytree(folders / kind / "a", folders / f"{kind}_accents/x/Cafe\u0301")
        shutil.copytree(folders / kind / "a", folders / f"{kind}_accents" / other)
    jobs, notes = match_songs(folders / "true_accents", folders / "found_accents")
    assert [job.name for job in jobs] == ["x - Caf\u00e9"] and len(notes) == 2
    assert "another folder has this name in other Unicode characters; rename one" in notes[0]
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


def test_names_that_are_long_not_utf_8_or_markup(folders, capsys):
    strange, long = os.fsdecode(b"caf\xe9 \x1b[2J"), "/".join(["artist" * 20, "album" * 25, "song"])
    for kind, suffix in (("true", "wav"), ("found", "flac")):
        for name in (strange, long):
            shutil.copytree(folders / kind / "a", folders / f"{kind}_names" / name)
            for stem in ("voc|als", "si\nlent"):
                drums = folders / f"{kind}_names" / name / f"drums.{suffix}"
                shutil.copy(drums, drums.with_name(f"{stem}.{suffix}"))
            soundfile.write(os.fsencode(drums), np.zeros(8000), RATE)  # left out
    command = ["score", "--reference", folders / "true_names", "--estimates"]
    main([*map(str, [*command, folders / "found_names", "-o", folders / "out", "--jobs", "1"])])
    out = capsys.readouterr().out
    assert out == (folders / "out/table.md").read_text() + "\n"
    assert "voc\\|als" in out and "si\\nlent" in out and "\x1b" not in out
    assert "- caf\\udce9 \\x1b[2J: SDR, SIR" in out
    card = json.loads((folders / "out/score_card.json").read_text())
    songs = {song["song"] for song in card["songs"]}
    assert songs == {strange, long.replace("/", " - ")} and max(map(len, songs)) > 250
    assert len(list((folders / "out/museval/test").iterdir())) == 2


def test_files_of_others_in_the_output_folder_are_kept(folders, capsys, monkeypatch):
    monkeypatch.chdir(folders)
    museval = folders / "out/museval/test"
    museval.mkdir(parents=True)
    (museval / "mine.json").write_text("mine")
    shutil.copytree(folders / "true/a", folders / "true/b")
    shutil.copytree(folders / "found/a", folders / "found/b")

    def score():
        main(["score", "--reference", "true", "--estimates", "found", "-o", "out", "--jobs", "1"])
        return sorted(path.name for path in museval.iterdir())

    for name in ("museval/test/a.json", "summary.json"):
        (folders / "out" / name).write_text("mine")
        with pytest.raises(SystemExit):
            score()
        assert f"out/{name}: would be replaced, and no score_card" in capsys.readouterr().err
        (folders / "out" / name).unlink()
    card = {"format": "asteroid-tfswa score card", "version": 1, "songs": []}  # none was scored
    (folders / "out/score_card.json").write_text(json.dumps(card))
    (folders / "out/summary.json").write_text("{}")
    assert score() == ["a.json", "b.json", "mine.json"]
    (museval / ".0123abcd.tmp.json").touch()  # of a run that was killed
    shutil.rmtree(folders / "true/b")
    shutil.rmtree(folders / "found/b")
    assert score() == ["a.json", "mine.json"]
    (museval / "b.json").write_text("mine")
    shutil.copytree(folders / "true/a", folders / "true/b")
    shutil.copytree(folders / "found/a", folders / "found/b")
    with pytest.raises(SystemExit):
        score()
    assert (museval / "b.json").read_text() == (museval / "mine.json").read_text() == "mine"
