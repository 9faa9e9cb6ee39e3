"""Tables of scores that have gaps."""

import numpy as np
import pytest

from asteroid_tfswa.scores.jobs import METHODS
from asteroid_tfswa.scores.museval import score_song
from asteroid_tfswa.scores.tables import format_table, summarise
from tests.scores.songs import RATE, STEMS, metric, song

pytest.importorskip("museval", reason="scoring needs museval and ffmpeg", exc_type=Exception)


def test_frames_and_stems_without_a_value_in_the_summary():
    references, estimates = song(3)
    references[0, :, :RATE] = 0
    with_gap = score_song(references, estimates, STEMS, RATE)
    references[0] = 0
    without_vocals = score_song(references, estimates, STEMS, RATE)
    songs = [
        {"song": name, "scores": dict.fromkeys(METHODS, scores)}
        for name, scores in (("gap", with_gap), ("instrumental", without_vocals))
    ]
    summary = summarise(songs, STEMS)
    vocals = [v for v in metric(with_gap, "vocals", "SDR") if v is not None]
    assert len(vocals) == 2
    assert summary["scores"]["model"]["vocals"]["SDR"]["mean"] == pytest.approx(np.median(vocals))
    assert summary["n_songs"] == 2
    table = format_table(summarise(songs[1:], STEMS))
    line = "- instrumental: SDR, SIR, ISR, SAR, uSDR of vocals (the reference is silent)"
    assert table.splitlines().count(line) == 1
    assert "nan" not in table.lower()


def test_sir_and_sar_of_baselines_are_not_shown():
    scores = score_song(*song(3), STEMS, RATE)
    summary = summarise([{"song": "one", "scores": dict.fromkeys(METHODS, scores)}], STEMS)
    rows = [line.split("|")[2:] for line in format_table(summary).splitlines() if "|" in line]
    for method, *cells in rows:
        cells = [cell.strip() for cell in cells if cell.strip()]
        if method.strip() == "model":
            assert "-" not in cells
        elif method.strip() in METHODS:
            assert [cell == "-" for cell in cells[:4]] == [False, True, False, True]
