"""TFSWA-UNet as one would write it at first: what the fast network is compared with.

Every attention matrix is explicit and built for 16 sequences at once, windows go Swin's way (pad,
roll, mask), and every branch has its own norm and projections. Written from the definition; names
of parameters are those of `TFSWAUNet`, so that both load the same weights.
"""

import torch
from torch import nn
from torch.nn import functional as F

CHUNK = 16  # sequences whose attention matrices exist at once


class PlainTFSWAUNet(nn.Module):
    """Mixtures (batch, 2, time) to one source (batch, 1, 2, time), like ``TFSWAUNet()``."""

    def __init__(self, n_fft=2048, hop=512):
        super().__init__()
        self.masker = PlainMasker()
        self.n_fft, self.hop = n_fft, hop

    def forward(self, wav):
        batch, chan, length = wav.shape
        window = torch.hann_window(self.n_fft, device=wav.device).sqrt()
        wav = F.pad(wav, (0, self.n_fft)).flatten(0, 1)  # (batch * chan, time)
        spec = torch.stft(wav, self.n_fft, self.hop, window=window, return_complex=True)
        spec = spec.unflatten(0, (batch, chan)).transpose(2, 3)  # (batch, chan, frames, freq)
        mag = spec.abs()[..., :-1]  # without the Nyquist bin, which takes the mask of its neighbour
        mask = self.masker(mag / mag.mean(dim=(1, 2, 3), keepdim=True))
        mask = torch.cat([mask, mask[..., -1:]], dim=-1)
        spec = (spec * mask).transpose(2, 3).flatten(0, 1)  # (batch * chan, freq, frames)
        out = torch.istft(spec, self.n_fft, self.hop, window=window)[..., :length]
        return out.reshape(batch, 1, chan, length)


class PlainMasker(nn.Module):
    """Magnitudes (batch, 2, time, freq) to masks of the same shape."""

    def __init__(self, widths=(32, 64, 128, 256), depths=(2, 2, 6, 2)):
        super().__init__()
        pairs = list(zip(widths[:-1], widths[1:]))
        self.multiple = 2 ** len(pairs)
        self.stem = nn.Sequential(
            nn.Conv2d(2, widths[0], 7, padding=3), nn.BatchNorm2d(widths[0]), nn.GELU()
        )
        self.encoder = nn.ModuleList(Stage(c, d) for c, d in zip(widths[:-1], depths))
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), nn.BatchNorm2d(b), nn.GELU()) for a, b in pairs
        )
        self.bottleneck = Stage(widths[-1], depths[-1])
        self.ups = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(b, a, 4, 2, 1), nn.BatchNorm2d(a), nn.GELU())
            for a, b in reversed(pairs)
        )
        self.decoder = nn.ModuleList(
            Stage(c, d) for c, d in zip(reversed(widths[:-1]), reversed(depths[:-1]))
        )
        self.head = nn.Sequential(
            nn.Conv2d(widths[0], widths[0], 3, padding=1),
            nn.BatchNorm2d(widths[0]),
            nn.GELU(),
            nn.Conv2d(widths[0], 2, 1),
        )

    def forward(self, x):
        n_frames, n_bins = x.shape[-2:]
        x = F.pad(x, (0, -n_bins % self.multiple, 0, -n_frames % self.multiple))
        x = self.stem(x)
        skips = []
        for stage, down in zip(self.encoder, self.downs):
            x = stage(x)
            skips.append(x)
            x = down(x)
        x = self.bottleneck(x)
        for up, stage, skip in zip(self.ups, self.decoder, reversed(skips)):
            x = stage(up(x), skip)
        return torch.sigmoid(self.head(x))[..., :n_frames, :n_bins]


class Stage(nn.Module):
    """Blocks at one resolution, (batch, chan, time, freq) to the same."""

    def __init__(self, chan, depth):
        super().__init__()
        self.blocks = nn.ModuleList(Block(chan, shift=4 * (i % 2)) for i in range(depth))

    def forward(self, x, skip=None):
        x = self.blocks[0](x)
        if skip is not None:
            x = x + skip
        for block in self.blocks[1:]:
            x = block(x)
        return x


