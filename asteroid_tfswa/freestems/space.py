"""Where a track stands, and the room around it: arrays of shape (channels, samples)."""

import numpy as np
from scipy import signal

from asteroid_tfswa.freestems.effects import RATE, cut


def pan(audio, position):
    """Place a mono or stereo track between left (-1) and right (1) at constant power."""
    angle = (position + 1) * np.pi / 4
    gains = np.array([[np.cos(angle)], [np.sin(angle)]], dtype=np.float32) * np.float32(2**0.5)
    return audio * gains


def width(audio, amount):
    """Scale the difference of the channels: 0 is mono, 1 unchanged, 2 very wide."""
    middle = audio.mean(axis=0, keepdims=True)
    return middle + (audio - middle) * np.float32(amount)


def hall(rng, seconds, dark):
    """Make an impulse response of a hall: decaying noise, different in each channel.

    Args:
        rng (Generator): random numbers.
        seconds (float): until it has fallen by 60 dB.
        dark (float): Hz above which the echoes are weaker.

    Returns:
        ndarray: (2, samples), of unit energy.
    """
    n_samples = int(seconds * RATE)
    noise = rng.standard_normal((2, n_samples)).astype(np.float32)
    decay = 10 ** (-3 * np.arange(n_samples) / n_samples)
    late = cut(noise, 200, dark, order=1) * decay
    bright = cut(noise, 200, None, order=1) * decay**2.5
    response = late + 0.5 * bright
    response = np.pad(response, ((0, 0), (int(rng.uniform(0.005, 0.04) * RATE), 0)))
    return (response / np.sqrt(np.square(response).sum() / 2)).astype(np.float32)


def reverberate(audio, response, wet):
    """Add reverberation; `wet` is its level as a factor, for a response of unit energy."""
    if audio.shape[0] == 1:
        audio = np.repeat(audio, 2, axis=0)
    return audio + np.float32(wet) * echoes(audio, response)


def echoes(audio, response):
    """The reverberation alone, cut to the length of the audio."""
    tail = signal.oaconvolve(audio, response, axes=1)[:, : audio.shape[1]]
    return tail.astype(np.float32)


def delay(audio, time, feedback, wet, ping_pong=True):
    """Add echoes every `time` seconds, each `feedback` times the one before, from side to side."""
    result, step = audio.copy(), int(time * RATE)
    echo = cut(audio, 250, 5000, order=1) * np.float32(wet)
    for _ in range(5):
        echo = echo[:, : audio.shape[1] - step] if step < audio.shape[1] else echo[:, :0]
        echo = np.pad(echo, ((0, 0), (audio.shape[1] - echo.shape[1], 0)))
        if ping_pong:
            echo = np.stack([0.25 * echo[0] + 0.75 * echo[1], 0.9 * echo[0] + 0.1 * echo[1]])
        result += echo
        echo = echo * np.float32(feedback)
    return result


def chorus(audio, rng, depth=0.003, wet=0.6):
    """Add a copy whose delay swings by `depth` seconds, differently in each channel."""
    n_samples = audio.shape[1]
    time, rate = np.arange(n_samples, dtype=np.float32), rng.uniform(0.2, 1.2)
    result = np.empty((2, n_samples), dtype=np.float32)
    for channel in range(2):
        phase = 2 * np.pi * rng.uniform()
        swing = 0.5 + 0.5 * np.sin(2 * np.pi * rate / RATE * time + phase)
        at = time - (0.006 + depth * swing) * RATE
        dry = audio[min(channel, len(audio) - 1)]
        result[channel] = dry + wet * np.interp(at, time, dry, left=0)
    return result
