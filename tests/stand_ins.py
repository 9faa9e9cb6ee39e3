"""Models whose answer is known, in place of a network, and audio files for them."""

import numpy as np
import soundfile
import torch
from torch import nn

RATE = 1000  # of the stand-ins


class StandIn(nn.Module):
    """A model whose answer is known: the input times one, two ... for each source."""

    def __init__(self, in_channels=2, sources=("one", "two")):
        super().__init__()
        self.sources, self.in_channels, self.sample_rate = list(sources), in_channels, RATE
        self.weight = nn.Parameter(torch.arange(1.0, len(sources) + 1)[:, None, None])
        self.seen = []  # shapes

    def forward(self, wav):
        assert not self.training and not torch.is_grad_enabled()
        self.seen.append(tuple(wav.shape))
        return wav.unsqueeze(1) * self.weight


class WrongAtEnds(StandIn):
    """Answers with a click over the first and last `n` samples, where context is missing."""

    def __init__(self, n):
        super().__init__()
        self.n = n

    def forward(self, wav):
        out = super().forward(wav)
        out[..., : self.n] += 100
        out[..., -self.n :] -= 100
        return out


class WrongLevels(StandIn):
    """Answers the first call right, then by turns 5 % too loud and 5 % too soft."""

    def forward(self, wav):
        gain = 1 if not self.seen else (0.95, 1.05)[len(self.seen) % 2]
        return gain * super().forward(wav)


class OutOfMemory(StandIn):
    """Fails as torch does when a batch has more samples than `limit`."""

    def __init__(self, limit, error=torch.OutOfMemoryError):
        super().__init__()
        self.limit, self.error = limit, error

    def forward(self, wav):
        if wav.shape[0] * wav.shape[-1] > self.limit:
            raise self.error("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return super().forward(wav)


def write(path, n_samples=3000, channels=2, rate=RATE, peak=0.9, **kwargs):
    """Write noise to a file and return it."""
    wav = peak * (2 * np.random.default_rng(0).random((n_samples, channels)) - 1)
    soundfile.write(path, wav, rate, **{"subtype": "FLOAT", **kwargs})
    return wav


def read(path):
    """A file's samples, (time, chan)."""
    return soundfile.read(path, always_2d=True)[0]


def tones(rate, seconds, channels=2):
    """Tones below 350 Hz, which a model at 1000 Hz keeps, faded in and out."""
    time = np.arange(round(rate * seconds)) / rate
    wav = np.stack([np.sin(2 * np.pi * (110 + 70 * c) * time) for c in range(channels)], axis=1)
    return 0.4 * wav * np.sin(np.pi * time / seconds)[:, None]
