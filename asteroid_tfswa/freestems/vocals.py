"""The vocals of a song: when the singer sings, and how the voice is mixed."""

import numpy as np

from asteroid_tfswa.freestems import effects as fx
from asteroid_tfswa.freestems import space
from asteroid_tfswa.freestems.effects import RATE
from asteroid_tfswa.freestems.sampler import add, resampled


def sing(voice, plan, sections, n_samples):
    """Place phrases in the sections: each begins on a beat, most on a strong one.

    Args:
        voice (Voice): who sings.
        plan (Plan): the song.
        sections (list[Section]): those in which it sings.
        n_samples (int): length.

    Returns:
        list[tuple]: first sample, `Sound`, gain and kind of section of each phrase.
    """
    rng, phrases, sung = voice.rng, voice.phrases, []
    by_kind, rests = {}, rng.choice([0, 1, 2], p=[0.5, 0.3, 0.2])
    for section in sections:
        # A chorus is sung again with the same phrases.
        if section.kind not in by_kind or section.kind == "verse":
            n_phrases = int(rng.integers(2, 7)) if section.kind != "verse" else 8
            by_kind[section.kind] = [phrases[i] for i in rng.permutation(len(phrases))[:n_phrases]]
        order = by_kind[section.kind]
        beat, end, index = 4 * section.first_bar, 4 * (section.first_bar + section.n_bars), 0
        if rng.random() < 0.2:
            beat += int(rng.integers(1, 5))
        while beat < end - 1:
            sound = order[index % len(order)]
            length = voice.phrase(sound).shape[1] / RATE / plan.beat
            start = int((beat * plan.beat + rng.normal(0, 0.006)) * RATE)
            index += 1
            if 0 <= start < n_samples:
                sung.append((start, sound, float(rng.uniform(0.75, 1.25)), section.kind))
            step = max(1, int(np.ceil(length - 0.3)))
            if step > 2 and rng.random() < 0.6:
                step += -step % 2  # the next phrase begins on a strong beat
            beat += step + int(rng.choice([0, 0, 0, 1, 2])) + int(rests)
    return sung


def render_vocals(voice, plan, sections, n_samples, halls):
    """Render the vocals of a song.

    Args:
        voice (Voice): the singer.
        plan (Plan): the song.
        sections (list[Section]): those in which it sings.
        n_samples (int): length.
        halls (list[ndarray]): impulse responses to choose from, of unit energy.

    Returns:
        ndarray: (2, n_samples).
    """
    rng = voice.rng
    sung = sing(voice, plan, sections, n_samples)
    lead = np.zeros((1, n_samples), dtype=np.float32)
    breaths = rng.random() < 0.5
    for start, sound, gain, _ in sung:
        add(lead, voice.phrase(sound), start, gain)
        if breaths and rng.random() < 0.5:
            breath = _breath(rng)
            add(lead, breath, start - breath.shape[1], rng.uniform(0.002, 0.012))
    track = np.repeat(_mixed(lead, rng), 2, axis=0)
    if rng.random() < 0.5:
        track = track + _doubles(voice, sung, n_samples)
    if rng.random() < 0.45:
        track = track + _harmonies(voice, plan, sung, n_samples)
    if rng.random() < 0.25:
        track = track + _answers(voice, sung, n_samples)
    wet = rng.choice([rng.uniform(0, 0.08), rng.uniform(0.05, 0.35)])
    track = space.reverberate(track, halls[rng.integers(len(halls))], wet)
    if rng.random() < 0.45:
        time = plan.beat * rng.choice([0.5, 0.75, 1.0])
        track = space.delay(track, time, rng.uniform(0.2, 0.5), rng.uniform(0.05, 0.3))
    return track


def _mixed(lead, rng):
    """Equalise, compress and sometimes distort a voice."""
    lead = fx.cut(lead, rng.uniform(60, 130))
    lead = fx.compress(lead, rng.uniform(-30, -16), rng.uniform(2.5, 6), 0.004, 0.12)
    lead = fx.shelf(lead, rng.uniform(3000, 7000), rng.uniform(-1, 9))
    lead = fx.peak(lead, rng.uniform(150, 500), rng.uniform(-4, 3))
    if rng.random() < 0.4:
        lead = fx.saturate(lead, rng.uniform(-3, 12))
    if rng.random() < 0.05:  # a telephone
        lead = fx.saturate(fx.cut(lead, 400, 3500), rng.uniform(3, 15))
    return lead


def _breath(rng):
    time = np.arange(int(rng.uniform(0.2, 0.45) * RATE)) / RATE
    noise = rng.standard_normal((1, len(time))).astype(np.float32)
    noise = fx.peak(fx.cut(noise, 700, 7000), rng.uniform(1200, 2500), 6)
    return noise * np.sin(np.pi * time / time[-1]).clip(0).astype(np.float32) ** 1.5


def _sides(track, audio, start, level, place):
    """Add a mono phrase at a place between left and right."""
    add(track, space.pan(np.repeat(audio, 2, axis=0), place), start, level)


def _doubles(voice, sung, n_samples):
    """The same phrases sung twice more, a little late and out of tune, left and right."""
    rng = voice.rng
    track = np.zeros((2, n_samples), dtype=np.float32)
    level, everywhere = rng.uniform(0.15, 0.6), rng.random() < 0.5
    for start, sound, gain, kind in sung:
        if not (everywhere or kind == "chorus"):
            continue
        for side in (-0.8, 0.8):
            double = resampled(voice.phrase(sound), 2 ** (rng.normal(0, 0.1) / 12))
            late = int(rng.uniform(0.008, 0.035) * RATE)
            _sides(track, double, start + late, level * gain, side)
    return fx.cut(track, 200)


def _harmonies(voice, plan, sung, n_samples):
    """One to four other voices, a third, a fifth or an octave away, most of all in choruses."""
    rng = voice.rng
    third = 3 if plan.mode == "minor" else 4
    choices = [third, 7, -5, 12, -12, third - 12]
    intervals = rng.choice(choices, int(rng.choice([1, 1, 2, 2, 4])), replace=False)
    level, everywhere = rng.uniform(0.2, 0.7), rng.random() < 0.25
    track = np.zeros((2, n_samples), dtype=np.float32)
    for start, sound, gain, kind in sung:
        if not (everywhere or kind == "chorus"):
            continue
        for rank, interval in enumerate(intervals):
            late = int(rng.uniform(0, 0.03) * RATE)
            place = (0.3 + 0.6 * rng.random()) * (1 if rank % 2 else -1)
            _sides(track, voice.harmony(sound, int(interval)), start + late, level * gain, place)
    return fx.cut(track, 150)


def _answers(voice, sung, n_samples):
    """Other phrases answer the lead, quieter and to the sides."""
    rng, track = voice.rng, np.zeros((2, n_samples), dtype=np.float32)
    level = rng.uniform(0.2, 0.6)
    for start, sound, gain, _ in sung[1::2]:
        answer = voice.phrases[rng.integers(len(voice.phrases))]
        at = start + voice.phrase(sound).shape[1] // int(rng.choice([1, 2, 4]))
        _sides(track, voice.phrase(answer), at, level * gain, rng.uniform(-0.7, 0.7))
    return fx.cut(track, 150)
