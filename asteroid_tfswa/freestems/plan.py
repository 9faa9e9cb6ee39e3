"""The plan of a song: style, tempo, key, sections and harmony."""

import re
from dataclasses import dataclass, field

import numpy as np

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SCALES = {"minor": (0, 2, 3, 5, 7, 8, 10), "major": (0, 2, 4, 5, 7, 9, 11)}
# Degrees of the chords, one for each bar.
PROGRESSIONS = {
    "minor": ["0536", "0564", "0354", "0635", "0000", "0305", "5600", "0365", "0434", "5604"],
    "major": ["0453", "0534", "0345", "5340", "0343", "0000", "3045", "0254", "0143", "0404"],
}


@dataclass(frozen=True)
class Style:
    """A kind of music.

    Attributes:
        share (float): how many songs have it, relative to the others.
        bpm (tuple): lowest and highest tempo, where the voice does not decide.
        grooves (list): styles of the drum MIDI.
        machine (str or None): the programmed pattern that may replace it.
        machine_share (float): in how many songs it does.
        electronic_kit (float): in how many songs the kit is electronic.
        bass (dict): kinds of bass and their shares: "picked", "upright", "synth".
        parts (dict): kinds of parts that may play and how often, see `band.KINDS`.
        n_parts (tuple): fewest and most of them.
        growl (float): share of growled or spoken voices.
        duck (float): share of songs whose kick ducks the others.
    """

    share: float
    bpm: tuple
    grooves: tuple
    bass: dict
    parts: dict
    n_parts: tuple
    machine: str | None = None
    machine_share: float = 0.0
    electronic_kit: float = 0.0
    growl: float = 0.05
    duck: float = 0.0


