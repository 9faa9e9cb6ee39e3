"""The benchmark of the data sets runs, and finds this one faster."""

import re

from tests.benchmarks import feeding


def test_at_a_tiny_size(capsys):
    feeding.main(["--segment", "1", "--seconds", "3", "--songs", "2", "--batches", "2"])
    out = capsys.readouterr().out
    for subtype in feeding.SUBTYPES:
        rows = re.findall(rf"{subtype} +(here, to|here, mixed|Asteroid)", out)
        assert rows == ["here, to", "here, mixed", "Asteroid"]
    assert len(re.findall(r"memory map", out)) == 2 and "FLAC PCM_24" in out
