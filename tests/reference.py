"""TFSWA-UNet again, slow and plain: what the fast network is compared with.

Written from the definition, sharing no code with the package: attention matrices are explicit,
heads and windows are loops, and the shifted windows go the way of Swin: pad, roll, and mask what
are no neighbours in the true map. Weights come as a state dictionary of `TFSWAUNetMasker`, from
which the number of stages and blocks follows.
"""

import math

import torch
from torch.nn import functional as F


def randomise_(module):
    """Give biases, norms and running statistics values that matter, which they lack when new."""
    for name, value in module.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            value.normal_(std=0.3)
        elif value.ndim == 1:  # scale of a norm, running variance
            value.uniform_(0.5, 1.5)
        elif value.ndim == 2:  # linear layers start so small that attention is all but uniform
            value.normal_(std=value.shape[1] ** -0.5)
    return module


def masker(state, x, n_heads, window, n_bands=1, training=False, mask_act=torch.sigmoid):
    """Masks (batch, out, time, freq) of a map (batch, chan, time, freq).

    Args:
        state (dict): weights, as `TFSWAUNetMasker.state_dict` names them.
        x (torch.Tensor): the map.
        n_heads (list of int): attention heads of each encoder stage, then of the bottleneck.
        window (tuple[int, int]): window in frames and bins.
        n_bands (int): bands stacked as channels.
        training (bool): normalise by the batch's own statistics.
        mask_act (callable): activation of the masks.
    """
    n_frames, n_bins = x.shape[-2:]
    n_down = _count(state, "downs")
    while x.shape[2] % 2**n_down:
        x = F.pad(x, (0, 0, 0, 1))
    while x.shape[3] % (2**n_down * n_bands):
        x = F.pad(x, (0, 1))
    width = x.shape[3] // n_bands
    x = torch.stack(
        [x[:, c, :, k * width :][..., :width] for c in range(x.shape[1]) for k in range(n_bands)],
        dim=1,
    )

    def conv_norm_gelu(name, x, conv=F.conv2d, **kwargs):
        x = conv(x, state[f"{name}.0.weight"], state[f"{name}.0.bias"], **kwargs)
        return gelu(batch_norm(_at(state, f"{name}.1"), x, training))

    def stage(name, x, heads, skip=None):
        for i in range(_count(state, f"{name}.blocks")):
            x = block(_at(state, f"{name}.blocks.{i}"), x, heads, window, i % 2 == 1, training)
            if i == 0 and skip is not None:
                x = x + skip
        return x

    x = conv_norm_gelu("stem", x, padding=3)
    skips = []
    for i in range(n_down):
        x = stage(f"encoder.{i}", x, n_heads[i])
        skips.append(x)
        x = conv_norm_gelu(f"downs.{i}", x, stride=2, padding=1)
    x = stage("bottleneck", x, n_heads[-1])
    for i in range(n_down):
        x = conv_norm_gelu(f"ups.{i}", x, conv=F.conv_transpose2d, stride=2, padding=1)
        x = stage(f"decoder.{i}", x, n_heads[n_down - 1 - i], skips[n_down - 1 - i])
    x = conv_norm_gelu("head", x, padding=1)
    x = F.conv2d(x, state["head.3.weight"], state["head.3.bias"])

    x = torch.stack(
        [
            torch.cat([x[:, c + k] for k in range(n_bands)], dim=-1)
            for c in range(0, x.shape[1], n_bands)
        ],
        dim=1,
    )
    return mask_act(x[:, :, :n_frames, :n_bins])


def block(state, x, n_heads, window, shifted, training=False):
    """TFSWA block: (batch, chan, time, freq) to the same."""
    y = F.conv2d(x, state["input_proj.0.weight"], state["input_proj.0.bias"])
    y = batch_norm(_at(state, "input_proj.1"), y, training).permute(0, 2, 3, 1)
    branches = [
        tsa(_at(state, "tsa"), y, n_heads),
        fsa(_at(state, "fsa"), y, n_heads),
        swa(_at(state, "swa"), y, n_heads, window, shifted),
    ]
    y = torch.cat(branches, dim=3).permute(0, 3, 1, 2)
    y = F.conv2d(y, state["fusion.0.weight"], state["fusion.0.bias"])
    return x + gelu(batch_norm(_at(state, "fusion.1"), y, training))


def tsa(state, x, n_heads):
    """Attention along time, (batch, time, freq, chan)."""
    qkv = _qkv(state, x)
    out = torch.zeros_like(x)
    for b in range(x.shape[0]):
        for f in range(x.shape[2]):
            out[b, :, f] = attention(qkv[b, :, f], n_heads)
    return _finish(state, x, out)


