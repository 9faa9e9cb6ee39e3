"""The benchmark of the scorers runs, and what it compares is equal."""

import re

import pytest

from tests.benchmarks import scoring

pytest.importorskip("museval", reason="scoring needs museval and ffmpeg", exc_type=Exception)


def test_at_a_tiny_size(capsys, monkeypatch):
    monkeypatch.setattr(scoring, "measure", lambda variants, runs, threads: in_here(variants))
    monkeypatch.setattr(scoring, "RATE", 2000)
    scoring.main(["--seconds", "1.5", "--stems", "2"])
    out = capsys.readouterr().out
    assert len(re.findall(r"^  (all four|SDR alone), ", out, re.M)) == 3
    differences = [float(x) for x in re.findall(r"\d\.\de[-+]\d\d", out)]
    assert len(differences) == 5 and max(differences) < 1e-4


def in_here(variants):
    """Run the variants in this process, where the size is set."""
    for variant in variants:
        variant.output = variant.set_up(**variant.kwargs)()
        variant.first = 1.0
