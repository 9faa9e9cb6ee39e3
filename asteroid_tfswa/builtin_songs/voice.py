"""A sung voice: glottal pulses and noise through moving formants (Klatt, 1980; Fant, 1960).

Every sound of the voice is a track of a few numbers over time (pitch, strength of voice and
noise, formants); the tracks are written as breakpoints, syllable by syllable, and joined by
straight lines.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, signal

SAMPLE_RATE = 44100

# first three formants of a man's vowels in Hz (Peterson and Barney, 1952)
VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (290, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (320, 870, 2240),
    "ae": (660, 1720, 2410),
    "uh": (600, 1190, 2390),
}
GLIDES = {"a": "i", "e": "i", "o": "u", "ae": "e"}  # where a long vowel may move
UPPER_FORMANTS = np.array([3400, 4300, 5400, 6500, 7600, 8700, 9800, 10900])  # Hz


@dataclass(frozen=True)
class Consonant:
    """How a consonant is made.

    Args:
        length (float): seconds before the vowel.
        noise (float): strength of its noise (the voice of a vowel is 1).
        centre, width (float): Hz, where the noise is.
        voiced (float): strength of the voice meanwhile.
        formants (tuple or None): where they go; None: straight to the vowel's.
        closure (float): seconds of silence before (t, k, p, d).
    """

    length: float
    noise: float = 0.0
    centre: float = 4000
    width: float = 3000
    voiced: float = 0.0
    formants: tuple | None = None
    closure: float = 0.0


CONSONANTS = {
    "s": Consonant(0.10, noise=0.45, centre=7500, width=2000),
    "sh": Consonant(0.10, noise=0.45, centre=3800, width=1500),
    "f": Consonant(0.08, noise=0.15, centre=6500, width=5000),
    "t": Consonant(0.03, noise=0.6, centre=5500, width=2500, closure=0.05),
    "k": Consonant(0.03, noise=0.5, centre=2300, width=900, closure=0.05),
    "p": Consonant(0.02, noise=0.4, centre=1000, width=800, closure=0.05),
    "d": Consonant(0.02, noise=0.3, centre=4000, width=2000, voiced=0.2, closure=0.03),
    "m": Consonant(0.07, voiced=0.35, formants=(260, 1000, 2200)),
    "n": Consonant(0.06, voiced=0.35, formants=(260, 1500, 2500)),
    "l": Consonant(0.06, voiced=0.6, formants=(360, 1200, 2800)),
    "r": Consonant(0.06, voiced=0.6, formants=(400, 1150, 1600)),
    "w": Consonant(0.06, voiced=0.5, formants=(300, 650, 2200)),
    "": Consonant(0.03, voiced=0.4),
}


@dataclass(frozen=True)
class Singer:
    """A voice.

    Args:
        lowest (int): MIDI note at the bottom of the range.
        tract (float): factor on all formants; 1 is a man's, about 1.17 a woman's.
        vibrato_rate (float): Hz.
        vibrato_depth (float): semitones.
        breath (float): strength of breath in the voice.
        tilt (float): Hz, above which the glottal pulses get darker.
    """

    lowest: int
    tract: float
    vibrato_rate: float
    vibrato_depth: float
    breath: float
    tilt: float


class _Tracks:
    """Breakpoints of the voice's parameters."""

    def __init__(self):
        self.points = {"pitch": [], "vibrato": [], "voiced": [], "noise": []}
        self.points |= {"centre": [], "width": [], "formants": []}

    def add(self, name, *points):
        """Append (seconds, value) points to a track."""
        self.points[name].extend(points)

    def at(self, name, times):
        """Values of a track at `times` (n,): (n,) or, for the formants, (n, 3)."""
        at = np.maximum.accumulate([time for time, _ in self.points[name]])
        values = np.array([value for _, value in self.points[name]], dtype=float)
        if values.ndim == 1:
            return np.interp(times, at, values)
        return np.stack([np.interp(times, at, column) for column in values.T], axis=-1)


def _articulate(phrases, singer, rng):
    """Write the breakpoints of all tracks, phrase by phrase."""
    tracks = _Tracks()
    for phrase in phrases:
        _breathe(tracks, phrase[0].start, rng)
        for syllable, following in zip(phrase, phrase[1:] + [None], strict=True):
            if following is None:
                end, release = syllable.end, 0.15
            else:
                consonant = CONSONANTS[following.consonant]
                end, release = following.start - consonant.length - consonant.closure, 0.02
            _syllable(tracks, syllable, end, release, syllable is phrase[0], singer, rng)
    return tracks


def _breathe(tracks, start, rng):
    """Write a breath before a phrase."""
    length, loudness = rng.uniform(0.25, 0.4), rng.uniform(0.05, 0.09)
    begin, end = start - 0.15 - length, start - 0.15
    tracks.add("noise", (begin, 0), (begin + 0.6 * length, loudness), (end, 0))
    tracks.add("centre", (begin, 1600), (end, 2200))
    tracks.add("width", (begin, 1500), (end, 1500))


