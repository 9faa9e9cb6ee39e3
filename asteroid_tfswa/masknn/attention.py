"""The attention branches of a TFSWA block: over time, over frequency, over (shifted) windows.

Maps are channels-last tokens, (batch, time, freq, chan). Attention cuts them into windows:

    rows      windows along time, times batch
    cols      windows along frequency
    height    frames in a window
    width     bins in a window
    n_heads   attention heads
    head_dim  channels of a head
"""

import torch
from asteroid.utils.torch_utils import script_if_tracing
from torch import nn
from torch.nn import functional as F

from asteroid_tfswa.arguments import refusal
from asteroid_tfswa.masknn.cpu_attention import cpu_attention

MAX_POSITIONS = 2**13  # in a slice of a map, in separation: their MLP fits into a cache
MAX_BATCH = 2**16 - 1  # of a CUDA kernel, which has a row of its grid for each item


class AttentionLayer(nn.Module):
    """Pre-norm transformer layer: ``x + MSA(LN(x))``, then ``x + MLP(LN(x))``.

    `attend` defines which positions attend to each other, `independent_axis` along which axis they
    do not. Without gradients the map is processed in slices along that axis, with the same result
    in a fraction of the memory.

    Args:
        chan (int): channels of the map.
        n_heads (int): attention heads; must divide `chan`.

    Raises:
        ValueError: if `n_heads` does not divide `chan`.

    References
        - [1] Yao et al., "TFSWA-ResUNet: music source separation with time-frequency sequence and
          shifted window attention-based ResUNet", EURASIP JASMP 2025:39, section 3.3
    """

    independent_axis = None

    def __init__(self, chan, n_heads):
        super().__init__()
        self.n_heads = check_heads(chan, n_heads)
        self.norm1 = nn.LayerNorm(chan)
        self.qkv = nn.Linear(chan, 3 * chan, bias=False)
        self.proj = nn.Linear(chan, chan)
        self.norm2 = nn.LayerNorm(chan)
        self.mlp = nn.Sequential(nn.Linear(chan, 4 * chan), nn.GELU(), nn.Linear(4 * chan, chan))

    def forward(self, x):
        """Map to map, (batch, time, freq, chan)."""
        graph = torch.jit.is_tracing() or torch.compiler.is_compiling()
        if graph or torch.is_grad_enabled() or not x.is_cpu:
            return self.transform(x)
        out = torch.empty_like(x)
        for start, length in self.slices(x):
            part = x.narrow(self.independent_axis, start, length)
            self.transform(part, start, out=out.narrow(self.independent_axis, start, length))
        return out

    def transform(self, x, start=0, out=None):
        """Apply the layer to a map, or to the slice of it that begins at `start`."""
        x = x + self.proj(self.attend(self.qkv(self.norm1(x)), start))
        return torch.add(x, self.mlp(self.norm2(x)), out=out)

    def attend(self, qkv, start):
        """Queries, keys and values (batch, time, freq, 3 * chan) to (batch, time, freq, chan)."""
        raise NotImplementedError

    def slices(self, x):
        """Cut the axis into slices of about `MAX_POSITIONS` positions, (start, length) each."""
        length = x.shape[self.independent_axis]
        size = max(1, MAX_POSITIONS * length // x[..., 0].numel())
        return [(start, min(size, length - start)) for start in range(0, length, size)]


class TSA(AttentionLayer):
    """Temporal sequence attention: each frequency bin is a sequence over time."""

    independent_axis = 2

    def attend(self, qkv, start):
        return attention(qkv, self.n_heads, (qkv.shape[1], 1))


class FSA(AttentionLayer):
    """Frequency sequence attention: each time frame is a sequence over frequency."""

    independent_axis = 1

    def attend(self, qkv, start):
        return attention(qkv, self.n_heads, (1, qkv.shape[2]))


class SWA(AttentionLayer):
    """(Shifted) window attention, W-MSA and SW-MSA of the Swin Transformer.

    Args:
        chan (int): channels of the map.
        n_heads (int): attention heads; must divide `chan`.
        window (tuple[int, int]): window size, in frames and bins.
        shifted (bool): whether to move the windows by half their size.

    References
        - [1] Liu et al., "Swin Transformer: hierarchical vision transformer using shifted windows",
          ICCV 2021, section 3.2
    """

    independent_axis = 1

    def __init__(self, chan, n_heads, window, shifted):
        super().__init__(chan, n_heads)
        self.window = tuple(window)
        self.shift = (window[0] // 2, window[1] // 2) if shifted else (0, 0)

    def attend(self, qkv, start):
        shift = self.shift if start == 0 else (0, self.shift[1])
        return window_attention(qkv, self.n_heads, self.window, shift)

    def slices(self, x):
        """Cut the axis where windows begin."""
        (_, size), *_ = super().slices(x)
        size = max(1, size // self.window[0]) * self.window[0]
        cuts = spans(x.shape[1], size, self.shift[0])
        return [(start + i * each, each) for start, n, each in cuts for i in range(n)]


def check_heads(chan, n_heads):
    """Check that attention heads share the channels of a stage evenly.

    Args:
        chan (int): channels of the stage.
        n_heads (int): number of heads.

    Returns:
        int: `n_heads`.

    Raises:
        InputError: if it does not divide `chan`.
    """
    if n_heads < 1 or chan % n_heads:
        raise refusal("n_heads", f"a divisor of the {chan} channels of its stage", n_heads)
    return n_heads


def attention(qkv: torch.Tensor, n_heads: int, window: tuple[int, int]) -> torch.Tensor:
    """Multi-head self-attention within windows that fill the map.

    Args:
        qkv (torch.Tensor): queries, keys and values, (batch, time, freq, 3 * chan).
        n_heads (int): number of heads.
        window (tuple[int, int]): window size, in frames and bins; divides time and freq.

    Returns:
        torch.Tensor: (batch, time, freq, chan).
    """
    batch, n_frames, n_bins, chan3 = qkv.shape
    (height, width), chan = window, chan3 // 3
    rows, cols = batch * (n_frames // height), n_bins // width
    heads = qkv.reshape(rows, height, cols, width, 3, n_heads, chan // n_heads).transpose(1, 2)
    # upstream: skip
    if not torch.jit.is_scripting():
        if qkv.is_cpu and not (torch.jit.is_tracing() or torch.compiler.is_exporting()):
            out = cpu_attention(heads)  # (rows, cols, height, width, heads, head_dim)
            return out.transpose(1, 2).reshape(batch, n_frames, n_bins, chan)
    # upstream: end
    heads = heads.permute(4, 0, 1, 5, 2, 3, 6)  # (3, rows, cols, heads, height, width, head_dim)
    # Columns go beside the heads: CUDA kernels take at most 65,535 items in a batch.
    heads = heads.reshape(3, rows, cols * n_heads, height * width, chan // n_heads)
    q, k, v = heads[0], heads[1], heads[2]
    out = fused_attention(q, k, v)  # upstream: out = F.scaled_dot_product_attention(q, k, v)
    out = out.reshape(rows, cols, n_heads, height, width, chan // n_heads)
    return out.permute(0, 3, 1, 4, 2, 5).reshape(batch, n_frames, n_bins, chan)


def fused_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """`F.scaled_dot_product_attention` of any number of items.

    Args:
        q, k, v (torch.Tensor): (batch, heads, positions, head_dim).

    Returns:
        torch.Tensor: same shape.
    """
    if not torch.jit.is_scripting():
        # A graph that is exported takes batches of any size.
        is_graph = torch.jit.is_tracing() or torch.compiler.is_exporting()
        if not is_graph and len(q) > MAX_BATCH:
            parts = zip(q.split(MAX_BATCH), k.split(MAX_BATCH), v.split(MAX_BATCH))
            return torch.cat([F.scaled_dot_product_attention(*part) for part in parts])
    return F.scaled_dot_product_attention(q, k, v)


@script_if_tracing  # so that a traced model takes maps of any size
def window_attention(
    qkv: torch.Tensor, n_heads: int, window: tuple[int, int], shift: tuple[int, int]
) -> torch.Tensor:
    """Multi-head self-attention within windows that are cut off at the borders of the map.

    Swin rolls the map so that pieces at opposite borders share a window, pads it, and masks pairs
    that are not neighbours. Smaller windows at the borders give the same attention without roll,
    padding or mask.

    Args:
        qkv (torch.Tensor): queries, keys and values, (batch, time, freq, 3 * chan).
        n_heads (int): number of heads.
        window (tuple[int, int]): window size, in frames and bins.
        shift (tuple[int, int]): windows start this many frames and bins after the border.

    Returns:
        torch.Tensor: (batch, time, freq, chan).
    """
    _, n_frames, n_bins, _ = qkv.shape
    rows = []
    for t, n_t, size_t in spans(n_frames, window[0], shift[0]):
        row = []
        for f, n_f, size_f in spans(n_bins, window[1], shift[1]):
            part = qkv[:, t : t + n_t * size_t, f : f + n_f * size_f]
            row.append(attention(part, n_heads, (size_t, size_f)))
        rows.append(row[0] if len(row) == 1 else torch.cat(row, dim=2))
    return rows[0] if len(rows) == 1 else torch.cat(rows, dim=1)


def spans(length: int, window: int, shift: int) -> list[tuple[int, int, int]]:
    """Cut an axis into windows: a short one before the shift, whole ones, a short one at the end.

    Args:
        length (int): positions on the axis.
        window (int): positions in a whole window.
        shift (int): positions before the first whole window.

    Returns:
        list[tuple[int, int, int]]: (start, number of windows, size of each), none of them empty.

    Examples:
        >>> spans(21, window=8, shift=4)
        [(0, 1, 4), (4, 2, 8), (20, 1, 1)]
    """
    first = min(shift, length)
    whole = (length - first) // window
    last = length - first - whole * window
    out: list[tuple[int, int, int]] = []
    if first > 0:
        out.append((0, 1, first))
    if whole > 0:
        out.append((first, whole, window))
    if last > 0:
        out.append((length - last, 1, last))
    return out
