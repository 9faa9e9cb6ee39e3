"""Runs side by side: score cards, museval's files, differences song by song, published results."""

import json
import os
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy.stats import wilcoxon

from asteroid_tfswa import InputError
from asteroid_tfswa.cli import main
from asteroid_tfswa.scores.card import make_card, write_results
from asteroid_tfswa.scores.compare import box_groups, compare, left_out, published
from asteroid_tfswa.scores.runs import read_run, read_runs
from asteroid_tfswa.scores.tables import summarise

STEMS = ["vocals", "drums"]


def write_run(folder, sdr, level=-20.0, songs=8, skip=(), fingerprint="abc"):
    """Write the scores of a run whose stems have 3 frames around `sdr` plus the song's number."""
    results = []
    for i in range(songs):
        values = {stem: sdr + i + k for k, stem in enumerate(STEMS) if (i, stem) not in skip}
        targets = [
            {
                "name": stem,
                "frames": [
                    {
                        "time": float(t),
                        "duration": 1.0,
                        "metrics": {"SDR": v, "SIR": 0.0, "ISR": 0.0, "SAR": 0.0},
                    }
                    for t, v in enumerate((value - 5, value, value + 1, None))
                ],
            }
            for stem, value in values.items()
        ]
        whole = {stem: values[stem] + 0.5 if stem in values else None for stem in STEMS}
        scores = {"targets": targets, "uSDR": whole, "SI-SDR": whole}
        scores |= {"left_out": [], "regularised": False, "level": dict.fromkeys(STEMS, level)}
        name = f"song {i}"
        facts = {"song": name, "sample_rate": 44100, "n_samples": 176400}
        results.append({**facts, "scores": {"model": scores}})
    summary = summarise(results, STEMS)
    data = {"name": "set", "fingerprint": fingerprint}
    folder = folder / "scores"
    folder.mkdir(parents=True)
    write_results(folder, results, summary, make_card(results, [], summary, "fast 1", data))
    return folder.parent


def test_differences_song_by_song(tmp_path):
    one = write_run(tmp_path / "one", 1.0)
    two = write_run(tmp_path / "two", 1.25, level=-20.01, fingerprint="trained on more songs")
    result = compare([read_run(one), read_run(two)])
    assert list(result) == ["cSDR", "uSDR", "SI-SDR"]
    first, second = result["cSDR"]["runs"].values()
    assert first["vocals"]["median"] == 1.0 + 3.5 and first["drums"]["median"] == 2.0 + 3.5
    assert first["vocals"]["change"] is None and first["vocals"]["p"] is None
    assert second["vocals"]["change"] == pytest.approx(0.25)
    assert second["vocals"]["p"] == wilcoxon([0.25] * 8).pvalue
    low, high = second["vocals"]["interval"]
    assert low < second["vocals"]["median"] < high
    assert second["average"]["median"] == pytest.approx(5.25)
    assert second["average"]["change"] == pytest.approx(0.25)
    assert result["uSDR"]["runs"][str(one)]["vocals"]["median"] == 5.0
    same = compare([read_run(one), read_run(one / "scores/score_card.json")])["cSDR"]["runs"]
    assert same[str(one / "scores/score_card.json")]["vocals"]["p"] is None  # no song differs


def test_only_songs_that_all_have(tmp_path):
    skip = [(0, "vocals"), (1, "vocals")]
    runs = [
        read_run(write_run(tmp_path / "one", 1.0)),
        read_run(write_run(tmp_path / "two", 2.0, songs=7, skip=skip)),
    ]
    found = compare(runs)["cSDR"]
    assert found["songs"] == {"vocals": 5, "drums": 7}
    assert found["runs"][runs[0].name]["vocals"]["median"] == 1.0 + 4
    assert [len(values) for values in box_groups(runs, "cSDR")["vocals"].values()] == [5, 5]
    assert left_out(runs) == [f"{runs[0].name}: 1 song that is not in all runs, left out (song 7)"]


def test_museval_files_say_the_same(tmp_path):
    folder = write_run(tmp_path / "one", 1.0)
    card, museval = read_run(folder), read_run(folder / "scores/museval")
    assert museval.scores == {"cSDR": card.scores["cSDR"]}
    assert list(compare([card, museval])) == ["cSDR"]  # the only metric that both have


