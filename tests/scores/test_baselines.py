"""Baselines and oracles are what they say."""

import numpy as np
import pytest

from asteroid_tfswa.scores.baselines import MaskForm, baselines, mask_form
from asteroid_tfswa.scores.bsseval import Signals
from tests.scores.songs import song

SMALL = MaskForm(n_fft=256, hop=128)


def made(references, form=SMALL, mixture=None):
    mixture = references.sum(0) if mixture is None else mixture
    found = baselines(Signals.of(mixture[None]), Signals.of(references), form)
    return {name: signals.read(0, signals.n_samples) for name, signals in found.items()}


def test_mixture_and_best_gain():
    references, _ = song(n_channels=2)
    references[0] *= 3
    mixture = references.sum(0)
    found = made(references)
    np.testing.assert_array_equal(found["mixture"], np.stack([mixture, mixture]))
    for reference, estimate in zip(references, found["best gain"]):
        gain = estimate[0, 0] / mixture[0, 0]
        np.testing.assert_allclose(estimate, gain * mixture, rtol=1e-5)
        error, less, more = (
            np.sum((reference - g * mixture) ** 2) for g in (gain, 0.99 * gain, 1.01 * gain)
        )
        assert error < less and error < more
    assert not np.any(made(references, mixture=np.zeros_like(mixture))["best gain"])


def test_oracles_do_not_depend_on_the_pieces_read():
    references, _ = song(1, n_channels=2)
    found = baselines(Signals.of(references.sum(0)[None]), Signals.of(references), SMALL)
    for signals in (found["ratio mask"], found["ideal mask"]):
        whole = signals.read(0, signals.n_samples)
        pieces = [signals.read(a, min(a + 777, 4000)) for a in range(0, 4000, 777)]
        np.testing.assert_allclose(np.concatenate(pieces, axis=-1), whole, atol=1e-6)


def test_oracles_are_in_the_order_that_their_freedom_gives():
    references, _ = song(2, n_channels=2)
    forms = {
        "sigmoid": SMALL,
        "bounded complex": SMALL._replace(is_complex=True, low=-1.0),
        "complex": SMALL._replace(is_complex=True, low=-np.inf, high=np.inf),
    }
    errors = [
        np.sum((made(references)[name] - references) ** 2) for name in ("best gain", "ratio mask")
    ]
    errors += [
        np.sum((made(references, form)["ideal mask"] - references) ** 2) for form in forms.values()
    ]
    assert all(a > 1.1 * b for a, b in zip(errors, errors[1:]))
    assert errors[-1] < 1e-8 * np.sum(references**2)  # without bounds a complex mask is perfect


def test_ratio_masks_share_out_the_mixture_with_what_is_in_no_stem():
    references, _ = song(2)
    alone = made(references)["ratio mask"]
    np.testing.assert_allclose(alone.sum(0), references.sum(0), atol=1e-6)
    one = made(references[:1], mixture=references.sum(0))["ratio mask"]
    np.testing.assert_allclose(one[0], alone[0], atol=1e-6)


def test_the_form_is_the_models():
    args = {"n_filters": 4096, "stride": 512, "mask_type": "complex", "mask_act": "tanh"}
    assert mask_form(args) == MaskForm(4096, 512, True, -1.0, 1.0)
    assert mask_form({"mask_act": "linear"}).low == -np.inf
    assert mask_form({}) == MaskForm()


@pytest.mark.parametrize("n_samples", [1, 100, 4000])
def test_silence_stays_silent(n_samples):
    zeros = np.zeros((2, 1, n_samples), dtype=np.float32)
    assert not any(np.any(x) for x in made(zeros).values())
