"""Files that are measured while others read them side by side."""

import hashlib

import numpy as np
import soxr

from asteroid_tfswa.audio.read import BLOCK
from asteroid_tfswa.data import fingerprints
from asteroid_tfswa.data.raw.products import ROUNDING

CLIP_LEVEL = 0.999  # three samples in a row at full scale are clipped


class Tap:
    """A file that is measured while `products.inner_products` reads it, fitted to a form.

    Args:
        name (str): of the stem.
        file (AudioFile): the file.
        n_samples (int): length that is read; the file is cut or followed by silence.
        n_channels (int): channels that are read; those of a mono file are copies.

    Attributes:
        peak (float): largest absolute sample, once all was read, as are the following.
        energy (float): sum of squared samples.
        clipped (float): samples in the middle of three at full scale.
        digest (hashlib.blake2b): of all samples as float32.
        mono (list[np.ndarray]): mean of the channels at the rate of fingerprints, in pieces.
    """

    def __init__(self, name, file, n_samples, n_channels):
        self.name, self.file = name, file
        self.n_samples, self.n_channels = n_samples, n_channels

    def blocks(self, stop):
        """Yield blocks (BLOCK, n_channels), the last one shorter, `n_samples` in all."""
        self.peak = self.energy = self.clipped = 0.0
        self.digest, self.mono = hashlib.blake2b(digest_size=16), []
        resample = soxr.ResampleStream(self.file.sample_rate, fingerprints.RATE, 1, "float32")
        held, left = np.zeros((0, self.file.n_channels), dtype=np.float32), self.n_samples
        for block in self.file.blocks(stop):
            self._measure(block)
            self.mono.append(resample.resample_chunk(block.mean(axis=1)))
            held = np.concatenate([held, block])
            while len(held) >= BLOCK and left >= BLOCK:
                yield self._to_channels(held[:BLOCK])
                held, left = held[BLOCK:], left - BLOCK
        self.mono.append(resample.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        while left > 0:
            length = min(left, BLOCK)
            block = np.zeros((length, self.file.n_channels), dtype=np.float32)
            block[: len(held)] = held[:length]
            yield self._to_channels(block)
            held, left = held[length:], left - length

    def _to_channels(self, block):
        return np.repeat(block, self.n_channels // block.shape[1], axis=1)

    def _measure(self, block):
        self.digest.update(block.tobytes())
        size = np.abs(block)
        self.peak = max(self.peak, float(size.max(initial=0)))
        self.energy += float(np.square(block, dtype=np.float64).sum())
        loud = size >= CLIP_LEVEL
        self.clipped += int((loud[:-2] & loud[1:-1] & loud[2:]).sum())

    def about(self):
        """Describe the file."""
        n_values = self.file.n_samples * self.file.n_channels
        mean_square = self.energy / n_values
        return {
            "seconds": round(self.file.seconds, 3),
            "peak_db": decibels(self.peak**2),
            "rms_db": None if mean_square <= ROUNDING else decibels(mean_square),
            "clipped": self.clipped / n_values,
        }


class Mono:
    """The mean of a file's channels, so that files of any channels can be read side by side.

    Args:
        file (AudioFile): the file.
    """

    n_channels = 1

    def __init__(self, file):
        self.file, self.path = file, file.path
        self.sample_rate, self.n_samples = file.sample_rate, file.n_samples
        self.seconds = file.seconds

    def blocks(self, stop):
        """Yield blocks (time, 1)."""
        for block in self.file.blocks(stop):
            yield block.mean(axis=1, keepdims=True)


def decibels(value):
    """10 log10 of a power, in dB with two decimals; None for silence."""
    return round(10 * float(np.log10(value)), 2) if value > 0 else None
