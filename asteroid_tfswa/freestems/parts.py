"""What the other instruments play: notes that follow the harmony of a plan.

Every part takes the plan of the song, its sections in which the instrument plays, a random
generator and the MIDI pitch that its notes lie around, and gives a list of `Note`. `loud` is the
velocity, 0 to 1, `human` the standard deviation of a note's time in seconds.
"""

import numpy as np

from asteroid_tfswa.freestems.plan import near, voiced
from asteroid_tfswa.freestems.sampler import Note

# Rhythms of a bar in 16 steps: x begins a note, - holds it.
STRUMS = ["x-x-xxx-x-x-xxx-", "x---x-x-x-x-x-x-", "x-xx-xx-x-xx-xx-", "x---x---x-x-x-x-"]
STABS = ["x..x..x...x..x..", "x.....x.....x...", "..x...x...x...x.", "x--x--x---......"]
STABS += ["....x.......x...", "x.x...x..x......", "...x..x....x..x-", "x-------......xx"]
SKANKS = ["..x...x...x...x.", "..xx..x...xx..x.", "x.xx.xx.x.xx.xx.", "....x.......x..."]
RIFFS = ["x-x-x-x-x-x-x-x-", "x-xxx-xxx-xxx-xx", "x---x-x---x-x-x-", "x-----x-x-----x-"]
RIFFS += ["x-x--x--x-x--x--", "x..x..x.x..x..x."]
GATES = ["x.x.x.x.x.x.x.x.", "x.xxx.xxx.xxx.xx", "x..x..x..x..x.x."]


def rhythm(pattern):
    """Read a pattern as a list of (start, length) in beats."""
    notes = []
    for step, sign in enumerate(pattern):
        if sign == "x":
            end = step + 1
            while end < len(pattern) and pattern[end] == "-":
                end += 1
            notes.append((step / 4, (end - step) / 4))
    return notes


def chord_at(chords, beat):
    """The chord that sounds at a beat of a bar, see `Section`."""
    return [chord for start, chord in chords if start <= beat + 1e-6][-1]


def bars(plan, sections):
    """Yield (time of the bar in seconds, its chords, its number) of some sections."""
    for section in sections:
        for number, chords in enumerate(section.chords):
            yield (section.first_bar + number) * plan.bar, chords, section.first_bar + number


def sustained(plan, sections, rng, centre, loud=0.6):
    """Hold every chord until the next."""
    notes = []
    for time, chords, _ in bars(plan, sections):
        for index, (beat, chord) in enumerate(chords):
            end = chords[index + 1][0] if index + 1 < len(chords) else 4
            for pitch in voiced(chord, centre):
                start = time + beat * plan.beat + rng.uniform(0, 0.012)
                notes.append(Note(start, (end - beat) * plan.beat, pitch, loud))
    return notes


def chopped(plan, sections, rng, centre, patterns, spread=0.0, loud=0.7, human=0.006):
    """Strike chords in a rhythm; `spread` seconds pass between a chord's notes, as in strumming."""
    steps = rhythm(str(rng.choice(patterns)))
    other = rhythm(str(rng.choice(patterns)))
    notes = []
    for time, chords, number in bars(plan, sections):
        for index, (beat, length) in enumerate(other if number % 4 == 3 else steps):
            pitches = voiced(chord_at(chords, beat), centre)
            if spread and centre < 60:
                pitches = [*pitches, pitches[0] + 12, pitches[1] + 12]
            if spread and index % 2:
                pitches = pitches[::-1][: max(3, len(pitches) - 2)]
            at = time + beat * plan.beat + rng.normal(0, human)
            velocity = loud * (1 if beat % 1 == 0 else 0.8) * rng.uniform(0.85, 1.1)
            for rank, pitch in enumerate(pitches):
                start = max(0, at + rank * spread)
                notes.append(Note(start, length * plan.beat * 0.92, pitch, min(velocity, 1)))
    return notes


def arpeggio(plan, sections, rng, centre, human=0.002):
    """Play the chords' notes one after the other."""
    step = float(rng.choice([0.25, 0.25, 0.5, 1 / 3]))
    octaves = int(rng.choice([1, 2, 2]))
    order, held = str(rng.choice(["up", "down", "updown", "random", "fixed"])), rng.uniform(0.5, 2)
    motif = rng.integers(0, 12, 8)
    rests = rng.random(16) < rng.choice([0, 0, 0.25, 0.4])
    notes = []
    for time, chords, _ in bars(plan, sections):
        for index in range(round(4 / step)):
            beat = index * step
            pitches = voiced(chord_at(chords, beat), centre)
            pitches = [pitch + 12 * octave for octave in range(octaves) for pitch in pitches]
            if order == "down":
                pitches = pitches[::-1]
            elif order == "updown":
                pitches = pitches + pitches[-2:0:-1]
            choice = {"random": rng.integers(99), "fixed": motif[index % 8]}.get(order, index)
            if rests[index % 16]:
                continue
            start = max(0, time + beat * plan.beat + rng.normal(0, human))
            velocity = rng.uniform(0.55, 0.85) + 0.15 * (index % 4 == 0)
            pitch = pitches[int(choice) % len(pitches)]
            notes.append(Note(start, held * step * plan.beat, pitch, velocity))
    return notes


