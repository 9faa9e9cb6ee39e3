"""Recognise a song whatever its name, level and coding, and if it begins some seconds later.

A fingerprint is the sign of how the energies of neighbouring bands change against each other from
frame to frame [1]; gains and lossy coding hardly change it. Two songs are compared at all offsets.

References
    - [1] J. Haitsma, T. Kalker. "A Highly Robust Audio Fingerprinting System." ISMIR 2002.
"""

from itertools import combinations

import numpy as np
from scipy import fft

RATE = 8000  # Hz, of the audio that is looked at
FRAME, HOP = 4096, 800  # samples: 0.5 s and 0.1 s
MAX_SECONDS = 600.0  # of a song that are looked at
N_BANDS, LOWEST, HIGHEST = 33, 200.0, 3500.0  # Hz
SAME = 0.4  # similarity of one song; that of different songs is below 0.2
MIN_SECONDS = 3.0  # of common audio


def fingerprint(wave):
    """Compute the fingerprint of a song.

    Args:
        wave (np.ndarray): (time,), mono, at RATE.

    Returns:
        np.ndarray: (frames, bands), int8: 1, -1, and 0 in silence; no frames if it is too short.
    """
    wave = wave[: int(MAX_SECONDS * RATE)]
    n_frames = (len(wave) - FRAME) // HOP + 1
    if n_frames < 2:
        return np.zeros((0, N_BANDS - 1), dtype=np.int8)
    edges = np.geomspace(LOWEST, HIGHEST, N_BANDS + 1) * FRAME / RATE
    edges = edges.astype(int)
    window = np.hanning(FRAME).astype(np.float32)
    energies = np.empty((n_frames, N_BANDS), dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(wave, FRAME)[::HOP]
    for start in range(0, n_frames, 256):
        power = np.abs(np.fft.rfft(frames[start : start + 256] * window, axis=1)) ** 2
        sums = np.add.reduceat(power, edges, axis=1)[:, :N_BANDS]  # the last is up to the top
        energies[start : start + len(sums)] = sums
    changes = np.diff(np.diff(np.log(energies + 1e-9), axis=1), axis=0)
    return np.sign(np.where(np.abs(changes) < 1e-6, 0, changes)).astype(np.int8)


def find_same(fingerprints):
    """Find songs that are one recording, by comparing all pairs at all offsets.

    Args:
        fingerprints (list of np.ndarray): of all songs.

    Returns:
        list of tuple: for each pair its two indices, the similarity (1 if equal, around 0 for
        unrelated songs), and by how many seconds the second begins later.
    """
    longest = max(map(len, fingerprints), default=0)
    size = 1 << max(2 * longest - 1, 1).bit_length()
    spectra = [fft.rfft(bits.astype(np.float32), size, axis=0) for bits in fingerprints]
    pairs = []
    for i, j in combinations(range(len(fingerprints)), 2):
        n_one, n_other = len(fingerprints[i]), len(fingerprints[j])
        fewest = max(MIN_SECONDS * RATE / HOP, min(n_one, n_other) / 2)  # common frames
        lags = np.arange(-(n_other - 1), n_one)  # frame of the first at which the second begins
        common = np.minimum(n_one, lags + n_other) - np.maximum(lags, 0)
        if not (common >= fewest).any():
            continue
        products = fft.irfft((spectra[i] * spectra[j].conj()).sum(1), size)[lags]
        scores = np.where(common >= fewest, products / (common * (N_BANDS - 1)), -1.0)
        best = int(scores.argmax())
        if scores[best] >= SAME:
            pairs.append((i, j, float(scores[best]), -float(lags[best]) * HOP / RATE))
    return pairs