STYLES = {
    "rock": Style(
        share=1.5,
        bpm=(85, 165),
        grooves=("rock", "punk", "country", "blues"),
        bass={"picked": 0.95, "synth": 0.05},
        parts={"power": 3, "riff": 2, "strum": 2, "lead_guitar": 1.5, "organ": 1, "piano": 0.7}
        | {"acoustic": 0.8, "arp_guitar": 1, "pad": 0.4, "strings": 0.3, "real_guitar": 0.4},
        n_parts=(2, 5),
        growl=0.08,
    ),
    "metal": Style(
        share=0.5,
        bpm=(100, 190),
        grooves=("punk", "rock"),
        bass={"picked": 1.0},
        parts={"power": 3, "riff": 3, "lead_guitar": 1.5, "real_guitar": 2, "pad": 0.4},
        n_parts=(2, 4),
        growl=0.4,
    ),
    "pop": Style(
        share=2.0,
        bpm=(75, 135),
        grooves=("pop", "rock", "dance", "soul", "funk", "hiphop"),
        bass={"picked": 0.5, "synth": 0.5},
        parts={"piano": 1.5, "keys": 1.5, "pad": 1.5, "pluck": 1.5, "strum": 1, "acoustic": 1}
        | {"strings": 0.8, "arp_guitar": 1, "lead_synth": 0.8, "stabs": 0.8, "wind": 0.4},
        n_parts=(2, 6),
        machine="pop",
        machine_share=0.45,
        electronic_kit=0.5,
        duck=0.25,
    ),
    "electronic": Style(
        share=2.0,
        bpm=(110, 140),
        grooves=("dance", "pop", "funk"),
        bass={"synth": 1.0},
        parts={"pad": 2, "supersaw": 2, "pluck": 2.5, "lead_synth": 1.5, "stabs": 1, "keys": 0.7}
        | {"gate": 1, "riser": 1.5, "strings": 0.3, "piano": 0.6, "riff_synth": 1.2},
        n_parts=(2, 6),
        machine="four",
        machine_share=0.85,
        electronic_kit=0.9,
        duck=0.7,
    ),
    "breaks": Style(
        share=0.5,
        bpm=(130, 175),
        grooves=("funk", "dance", "hiphop"),
        bass={"synth": 0.9, "picked": 0.1},
        parts={"pad": 2, "pluck": 2, "lead_synth": 1, "stabs": 1.5, "keys": 1, "riser": 1}
        | {"riff_synth": 1},
        n_parts=(2, 5),
        machine="break",
        machine_share=0.5,
        electronic_kit=0.5,
        duck=0.3,
    ),
    "hiphop": Style(
        share=1.0,
        bpm=(70, 100),
        grooves=("hiphop", "soul", "funk"),
        bass={"synth": 0.7, "picked": 0.3},
        parts={"keys": 2, "pluck": 1.5, "strings": 1, "piano": 1, "pad": 1, "wind": 0.7}
        | {"arp_guitar": 0.7, "lead_synth": 0.7, "stabs": 0.7, "riff_synth": 0.6},
        n_parts=(1, 4),
        machine="trap",
        machine_share=0.6,
        electronic_kit=0.75,
        growl=0.25,
        duck=0.15,
    ),
    "funk": Style(
        share=1.0,
        bpm=(90, 125),
        grooves=("funk", "soul", "dance", "gospel", "afrobeat"),
        bass={"picked": 0.85, "synth": 0.15},
        parts={"skank": 2, "keys": 1.5, "stabs": 2, "organ": 1, "wind": 1.2, "strings": 0.7}
        | {"arp_guitar": 0.7, "piano": 0.8, "pad": 0.4},
        n_parts=(2, 5),
        growl=0.08,
    ),
    "ballad": Style(
        share=0.8,
        bpm=(60, 90),
        grooves=("soul", "pop", "country", "rock", "jazz"),
        bass={"picked": 0.6, "upright": 0.4},
        parts={"piano": 2, "acoustic": 1.5, "strings": 1.5, "pad": 1, "keys": 1, "wind": 0.7}
        | {"arp_guitar": 1.2, "strum": 0.7, "organ": 0.4, "lead_guitar": 0.4},
        n_parts=(1, 4),
    ),
    "world": Style(
        share=0.4,
        bpm=(75, 125),
        grooves=("reggae", "latin", "afrocuban", "neworleans", "jazz", "highlife"),
        bass={"picked": 0.6, "upright": 0.4},
        parts={"skank": 2, "organ": 1, "piano": 1, "wind": 1.5, "stabs": 1, "acoustic": 1}
        | {"keys": 1},
        n_parts=(2, 4),
    ),
}

# How likely vocals, drums, bass, and other instruments at all, play in a section.
SECTIONS = {
    "intro": (0.12, 0.5, 0.45, 0.95),
    "verse": (0.88, 0.85, 0.82, 0.88),
    "chorus": (0.96, 0.97, 0.96, 0.97),
    "break": (0.5, 0.2, 0.3, 0.85),
    "solo": (0.05, 0.95, 0.92, 0.97),
}
FORM = ("intro", "verse", "verse", "chorus", "verse", "chorus", "break", "chorus", "solo", "chorus")
STEMS = ("vocals", "drums", "bass", "other")


@dataclass
class Section:
    """A part of a song.

    Attributes:
        kind (str): a key of SECTIONS.
        first_bar, n_bars (int): where it is.
        chords (list): for each bar a list of (beat within the bar, list of pitch classes).
        plays (dict): stem -> whether it plays.
    """

    kind: str
    first_bar: int
    n_bars: int
    chords: list
    plays: dict


@dataclass
class Plan:
    """A song before anything sounds.

    Attributes:
        style (str): a key of STYLES.
        bpm (float): tempo.
        root (int): pitch class of the key.
        mode (str): "minor" or "major".
        n_bars (int): length in bars of 4/4.
        sections (list[Section]): in order, without gaps.
    """

    style: str
    bpm: float
    root: int
    mode: str
    n_bars: int
    sections: list = field(default_factory=list)

    @property
    def beat(self):
        """Length of a beat in seconds."""
        return 60 / self.bpm

    @property
    def bar(self):
        """Length of a bar in seconds."""
        return 240 / self.bpm

    @property
    def scale(self):
        """Pitch classes of the key, from the root."""
        return [(self.root + step) % 12 for step in SCALES[self.mode]]

    def summary(self):
        """What is played, as a dict for a file."""
        key = f"{NAMES[self.root]} {self.mode}"
        return {"style": self.style, "bpm": round(self.bpm, 3), "key": key}