def riff(plan, sections, rng, centre, fifths=False, patterns=RIFFS, human=0.004):
    """Repeat a motif of a bar on the root of the chord; with `fifths` as power chords."""
    steps = rhythm(str(rng.choice(patterns)))
    offsets = rng.choice([0, 0, 0, 0, 12, 7, 3 if plan.mode == "minor" else 4, 10], len(steps))
    if fifths or rng.random() < 0.4:
        offsets = np.zeros(len(steps), dtype=int)
    notes = []
    for time, chords, _ in bars(plan, sections):
        for (beat, length), offset in zip(steps, offsets, strict=True):
            root = near(chord_at(chords, beat)[0], centre) + int(offset)
            start = max(0, time + beat * plan.beat + rng.normal(0, human))
            for pitch in (root, root + 7, root + 12) if fifths else (root,):
                velocity = rng.uniform(0.7, 1.0)
                notes.append(Note(start, length * plan.beat * 0.95, pitch, velocity))
    return notes


def melody(plan, sections, rng, centre, human=0.008):
    """Play a tune: a motif of two bars from the scale, that rests on notes of the chord."""
    rhythms = [rhythm(_tune_rhythm(rng)) for _ in range(2)]
    contour = [rng.integers(-2, 3, len(steps)) for steps in rhythms]
    scale, notes, step = plan.scale, [], 0
    for time, chords, number in bars(plan, sections):
        if number % 4 == 3 and rng.random() < 0.3:
            continue
        for index, (beat, length) in enumerate(rhythms[number % 2]):
            step += int(contour[number % 2][index])
            step = int(np.clip(step, -5, 6))
            pitch = near(scale[step % 7], centre + 12 * step / 7)
            if beat % 1 == 0 or length >= 1:
                chord = chord_at(chords, beat)
                pitch = min((near(tone, pitch) for tone in chord), key=lambda p: abs(p - pitch))
            start = max(0, time + beat * plan.beat + rng.normal(0, human))
            notes.append(Note(start, length * plan.beat * 0.97, pitch, rng.uniform(0.6, 0.95)))
    return notes


def _tune_rhythm(rng):
    pattern, left = "", 16
    while left > 0:
        length = int(min(left, rng.choice([1, 2, 2, 3, 4, 4, 6, 8])))
        sign = "." if rng.random() < 0.2 else "x"
        pattern += sign + ("." if sign == "." else "-") * (length - 1)
        left -= length
    return pattern if "x" in pattern else "x---x---x-------"


def bass_line(plan, sections, rng, kicks, low):
    """Play the bass: one of the ways to do so, chosen for the song, from the roots of the chords.

    Args:
        plan (Plan): the song.
        sections (list[Section]): those in which it plays.
        rng (Generator): all choices.
        kicks (ndarray): seconds at which the kick sounds, for a bass that locks with it.
        low (int): MIDI number below which no note is.

    Returns:
        list[Note]: in order; a note's pitch may differ from the last by a few semitones.
    """
    ways = ["eighths", "kick", "kick", "octaves", "offbeat", "long", "sixteenths", "motif", "walk"]
    shares = {"electronic": [1, 1, 1, 2, 2, 1, 2, 2, 0], "metal": [3, 1, 1, 1, 0, 1, 2, 1, 0]}
    shares |= {"world": [1, 1, 1, 1, 0, 1, 0, 2, 3], "ballad": [1, 2, 2, 0, 0, 3, 0, 1, 1]}
    weights = np.array(shares.get(plan.style, [3, 2, 2, 1, 0.5, 1, 0.5, 3, 0.5]), dtype=float)
    way = str(rng.choice(ways, p=weights / weights.sum()))
    motif = rhythm(_tune_rhythm(rng))
    steps = rng.choice([0, 0, 0, 0, 7, 12, 10, -5, 5], len(motif))
    steps[0] = 0
    detached = rng.uniform(0.55, 1.0)
    notes = []
    for time, chords, _ in bars(plan, sections):
        beats, offsets = _bass_beats(way, rng, plan, time, kicks, motif, steps)
        for index, (beat, length) in enumerate(beats):
            chord = chord_at(chords, max(beat, 0))
            root = low + (chord[0] - low) % 12
            pitch = root + int(offsets[index % len(offsets)])
            if way == "walk":
                pitch = low + (chord[index % 3] - low) % 12 + rng.choice([0, 0, 0, 12])
            start = max(0.0, time + beat * plan.beat + rng.normal(0, 0.003))
            velocity = rng.uniform(0.65, 0.95) + 0.05 * (beat % 1 == 0)
            notes.append(Note(start, length * detached * plan.beat, int(pitch), velocity))
    return notes


def _bass_beats(way, rng, plan, time, kicks, motif, steps):
    """Starts and lengths in beats, and semitones above the root, of the notes of a bar."""
    grid = {
        "eighths": rhythm("x-x-x-x-x-x-x-x-"),
        "octaves": rhythm("x-x-x-x-x-x-x-x-"),
        "sixteenths": rhythm("xxxxxxxxxxxxxxxx"),
        "offbeat": rhythm("..x-..x-..x-..x-"),
        "long": rhythm("x---------------" if rng.random() < 0.7 else "x-------x-----x-"),
        "walk": rhythm("x---x---x---x---"),
        "motif": motif,
    }
    if way != "kick":
        return grid[way], {"octaves": [0, 12], "motif": steps}.get(way, [0])
    inside = kicks[(kicks >= time - 0.02) & (kicks < time + plan.bar - 0.05)]
    starts = sorted({round(float(at - time) / plan.beat * 4) / 4 for at in inside} | {0.0})
    ends = [*starts[1:], 4.0]
    beats = [(start, min(end - start, 2.0)) for start, end in zip(starts, ends, strict=True)]
    return beats, [0] if rng.random() < 0.6 else [0, 0, 7, 0, 12]
