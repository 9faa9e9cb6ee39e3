"""The baselines are what they say."""

import numpy as np

from asteroid_tfswa.scores.baselines import best_gain_baseline, mixture_baseline
from tests.scores.songs import song


def test_baselines():
    references, _ = song(n_channels=2)
    references[0] *= 3
    mixture = references.sum(0)
    as_is = mixture_baseline(mixture, references)
    np.testing.assert_array_equal(as_is, np.stack([mixture, mixture]))
    best = best_gain_baseline(mixture, references)
    for reference, estimate in zip(references, best):
        gain = estimate[0, 0] / mixture[0, 0]
        np.testing.assert_allclose(estimate, gain * mixture, rtol=1e-5)
        error, less, more = (
            np.sum((reference - g * mixture) ** 2) for g in (gain, 0.99 * gain, 1.01 * gain)
        )
        assert error < less and error < more
    assert not np.any(best_gain_baseline(np.zeros_like(mixture), references))
