"""What the singer sings: phrases of syllables over a `Plan`."""

from dataclasses import dataclass

from asteroid_tfswa.builtin_songs.plan import draw

# beats of the syllables of a phrase; the rest of its four or eight beats is a pause
VERSE_RHYTHMS = (
    (0.5, 0.5, 1, 0.5, 0.5),
    (1, 0.5, 0.5, 1),
    (0.5, 0.5, 0.5, 0.5, 1, 0.5, 0.5, 2),
    (1, 1, 0.5, 0.5, 1, 1.5),
)
CHORUS_RHYTHMS = (
    (1.5, 0.5, 1, 1, 2),
    (1, 1, 1.5, 0.5, 2.5),
    (2, 1, 0.5, 0.5, 2),
)
CONSONANTS = ("s", "sh", "f", "t", "k", "p", "d", "m", "n", "l", "r", "w", "", "")
VOWELS = ("a", "a", "e", "i", "o", "u", "ae", "uh")


@dataclass(frozen=True)
class Syllable:
    """A sung note.

    Args:
        start (float): seconds from the start of the song; the vowel starts here.
        end (float): where it ends, in seconds.
        pitch (int): MIDI note number.
        consonant (str): a key of `voice.CONSONANTS`, before the vowel.
        vowel (str): a key of `voice.VOWELS`.
    """

    start: float
    end: float
    pitch: int
    consonant: str
    vowel: str


def make_phrases(plan, lowest, rng):
    """Write the tune: two motifs for the verses and two for the choruses, varied when they return.

    Args:
        plan (Plan): the song.
        lowest (int): MIDI note at the bottom of the singer's range of about an octave and a half.
        rng (numpy.random.Generator): source of randomness.

    Returns:
        list of list of Syllable: phrases, in order, with pauses between them.
    """
    tunes = {
        "verse": [_motif(VERSE_RHYTHMS, 2, rng) for _ in range(2)],
        "chorus": [_motif(CHORUS_RHYTHMS, 5, rng) for _ in range(2)],
    }
    phrases = []
    for section in plan.sections:
        if "vocals" not in section.stems:
            continue
        motifs = tunes["chorus" if section.name == "chorus" else "verse"]
        beat, turn = 0, 0
        while beat < section.n_beats:
            motif = motifs[turn % 2]
            phrases.append(_phrase(plan, section, beat, motif, lowest, rng))
            beat += 4 if sum(n_beats for n_beats, _ in motif) < 4 else 8
            turn += 1
    return phrases


def _motif(rhythms, height, rng):
    """Draw (beats, steps above the bottom of the range) for the syllables of a phrase."""
    step, motif = height + int(rng.integers(3)), []
    for n_beats in draw(rhythms, rng):
        motif.append((n_beats, step))
        step = min(max(step + draw((-2, -1, -1, 0, 1, 1, 2), rng), 0), 10)
    return motif


def _phrase(plan, section, beat, motif, lowest, rng):
    """Write the syllables of a motif from a beat of its section on, with a little variation."""
    bottom = 0  # the lowest step of the scale that the singer reaches
    while plan.pitch(bottom) >= lowest:
        bottom -= 1
    syllables = []
    for n_beats, height in motif:
        if beat >= section.n_beats:
            break
        step = bottom + 1 + height + draw((0, 0, 0, 0, -1, 1), rng)
        if n_beats >= 1:  # long notes belong to the chord
            degrees = {tone % 7 for tone in plan.chord(beat)}
            step = next(near for near in (step, step - 1, step + 1) if near % 7 in degrees)
        end = min(beat + n_beats, section.n_beats)
        start = plan.seconds(section.start + beat) + rng.normal(0.01, 0.01)
        syllables.append(
            Syllable(
                start=max(0.0, start),
                end=plan.seconds(section.start + end),
                pitch=plan.pitch(step),
                consonant=draw(CONSONANTS, rng),
                vowel=draw(VOWELS, rng),
            )
        )
        beat = end
    return syllables
