"""Render one song: four stems from the song's number alone."""

import numpy as np

from asteroid_tfswa.freestems import effects as fx
from asteroid_tfswa.freestems import grooves, space
from asteroid_tfswa.freestems.band import Part
from asteroid_tfswa.freestems.bass import render_bass
from asteroid_tfswa.freestems.drums import Hit, Kit, mix, perform
from asteroid_tfswa.freestems.effects import RATE
from asteroid_tfswa.freestems.made_voice import MadeVoice
from asteroid_tfswa.freestems.plan import STEMS, STYLES, make_plan
from asteroid_tfswa.freestems.vocals import render_vocals
from asteroid_tfswa.freestems.voice import choose_voice, is_sung

# Level of each stem in dB where it sounds, relative to the others, and how much songs differ.
LEVELS = {"vocals": (1.5, 2.5), "drums": (0.5, 2.5), "bass": (1.0, 2.5), "other": (-0.5, 2.5)}
MADE = 0.2  # share of the songs whose singer is synthesised
FADE = 0.02  # seconds at both ends of a song


def render_song(sources, number, seed=0, seconds=45.0):
    """Render a song.

    Args:
        sources (Sources): the sounds.
        number (int): which song; the same number gives the same song.
        seed (int): another series of songs. Default 0.
        seconds (float): length, to a bar. Default 45.

    Returns:
        tuple[Plan, dict]: what is played, and stem -> (samples, 2), float32, 44.1 kHz. Every stem
        sounds somewhere, and the sum of the stems stays within full scale.
    """
    rng = np.random.default_rng([seed, number])
    names = list(STYLES)
    shares = np.array([STYLES[name].share for name in names])
    style = STYLES[name := str(rng.choice(names, p=shares / shares.sum()))]
    voice, bpm, key = choose_voice(sources, rng, style)
    plan = make_plan(rng, name, bpm, key, seconds)
    _let_sing(voice, plan, rng)
    singer = np.random.default_rng([seed, number, 1])  # of its own: other songs stay as they are
    if singer.random() < MADE:
        voice = MadeVoice(singer, plan)
    n_samples = int(plan.n_bars * plan.bar * RATE)
    playing = {
        stem: [section for section in plan.sections if section.plays[stem]] for stem in STEMS
    }
    halls = _halls(sources, rng)
    drums, kicks = _drums(sources, plan, playing["drums"], rng, style, n_samples, halls)
    bass = str(rng.choice(list(style.bass), p=list(style.bass.values())))
    tracks = {
        "vocals": render_vocals(voice, plan, playing["vocals"], n_samples, halls),
        "drums": drums,
        "bass": render_bass(sources, plan, playing["bass"], rng, bass, kicks, n_samples),
        "other": _other(sources, plan, rng, style, n_samples, halls),
    }
    if rng.random() < style.duck:
        depth, length = rng.uniform(0.3, 0.9), plan.beat * rng.uniform(0.4, 0.95)
        for stem in ("bass", "other"):
            tracks[stem] = fx.duck(tracks[stem], kicks, depth, length)
    for stem in STEMS:
        tracks[stem] = tracks[stem] * _swells(plan, rng, n_samples)
    return plan, _master(tracks, rng)


def _let_sing(voice, plan, rng):
    """Let a speaker sing in some songs."""
    if not is_sung(voice.phrases[0]) and rng.random() < 0.6:
        centre = rng.uniform(45, 62)
        voice.phrases = [voice.phrases[i] for i in rng.permutation(len(voice.phrases))[:10]]
        voice.tune = (plan.scale, centre, rng.uniform(1.3, 2.6), plan.beat)


def _halls(sources, rng):
    """Three rooms for a song: recorded ones and made ones."""
    halls = []
    for seconds in (rng.uniform(0.25, 0.8), rng.uniform(0.8, 1.8), rng.uniform(1.5, 3.0)):
        if sources.responses and rng.random() < 0.5:
            response = sources.audio(sources.responses[rng.integers(len(sources.responses))])
            response = np.repeat(response, 2, axis=0)[:2] if len(response) == 1 else response
            energy = np.square(response, dtype=np.float64).sum() / 2
            halls.append(response / np.float32(np.sqrt(max(energy, 1e-12))))
        else:
            halls.append(space.hall(rng, seconds, rng.uniform(2500, 9000)))
    return halls


