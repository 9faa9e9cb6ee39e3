"""From notes to the four stems: instruments from a sound font, a voice, a room, levels."""

import importlib.util
from pathlib import Path

import numpy as np
from scipy import signal

from asteroid_tfswa.builtin_songs import band
from asteroid_tfswa.builtin_songs.melody import make_phrases
from asteroid_tfswa.builtin_songs.plan import make_plan
from asteroid_tfswa.builtin_songs.voice import SAMPLE_RATE, Singer, sing
from asteroid_tfswa.errors import InputError

DRUM_BANK = 128
LEVELS = {"vocals": 0.0, "drums": 0.0, "bass": -2.5, "other": -2.0}  # dB over the whole song
ROOM = {"vocals": 0.12, "drums": 0.06, "bass": 0.0, "other": 0.15}  # share of the reverb
PEAK = 0.9  # of the loudest of mixture and stems

SINGERS = (
    {"lowest": 48, "tract": 1.0, "tilt": 4500},  # baritone
    {"lowest": 57, "tract": 1.15, "tilt": 5500},  # alto
    {"lowest": 52, "tract": 1.05, "tilt": 6500},  # tenor
    {"lowest": 60, "tract": 1.2, "tilt": 6500},  # soprano
)


def find_sound_font(path=None):
    """Find the sound font that the package pretty_midi ships.

    Args:
        path (str or Path, optional): another one.

    Returns:
        Path: an .sf2 file.

    Raises:
        InputError: if the sound font or its player is not installed, or `path` is no sound font.
    """
    font = importlib.util.find_spec("pretty_midi")  # finds the package, does not import it
    if font is None or importlib.util.find_spec("tinysoundfont") is None:
        raise InputError(
            "the built-in songs need pretty_midi (a sound font) and tinysoundfont (its player): "
            "pip install pretty_midi && pip install --no-deps tinysoundfont"
        )
    if path is None:
        return Path(font.submodule_search_locations[0]) / "TimGM6mb.sf2"
    path, kind = Path(path), b""
    if path.is_file():
        with path.open("rb") as file:
            kind = file.read(12)[8:]
    if kind != b"sfbk":
        raise InputError(f"sound_font: {path} is not a sound font; name an .sf2 file")
    return path


def play(part, sound_font, n_samples):
    """Play a part with its instrument.

    Args:
        part (Part): instrument and notes.
        sound_font (Path): an .sf2 file.
        n_samples (int): length of the song.

    Returns:
        numpy.ndarray: (n_samples, 2).
    """
    import tinysoundfont

    synth = tinysoundfont.Synth(gain=-6, samplerate=SAMPLE_RATE)
    font = synth.sfload(str(sound_font))
    synth.program_select(0, font, DRUM_BANK * part.is_drums, part.program, part.is_drums)
    synth.control_change(0, 10, round(64 + 63 * part.pan))  # MIDI controller 10: pan
    events = [(note.start, note.pitch, note.velocity) for note in part.notes]
    events += [(note.start + note.duration, note.pitch, 0) for note in part.notes]
    pieces, now = [], 0
    for time, pitch, velocity in sorted(events):
        sample = min(int(time * SAMPLE_RATE), n_samples)
        if sample > now:
            pieces.append(np.frombuffer(synth.generate(sample - now), dtype=np.float32))
            now = sample
        if velocity:
            synth.noteon(0, pitch, velocity)
        else:
            synth.noteoff(0, pitch)
    if n_samples > now:
        pieces.append(np.frombuffer(synth.generate(n_samples - now), dtype=np.float32))
    return np.concatenate(pieces).reshape(n_samples, 2).astype(float)


def make_room(rng):
    """Make the impulse response (time, 2) of a small room: decaying noise, darker than white."""
    decay = rng.uniform(0.5, 1.0)  # seconds to fall by 60 dB
    times = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
    noise = rng.standard_normal((len(times), 2)) * 10 ** (-3 * times / decay)[:, None]
    noise = signal.lfilter([0.3], [1, -0.7], noise, axis=0)
    noise[: int(0.01 * SAMPLE_RATE)] = 0  # the walls answer late
    return noise / np.sqrt((noise**2).sum(axis=0))


def make_song(seed, index, duration, sound_font):
    """Compose and render a song.

    Args:
        seed (sequence of int): the song's own seed.
        index (int): number of the song in its set, which picks the form and the singer.
        duration (float): seconds.
        sound_font (Path): from `find_sound_font`.

    Returns:
        dict of str to numpy.ndarray: (n_samples, 2) int16 per stem; their sum does not clip.
    """
    rng = np.random.default_rng(seed)
    n_samples = round(duration * SAMPLE_RATE)
    plan = make_plan(index, duration, rng)
    stems = {
        stem: sum(play(part, sound_font, n_samples) for part in parts)
        for stem, parts in (
            ("drums", band.drums(plan, rng)),
            ("bass", band.bass(plan, rng)),
            ("other", band.harmony(plan, rng)),
        )
    }
    singer = Singer(
        **SINGERS[index % len(SINGERS)],
        vibrato_rate=rng.uniform(5, 6.5),
        vibrato_depth=rng.uniform(0.3, 0.6),
        breath=rng.uniform(0.05, 0.12),
    )
    voice = sing(make_phrases(plan, singer.lowest, rng), singer, n_samples, rng)
    stems["vocals"] = np.stack([voice, voice], axis=-1)  # (n_samples, 2)
    return _balance(stems, make_room(rng), rng)


def _balance(stems, room, rng):
    """Apply room, levels and a short fade at the end, and convert to 16 bits."""
    n_samples = len(stems["drums"])
    fade = np.minimum(1, np.arange(n_samples, 0, -1) / (0.05 * SAMPLE_RATE))[:, None]
    for stem, audio in stems.items():
        wet = signal.oaconvolve(audio, room, axes=0)[:n_samples]
        audio = (audio + ROOM[stem] * wet) * fade
        level = 10 ** ((LEVELS[stem] + rng.uniform(-0.8, 0.8)) / 20)
        stems[stem] = audio * level / np.sqrt(np.mean(audio**2))
    loudest = max(np.abs(audio).max() for audio in (*stems.values(), sum(stems.values())))
    scale = PEAK * 2**15 / loudest
    return {stem: np.round(audio * scale).astype(np.int16) for stem, audio in stems.items()}
