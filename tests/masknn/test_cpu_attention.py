"""The CPU's attention: equal to PyTorch's, forward and backward, however the work is cut."""

import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

from asteroid_tfswa.masknn import cpu_attention as module
from asteroid_tfswa.masknn.cpu_attention import cpu_attention

# (rows, cols, height, width, 3, n_heads, head_dim)
SHAPES = [
    (3, 1, 1, 1, 3, 2, 4),
    (1, 2, 16, 1, 3, 1, 5),
    (5, 3, 13, 10, 3, 3, 4),
    (2, 1, 1, 512, 3, 2, 8),
    (7, 4, 3, 3, 3, 4, 32),
]


def fused(heads):
    """What PyTorch gives."""
    q, k, v = heads.flatten(2, 3).permute(3, 0, 1, 4, 2, 5).unbind(0)
    out = F.scaled_dot_product_attention(q, k, v)  # (rows, cols, n_heads, sequence, head_dim)
    return out.transpose(2, 3).unflatten(2, heads.shape[2:4])


def value_and_gradient(function, heads):
    heads = heads.detach().clone().requires_grad_()
    out = function(heads)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    (out * weights).sum().backward()
    return out.detach(), heads.grad


@pytest.mark.parametrize("scores", [60, 5000, 2**18], ids=lambda n: f"{n}_scores")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_fused_kernel(shape, scores, monkeypatch):
    monkeypatch.setattr(module, "MAX_SCORES_PER_THREAD", scores)
    heads = torch.randn(shape, dtype=torch.float64)
    for got, expected in zip(
        value_and_gradient(cpu_attention, heads), value_and_gradient(fused, heads)
    ):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1, 30], ids=["smooth", "peaked"])
def test_float32_is_as_exact_as_the_fused_kernel(scale):
    heads = scale * torch.randn(4, 1, 30, 10, 3, 2, 8)
    exact = value_and_gradient(fused, heads.double())
    ours, theirs = value_and_gradient(cpu_attention, heads), value_and_gradient(fused, heads)
    for a, b, c in zip(ours, theirs, exact):
        assert (a - c).abs().max() <= 2 * (b - c).abs().max() + 1e-6


def test_bfloat16_is_computed_in_float32():
    heads = torch.randn(4, 5, 2, 5, 3, 2, 8).bfloat16()
    expected = cpu_attention(heads.float()).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        got = cpu_attention(heads)
    assert torch.equal(got, expected)


@pytest.mark.parametrize("strided", [False, True])
def test_is_a_well_behaved_operator(strided):
    heads = torch.randn(3, 5, 4, 5, 3, 2, 4, requires_grad=True)
    if strided:  # as windows of a map are
        heads = torch.randn(3, 4, 5, 5, 3, 2, 4, requires_grad=True).transpose(1, 2)
    torch.library.opcheck(torch.ops.asteroid_tfswa.cpu_attention.default, (heads,))


def test_gradient_of_a_gradient_is_refused_not_wrong():
    heads = torch.randn(1, 1, 4, 1, 3, 1, 4, requires_grad=True)
    (grad,) = torch.autograd.grad(cpu_attention(heads).sum(), heads, create_graph=True)
    with pytest.raises(RuntimeError, match="cpu_attention_grad"):
        grad.sum().backward()


def test_the_compiler_is_not_imported_for_it():
    code = "import sys, torch; from asteroid_tfswa import TFSWAUNet; "
    code += "model = TFSWAUNet(widths=[4], depths=[1], n_heads=[1]); "
    code += "model(torch.ones(2, 4000)).sum().backward(); print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