def fsa(state, x, n_heads):
    """Attention along frequency, (batch, time, freq, chan)."""
    qkv = _qkv(state, x)
    out = torch.zeros_like(x)
    for b in range(x.shape[0]):
        for t in range(x.shape[1]):
            out[b, t] = attention(qkv[b, t], n_heads)
    return _finish(state, x, out)


def swa(state, x, n_heads, window, shifted):
    """Attention within windows, (batch, time, freq, chan): Swin's pad, roll and mask."""
    _, n_frames, n_bins, chan = x.shape
    w_t, w_f = window
    s_t, s_f = (w_t // 2, w_f // 2) if shifted else (0, 0)
    qkv = F.pad(_qkv(state, x), (0, 0, 0, -n_bins % w_f, 0, -n_frames % w_t))
    qkv = qkv.roll((-s_t, -s_f), dims=(1, 2))
    size_t, size_f = qkv.shape[1:3]
    regions = torch.zeros(size_t, size_f, dtype=torch.long)
    n_regions = 0
    for t in (
        slice(0, size_t - w_t),
        slice(size_t - w_t, size_t - s_t),
        slice(size_t - s_t, size_t),
    ):
        for f in (
            slice(0, size_f - w_f),
            slice(size_f - w_f, size_f - s_f),
            slice(size_f - s_f, size_f),
        ):
            n_regions += 1
            regions[t, f] = n_regions
    real = torch.zeros(size_t, size_f, dtype=torch.bool)
    real[:n_frames, :n_bins] = True
    real = real.roll((-s_t, -s_f), dims=(0, 1))

    out = torch.zeros(qkv.shape[:3] + (chan,), dtype=x.dtype)
    for b in range(x.shape[0]):
        for t in range(0, size_t, w_t):
            for f in range(0, size_f, w_f):
                region = regions[t : t + w_t, f : f + w_f].flatten()
                exists = real[t : t + w_t, f : f + w_f].flatten()
                allowed = (region[:, None] == region[None, :]) & exists[None, :]
                allowed |= torch.eye(len(region), dtype=torch.bool)  # padding sees only itself
                seq = qkv[b, t : t + w_t, f : f + w_f].reshape(w_t * w_f, 3 * chan)
                out[b, t : t + w_t, f : f + w_f] = attention(seq, n_heads, allowed).reshape(
                    w_t, w_f, chan
                )
    out = out.roll((s_t, s_f), dims=(1, 2))
    return _finish(state, x, out[:, :n_frames, :n_bins])


def attention(qkv, n_heads, allowed=None):
    """Softmax attention of one sequence, head by head: (length, 3 * chan) to (length, chan)."""
    chan = qkv.shape[1] // 3
    dim = chan // n_heads
    heads = []
    for h in range(n_heads):
        q, k, v = (qkv[:, i * chan + h * dim : i * chan + (h + 1) * dim] for i in range(3))
        scores = q @ k.T / math.sqrt(dim)
        if allowed is not None:
            scores = torch.where(allowed, scores, -math.inf)
        weights = (scores - scores.amax(dim=1, keepdim=True)).exp()
        heads.append(weights / weights.sum(dim=1, keepdim=True) @ v)
    return torch.cat(heads, dim=1)


def gelu(x):
    """Gaussian error linear unit, by its definition."""
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def layer_norm(state, x):
    """Normalise the last axis."""
    centred = x - x.mean(dim=-1, keepdim=True)
    var = centred.square().mean(dim=-1, keepdim=True)
    return centred / (var + 1e-5).sqrt() * state["weight"] + state["bias"]


def batch_norm(state, x, training):
    """Normalise each channel (axis 1), by the batch's statistics or the running ones."""
    mean, var = state["running_mean"], state["running_var"]
    if training:
        mean = x.mean(dim=(0, 2, 3))
        var = (x - mean[:, None, None]).square().mean(dim=(0, 2, 3))
    scale = state["weight"] / (var + 1e-5).sqrt()
    return (x - mean[:, None, None]) * scale[:, None, None] + state["bias"][:, None, None]


def _qkv(state, x):
    return layer_norm(_at(state, "norm1"), x) @ state["qkv.weight"].T


def _finish(state, x, attended):
    x = x + attended @ state["proj.weight"].T + state["proj.bias"]
    y = layer_norm(_at(state, "norm2"), x)
    y = gelu(y @ state["mlp.0.weight"].T + state["mlp.0.bias"])
    return x + y @ state["mlp.2.weight"].T + state["mlp.2.bias"]


def _at(state, prefix):
    """The part of a state dictionary below a name."""
    return {k[len(prefix) + 1 :]: v for k, v in state.items() if k.startswith(prefix + ".")}


def _count(state, prefix):
    """Number of modules in a list."""
    return len({name.split(".")[0] for name in _at(state, prefix)})
