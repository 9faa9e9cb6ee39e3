"""Summaries and tables of scores that have gaps."""

import numpy as np
import pytest

from asteroid_tfswa.scores.names import METHODS
from asteroid_tfswa.scores.tables import format_table, summarise
from tests.scores.songs import RATE, STEMS, metric, score, song


def as_song(name, scores, methods=METHODS):
    return {"song": name, "scores": dict.fromkeys(methods, scores)}


def test_frames_and_stems_without_a_value_in_the_summary():
    references, estimates = song(3)
    references[0, :, :RATE] = 0
    with_gap = score(references, estimates)
    references[0] = 0
    songs = [as_song("gap", with_gap), as_song("instrumental", score(references, estimates))]
    summary = summarise(songs, STEMS)
    vocals = [v for v in metric(with_gap, "vocals", "SDR") if v is not None]
    assert len(vocals) == 2
    sdr = summary["scores"]["model"]["vocals"]["SDR"]
    assert sdr["median"] == sdr["mean"] == pytest.approx(np.median(vocals))
    assert sdr["frame mean"] == pytest.approx(np.mean(vocals)) and sdr["interval"] is None
    assert summary["n_songs"] == 2
    table = format_table(summarise(songs[1:], STEMS))
    line = "- instrumental: SDR, SIR, ISR, SAR, uSDR, SI-SDR of vocals (the reference is silent)"
    assert table.splitlines().count(line) == 1
    assert "nan" not in table.lower()
    assert max(len(row) for row in table.splitlines() if row.startswith("|")) <= 100


def test_sir_and_sar_of_mixtures_times_a_gain_are_not_shown():
    summary = summarise([as_song("one", score(*song(3)))], STEMS)
    for method in METHODS:
        of = summary["scores"][method]["drums"]
        hidden = method in ("mixture", "best gain")
        assert (of["SIR"]["median"] is None) == (of["SAR"]["median"] is None) == hidden
        assert of["SDR"]["median"] is not None
    row = next(row for row in format_table(summary).splitlines() if "| mixture " in row)
    assert [cell.strip() == "-" for cell in row.split("|")[5:8]] == [True, False, True]


def test_the_interval_covers_the_median_and_narrows_with_songs():
    def interval(n_songs):
        rng = np.random.default_rng(0)
        values = rng.normal(5, 2, n_songs)
        scores = [dict(score_template, uSDR=dict.fromkeys(STEMS, v)) for v in values]
        songs = [as_song(str(k), s, ["model"]) for k, s in enumerate(scores)]
        return summarise(songs, STEMS)["scores"]["model"]["drums"]["uSDR"]

    score_template = score(*song(1))
    few, many = interval(9), interval(200)
    for found in (few, many):
        assert found["interval"][0] <= found["median"] <= found["interval"][1]
    width = many["interval"][1] - many["interval"][0]
    # The median of n normal values has a standard error of 1.2533 sigma / sqrt(n).
    assert width == pytest.approx(2 * 1.96 * 1.2533 * 2 / np.sqrt(200), rel=0.3)
    assert few["interval"][1] - few["interval"][0] > 2 * width
