"""Self-attention on CPUs: explicit score matrices, computed in cache-sized blocks.

PyTorch's fused kernel is slow with the small heads of this network. Matrix products over whole
blocks are faster, in the backward pass too, which computes the scores again
(tests/benchmarks/network.py). Registered as custom operators, so that torch.compile and autograd
see one node, not the loop.
"""

import torch
from torch.nn import functional as F

MAX_SCORES_PER_THREAD = 2**18  # held at once: 1 MiB of float32
SIMD_LANES = 16  # float32 numbers in a vector register; a narrower right factor wastes some
MIN_LENGTH_TO_PAD = 96  # sequence length above which padding the right factor pays off

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
        torch.Tensor: (rows, cols, height, width, n_heads, head_dim), in the memory order of
        `heads`.
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
    """Compute the gradient of `heads` from the output and its gradient."""
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
    """Cut the work into blocks: windows, groups of their heads, and rows of their matrices."""
    n_rows, n_cols, height, width, _, n_heads, _ = heads.shape
    length = height * width
    threads = torch.get_num_threads()
    matrices = max(threads, threads * MAX_SCORES_PER_THREAD // length**2)  # no thread is left idle
    group = min(n_heads, matrices)
    cols = min(n_cols, max(1, matrices // n_heads))
    rows = max(1, matrices // n_heads // n_cols)
    size = -(-length // -(-(length**2) // MAX_SCORES_PER_THREAD))
    parts = [slice(r, r + size) for r in range(0, length, size)]
    for r in range(0, n_rows, rows):
        for c in range(0, n_cols, cols):
            for h in range(0, n_heads, group):
                yield (slice(r, r + rows), slice(c, c + cols)), slice(h, h + group), parts


def _load(part):
    """Load part of the heads, (rows, cols, height, width, k, heads, head_dim), as k tensors.

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
    """Pad a right factor (b, sequence, head_dim) that would leave lanes idle with zeros."""
    _, length, head_dim = x.shape
    return (
        F.pad(x, (0, SIMD_LANES - head_dim))
        if head_dim < SIMD_LANES and length >= MIN_LENGTH_TO_PAD
        else x
    )


def _softmax(q, k, buffer):
    """Compute attention matrices (b, rows, sequence) of queries (b, rows, head_dim) in place."""
    padded = _matrices(buffer, q.shape[1], k)
    scores = padded[..., : k.shape[1]]
    torch.bmm(q * q.shape[-1] ** -0.5, k.mT, out=scores)
    if padded.shape[-1] > k.shape[1]:
        padded[..., k.shape[1] :] = -torch.inf
    torch.softmax(padded, dim=-1, out=padded)
    return scores


def _buffer(heads):
    """Allocate room for the scores of a block."""
    dtype = torch.promote_types(heads.dtype, torch.float32)
    length = heads.shape[2] * heads.shape[3]
    size = 2 * torch.get_num_threads() * max(MAX_SCORES_PER_THREAD, length)
    return heads.new_empty(size, dtype=dtype)


def _matrices(buffer, n_rows, k):
    """View the buffer as contiguous matrices (b, rows, sequence or more)."""
    b, length, _ = k.shape
    # Rows a multiple of 2 KiB apart would compete for the same cache lines.
    width = length + SIMD_LANES if length % 512 == 0 else length
    return buffer[: b * n_rows * width].view(b, n_rows, width)
