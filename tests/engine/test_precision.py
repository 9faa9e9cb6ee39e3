"""Precisions that do not suit the model or the GPU."""

import pytest
import torch
from asteroid.masknn import norms

from asteroid_tfswa.engine import precision
from asteroid_tfswa.engine.precision import prepare_precision
from asteroid_tfswa.errors import InputError


@pytest.fixture
def hardware(monkeypatch):
    """Function that describes a run on GPUs, of which the second one lacks bfloat16."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda gpu: gpu == "cuda:0")
    before = torch.get_float32_matmul_precision()
    yield lambda name, gpus: {"accelerator": "gpu", "devices": gpus, "precision": name}
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("norm", ["gLN", "fgLN", "cLN"])
def test_float16_is_refused_for_norms_that_divide_by_zero_there(hardware, norm):
    layer = getattr(norms, norm)(4)
    silence = torch.zeros(1, 4, 3, 3)
    assert layer(silence).isfinite().all() and layer(silence.half()).isnan().all()
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 1), layer)
    with pytest.raises(InputError, match="^norm_type: .* in 16-mixed; use bN, or precision bf16"):
        prepare_precision(model, hardware("16-mixed", [0]))
    prepare_precision(model, hardware("bf16-mixed", [0]))
    prepare_precision(torch.nn.Sequential(norms.bN(4)), hardware("16-mixed", [0]))


def test_bfloat16_that_is_emulated_is_told_in_a_line(hardware, capsys):
    model = torch.nn.Linear(2, 2)
    for name, gpus in (("bf16-mixed", [0]), ("16-mixed", [0, 1]), ("32-true", [1])):
        prepare_precision(model, hardware(name, gpus))
    assert capsys.readouterr().err == ""
    prepare_precision(model, hardware("bf16-mixed", [0, 1]))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: precision: GPU 1 lacks") and "--precision 16-mixed" in line
