"""Draw spectrograms."""

import numpy as np
from PIL import Image

N_FFT = 4096
WIDTH, HEIGHT = 1000, 128  # pixels
LOWEST, HIGHEST = 40.0, 16000.0  # Hz
RANGE = 80.0  # dB below the loudest
# Dark violet to light yellow; equal steps look equal, also to colour-blind people.
COLOURS = (
    (0, 0, 4),
    (59, 15, 112),
    (140, 41, 129),
    (222, 73, 104),
    (254, 159, 109),
    (252, 253, 191),
)


def spectrogram(wave, sample_rate):
    """Compute power over time and frequency, in the size of the picture.

    Args:
        wave (np.ndarray): (time, chan).
        sample_rate (int): in Hz.

    Returns:
        np.ndarray: (HEIGHT, WIDTH), the highest frequency first, on a logarithmic axis.
    """
    n_fft = min(N_FFT, max(256, 2 ** int(np.log2(max(2, len(wave) // 4)))))
    mono = np.pad(wave.mean(axis=1), n_fft // 2)
    centres = np.linspace(0, len(mono) - n_fft, WIDTH).astype(int)
    frames = mono[centres[:, None] + np.arange(n_fft)] * np.hanning(n_fft)  # (WIDTH, n_fft)
    power = np.abs(np.fft.rfft(frames.astype(np.float32), axis=1)) ** 2  # (WIDTH, bins)
    top = min(HIGHEST, sample_rate / 2)
    edges = np.geomspace(min(LOWEST, top / 4), top, HEIGHT + 1) * n_fft / sample_rate
    first = np.minimum(edges[:-1].astype(int), power.shape[1] - 1)
    last = np.clip(np.ceil(edges[1:]).astype(int), first + 1, power.shape[1])
    rows = [power[:, a:b].max(axis=1) for a, b in zip(first, last)]
    return np.stack(rows[::-1])


def write_picture(path, power, loudest):
    """Write a spectrogram as PNG.

    Args:
        path (Path): the file.
        power (np.ndarray): the result of `spectrogram`.
        loudest (float): power of the lightest colour.
    """
    picture = Image.fromarray(_steps(power, loudest), mode="P")
    picture.putpalette(_palette().tobytes())
    picture.save(path, format="PNG", optimize=True)


def colours(power, loudest):
    """Colour a spectrogram.

    Args:
        power (np.ndarray): the result of `spectrogram`.
        loudest (float): power of the lightest colour.

    Returns:
        np.ndarray: (HEIGHT, WIDTH, 3), uint8.
    """
    return _palette()[_steps(power, loudest)]


def _steps(power, loudest):
    level = 10 * np.log10(np.maximum(power, 1e-30) / max(loudest, 1e-30))
    return np.clip((level + RANGE) / RANGE * 255, 0, 255).astype(np.uint8)


def _palette():
    anchors = np.linspace(0, 255, len(COLOURS))
    palette = [np.interp(np.arange(256), anchors, c) for c in zip(*COLOURS)]
    return np.stack(palette, axis=1).astype(np.uint8)
