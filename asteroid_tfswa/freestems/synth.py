"""Synthesisers: oscillators without aliasing, filters that move, FM; for bass, leads and pads."""

from dataclasses import dataclass

import numpy as np
from scipy import signal

from asteroid_tfswa.freestems.effects import RATE, saturate

FILTERS = 5  # fixed low-pass filters between which a moving one is interpolated


@dataclass
class Patch:
    """The settings of a synthesiser.

    Attributes:
        wave (str): "saw", "square", "triangle", "sine" or "fm".
        voices (int): detuned oscillators of one note.
        detune (float): semitones between the lowest and the highest of these.
        spread (float): 0 to 1, how far apart in stereo they are.
        pulse (float): share of a square's period that is high.
        sub (float): level of a sine one octave below.
        noise (float): level of noise.
        ratio, index (float): of FM: modulator to carrier in frequency, depth at the start.
        cutoff (float): of the filter at rest, in Hz.
        sweep (float): octaves that the filter opens at the start of a note.
        decay (float): seconds in which it closes.
        resonance (float): quality factor of the filter.
        attack, fall, sustain, release (float): the envelope; seconds, seconds, level, seconds.
        drive (float): dB of saturation.
        vibrato (float): depth in semitones, of long notes.
        glide (float): semitones from which a note slides in.
    """

    wave: str = "saw"
    voices: int = 1
    detune: float = 0.2
    spread: float = 0.5
    pulse: float = 0.5
    sub: float = 0.0
    noise: float = 0.0
    ratio: float = 2.0
    index: float = 2.0
    cutoff: float = 2000.0
    sweep: float = 0.0
    decay: float = 0.2
    resonance: float = 0.9
    attack: float = 0.003
    fall: float = 0.3
    sustain: float = 0.7
    release: float = 0.06
    drive: float = 0.0
    vibrato: float = 0.0
    glide: float = 0.0


def _log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def bass_patch(rng):
    """Choose the settings of a synthesised bass."""
    patch = Patch(
        wave=rng.choice(["saw", "square", "sine", "fm", "triangle"], p=[0.35, 0.2, 0.15, 0.2, 0.1]),
        voices=int(rng.choice([1, 1, 2, 3])),
        detune=rng.uniform(0.05, 0.25),
        spread=rng.uniform(0, 0.3),
        pulse=rng.uniform(0.2, 0.5),
        sub=rng.uniform(0, 1.0),
        ratio=rng.choice([1.0, 2.0, 0.5, 3.0]),
        index=rng.uniform(0.5, 4),
        cutoff=_log_uniform(rng, 120, 1500),
        sweep=rng.uniform(0, 4),
        decay=_log_uniform(rng, 0.05, 0.5),
        resonance=rng.uniform(0.7, 3.5),
        fall=rng.uniform(0.1, 0.6),
        sustain=rng.uniform(0.3, 1),
        release=rng.uniform(0.02, 0.1),
        drive=rng.uniform(-6, 15),
    )
    if rng.random() < 0.15:  # an 808: a long sine that falls and is driven hard
        patch = Patch("sine", drive=rng.uniform(3, 16), fall=1.5, sustain=0.0, cutoff=4000)
        patch.glide, patch.release = rng.uniform(3, 12), 0.15
    return patch


def lead_patch(rng):
    """Choose the settings of a lead."""
    return Patch(
        wave=rng.choice(["saw", "square", "fm", "triangle"], p=[0.45, 0.3, 0.15, 0.1]),
        voices=int(rng.choice([1, 2, 3, 5])),
        detune=rng.uniform(0.1, 0.4),
        spread=rng.uniform(0.2, 0.9),
        pulse=rng.uniform(0.15, 0.5),
        ratio=rng.choice([1.0, 2.0, 3.0, 1.5]),
        index=rng.uniform(0.5, 4),
        cutoff=_log_uniform(rng, 1000, 9000),
        sweep=rng.uniform(0, 2),
        decay=rng.uniform(0.1, 0.6),
        resonance=rng.uniform(0.7, 2.5),
        attack=rng.uniform(0.002, 0.03),
        sustain=rng.uniform(0.5, 1),
        release=rng.uniform(0.05, 0.3),
        drive=rng.uniform(-6, 12),
        vibrato=rng.uniform(0, 0.3),
        glide=rng.choice([0, 0, 1, -2]),
    )


def pad_patch(rng):
    """Choose the settings of a pad or of wide chords."""
    return Patch(
        wave=rng.choice(["saw", "square", "triangle", "fm"], p=[0.6, 0.15, 0.15, 0.1]),
        voices=int(rng.choice([3, 4, 5])),
        detune=rng.uniform(0.1, 0.45),
        spread=rng.uniform(0.6, 1),
        noise=rng.choice([0, 0, 0.05]),
        ratio=rng.choice([1.0, 2.0, 4.0]),
        index=rng.uniform(0.3, 2),
        cutoff=_log_uniform(rng, 500, 9000),
        sweep=rng.uniform(-1.5, 1.5),
        decay=rng.uniform(0.5, 3),
        attack=_log_uniform(rng, 0.003, 0.5),
        sustain=rng.uniform(0.7, 1),
        release=rng.uniform(0.1, 0.6),
    )