class Block(nn.Module):
    """Three branches in parallel on the projected map, fused."""

    def __init__(self, chan, shift):
        super().__init__()
        self.input_proj = nn.Sequential(nn.Conv2d(chan, chan, 1), nn.BatchNorm2d(chan))
        self.tsa, self.fsa, self.swa = Branch(chan), Branch(chan), Branch(chan)
        self.fusion = nn.Sequential(nn.Conv2d(3 * chan, chan, 1), nn.BatchNorm2d(chan), nn.GELU())
        self.shift = shift

    def forward(self, x):
        y = self.input_proj(x).permute(0, 2, 3, 1)  # (batch, time, freq, chan)
        time = self.tsa(y, over_time)
        freq = self.fsa(y, over_frequency)
        windows = self.swa(y, lambda qkv: over_windows(qkv, self.shift))
        y = torch.cat([time, freq, windows], dim=-1).permute(0, 3, 1, 2)
        return x + self.fusion(y)


class Branch(nn.Module):
    """Pre-norm transformer layer on (batch, time, freq, chan)."""

    def __init__(self, chan):
        super().__init__()
        self.norm1 = nn.LayerNorm(chan)
        self.qkv = nn.Linear(chan, 3 * chan, bias=False)
        self.proj = nn.Linear(chan, chan)
        self.norm2 = nn.LayerNorm(chan)
        self.mlp = nn.Sequential(nn.Linear(chan, 4 * chan), nn.GELU(), nn.Linear(4 * chan, chan))

    def forward(self, x, attend):
        x = x + self.proj(attend(self.qkv(self.norm1(x))))
        return x + self.mlp(self.norm2(x))


def over_time(qkv):
    """Each frequency bin is a sequence."""
    batch, n_frames, n_bins, _ = qkv.shape
    out = attention(qkv.transpose(1, 2).flatten(0, 1))
    return out.reshape(batch, n_bins, n_frames, -1).transpose(1, 2)


def over_frequency(qkv):
    """Each time frame is a sequence."""
    return attention(qkv.flatten(0, 1)).unflatten(0, qkv.shape[:2])


def over_windows(qkv, shift, window=8):
    """Each window is a sequence; pad, roll, cut, attend under a mask, and all the way back."""
    batch, n_frames, n_bins, _ = qkv.shape
    qkv = F.pad(qkv, (0, 0, 0, -n_bins % window, 0, -n_frames % window))
    rows, cols = qkv.shape[1] // window, qkv.shape[2] // window
    qkv = qkv.roll((-shift, -shift), dims=(1, 2))

    real = torch.zeros(qkv.shape[1:3], dtype=torch.bool, device=qkv.device)
    real[:n_frames, :n_bins] = True
    region = torch.zeros(qkv.shape[1:3], dtype=torch.long, device=qkv.device)
    if shift:
        region[-shift:] += 1  # what was rolled in from the other side
        region[:, -shift:] += 2
    region[~real.roll((-shift, -shift), dims=(0, 1))] = -1
    region = region.reshape(rows, window, cols, window).transpose(1, 2)
    region = region.reshape(rows * cols, window**2)
    allowed = region[:, :, None] == region[:, None, :]  # (windows, window ** 2, window ** 2)

    qkv = qkv.reshape(batch, rows, window, cols, window, -1).transpose(2, 3)
    out = attention(qkv.reshape(batch * rows * cols, window**2, -1), allowed.repeat(batch, 1, 1))
    out = out.reshape(batch, rows, cols, window, window, -1).transpose(2, 3)
    out = out.reshape(batch, rows * window, cols * window, -1)
    return out.roll((shift, shift), dims=(1, 2))[:, :n_frames, :n_bins]


def attention(qkv, allowed=None, n_heads=8):
    """Softmax attention: (sequences, length, 3 * chan) to (sequences, length, chan)."""
    outs = []
    for i in range(0, len(qkv), CHUNK):
        q, k, v = qkv[i : i + CHUNK].unflatten(-1, (3, n_heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5  # (16, heads, length, length)
        if allowed is not None:
            scores = scores.masked_fill(~allowed[i : i + CHUNK, None], float("-inf"))
        outs.append((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
    return torch.cat(outs)