def write_museval(folder, values, song="a"):
    """Write museval's JSON of a song of one frame."""
    targets = [
        {"name": stem, "frames": [{"time": 0.0, "duration": 1.0, "metrics": {"SDR": value}}]}
        for stem, value in values.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{song}.json").write_text(json.dumps({"targets": targets}))
    return folder


def test_averages_are_over_the_same_four_stems(tmp_path, capsys):
    four = {"vocals": 5.0, "drums": 5.0, "bass": 5.0, "other": 5.0}
    all_five = write_museval(tmp_path / "five", {**four, "accompaniment": 14.0})
    main(["compare", str(all_five)])
    table = capsys.readouterr().out
    assert compare([read_run(all_five)])["cSDR"]["runs"][str(all_five)]["average"]["median"] == 5.0
    umx = next(line for line in table.splitlines() if "(UMX)" in line)
    assert umx.split("|")[-2].strip() == "5.33"
    one = write_museval(tmp_path / "one", {"vocals": 8.0})
    main(["compare", str(one), str(all_five)])
    assert all(
        line.split("|")[-2].strip() == "-"
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("| published")
    )


def test_musevals_files_of_two_runs_or_damaged_ones_are_refused(tmp_path):
    both = tmp_path / "both"
    write_museval(both / "umx/test", {"vocals": 5.0})
    write_museval(both / "xumx/test", {"vocals": 7.0})
    with pytest.raises(InputError, match="both: has two files of the song a .*umx/test/a.json"):
        read_run(both)
    cut = write_museval(tmp_path / "cut", {"vocals": 5.0})
    (cut / "b.json").write_text('{"targets": [')
    with pytest.raises(InputError, match="b.json: cannot be read or is no JSON"):
        read_run(cut)


def test_names_and_missing_values_of_musevals_files(tmp_path):
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    one = write_museval(tmp_path / "one", {"vocals": 5.0}, composed)
    two = write_museval(tmp_path / "two", {"vocals": 6.0, "drums": None}, decomposed)
    runs = [read_run(one), read_run(two)]
    assert compare(runs)["cSDR"]["songs"] == {"vocals": 1} and left_out(runs) == []
    three = read_run(write_museval(tmp_path / "three", {"vocals": 5.0}, "other"))
    with pytest.raises(InputError, match="no song has scores of one stem in all runs; .*has other"):
        compare([runs[0], three])


def test_what_cannot_be_compared_is_left_out_in_one_line(tmp_path, capsys):
    one = write_run(tmp_path / "one", 1.0)
    other_data = write_run(tmp_path / "two", 1.0, level=-21.0)
    old = write_run(tmp_path / "old", 1.0)
    card = old / "scores/score_card.json"
    card.write_text(card.read_text().replace('"version": 1', '"version": 0', 1))
    broken = write_run(tmp_path / "broken", 1.0)
    (broken / "scores/score_card.json").write_text('{"format": "asteroid-tfswa score card", ')
    shape = write_run(tmp_path / "shape", 1.0)
    (shape / "scores/score_card.json").write_text(
        '{"format": "asteroid-tfswa score card", "version": 1, "songs": [[]], "data": null}'
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    earlier = write_run(tmp_path / "earlier", 1.0, level=None, fingerprint="other")
    paths = [one, other_data, earlier, old, broken, shape, empty, tmp_path / "none"]
    runs, problems = read_runs(paths)
    assert [run.name for run in runs] == [str(one)]
    for problem, words in zip(
        problems,
        (
            "other data",
            "an earlier version",
            "version 0",
            "damaged",
            "damaged",
            "no scores",
            "no scores",
        ),
    ):
        assert words in problem and "\n" not in problem
    with pytest.raises(InputError, match="none: no scores found; give the folder of a run"):
        read_runs([tmp_path / "none"])
    with pytest.raises(SystemExit) as stop:
        main(["compare", str(one), str(other_data)])
    assert stop.value.code == 1
    out, err = capsys.readouterr()
    assert str(one) in out and err.startswith("error: ") and err.count("\n") == 1


def test_command_prints_tables_and_draws(tmp_path, capsys):
    strange = os.fsdecode(b"two <b>|\x1b\xe9")
    one, two = write_run(tmp_path / "one", 1.0), write_run(tmp_path / strange, 1.25)
    main(["compare", str(one), str(two), "--plot", str(tmp_path / "plot.svg")])
    out = capsys.readouterr().out
    csdr, usdr = out.split("uSDR in dB")[0], out.split("uSDR in dB")[1]
    assert "4.75 [" in csdr and "+0.25 p 0.0078" in csdr
    assert "/two <b>\\|\\x1b\\udce9 |" in csdr
    assert "published: BS-RoFormer" in csdr and "published" not in usdr.split("In brackets")[0]
    text = (tmp_path / "plot.svg").read_text()
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert text.count('<g class="box') == 3 * 2 * 2  # metrics, stems, runs
    for name, message in (("plot.png", "plot.png is no name for SVG"), (".", ".: is a folder")):
        with pytest.raises(SystemExit):
            main(["compare", str(one), "--plot", name])
        out, err = capsys.readouterr()
        assert out == "" and message in err


def test_published_results_say_where_they_are_from():
    for entry in published():
        assert entry["metric"] == "cSDR" and entry["training_data"]
        assert entry["source"].startswith("https://")
        values = list(entry.get("stems", {"average": entry.get("average")}).values())
        assert all(0 < value < 15 for value in values)
    averages = {e["model"]: np.mean(list(e["stems"].values())) for e in published() if "stems" in e}
    assert averages["Open-Unmix (UMX)"] == pytest.approx(5.33, abs=0.006)
    assert averages["TFSWA-ResUNet"] == pytest.approx(6.89, abs=0.006)
    json.dumps(published())
