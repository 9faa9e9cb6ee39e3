"""A singer: recorded phrases, moved to the key and tempo of a song, in another voice."""

import numpy as np

from asteroid_tfswa.freestems import effects as fx
from asteroid_tfswa.freestems.effects import RATE
from asteroid_tfswa.freestems.plan import parse_key
from asteroid_tfswa.freestems.sampler import resampled
from asteroid_tfswa.freestems.vocoder import (
    resung,
    shift_formants,
    stretched,
    sung_from_speech,
)

LONGEST = 10 * RATE  # samples of a phrase; longer recordings are cut at their pauses
PAUSE = RATE // 10


class Voice:
    """A singer for one song.

    Args:
        sources (Sources): where the phrases are.
        rng (Generator): all choices.
        phrases (list[Sound]): what is sung.
        size (float): ratio by which the recording is played faster: higher, shorter, smaller.
        semitones (float): by which its pitch is moved after that.
        tempo (float): by which its tempo is changed.
        formants (float): ratio of formants to those of the recording, in the end.
        by_vocoder (bool): whether a vocoder does that, or time stretching.

    Attributes:
        phrases (list[Sound]): what it sings.
        tune (tuple or None): set to (scale, centre, stretch, beat) to sing what is spoken.
    """

    def __init__(self, sources, rng, phrases, size, semitones, tempo, formants, by_vocoder):
        self.sources, self.rng, self.phrases = sources, rng, phrases
        self.size, self.semitones, self.tempo, self.formants = size, semitones, tempo, formants
        self.by_vocoder = by_vocoder
        self.tune = None
        self._cache, self._harmonies = {}, {}

    def phrase(self, sound):
        """Sing a phrase: (1, samples), at an active level of 0.1."""
        if sound.path not in self._cache:
            audio = self.sources.audio(sound).mean(axis=0, keepdims=True)
            if audio.shape[1] > LONGEST:
                audio = _cut_out(audio, self.rng)
            audio = resampled(audio, self.size)
            audio = self._moved(audio).copy()
            audio[:, -400:] *= np.linspace(1, 0, min(400, audio.shape[1]), dtype=np.float32)
            self._cache[sound.path] = audio * np.float32(0.1 / max(fx.rms(audio), 1e-5))
        return self._cache[sound.path]

    def _moved(self, audio):
        formants = self.formants / self.size
        if self.tune:
            return shift_formants(sung_from_speech(audio, self.rng, *self.tune), formants)
        if self.by_vocoder:
            return resung(audio, self.semitones, self.tempo, formants)
        audio = stretched(audio, self.semitones, self.tempo)
        return shift_formants(audio, formants / 2 ** (self.semitones / 12))

    def harmony(self, sound, semitones):
        """Sing a phrase higher or lower, in the same time."""
        key = (sound.path, semitones)
        if key not in self._harmonies:
            audio = stretched(self.phrase(sound), semitones, 1.0)
            formants = 2 ** (-semitones / 12 * self.rng.uniform(0.3, 1))
            audio = shift_formants(audio, formants)
            self._harmonies[key] = audio * np.float32(0.1 / max(fx.rms(audio), 1e-5))
        return self._harmonies[key]


def _cut_out(audio, rng):
    """A part of a long recording, from one pause to another."""
    level = np.abs(audio[0, : audio.shape[1] // PAUSE * PAUSE]).reshape(-1, PAUSE).max(axis=1)
    silent = np.flatnonzero(level < 0.03 * level.max()) * PAUSE
    start = int(rng.integers(0, audio.shape[1] - LONGEST // 2))
    before = silent[silent <= start]
    start = int(before[-1]) if len(before) else 0
    after = silent[(silent > start + 2 * RATE) & (silent < start + LONGEST)]
    end = int(after[rng.integers(len(after))]) if len(after) else start + LONGEST
    return audio[:, start:end]


def choose_voice(sources, rng, style):
    """Choose the singer of a song, and with it tempo and key.

    Args:
        sources (Sources): where the phrases are.
        rng (Generator): all choices.
        style (Style): its range of tempo, and how often words are spoken or growled.

    Returns:
        tuple[Voice, float, tuple]: the singer, beats per minute, (pitch class, mode).
    """
    sung = [name for name in sorted(sources.phrases) if is_sung(sources.phrases[name][0])]
    spoken = [name for name in sorted(sources.phrases) if name not in sung]
    is_spoken = bool(spoken) and (not sung or rng.random() < style.growl + 0.12)
    names = spoken if is_spoken else sung
    sizes = np.array([min(40, len(sources.phrases[name])) for name in names], dtype=float)
    name = names[rng.choice(len(names), p=sizes / sizes.sum())]
    phrases = sources.phrases[name]
    size = 2 ** (float(np.clip(rng.normal(0, 2), -4, 4)) / 12)
    semitones, formants = _choose_singer(rng, is_spoken)
    low, high = style.bpm
    tempo, key, bpm = 1.0, parse_key(phrases[0].key), float(rng.uniform(low, high))
    if phrases[0].bpm:
        natural = phrases[0].bpm * size
        near = natural * 2.0 ** np.round(np.log2(bpm / natural))
        if low <= near <= high and rng.random() < 0.5:
            bpm = near
        # A phrase keeps to the beat of the song, or of half of it, if it need not change much.
        tempo = bpm / near if 0.75 < bpm / near < 1.35 else 1.0
    if key:
        shift = semitones + int(np.round(12 * np.log2(size)))
        semitones = shift - 12 * np.log2(size)  # in tune, whatever the size
        key = ((key[0] + shift) % 12, key[1])
    else:
        key = (int(rng.integers(12)), str(rng.choice(["minor", "major"])))
    by_vocoder = rng.random() < 0.15 + 0.05 * abs(semitones)
    voice = Voice(sources, rng, phrases, size, semitones, float(tempo), formants, by_vocoder)
    return voice, float(bpm), key


def is_sung(sound):
    """Whether a phrase is sung rather than spoken."""
    return bool(sound.key) or sound.kind == "sung" or "/sung/" in sound.path


def _choose_singer(rng, is_spoken):
    """Semitones to move by, and the ratio of the formants: women, men and others.

    The recorded singers are women, the speakers men: half of the singers become men.
    """
    if rng.random() < 0.5:
        semitones = int(rng.integers(-4, 5))
        return semitones, 2 ** (semitones / 12 * rng.uniform(0, 0.5)) * np.exp(rng.normal(0, 0.05))
    if is_spoken:
        return int(rng.integers(-3, 9)), np.exp(rng.normal(0.05, 0.1))
    return int(rng.integers(-12, -4)), np.exp(rng.uniform(-0.25, -0.06))