def _drums(sources, plan, sections, rng, style, n_samples, halls):
    """Render the drums; returns them and the times of the kick in seconds."""
    electronic = rng.random() < style.electronic_kit
    kit = Kit(sources, rng, electronic)
    programmed = style.machine and rng.random() < style.machine_share
    groove, fills = grooves.choose_grooves(sources, rng, style.grooves, plan.bpm)
    offset = int(rng.integers(0, max(1, groove.n_bars - plan.n_bars + 1)))
    machines, hits = {}, []
    for section in sections:
        machine = machines.setdefault(section.kind, {})
        crash = rng.random() < 0.65
        fill = rng.random() < 0.6 and section.n_bars > 2
        for number in range(section.n_bars):
            last = fill and number == section.n_bars - 1
            if programmed:
                bar = (
                    grooves.programmed_fill(rng)
                    if last and rng.random() < 0.5
                    else grooves.programmed_bar(rng, style.machine, machine)
                )
            elif last:
                bar = fills.bar(int(rng.integers(fills.n_bars)))
            else:
                bar = groove.bar(offset + section.first_bar + number)
            if number == 0 and crash:
                bar = [*bar, Hit(0.0, str(rng.choice(["crash", "crash2"])), 0.9)]
            time = (section.first_bar + number) * plan.bar
            hits += [hit._replace(time=max(0.0, time + hit.time * plan.beat)) for hit in bar]
    hits.sort()
    kicks = np.array([hit.time for hit in hits if hit.piece == "kick"])
    tracks = perform(kit, hits, n_samples)
    if not tracks:
        return np.zeros((2, n_samples), dtype=np.float32), kicks
    return mix(tracks, rng, electronic, halls[0]), kicks


def _other(sources, plan, rng, style, n_samples, halls):
    """Render and mix the other instruments."""
    names = list(style.parts)
    shares = np.array([style.parts[name] for name in names], dtype=float)
    n_parts = min(int(rng.integers(style.n_parts[0], style.n_parts[1] + 1)), len(names))
    chosen = rng.choice(names, n_parts, replace=False, p=shares / shares.sum())
    part = Part(sources, plan, rng, n_samples)
    plays = _who_plays(plan, rng, n_parts)
    track, send = np.zeros((2, 2, n_samples), dtype=np.float32)
    for index, kind in enumerate(chosen):
        sections = [plan.sections[number] for number in np.flatnonzero(plays[index])]
        audio = part.render(str(kind), sections)
        level = fx.rms(audio)
        if level > 0:
            audio *= np.float32(0.1 * fx.db(rng.normal(0, 3)) / level)
            track += audio
            send += audio * np.float32(rng.choice([0, rng.uniform(0, 0.4)]))
    track += space.echoes(send, halls[rng.integers(1, len(halls))])
    if rng.random() < 0.3:
        track = fx.compress(track, rng.uniform(-18, -8), rng.uniform(1.5, 3), 0.01, 0.2)
    return space.width(track, rng.uniform(0.6, 1.4))


def _who_plays(plan, rng, n_parts):
    """Which part plays in which section; where other instruments play, at least one does."""
    shares = {"intro": 0.7, "verse": 0.6, "chorus": 0.92, "break": 0.65, "solo": 0.85}
    chances = np.array([shares[section.kind] for section in plan.sections])
    plays = rng.random((n_parts, len(chances))) < chances
    for index in np.flatnonzero(~plays.any(axis=0)):
        plays[rng.integers(n_parts), index] = True
    plays[:, [not section.plays["other"] for section in plan.sections]] = False
    return plays


def _swells(plan, rng, n_samples):
    """The level of a stem changes from section to section, and in a few it grows or fades."""
    times, gains = [], []
    for section in plan.sections:
        quiet = {"intro": -4, "break": -4, "verse": -1.5}.get(section.kind, 0)
        first, last = rng.normal(quiet, 2, 2) if rng.random() < 0.15 else [rng.normal(quiet, 2)] * 2
        start = section.first_bar * plan.bar
        times += [start + 0.03, start + section.n_bars * plan.bar - 0.03]
        gains += [first, last]
    levels = np.interp(np.arange(0, n_samples, 256) / RATE, times, gains)
    curve = np.interp(np.arange(n_samples), np.arange(0, n_samples, 256), 10 ** (levels / 20))
    return curve.astype(np.float32)


def _master(tracks, rng):
    """Bring the stems to their levels, and limit their sum."""
    stems = []
    for stem in STEMS:
        mean, spread = LEVELS[stem]
        gain = fx.db(mean + float(np.clip(rng.normal(0, spread), -6, 6)))
        stems.append(tracks[stem] * np.float32(gain / max(fx.rms(tracks[stem]), 1e-9)))
    stems = np.stack(stems)
    fade = int(FADE * RATE)
    stems[..., :fade] *= np.linspace(0, 1, fade, dtype=np.float32)
    stems[..., -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    if rng.random() < 0.5:
        stems = fx.glue(stems, rng.uniform(-14, -6), rng.uniform(1.3, 2.5))
    mixture = stems.sum(axis=0)
    # How loud it is, and how far the peaks may be driven into the limiter for that.
    loud = fx.db(rng.uniform(-19, -9)) / max(fx.rms(mixture), 1e-9)
    loud = min(loud, fx.CEILING * fx.db(rng.uniform(3, 12)) / max(np.abs(mixture).max(), 1e-9))
    stems = fx.limit(stems * np.float32(loud))
    return {stem: np.ascontiguousarray(audio.T) for stem, audio in zip(STEMS, stems, strict=True)}
