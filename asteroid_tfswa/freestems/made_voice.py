"""A synthesised singer, for songs in which no recorded one sings."""

import dataclasses

import numpy as np

from asteroid_tfswa.builtin_songs import plan as builtin
from asteroid_tfswa.builtin_songs.melody import make_phrases
from asteroid_tfswa.builtin_songs.voice import SAMPLE_RATE, Singer, sing
from asteroid_tfswa.freestems import effects as fx

LEAD_IN, TAIL = 0.1, 0.1  # seconds before the first vowel of a phrase, and after its last
SECTIONS = (("verse", 0, 48), ("chorus", 48, 48))  # name, first beat, beats: to draw phrases from


class MadeVoice:
    """A singer for one song, with the interface of `voice.Voice`.

    Args:
        rng (Generator): all choices.
        plan (Plan): the song, whose key and tempo the phrases have.

    Attributes:
        phrases (list[int]): names of what can be sung.
    """

    def __init__(self, rng, plan):
        self.rng = rng
        size = rng.uniform(0, 1)  # from a bass to a soprano
        self.singer = Singer(
            lowest=int(np.round(41 + 20 * size + rng.normal(0, 2))),
            tract=float(0.95 + 0.27 * size + rng.normal(0, 0.03)),
            vibrato_rate=rng.uniform(4.5, 6.5),
            vibrato_depth=rng.uniform(0.0, 0.6),
            breath=rng.uniform(0.03, 0.2),
            tilt=rng.uniform(3500, 7500),
        )
        tune = builtin.Plan(
            tempo=plan.bpm,
            key=(plan.root + 6) % 12 - 6,
            mode=plan.mode,
            swing=float(rng.choice([0.0, 0.0, 0.12])),
            progression=(0, 5, 3, 4),
            sections=tuple(builtin.Section(*section, ("vocals",)) for section in SECTIONS),
        )
        self._words = make_phrases(tune, self.singer.lowest, rng)
        self.phrases = list(range(len(self._words)))
        self._cache = {}

    def phrase(self, name):
        """Sing a phrase: (1, samples), at an active level of 0.1; its first vowel is at 0.1 s."""
        return self.harmony(name, 0)

    def harmony(self, name, semitones):
        """Sing a phrase higher or lower, in the same time."""
        if (name, semitones) not in self._cache:
            words = self._words[name]
            start = words[0].start - LEAD_IN
            words = [
                dataclasses.replace(
                    word,
                    start=word.start - start,
                    end=word.end - start,
                    pitch=word.pitch + semitones,
                )
                for word in words
            ]
            n_samples = int((words[-1].end + TAIL) * SAMPLE_RATE)
            audio = sing([words], self.singer, n_samples, self.rng)[None].astype(np.float32)
            self._cache[name, semitones] = audio * np.float32(0.1 / max(fx.rms(audio), 1e-5))
        return self._cache[name, semitones]
