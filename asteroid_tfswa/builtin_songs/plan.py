"""Plan a built-in song before a note is written: key, tempo, chords and sections."""

from dataclasses import dataclass

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}

# degrees of the scale, one chord a bar
PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 0, 4), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 6), (0, 3, 6, 2), (0, 5, 3, 4)),
}

# (section, share of the song, stems that play); no stem plays throughout every form
FORMS = (
    (
        ("intro", 0.14, ("other",)),
        ("verse", 0.34, ("drums", "bass", "other", "vocals")),
        ("chorus", 0.24, ("drums", "bass", "other", "vocals")),
        ("break", 0.10, ("other", "vocals")),
        ("chorus", 0.18, ("drums", "bass", "other", "vocals")),
    ),
    (
        ("intro", 0.12, ("drums", "bass")),
        ("verse", 0.30, ("drums", "bass", "other", "vocals")),
        ("break", 0.12, ("drums", "bass", "other")),
        ("chorus", 0.28, ("drums", "bass", "other", "vocals")),
        ("break", 0.08, ("other", "vocals")),
        ("chorus", 0.10, ("drums", "bass", "other", "vocals")),
    ),
    (
        ("intro", 0.16, ("other", "vocals")),
        ("verse", 0.28, ("drums", "bass", "other", "vocals")),
        ("break", 0.12, ("drums", "vocals")),
        ("chorus", 0.30, ("drums", "bass", "other", "vocals")),
        ("break", 0.14, ("drums", "bass", "other")),
    ),
)


def draw(options, rng):
    """Draw one element of a tuple."""
    return options[rng.integers(len(options))]


@dataclass(frozen=True)
class Note:
    """One note of an instrument.

    Args:
        start (float): seconds from the start of the song.
        duration (float): seconds.
        pitch (int): MIDI note number (60 is middle C); for drums, the drum.
        velocity (int): 1 to 127.
    """

    start: float
    duration: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Section:
    """A stretch of the song in which the same stems play; `start` and `n_beats` are in beats."""

    name: str
    start: int
    n_beats: int
    stems: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The skeleton that all players of a song share.

    Args:
        tempo (float): beats a minute; four beats a bar.
        key (int): tonic in semitones from C, -6 to 5.
        mode (str): "major" or "minor".
        swing (float): how late the off-beats are, in beats.
        progression (tuple): degrees of the scale, one chord a bar, from each section's start.
        sections (tuple): the `Section` objects in order.
    """

    tempo: float
    key: int
    mode: str
    swing: float
    progression: tuple[int, ...]
    sections: tuple[Section, ...]

    def seconds(self, beat):
        """Time of a (fractional) beat in seconds; off-beats come late by the swing."""
        late = self.swing if beat % 1.0 == 0.5 else 0.0
        return (beat + late) * 60 / self.tempo

    def pitch(self, step):
        """MIDI note of a step of the scale, counted from the tonic nearest to middle C."""
        octave, degree = divmod(step, 7)
        return 60 + self.key + 12 * octave + SCALES[self.mode][degree]

    def chord(self, beat):
        """Steps of the scale (root, third, fifth) of the chord at a beat counted in its section."""
        root = self.progression[int(beat) // 4 % len(self.progression)]
        return root, root + 2, root + 4


def make_plan(index, duration, rng):
    """Draw key, tempo, chords and form.

    Args:
        index (int): number of the song in its set; neighbours get different forms and modes.
        duration (float): seconds.
        rng (numpy.random.Generator): source of randomness.
    """
    tempo = rng.uniform(80, 150)
    mode = ("major", "minor")[index % 2]
    n_half_bars = int(duration * tempo / 120) + 1
    sections, end = [], 0.0
    for name, share, stems in FORMS[index % len(FORMS)]:
        # sections start on half-bars, so that short songs have several too
        first, end = round(end * n_half_bars), end + share
        n_beats = 2 * (round(end * n_half_bars) - first)
        if n_beats:
            sections.append(Section(name, 2 * first, n_beats, stems))
    return Plan(
        tempo=tempo,
        key=int(rng.integers(12)) - 6,
        mode=mode,
        swing=draw((0.0, 0.0, 0.12), rng),
        progression=draw(PROGRESSIONS[mode], rng),
        sections=tuple(sections),
    )