def pluck_patch(rng):
    """Choose the settings of a plucked or struck sound, for arpeggios."""
    return Patch(
        wave=rng.choice(["saw", "square", "fm", "triangle", "sine"], p=[0.4, 0.2, 0.25, 0.1, 0.05]),
        voices=int(rng.choice([1, 2, 3])),
        detune=rng.uniform(0.05, 0.3),
        spread=rng.uniform(0.3, 1),
        pulse=rng.uniform(0.1, 0.5),
        ratio=rng.choice([1.0, 2.0, 3.5, 7.0, 1.41]),
        index=rng.uniform(0.5, 5),
        cutoff=_log_uniform(rng, 400, 5000),
        sweep=rng.uniform(0.5, 4),
        decay=_log_uniform(rng, 0.04, 0.3),
        resonance=rng.uniform(0.7, 4),
        fall=_log_uniform(rng, 0.08, 0.5),
        sustain=rng.uniform(0, 0.3),
        release=rng.uniform(0.05, 0.4),
        drive=rng.uniform(-9, 9),
    )


class Synth:
    """A synthesiser that plays notes, see `sampler.play`.

    Args:
        patch (Patch): its settings.
        rng (Generator): phases and noise.
        low, high (int): range in MIDI numbers. Default 24 to 100.
    """

    def __init__(self, patch, rng, low=24, high=100):
        self.patch, self.rng, self.range = patch, rng, (low, high)
        self._cache = {}

    def fold(self, pitch):
        """Move a pitch by octaves into the range."""
        while pitch < self.range[0]:
            pitch += 12
        while pitch > self.range[1]:
            pitch -= 12
        return pitch

    def note(self, pitch, length, velocity):
        """Play one note: MIDI number, seconds, 0 to 1; returns (2, samples)."""
        key = (round(pitch, 2), round(length, 2))
        if key not in self._cache:
            self._cache[key] = self._render(*key)
        return self._cache[key] * np.float32(0.3 + 0.7 * velocity)

    def _render(self, pitch, length):
        patch, rng = self.patch, self.rng
        n_samples = int((length + patch.release) * RATE) + 1
        time = np.arange(n_samples, dtype=np.float32) / RATE
        bend = patch.glide * np.exp(-time / 0.03)
        if patch.vibrato:
            bend = bend + patch.vibrato * np.sin(34 * time) * np.clip(time * 3 - 0.6, 0, 1)
        frequency = 440 * 2 ** ((pitch + bend - 69) / 12)
        audio = np.zeros((2, n_samples), dtype=np.float32)
        offsets = np.linspace(-0.5, 0.5, patch.voices) if patch.voices > 1 else np.zeros(1)
        for offset in offsets:
            step = frequency * (2 ** (offset * patch.detune / 12) / RATE)
            wave = self._oscillator(step, time)
            side = offset * 2 * patch.spread
            audio[0] += (1 - max(side, 0)) * wave
            audio[1] += (1 + min(side, 0)) * wave
        audio /= patch.voices**0.6
        if patch.sub:
            audio += patch.sub * np.sin(np.pi * np.cumsum(frequency / RATE)).astype(np.float32)
        if patch.noise:
            audio += patch.noise * rng.standard_normal(audio.shape).astype(np.float32)
        if patch.wave not in ("sine", "fm"):
            audio = self._filter(audio, pitch, time)
        audio *= self._envelope(time, length)
        return saturate(audio, patch.drive) if patch.drive > 0 else audio

    def _oscillator(self, step, time):
        """One period per 1/step samples; steps are smoothed so that nothing aliases (polyBLEP)."""
        patch = self.patch
        phase = (np.cumsum(step, dtype=np.float64) + self.rng.random()) % 1
        phase = phase.astype(np.float32)
        if patch.wave == "sine":
            return np.sin(2 * np.pi * phase)
        if patch.wave == "fm":
            index = patch.index * np.exp(-time / max(patch.decay, 0.03)) + 0.1 * patch.index
            return np.sin(2 * np.pi * phase + index * np.sin(2 * np.pi * patch.ratio * phase))
        if patch.wave == "triangle":
            return 2 * np.abs(2 * phase - 1) - 1
        saw = 2 * phase - 1 - _blep(phase, step)
        if patch.wave == "saw":
            return saw
        other = (phase + patch.pulse) % 1
        return saw - (2 * other - 1 - _blep(other, step))

    def _filter(self, audio, pitch, time):
        patch = self.patch
        cutoff = patch.cutoff * 2 ** ((pitch - 60) / 30)
        octaves = patch.sweep * np.exp(-time / patch.decay)
        low, high = min(0, patch.sweep), max(0, patch.sweep)
        if high - low < 0.1:
            return _low_pass(audio, cutoff, patch.resonance)
        grid = np.linspace(low, high, FILTERS)
        result = np.zeros_like(audio)
        for at in grid:
            weight = np.clip(1 - np.abs(octaves - at) / (grid[1] - grid[0]), 0, 1)
            result += weight * _low_pass(audio, cutoff * 2**at, patch.resonance)
        return result

    def _envelope(self, time, length):
        patch = self.patch
        level = patch.sustain + (1 - patch.sustain) * np.exp(-time / patch.fall)
        level *= np.minimum(1, time / patch.attack)
        return level * np.clip(1 - (time - length) / patch.release, 0, 1) ** 2


def _blep(phase, step):
    """What to subtract from a naive saw around its steps."""
    step = np.asarray(step, dtype=np.float32)
    after, before = phase / step, (phase - 1) / step
    result = np.where(after < 1, 2 * after - after * after - 1, 0)
    return result + np.where(before > -1, before * before + 2 * before + 1, 0)


def _low_pass(audio, cutoff, resonance):
    omega = 2 * np.pi * min(cutoff, 18000) / RATE
    alpha, cos = np.sin(omega) / (2 * resonance), np.cos(omega)
    b, a = np.array([(1 - cos) / 2, 1 - cos, (1 - cos) / 2]), [1 + alpha, -2 * cos, 1 - alpha]
    sos = np.array([[*b, *a]]) / a[0]
    return signal.sosfilt(np.repeat(sos, 2, axis=0) if resonance < 1.2 else sos, audio, axis=1)
