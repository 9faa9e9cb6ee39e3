"""The bass: who plays it, and the sound of it."""

import numpy as np

from asteroid_tfswa.freestems import effects as fx
from asteroid_tfswa.freestems import parts, space, synth
from asteroid_tfswa.freestems.effects import RATE
from asteroid_tfswa.freestems.sampler import Sampler, choose, play

# How the names of the instruments of the sources begin that play a kind of bass.
BASSES = {"picked": ("fashionbass", "growlybass", "pastabass", "swagbass")}
BASSES |= {"upright": ("meatbass",), "synth": ("synth_bass",)}


def render_bass(sources, plan, sections, rng, kind, kicks, n_samples):
    """Render the bass.

    Args:
        sources (Sources): where the sounds are.
        plan (Plan): the song.
        sections (list[Section]): those in which it plays.
        rng (Generator): all choices.
        kind (str): "picked", "upright" or "synth".
        kicks (ndarray): seconds at which the kick sounds.
        n_samples (int): length.

    Returns:
        ndarray: (2, n_samples).
    """
    synthetic = kind == "synth" and rng.random() < 0.8
    low = int(rng.integers(25, 31)) + (12 if rng.random() < 0.12 else 0)
    notes = parts.bass_line(plan, sections, rng, kicks, low)
    if synthetic:
        patch = synth.bass_patch(rng)
        if patch.wave in ("sine", "triangle"):
            low = max(low, 30)
        instrument = synth.Synth(patch, rng, 24, 60)
        if rng.random() < 0.3:
            notes = _tied(notes)
    else:
        notes_of = choose(sources.notes["bass"], rng, BASSES[kind])
        instrument = Sampler(sources, notes_of, rng, release=rng.uniform(0.04, 0.1))
    track = play(instrument, notes, n_samples, 2 if synthetic else 1)
    if not synthetic and rng.random() < 0.5:
        track = _slides(track, notes, rng)
    boost = rng.uniform(0, 8) if synthetic else rng.uniform(5, 16)
    track = fx.shelf(fx.cut(track, rng.uniform(20, 35)), rng.uniform(60, 120), boost, high=False)
    if rng.random() < 0.5:
        track = fx.cut(track, None, rng.uniform(2000, 9000))
    track = fx.compress(track, rng.uniform(-24, -12), rng.uniform(3, 8), 0.008, 0.15)
    if rng.random() < 0.55:
        driven = fx.saturate(track, rng.uniform(0, 22))
        driven = fx.cut(driven, 100, rng.uniform(2500, 6000))
        track = track + rng.uniform(0.1, 0.8) * driven
    track = fx.tone(track, rng, 2)
    if len(track) == 1:
        track = np.repeat(track, 2, axis=0)
    if rng.random() < 0.2:
        track = space.chorus(track, rng, 0.002, rng.uniform(0.2, 0.6))
        return track
    return space.width(track, rng.uniform(0, 0.7))


def _tied(notes):
    """Join notes of the same pitch that follow one another."""
    tied = []
    for note in sorted(notes):
        if tied and tied[-1].pitch == note.pitch and note.start - sum(tied[-1][:2]) < 0.06:
            length = note.start + note.length - tied[-1].start
            if length < 1.2:
                tied[-1] = tied[-1]._replace(length=length)
                continue
        tied.append(note)
    return tied


def _slides(track, notes, rng):
    """Slide into some of the notes: play the track a little slower or faster around them."""
    n_samples = track.shape[1]
    speed = np.zeros(n_samples, dtype=np.float32)
    for note in notes:
        if rng.random() < 0.08:
            start = int(note.start * RATE)
            length = int(min(0.12, note.length) * RATE)
            shape = rng.choice([-1, -1, 1]) * np.linspace(1, 0, max(length, 2))
            part = speed[start : start + len(shape)]
            part += shape[: len(part)].astype(np.float32) * rng.uniform(0.1, 0.25)
    at = np.arange(n_samples) + np.cumsum(speed, dtype=np.float64)
    # The shift of each slide decays, so that the track stays in time.
    drift = np.interp(
        np.arange(n_samples),
        np.arange(0, n_samples, RATE // 4),
        (at - np.arange(n_samples))[:: RATE // 4],
    )
    at = at - drift
    return np.interp(at, np.arange(n_samples), track[0])[None].astype(np.float32)
