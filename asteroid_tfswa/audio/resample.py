"""Resample streams of audio."""

import numpy as np
import soxr


class Resampler:
    """Resample blocks of audio as they arrive, without delay or gaps.

    Args:
        from_rate (float): sample rate of the input in Hz.
        to_rate (float): sample rate of the output in Hz. If it is the same, blocks pass unchanged.
        n_channels (int): channels.
    """

    def __init__(self, from_rate, to_rate, n_channels):
        self.n_channels = n_channels
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, n_channels, dtype="float32")

    def __call__(self, block):
        """Resample a block, (time, chan); return what is complete so far, (time, chan)."""
        if self._stream is None:
            return block
        return self._stream.resample_chunk(np.ascontiguousarray(block, dtype="float32"))

    def flush(self):
        """Return the rest, (time, chan). Call it once, after the last block."""
        rest = np.empty((0, self.n_channels), "float32")
        return rest if self._stream is None else self._stream.resample_chunk(rest, last=True)
