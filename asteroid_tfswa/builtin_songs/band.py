"""The players: notes for drums, bass and harmony instruments over a `Plan`."""

from dataclasses import dataclass, field

import numpy as np

from asteroid_tfswa.builtin_songs.plan import Note, draw

KICK, SNARE, CLOSED_HAT, OPEN_HAT, CRASH, RIDE = 36, 38, 42, 46, 49, 51
TOMS = (47, 45, 41)

# few instruments, so that a network can apply what it learns on some songs to others
DRUM_KITS = (0, 8, 16)  # standard, room, power
BASSES = (33, 34, 36)  # fingered, picked, slap
KEYS = (0, 4, 17)  # piano, electric piano, organ
GUITARS = (25, 27)  # steel, clean
PADS = (48, 50, 89)  # strings, synthetic strings, warm pad

# sixteen steps a bar; o is a soft stroke
KICKS = ("x.......x.x.....", "x..x..x.x.....x.", "x...x...x...x...", "x.....x...x.....")
SNARES = ("....x.......x...", "....x.......x..x", "....x..o.o..x...")
HATS = ("x.x.x.x.x.x.x.x.", "xoxoxoxoxoxoxoxo", "..x...x...x...x.", "x.x.x.o.x.x.x.o.")
BASS_RHYTHMS = ("x.x.x.x.x.x.x.x.", "x..x..x.x..x..x.", "x.....x.x.....x.", "x...x...x...x.x.")
LOUDNESS = {"x": 110, "o": 60}  # velocity
SOFTER = {CLOSED_HAT: -20, OPEN_HAT: -35, RIDE: -45}
STRUMS = ("x...x.x...x.x...", "x..x..x...x.x...", "x.......x..x....")


@dataclass
class Part:
    """One instrument of a stem.

    Args:
        program (int): General MIDI program, or drum kit if `is_drums`.
        is_drums (bool): whether pitches are drums.
        pan (float): -1 (left) to 1 (right).
        notes (list): the `Note` objects, in any order.
    """

    program: int
    is_drums: bool = False
    pan: float = 0.0
    notes: list = field(default_factory=list)

    def add(self, plan, beat, n_beats, pitch, velocity, rng, late=0.0):
        """Add a note at a beat of the song, with a player's small deviations.

        Args:
            plan (Plan): the song.
            beat (float): from the start of the song.
            n_beats (float): duration.
            pitch (int): MIDI note number.
            velocity (float): 1 to 127, on average.
            rng (numpy.random.Generator): source of randomness.
            late (float): seconds after the beat. Default: 0.
        """
        start = max(0.0, plan.seconds(beat) + late + rng.normal(0, 0.005))
        velocity = int(np.clip(velocity + rng.normal(0, 7), 20, 127))
        self.notes.append(Note(start, n_beats * 60 / plan.tempo, pitch, velocity))


def steps(pattern, n_beats):
    """Yield (beat, letter) for each stroke of a one-bar pattern repeated over `n_beats` beats."""
    for step in range(4 * n_beats):
        letter = pattern[step % len(pattern)]
        if letter != ".":
            yield step / 4, letter


def drums(plan, rng):
    """Play kick, snare and hats; a ride in the chorus; a fill at the end, a crash at the start."""
    kit = Part(draw(DRUM_KITS, rng), is_drums=True)
    kick, snare, hat = draw(KICKS, rng), draw(SNARES, rng), draw(HATS, rng)
    for section in plan.sections:
        if "drums" not in section.stems:
            continue
        cymbal = RIDE if section.name == "chorus" else CLOSED_HAT
        fill_start = section.n_beats - 1
        for drum, pattern in ((KICK, kick), (SNARE, snare), (cymbal, hat)):
            for beat, letter in steps(pattern, section.n_beats):
                if beat >= fill_start and drum != KICK:
                    continue
                opened = drum == CLOSED_HAT and beat % 4 == 3.5
                stroke = OPEN_HAT if opened else drum
                velocity = LOUDNESS[letter] + SOFTER.get(stroke, 0)
                kit.add(plan, section.start + beat, 0.25, stroke, velocity, rng)
        for step, tom in enumerate((SNARE,) + TOMS):
            kit.add(plan, section.start + fill_start + step / 4, 0.25, tom, 90 + 6 * step, rng)
        if section.name != "intro":
            kit.add(plan, section.start, 1, CRASH, 75, rng)
    return [kit]


