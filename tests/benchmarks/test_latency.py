"""The benchmark of the latency runs, and its reference is the separation without a bound."""

import re

import soundfile
import torch

from asteroid_tfswa import TFSWAUNet
from tests.benchmarks import latency
from tests.benchmarks.precision import usdr
from tests.trained import make_best_model


def test_at_a_tiny_size(tmp_path, capsys):
    path = make_best_model(tmp_path / "exp", sample_rate=1000.0)
    stems = torch.randn(2, 2, 7000) / 10
    (tmp_path / "songs" / "a song").mkdir(parents=True)
    files = {"mixture": stems.sum(0), "vocals": stems[0], "drums": stems[1]}
    for name, wav in files.items():
        out = tmp_path / "songs" / "a song" / f"{name}.wav"
        soundfile.write(out, wav.T.numpy(), 1000, subtype="FLOAT")
    latency.main(["--model", str(path), "--songs", str(tmp_path / "songs"), "--threads", "1"])
    rows = re.findall(
        r"^ +(\S+) s +(\S+) +(\S+) +(\S+) +(\S+) +\S+$", capsys.readouterr().out, re.M
    )
    assert [row[0] for row in rows] == ["6", "2", "1", "0.5"] and rows[0][4] == "0.00"
    expected = usdr(stems, TFSWAUNet.from_pretrained(path).separate(files["mixture"]))
    assert [float(x) for x in rows[0][1:3]] == [round(x, 2) for x in expected.tolist()]
    assert any(row[4] != "0.00" for row in rows)
