"""What users do with models: autocast, tracing, copies, numpy, and arguments that are wrong."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from asteroid_tfswa import InputError
from tests.conftest import KINDS


def rms(x):
    return x.square().mean().sqrt().item()


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_is_close_to_float32(make_model, kind):
    model = make_model(**kind)
    wav = torch.randn(1, 2, 2000)
    out = model(wav)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = model(wav)
    assert cast.dtype == torch.float32
    assert 0 < rms(cast - out) < 0.05 * rms(out)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", [KINDS[0], KINDS[3]])
def test_traced_model_takes_other_lengths_and_batches(make_model, kind):
    model = make_model(**kind, widths=(4, 8), depths=(2, 1), n_heads=2)
    with torch.no_grad():
        traced = torch.jit.trace(model, torch.randn(1, 2, 700))
        for shape in [(1, 2, 700), (1, 2, 123), (3, 2, 3001), (2, 2, 1)]:
            wav = torch.randn(shape)
            torch.testing.assert_close(traced(wav), model(wav), rtol=0, atol=1e-5)


def test_copies_are_equal_and_apart(make_model):
    model = make_model()
    wav = torch.randn(2, 700)
    out = model(wav)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), nn.DataParallel(model)):
        assert torch.equal(other(wav), out)
    other = copy.deepcopy(model)
    nn.init.zeros_(other.masker.head[-1].weight)
    assert torch.equal(model(wav), out) and not torch.equal(other(wav), out)


def test_numpy_as_asteroid_does(make_model):
    model = make_model()
    with pytest.raises(InputError, match="^wav must be a tensor, an array or .*: got a list$"):
        model.separate([0.0] * 700)
    wav = np.random.default_rng(0).standard_normal((2, 700)).astype("float32")
    expected = model(torch.from_numpy(wav)).detach().numpy()
    np.testing.assert_allclose(model.separate(wav), expected, atol=1e-5)


@pytest.mark.parametrize(
    "change", [lambda x: x[::-1], lambda x: x[:, ::-1], lambda x: x.T.copy().T]
)
@pytest.mark.parametrize("dtype", ["float32", ">f4", ">f8", "float64", "int16"])
def test_numpy_arrays_of_any_layout(make_model, change, dtype):
    model = make_model()
    wav = change((np.random.default_rng(0).standard_normal((2, 700)) * 1000).astype(dtype))
    expected = model.separate(np.array(wav, dtype="float32", order="C"))
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(model.separate(wav), expected)