def bass(plan, rng):
    """Play the roots of the chords in a separate rhythm, with fifths, octaves and leading notes."""
    part = Part(draw(BASSES, rng))
    rhythm = draw(BASS_RHYTHMS, rng)
    for section in plan.sections:
        if "bass" not in section.stems:
            continue
        beats = [beat for beat, _ in steps(rhythm, section.n_beats)]
        for beat, following in zip(beats, beats[1:] + [section.n_beats], strict=True):
            root, _, fifth = plan.chord(beat)
            pitch = plan.pitch(root)
            if beat % 4 >= 3 and rng.random() < 0.3:
                pitch = plan.pitch(plan.chord(beat + 1)[0] - 1)  # leads into the next chord
            elif beat % 1 and rng.random() < 0.25:
                pitch = plan.pitch(fifth)
            pitch = 28 + (pitch - 28) % 12  # lowest octave of a bass
            if beat % 1 and rng.random() < 0.15:
                pitch += 12
            n_beats = (following - beat) * rng.uniform(0.7, 0.95)
            part.add(plan, section.start + beat, n_beats, pitch, 105 if beat % 2 == 0 else 90, rng)
    return [part]


def voicing(plan, beat, lowest):
    """Pitches of the chord at a beat of its section, in the inversion that starts at `lowest`."""
    return sorted(lowest + (plan.pitch(step) - lowest) % 12 for step in plan.chord(beat))


def strummed(part, plan, section, rhythm, rng):
    """Play chords in a rhythm, their notes a few milliseconds apart."""
    beats = [beat for beat, _ in steps(rhythm, section.n_beats)]
    for beat, following in zip(beats, beats[1:] + [section.n_beats], strict=True):
        pitches = voicing(plan, beat, 55)
        for string, pitch in enumerate(pitches + [pitches[0] + 12]):
            n_beats = (following - beat) * 0.85
            part.add(plan, section.start + beat, n_beats, pitch, 80, rng, late=0.012 * string)


def arpeggiated(part, plan, section, order, rng):
    """Play the notes of the chord one by one, in eighths."""
    for eighth in range(2 * section.n_beats):
        beat = eighth / 2
        pitches = voicing(plan, beat, 60)
        pitch = (pitches + [pitches[0] + 12])[order[eighth % len(order)]]
        part.add(plan, section.start + beat, 0.9, pitch, 85, rng)


def sustained(part, plan, section, rng):
    """Play each chord for its whole length."""
    for beat in range(0, section.n_beats, 4):
        n_beats = min(4, section.n_beats - beat)
        for pitch in voicing(plan, beat, 57):
            part.add(plan, section.start + beat, n_beats * 0.98, pitch, 75, rng)


def harmony(plan, rng):
    """Play keys on one side, a guitar on the other and, in most songs, a pad in the middle."""
    side = draw((-1, 1), rng)
    keys = Part(draw(KEYS, rng), pan=0.4 * side)
    guitar = Part(draw(GUITARS, rng), pan=-0.6 * side)
    pad = Part(draw(PADS, rng))
    with_pad = rng.random() < 0.7
    keys_rhythm, guitar_rhythm = draw(STRUMS, rng), draw(STRUMS, rng)
    order = draw(((0, 1, 2, 3), (0, 2, 1, 2), (3, 2, 1, 0), (0, 2, 3, 2)), rng)
    guitar_picks = rng.random() < 0.5
    for section in plan.sections:
        if "other" not in section.stems:
            continue
        strummed(keys, plan, section, keys_rhythm, rng)
        if guitar_picks:
            arpeggiated(guitar, plan, section, order, rng)
        elif section.name != "break":
            strummed(guitar, plan, section, guitar_rhythm, rng)
        if with_pad and section.name in ("intro", "chorus"):
            sustained(pad, plan, section, rng)
    return [keys, guitar] + [pad] * with_pad