def parse_key(key):
    """Split a key such as "F# minor" into (pitch class, mode); None if it is empty."""
    if not key:
        return None
    found = re.fullmatch(r"([A-G])([#b]?) +(minor|major)", key, re.IGNORECASE)
    if not found:
        raise ValueError(f"key {key!r} is not of the form F# minor or Eb major")
    name, sign, mode = found.groups()
    pitch = NAMES.index(name.upper()) + {"": 0, "#": 1, "b": -1}[sign.lower()]
    return pitch % 12, mode.lower()


def make_plan(rng, style, bpm, key, seconds):
    """Plan a song.

    Args:
        rng (Generator): all choices.
        style (str): a key of STYLES.
        bpm (float): tempo.
        key (tuple[int, str]): pitch class of the root, and "minor" or "major".
        seconds (float): wanted length; the song has whole bars, at least four.

    Returns:
        Plan: the song, in which every stem plays in at least one section.
    """
    plan = Plan(style, bpm, *key, n_bars=max(4, int(seconds * bpm / 240)))
    progressions = PROGRESSIONS[plan.mode]
    harmony = {kind: str(rng.choice(progressions)) for kind in SECTIONS}
    slow = 2 if bpm > 145 or rng.random() < 0.2 else 1  # bars a chord lasts
    fast = slow == 1 and bpm < 95 and rng.random() < 0.4  # two chords a bar
    sevenths = rng.random() < (0.7 if style in ("funk", "world", "ballad", "hiphop") else 0.15)
    long = 8 if plan.bar < 1.5 else 4
    form = FORM[rng.integers(0, 5) :]
    bar = 0
    while bar < plan.n_bars:
        kind = form[len(plan.sections) % len(form)]
        n_bars = 2 if kind == "intro" and rng.random() < 0.5 else long
        n_bars = min(n_bars, plan.n_bars - bar)
        degrees = [int(degree) for degree in harmony[kind]]
        chords = []
        for number in range(n_bars):
            first = degrees[(number // slow if not fast else 2 * number) % len(degrees)]
            chords.append([(0.0, _chord(plan, first, sevenths))])
            if fast:
                second = degrees[(2 * number + 1) % len(degrees)]
                chords[-1].append((2.0, _chord(plan, second, sevenths)))
        shares = dict(zip(STEMS, SECTIONS[kind], strict=True))
        plays = {stem: rng.random() < share for stem, share in shares.items()}
        plays["other"] = plays["other"] or not any(plays.values())
        plan.sections.append(Section(kind, bar, n_bars, chords, plays))
        bar += n_bars
    for stem in STEMS:
        if not any(section.plays[stem] for section in plan.sections):
            max(plan.sections, key=lambda section: section.n_bars).plays[stem] = True
    return plan


def _chord(plan, degree, sevenths):
    scale = plan.scale
    steps = (0, 2, 4, 6) if sevenths else (0, 2, 4)
    chord = [scale[(degree + step) % 7] for step in steps]
    if plan.mode == "minor" and degree == 4 and not sevenths:
        chord[1] = (chord[0] + 4) % 12  # the dominant is major
    return chord


def voiced(chord, centre):
    """Place the pitch classes of a chord around a MIDI number, lowest first."""
    return sorted(int(centre - 6 + (pitch - centre + 6) % 12) for pitch in chord)


def near(pitch_class, centre):
    """The MIDI number of a pitch class that is nearest to `centre`."""
    return int(np.round(centre + (pitch_class - centre + 6) % 12 - 6))
