"""Instruments made of recorded notes: velocity layers, round robins, nearest note."""

from typing import NamedTuple

import numpy as np
import soxr

from asteroid_tfswa.freestems.effects import RATE

RELEASE = 0.08  # seconds a note takes to end after its key is released


class Note(NamedTuple):
    """A note to play: start and length in seconds, MIDI number, velocity from 0 to 1."""

    start: float
    length: float
    pitch: float
    velocity: float


def resampled(audio, ratio):
    """Play `ratio` times faster: higher and shorter by that ratio; (channels, samples)."""
    if abs(ratio - 1) < 1e-4:
        return audio
    return soxr.resample(audio.T, RATE * ratio, RATE, quality="MQ").T


def add(track, audio, start, gain=1.0):
    """Add `audio` to `track` from sample `start`; what lies outside of the track is dropped."""
    if start < 0:
        audio, start = audio[:, -start:], 0
    part = track[:, start : start + audio.shape[1]]
    part += np.float32(gain) * audio[:, : part.shape[1]]


def faded(audio, n_samples, fade):
    """Cut `audio` to `n_samples` and fade out the last `fade` samples."""
    audio = audio[:, :n_samples].copy()
    fade = min(fade, audio.shape[1])
    if fade and audio.shape[1] == n_samples:
        audio[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return audio


class Sampler:
    """A sampled instrument.

    Args:
        sources (Sources): where the audio is.
        notes (dict): MIDI number -> list of `Sound` (its layers and round robins).
        rng (Generator): chooses round robins.
        release (float, optional): seconds that a note takes to end. Default RELEASE.
    """

    def __init__(self, sources, notes, rng, release=RELEASE):
        self.sources, self.notes, self.rng, self.release = sources, notes, rng, release
        self.pitches = np.array(sorted(notes))
        self._cache = {}

    @property
    def range(self):
        """Lowest and highest MIDI number that sounds natural: two semitones beyond the notes."""
        return int(self.pitches[0]) - 2, int(self.pitches[-1]) + 2

    def fold(self, pitch):
        """Move a pitch by octaves into the range of the instrument."""
        low, high = self.range
        while pitch < low:
            pitch += 12
        while pitch > high and pitch - 12 >= low:
            pitch -= 12
        return pitch

    def note(self, pitch, length, velocity):
        """Play one note.

        Args:
            pitch (float): MIDI number.
            length (float): seconds until the key is released.
            velocity (float): 0 to 1.

        Returns:
            ndarray: (channels, samples).
        """
        nearest = int(self.pitches[np.abs(self.pitches - pitch).argmin()])
        sounds = self.notes[nearest]
        layers = sorted({sound.velocity for sound in sounds})
        layer = layers[min(int(velocity * len(layers)), len(layers) - 1)]
        choices = [sound for sound in sounds if sound.velocity == layer]
        sound = choices[self.rng.integers(len(choices))]
        key = (sound.path, round(pitch - nearest, 2))
        if key not in self._cache:
            ratio = 2 ** ((pitch - nearest) / 12)
            self._cache[key] = resampled(self.sources.audio(sound), ratio)
        fade = int(self.release * RATE)
        audio = faded(self._cache[key], int(length * RATE) + fade, fade)
        return audio * np.float32(0.35 + 0.65 * velocity)


def play(instrument, notes, n_samples, n_channels=2):
    """Play notes on an instrument that has `note` and `fold`.

    Args:
        instrument (Sampler or Synth): what to play on.
        notes (list[Note]): any order; those that start before 0 are dropped.
        n_samples (int): length of the track.
        n_channels (int): of the track; mono notes sound in both channels. Default 2.

    Returns:
        ndarray: (n_channels, n_samples), float32.
    """
    track = np.zeros((n_channels, n_samples), dtype=np.float32)
    for note in notes:
        start = int(note.start * RATE)
        if 0 <= start < n_samples:
            audio = instrument.note(instrument.fold(note.pitch), note.length, note.velocity)
            if n_channels == 1 and len(audio) == 2:
                audio = audio.mean(axis=0, keepdims=True)
            add(track, audio, start)
    return track


def choose(instruments, rng, names):
    """Choose an instrument by the beginning of its name; any if none fits.

    Args:
        instruments (dict): name -> notes.
        rng (Generator): the choice.
        names (tuple[str]): beginnings of names.

    Returns:
        dict: its notes.
    """
    fitting = [name for name in sorted(instruments) if name.startswith(names)]
    fitting = fitting or sorted(instruments)
    return instruments[fitting[rng.integers(len(fitting))]]