def _syllable(tracks, syllable, end, release, first, singer, rng):
    """Write a consonant before `syllable.start`, and the vowel from there to `end`."""
    consonant, start = CONSONANTS[syllable.consonant], syllable.start
    onset = start - consonant.length
    loudness = rng.uniform(0.8, 1.0)

    tracks.add("noise", (onset - 0.003, 0), (onset + 0.007, consonant.noise))
    tracks.add("noise", (start - 0.01, consonant.noise), (start + 0.015, 0))
    tracks.add("centre", (onset, consonant.centre), (start, consonant.centre))
    tracks.add("width", (onset, consonant.width), (start, consonant.width))

    if first:
        tracks.add("voiced", (onset - 0.02, 0))
    tracks.add("voiced", (onset, consonant.voiced), (start - 0.005, consonant.voiced))
    tracks.add(
        "voiced", (start + 0.04, loudness), (max(start + 0.05, end - release), loudness * 0.85)
    )
    tracks.add("voiced", (end, 0 if consonant.closure or release > 0.1 else 0.3))

    vowel = np.array(VOWELS[syllable.vowel]) * rng.normal(1, 0.02, 3)
    last = vowel
    if end - start > 0.5 and syllable.vowel in GLIDES and rng.random() < 0.5:
        last = 0.4 * vowel + 0.6 * np.array(VOWELS[GLIDES[syllable.vowel]])
    locus = vowel if consonant.formants is None else consonant.formants
    tracks.add("formants", (onset, locus), (start - 0.01, locus), (start + 0.05, vowel))
    tracks.add("formants", (start + 0.6 * (end - start), vowel), (end - 0.02, last))

    scoop = rng.uniform(0.5, 1.5) if first else 0.0  # singers slide up to a phrase's first note
    tracks.add("pitch", (onset, syllable.pitch - scoop), (start + 0.05, syllable.pitch))
    tracks.add("pitch", (end - 0.03, syllable.pitch))
    depth = singer.vibrato_depth * rng.uniform(0.7, 1.2)
    tracks.add("vibrato", (start + 0.2, 0), (start + 0.45, depth), (end - 0.02, depth), (end, 0))


def _glottis(pitch):
    """Derivative of the glottal flow (KLGLOTT88 pulse) at a pitch track (n,) in semitones."""
    frequency = 440 * 2 ** ((np.repeat(pitch, 2) - 69) / 12)  # twice the rate, against aliasing
    phase = np.cumsum(frequency / (2 * SAMPLE_RATE)) % 1.0
    part = phase / 0.6  # the glottis is open for 60 % of a period
    pulses = np.where(part < 1, 2 * part - 3 * part**2, 0.0)
    return signal.resample_poly(pulses, 1, 2)  # (n,)


def _tract(formants, frequencies, tract):
    """Response (n_bins, n_frames) of resonances in cascade, unity at 0 Hz."""
    f = frequencies[:, None]
    response = np.ones((len(frequencies), 1), dtype=complex)
    for centre in UPPER_FORMANTS * tract:
        response = response * centre**2 / (centre**2 - f**2 + 1j * f * (60 + 0.05 * centre))
    for centre, bandwidth in zip(formants.T * tract, (80, 90, 130), strict=True):
        response = response * centre**2 / (centre**2 - f**2 + 1j * f * bandwidth)
    return response


def sing(phrases, singer, n_samples, rng):
    """Sing phrases.

    Args:
        phrases (list of list of Syllable): see `melody.make_phrases`; at least one syllable.
        singer (Singer): whose voice.
        n_samples (int): length of the song.
        rng (numpy.random.Generator): source of randomness.

    Returns:
        numpy.ndarray: (n_samples,), mono, zero where nobody sings.

    References:
        [1] D. H. Klatt, "Software for a cascade/parallel formant synthesizer", JASA 67(3), 1980.
        [2] D. H. Klatt and L. C. Klatt, "Analysis, synthesis, and perception of voice quality
            variations among female and male talkers", JASA 87(2), 1990.
    """
    tracks = _articulate(phrases, singer, rng)
    times = np.arange(n_samples) / SAMPLE_RATE
    voiced, noise = tracks.at("voiced", times), tracks.at("noise", times)

    pitch = ndimage.uniform_filter1d(tracks.at("pitch", times), int(0.05 * SAMPLE_RATE))
    pitch += tracks.at("vibrato", times) * np.sin(2 * np.pi * singer.vibrato_rate * times)
    drift = ndimage.gaussian_filter1d(rng.standard_normal(n_samples // 441 + 2), 8)
    pitch += np.interp(times, np.arange(len(drift)) / 100, drift / drift.std() * 0.06)

    pulses = _glottis(pitch)
    breath = singer.breath * rng.standard_normal(n_samples) * (0.3 + np.abs(pulses))
    alpha = np.exp(-2 * np.pi * singer.tilt / SAMPLE_RATE)
    source = signal.lfilter([1 - alpha], [1, -alpha], pulses) + breath

    stft = signal.ShortTimeFFT(signal.get_window("hann", 1024), 256, SAMPLE_RATE)
    frames = np.clip(stft.t(n_samples), 0, times[-1])
    formants = tracks.at("formants", frames)
    fundamental = 440 * 2 ** ((np.interp(frames, times, pitch) - 69) / 12)
    # high notes are sung with the mouth open: the first formant does not stay below the pitch
    formants[:, 0] = np.maximum(formants[:, 0], 1.05 * fundamental / singer.tract)
    vowels = stft.istft(
        stft.stft(source * voiced) * _tract(formants, stft.f, singer.tract), k1=n_samples
    )
    vowels /= np.sqrt(np.mean(vowels[voiced > 0.5] ** 2))

    centre, width = tracks.at("centre", frames), tracks.at("width", frames)
    colour = np.exp(-0.5 * ((stft.f[:, None] - centre) / width) ** 2)
    hiss = stft.istft(stft.stft(rng.standard_normal(n_samples)) * colour, k1=n_samples)
    return vowels + 1.5 * noise * hiss
