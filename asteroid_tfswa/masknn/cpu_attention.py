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
    """Scaled dot-product attention within windows, computed in float32 or float64.

    Args:
        heads (torch.Tensor): queries, keys and values,
            (rows, cols, height, width, 3, n_heads, head_dim): rows x cols windows of height x width
            positions.

    Returns:
        torch.Tensor: (rows, cols, height, width, n_heads, head_dim), with strides in the order of
        those of `heads`.
    """
    return torch.ops.asteroid_tfswa.cpu_attention(heads)


@torch.library.impl("asteroid_tfswa::cpu_attention", "cpu")
def _forward(heads):
    out = torch.empty_like(heads[..., 0, :, :])
    buffer = _buffer(heads)
    with torch.autocast("cpu", enabled=False):
        for windows, group, parts in _blocks(heads):
            q, k, v = _load(heads[windows][..., group, :])  # (b, sequence, head_dim) each
            v = _widen(v)
            result = torch.empty_like(v)
            for r in parts:
                scores = _softmax(q[:, r], k, buffer)
                torch.bmm(scores, v, out=result[:, r])
            _store(result, out[windows][..., group, :])
    return out


@torch.library.impl("asteroid_tfswa::cpu_attention_grad", "cpu")
def _backward(grad, out, heads):
    """Gradient for `heads`, given the output and the gradient for that."""
    grad_heads = torch.empty_like(heads)
    buffer, buffer2 = _buffer(heads), _buffer(heads)
    with torch.autocast("cpu", enabled=False):
        for windows, group, parts in _blocks(heads):
            q, k, v = _load(heads[windows][..., group, :])
            g, o = _load(torch.stack([x[windows][..., group, :] for x in (grad, out)], dim=-3))
            inner = (g * o).sum(dim=-1, keepdim=True)
            wide_q, wide_k, wide_g = (_widen(x) for x in (q, k, g))
            dq, dk, dv = (torch.zeros_like(wide_q) for _ in range(3))
            for r in parts:
                scores = _softmax(q[:, r], k, buffer)
                dv.baddbmm_(scores.mT, wide_g[:, r])
                change = _matrices(buffer2, scores.shape[1], k)[..., : k.shape[1]]
                torch.bmm(g[:, r], v.mT, out=change)
                change.sub_(inner[:, r]).mul_(scores)
                torch.bmm(change, wide_k, out=dq[:, r])
                dk.baddbmm_(change.mT, wide_q[:, r])
            scale = heads.shape[-1] ** -0.5
            for i, result in enumerate((dq.mul_(scale), dk.mul_(scale), dv)):
                _store(result, grad_heads[windows][..., i, group, :])
    return grad_heads


@torch.library.register_fake("asteroid_tfswa::cpu_attention")
def _forward_fake(heads):
    return torch.empty_like(heads[..., 0, :, :])


@torch.library.register_fake("asteroid_tfswa::cpu_attention_grad")
def _backward_fake(grad, out, heads):
    return torch.empty_like(heads)


def _no_second_gradient(ctx, grad):
    raise RuntimeError("cpu_attention_grad: gradients of gradients are not implemented on CPUs")


torch.library.register_autograd(
    "asteroid_tfswa::cpu_attention",
    lambda ctx, grad: torch.ops.asteroid_tfswa.cpu_attention_grad(grad, *ctx.saved_tensors),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(output, *inputs),
)
torch.library.register_autograd("asteroid_tfswa::cpu_attention_grad", _no_second_gradient)


def _blocks(heads):
    """Cut the work into blocks: windows, heads of them, and rows of their matrices."""
    n_rows, n_cols, height, width, _, n_heads, _ = heads.shape
    length = height * width
    threads = torch.get_num_threads()
    matrices = max(threads, threads * SCORES // length**2)  # none of the threads is left idle
    group = min(n_heads, matrices)
    cols = min(n_cols, max(1, matrices // n_heads))
    rows = max(1, matrices // n_heads // n_cols)
    size = -(-length // -(-(length**2) // SCORES))
    parts = [slice(r, r + size) for r in range(0, length, size)]
    for r in range(0, n_rows, rows):
        for c in range(0, n_cols, cols):
            for h in range(0, n_heads, group):
                yield (slice(r, r + rows), slice(c, c + cols)), slice(h, h + group), parts


def _load(part):
    """Part of the heads, (rows, cols, height, width, k, heads, head_dim), as k maps of sequences.

    Each is (b, sequence, head_dim).
    """
    n_rows, n_cols, height, width, k, n_heads, head_dim = part.shape
    part = part.to(torch.promote_types(part.dtype, torch.float32)).permute(4, 0, 1, 5, 2, 3, 6)
    return part.reshape(k, n_rows * n_cols * n_heads, height * width, head_dim).unbind(0)


def _store(result, part):
    """Write (b, sequence, head_dim or wider) into (rows, cols, height, width, heads, head_dim)."""
    n_rows, n_cols, height, width, n_heads, head_dim = part.shape
    result = result.view(n_rows, n_cols, n_heads, height, width, -1)[..., :head_dim]
    part.copy_(result.permute(0, 1, 3, 4, 2, 5))


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
    length = heads.shape[2] * heads.shape[3]
    size = 2 * torch.get_num_threads() * max(SCORES, length)
    return heads.new_empty(size, dtype=dtype)


def _matrices(buffer, n_rows, k):
    """Matrices (b, rows, sequence or more) in the buffer, as contiguous memory."""
    b, length, _ = k.shape
    # Rows that lie a multiple of 2 KiB apart share few lines of the cache.
    width = length + LANES if length % 512 == 0 else length
    return buffer[: b * n_rows * width].view(b, n_rows, width)
