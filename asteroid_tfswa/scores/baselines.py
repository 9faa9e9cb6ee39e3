"""Estimates that need no model: what any score has to be seen beside."""

import numpy as np

from asteroid_tfswa.scores.museval import dot


def mixture_baseline(mixture, references):
    """Take the mixture itself as the estimate of every stem.

    Args:
        mixture (np.ndarray): shape (n_channels, time).
        references (np.ndarray): true stems, shape (n_src, n_channels, time).

    Returns:
        np.ndarray: estimates in the shape of `references`.
    """
    return np.broadcast_to(mixture, references.shape)


def best_gain_baseline(mixture, references):
    """Take the mixture times the gain that suits each stem best, which needs no learning.

    Args:
        mixture (np.ndarray): shape (n_channels, time).
        references (np.ndarray): true stems, shape (n_src, n_channels, time).

    Returns:
        np.ndarray: estimates in the shape of `references`; the gain of a stem is the one number
        that minimises its squared error over the whole song.
    """
    energy = dot(mixture, mixture) or 1.0
    gains = [dot(mixture, reference) / energy for reference in references]
    return np.stack([mixture * np.float32(gain) for gain in gains])
