"""The augmentations of a training run: how often each applies, and within which limits."""

import zlib
from dataclasses import dataclass

import numpy as np

from asteroid_tfswa.data.augment.effects import EFFECTS, STEM_EFFECTS

TEMPO = ("speed", "stretch", "pitch")  # see `tempo.change`


@dataclass(frozen=True)
class Augment:
    """What is done to training items, by the keys of the section `augment`.

    Probabilities are from 0 to 1. A stem is changed before it is added to the mixture, so that the
    mixture remains the sum of the targets and of the other stems.

    Each augmentation that is off by default draws from a random generator of its own: turning one
    on changes nothing that the others do.

    Attributes:
        random_mix (float): share of items whose stems come from different songs. The stems of the
            others are of one song, at one position. Default 1.
        gain_min, gain_max (float): lowest and highest gain of a stem. Default 0.25 and 1.25, as in
            Open-Unmix.
        channel_swap (float): probability that a stem's channels are reversed. Default 0.5.
        polarity (float): probability that a stem's samples change their sign. Default 0.
        silence (float): probability that a stem is silent. Default 0.
        mix_audio (float): probability that a stem is the sum of two segments of its source, from
            any two songs and positions, as in the paper. Default 0.
        eq, width, pan (float): probabilities of what the functions of `effects` do to a stem.
            Default 0.
        speed, stretch, pitch (float): probabilities of what `tempo.change` does to all stems of an
            item. Default 0.
        lowpass, band_mask, time_mask, limiter (float): probabilities of what the functions of
            `effects` do to all stems of an item. Default 0.
        eq_min, ..., limiter_max (float): lowest and highest amount of each of these.
    """

    random_mix: float = 1.0
    gain_min: float = 0.25
    gain_max: float = 1.25
    channel_swap: float = 0.5
    polarity: float = 0.0
    silence: float = 0.0
    mix_audio: float = 0.0
    eq: float = 0.0
    eq_min: float = -9.0
    eq_max: float = 9.0
    width: float = 0.0
    width_min: float = 0.0
    width_max: float = 2.0
    pan: float = 0.0
    pan_min: float = -0.7
    pan_max: float = 0.7
    speed: float = 0.0
    speed_min: float = 0.9
    speed_max: float = 1.1
    stretch: float = 0.0
    stretch_min: float = 0.9
    stretch_max: float = 1.1
    pitch: float = 0.0
    pitch_min: float = -2.0
    pitch_max: float = 2.0
    lowpass: float = 0.0
    lowpass_min: float = 11000.0
    lowpass_max: float = 20000.0
    band_mask: float = 0.0
    band_mask_min: float = 0.1
    band_mask_max: float = 1.0
    time_mask: float = 0.0
    time_mask_min: float = 0.05
    time_mask_max: float = 0.5
    limiter: float = 0.0
    limiter_min: float = 1.0
    limiter_max: float = 6.0

    @property
    def changes_waves(self):
        """bool: whether stems are computed before they reach the device, not only read."""
        return any(getattr(self, name) > 0 for name in (*TEMPO, "mix_audio"))

    def draw_factors(self, item, n_stems):
        """Draw which stems are inverted or silent.

        Args:
            item (tuple of int): seed and number of the item.
            n_stems (int): number of stems.

        Returns:
            np.ndarray: (n_stems), 1, -1 or 0 each, float32.
        """
        factors = np.ones(n_stems, dtype=np.float32)
        if self.polarity > 0:
            factors[_generator(item, "polarity").random(n_stems) < self.polarity] = -1
        if self.silence > 0:
            factors[_generator(item, "silence").random(n_stems) < self.silence] = 0
        return factors

    def draw_doubled(self, item, n_stems):
        """Draw which stems are sums of two segments.

        Args:
            item (tuple of int): seed and number of the item.
            n_stems (int): number of stems.

        Returns:
            tuple: for each stem whether (list of bool), and the generator with which to draw where
            the second segments are from.
        """
        if self.mix_audio == 0:
            return [False] * n_stems, None
        rng = _generator(item, "mix_audio")
        return (rng.random(n_stems) < self.mix_audio).tolist(), rng

    def draw_tempo(self, item):
        """Draw how the tempo changes.

        Args:
            item (tuple of int): seed and number of the item.

        Returns:
            dict: the arguments `speed`, `stretch` and `pitch` of `tempo.change` that apply.
        """
        return {name: amount for name in TEMPO for _, amount, _ in self._draw(item, name)}

    def draw_effects(self, item, n_stems):
        """Draw the effects that are applied on the device.

        Args:
            item (tuple of int): seed and number of the item.
            n_stems (int): number of stems.

        Returns:
            list of (str, int or None, float, float): see `effects.apply`.
        """
        drawn = []
        for name in STEM_EFFECTS:
            drawn += [(name, *each) for each in self._draw(item, name, n_stems)]
        for name in EFFECTS:
            drawn += [(name, None, *each) for _, *each in self._draw(item, name)]
        return drawn

    def _draw(self, item, name, n=1):
        """Draw one augmentation n times: (number, amount, position) of those that apply."""
        probability = getattr(self, name)
        if probability == 0:
            return []
        rng = _generator(item, name)
        limits = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
        drawn = []
        for index in range(n):
            if rng.random() < probability:
                drawn.append((index, rng.uniform(*limits), rng.random()))
        return drawn


def _generator(item, name):
    """Make the generator of one augmentation for one item."""
    return np.random.default_rng((*item, zlib.crc32(name.encode())))
