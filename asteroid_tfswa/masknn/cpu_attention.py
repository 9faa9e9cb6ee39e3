"""Self-attention on CPUs: explicit matrices of scores, no more at once than a cache holds.

PyTorch's fused kernel is slow with the small heads of this network; products of whole blocks are
faster, forward and backward, where the scores are computed again (tests/benchmarks/network.py).
That these are operators keeps the loop out of what `torch.compile` and autograd see.
"""

import torch
from torch.nn import functional as F

SCORES = 2**18  # scores for each thread that are held at once: 1 MiB of float32
LANES = 16  # float32 numbers in a vector register: a narrower right factor leaves some idle
LONG = 96  # positions in a sequence from which on widening the factor costs less than it saves

# `torch.library.custom_op` would be shorter, but its first call imports the whole of torch._dynamo.
torch.library.define("asteroid_tfswa::cpu_attention", "(Tensor heads) -> Tensor")
torch.library.define(
    "asteroid_tfswa::cpu_attention_grad", "(Tensor grad, Tensor out, Tensor heads) -> Tensor"
)


def cpu_attention(heads):
    """Scaled dot-product attention within sequences, computed in float32 or float64.

    Args:
        heads (torch.Tensor): queries, keys and values, (n, sequence, 3, n_heads, head_dim).

    Returns:
        torch.Tensor: (n, sequence, n_heads, head_dim).
    """
    return torch.ops.asteroid_tfswa.cpu_attention(heads)


@torch.library.impl("asteroid_tfswa::cpu_attention", "cpu")
def _forward(heads):
    out = heads.new_empty(heads[:, :, 0].shape)
    buffer = _buffer(heads)
    with torch.autocast("cpu", enabled=False):
        for sequences, group, rows in _blocks(heads):
            q, k, v = _load(heads[sequences, :, :, group])  # (b, sequence, head_dim) each
            v = _widen(v)
            result = torch.empty_like(v)
            for r in rows:
                scores = _softmax(q[:, r], k, buffer)
                torch.bmm(scores, v, out=result[:, r])
            _store(result, out[sequences, :, group])
    return out


@torch.library.impl("asteroid_tfswa::cpu_attention_grad", "cpu")
def _backward(grad, out, heads):
    """Gradient for `heads`, given the output and the gradient for that."""
    grad_heads = heads.new_empty(heads.shape)
    buffer, buffer2 = _buffer(heads), _buffer(heads)
    with torch.autocast("cpu", enabled=False):
        for sequences, group, rows in _blocks(heads):
            q, k, v = _load(heads[sequences, :, :, group])
            g, o = _load(torch.stack([x[sequences, :, group] for x in (grad, out)], dim=2))
            inner = (g * o).sum(dim=-1, keepdim=True)
            wide_q, wide_k, wide_g = (_widen(x) for x in (q, k, g))
            dq, dk, dv = (torch.zeros_like(wide_q) for _ in range(3))
            for r in rows:
                scores = _softmax(q[:, r], k, buffer)
                dv.baddbmm_(scores.mT, wide_g[:, r])
                change = _matrices(buffer2, scores.shape[1], k)[..., : k.shape[1]]
                torch.bmm(g[:, r], v.mT, out=change)
                change.sub_(inner[:, r]).mul_(scores)
                torch.bmm(change, wide_k, out=dq[:, r])
                dk.baddbmm_(change.mT, wide_q[:, r])
            scale = heads.shape[-1] ** -0.5
            for i, result in enumerate((dq.mul_(scale), dk.mul_(scale), dv)):
                _store(result, grad_heads[sequences, :, i, group])
    return grad_heads


@torch.library.register_fake("asteroid_tfswa::cpu_attention")
def _forward_fake(heads):
    return heads.new_empty(heads[:, :, 0].shape)


@torch.library.register_fake("asteroid_tfswa::cpu_attention_grad")
def _backward_fake(grad, out, heads):
    return heads.new_empty(heads.shape)


def _no_second_gradient(ctx, grad):
    raise RuntimeError("cpu_attention_grad: gradients of gradients are not implemented on CPUs")


torch.library.register_autograd(
    "asteroid_tfswa::cpu_attention",
    lambda ctx, grad: torch.ops.asteroid_tfswa.cpu_attention_grad(grad, *ctx.saved_tensors),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(output, *inputs),
)
torch.library.register_autograd("asteroid_tfswa::cpu_attention_grad", _no_second_gradient)


def _blocks(heads):
    """Cut the work into blocks: sequences, heads of them, and rows of their matrices."""
    n, length, _, n_heads, _ = heads.shape
    threads = torch.get_num_threads()
    matrices = max(threads, threads * SCORES // length**2)  # none of the threads is left idle
    group = min(n_heads, matrices)
    sequences = max(1, matrices // n_heads)
    parts = -(-(length**2) // SCORES)
    size = -(-length // parts)
    rows = [slice(r, r + size) for r in range(0, length, size)]
    for i in range(0, n, sequences):
        for h in range(0, n_heads, group):
            yield slice(i, i + sequences), slice(h, h + group), rows


def _load(part):
    """Part of the heads, (n, sequence, k, n_heads, head_dim), as k maps (b, sequence, head_dim)."""
    part = part.to(torch.promote_types(part.dtype, torch.float32))
    return part.permute(2, 0, 3, 1, 4).flatten(1, 2).unbind(0)


def _store(result, part):
    """Write (b, sequence, head_dim or wider) into (n, sequence, n_heads, head_dim)."""
    n, _, n_heads, head_dim = part.shape
    part.copy_(result.unflatten(0, (n, n_heads)).transpose(1, 2)[..., :head_dim])


def _widen(x):
    """Zeros beside a right factor (b, sequence, head_dim) that would leave lanes idle."""
    _, length, head_dim = x.shape
    return F.pad(x, (0, LANES - head_dim)) if head_dim < LANES and length >= LONG else x


def _softmax(q, k, buffer):
    """Attention matrices (b, rows, sequence) of queries (b, rows, head_dim), in the buffer."""
    padded = _matrices(buffer, q.shape[1], k)
    scores = padded[..., : k.shape[1]]
    torch.bmm(q * q.shape[-1] ** -0.5, k.mT, out=scores)
    if padded.shape[-1] > k.shape[1]:
        padded[..., k.shape[1] :] = -torch.inf
    torch.softmax(padded, dim=-1, out=padded)
    return scores


def _buffer(heads):
    """Room for the scores of a block."""
    dtype = torch.promote_types(heads.dtype, torch.float32)
    size = 2 * torch.get_num_threads() * max(SCORES, heads.shape[1])
    return heads.new_empty(size, dtype=dtype)


def _matrices(buffer, n_rows, k):
    """Matrices (b, rows, sequence or more) in the buffer, as contiguous memory."""
    b, length, _ = k.shape
    # Rows that lie a multiple of 2 KiB apart share few lines of the cache.
    width = length + LANES if length % 512 == 0 else length
    return buffer[: b * n_rows * width].view(b, n_rows, width)
