"""Drums: kits of recorded and synthesised hits, played from the MIDI of human drummers."""

from typing import NamedTuple

import numpy as np

from asteroid_tfswa.freestems import effects as fx
from asteroid_tfswa.freestems import space
from asteroid_tfswa.freestems.effects import RATE
from asteroid_tfswa.freestems.sampler import add, faded, resampled

# Pieces that may stand in for one that a kit lacks, best first.
STAND_INS = {
    "kick": ["kick_left"],
    "snare": ["snare_edge", "sidestick"],
    "sidestick": ["snare_edge", "snare", "cowbell"],
    "clap": ["snare"],
    "hihat_closed": ["hihat_tight", "hihat_half", "hihat_open"],
    "hihat_open": ["hihat_loose", "hihat_half", "hihat_closed"],
    "hihat_pedal": ["hihat_tight", "hihat_closed"],
    "tom1": ["tom", "tom2", "snare"],
    "tom2": ["tom", "tom3", "tom1", "snare"],
    "tom3": ["tom", "tom4", "tom2", "tom1", "kick"],
    "crash": ["crash_right", "crash_left", "china", "ride", "hihat_open"],
    "crash2": ["crash_left", "china", "crash", "crash_right", "ride", "hihat_open"],
    "ride": ["ride_left", "crash", "crash_right", "hihat_closed"],
    "ride_bell": ["ride_left_bell", "ride", "cowbell", "hihat_closed"],
    "shaker": ["percussion", "hihat_closed"],
    "percussion": ["cowbell", "sidestick", "tom1"],
}
PIECES = tuple(STAND_INS)
CYMBALS = ("crash", "crash2", "ride", "ride_bell")
HIHATS = ("hihat_closed", "hihat_open", "hihat_pedal")
# Where a drummer's pieces stand, from left to right, and the level of one-shots of no kit.
PLACES = {"tom1": -0.3, "tom2": 0.0, "tom3": 0.4, "crash": -0.5, "crash2": 0.5, "ride": 0.4}
PLACES |= {"hihat_closed": 0.25, "hihat_open": 0.25, "hihat_pedal": 0.25, "ride_bell": 0.4}
PLACES |= {"shaker": -0.35, "percussion": 0.3, "clap": 0.0}
LEVELS = {"kick": 1.0, "snare": 0.8, "clap": 0.6, "sidestick": 0.4, "hihat_closed": 0.22}
LEVELS |= {"hihat_open": 0.3, "hihat_pedal": 0.15, "crash": 0.45, "crash2": 0.45, "ride": 0.25}
LEVELS |= {"ride_bell": 0.3, "shaker": 0.2, "percussion": 0.35}


class Hit(NamedTuple):
    """A hit: seconds, piece, velocity from 0 to 1."""

    time: float
    piece: str
    velocity: float


class Kit:
    """A drum kit for one song: which sounds are hit, how they are tuned, placed and balanced.

    Args:
        sources (Sources): where the audio is.
        rng (Generator): all choices.
        electronic (bool): one-shots and synthesised drums rather than a recorded kit.
    """

    def __init__(self, sources, rng, electronic):
        self.sources, self.rng, self.electronic = sources, rng, electronic
        self._sounds, self._cache = {}, {}
        kits = sources.kits
        full = sorted(name for name in kits if {"kick", "snare"} <= set(kits[name]))
        acoustic = [name for name in full if len(kits[name]["snare"]) > 8] or full
        one_shots = [name for name in full if name not in acoustic] or full
        snares = sorted(name for name in kits if set(kits[name]) == {"snare"})
        self.base = str(rng.choice(one_shots if electronic else acoustic))
        other = str(rng.choice(full))
        for piece in PIECES:
            kit = kits[self.base]
            if piece == "snare" and snares and rng.random() < (0.25 if electronic else 0.6):
                kit = kits[str(rng.choice(snares))]
            elif piece not in ("kick", "snare") and rng.random() < 0.15:
                kit = kits[other]
            self._sounds[piece] = self._find(kit, piece) or self._find_anywhere(piece)
        self.tuning = {piece: 2 ** (rng.normal(0, 1.2) / 12) for piece in PIECES}
        for pieces in (HIHATS, CYMBALS):
            for piece in pieces:
                self.tuning[piece] = self.tuning[pieces[0]]
        self.gains = {piece: fx.db(float(np.clip(rng.normal(0, 2), -5, 5))) for piece in PIECES}
        self.side = rng.choice([-1, 1]) * rng.uniform(0.3, 1.3)
        self.narrow = rng.uniform(0.3, 1.0)
        self.loudest = {}
        synthetic = {"kick": _kick, "snare": _snare, "clap": _clap, "hihat_closed": _hihat}
        self.synthetic = {}
        for piece, make in synthetic.items():
            share = {"clap": 0.8, "kick": 0.45}.get(piece, 0.3)
            if (electronic and rng.random() < share) or piece == "clap":
                self.synthetic[piece] = make(rng)
        if "hihat_closed" in self.synthetic:
            self.synthetic["hihat_open"] = _hihat(rng, rng.uniform(0.15, 0.4))

    def _find(self, kit, piece):
        """The layers of a piece or of its first stand-in: lists of `Sound`, softest first."""
        for name in (piece, *STAND_INS[piece]):
            if name in kit:
                sounds = kit[name]
                velocities = sorted({sound.velocity for sound in sounds})
                layers = [[s for s in sounds if s.velocity == v] for v in velocities]
                if self.electronic and len(layers) == 1:  # one-shots: a song has one of them
                    layers = [[layers[0][self.rng.integers(len(layers[0]))]]]
                return layers
        return None

    def _find_anywhere(self, piece):
        for name in (piece, *STAND_INS[piece]):
            kits = [kit for kit in self.sources.kits.values() if name in kit]
            if kits:
                return self._find(kits[self.rng.integers(len(kits))], piece)
        return None

    def hit(self, piece, velocity):
        """Audio of one hit, (2, samples)."""
        if piece in self.synthetic:
            return self.synthetic[piece] * np.float32(velocity**1.4 * self.gains[piece])
        layers = self._sounds[piece]
        if layers is None:
            return np.zeros((2, 1), dtype=np.float32)
        layer = layers[min(int(velocity * len(layers)), len(layers) - 1)]
        audio = self._placed(piece, layer[self.rng.integers(len(layer))])
        gain = velocity**1.3 if len(layers) == 1 else 0.7 + 0.3 * velocity
        return audio * np.float32(gain * self.gains[piece] * self._scale(piece, layers))

    def _scale(self, piece, layers):
        """Bring a piece's loudest hit to the level that it has in a balanced kit."""
        if piece not in self.loudest:
            peak = np.abs(self._placed(piece, layers[-1][0])).max()
            self.loudest[piece] = LEVELS.get(piece, 0.7) / max(float(peak), 1e-6)
        return self.loudest[piece]

    def _placed(self, piece, sound):
        key = (piece, sound.path)
        if key not in self._cache:
            audio = self.sources.audio(sound)
            audio = np.repeat(audio, 2, axis=0) if len(audio) == 1 else audio
            audio = resampled(audio, self.tuning[piece])
            centred = piece in ("kick", "snare", "clap")
            audio = space.width(audio, 0.3 * self.narrow if centred else self.narrow)
            place = float(np.clip(PLACES.get(piece, 0) * self.side, -1, 1))
            self._cache[key] = space.pan(audio, place)
        return self._cache[key]


def perform(kit, hits, n_samples):
    """Play hits on a kit; a closed or pedalled hi-hat ends an open one.

    Args:
        kit (Kit): what to play on.
        hits (list[Hit]): sorted by time.
        n_samples (int): length of the track.

    Returns:
        dict: "kick", "snare" and "rest", those that are played: (2, n_samples), float32, dry.
    """
    tracks = {}
    hats = [hit.time for hit in hits if hit.piece in HIHATS]
    for hit in hits:
        start = int(hit.time * RATE)
        if not 0 <= start < n_samples:
            continue
        audio = kit.hit(hit.piece, hit.velocity)
        if hit.piece == "hihat_open":
            following = np.searchsorted(hats, hit.time + 0.01)
            if following < len(hats):
                length = int((hats[following] - hit.time) * RATE)
                audio = faded(audio, length + 400, 400)
        name = hit.piece if hit.piece in ("kick", "snare") else "rest"
        if name not in tracks:
            tracks[name] = np.zeros((2, n_samples), dtype=np.float32)
        add(tracks[name], audio, start)
    return tracks


def mix(tracks, rng, electronic, room):
    """Mix the pieces of a kit as studios do: equaliser, room, compression, saturation.

    Args:
        tracks (dict): see `perform`.
        rng (Generator): all choices.
        electronic (bool): dry and hard rather than in a room.
        room (ndarray): impulse response, (2, samples), of unit energy.

    Returns:
        ndarray: (2, samples).
    """
    kick = tracks.get("kick")
    rest = [track for name, track in tracks.items() if name != "kick"]
    if kick is not None:
        kick = fx.peak(kick, rng.uniform(45, 75), rng.uniform(-2, 6), 1.0)
        kick = fx.peak(kick, rng.uniform(250, 450), rng.uniform(-8, 0), 0.9)
        kick = fx.peak(kick, rng.uniform(2500, 5000), rng.uniform(-3, 6), 0.8)
        if rng.random() < 0.5:
            kick = fx.saturate(kick, rng.uniform(-3, 9))
    bus = sum(rest) if rest else np.zeros_like(kick)
    if "snare" in tracks and rng.random() < 0.6:  # a plate on the snare alone
        plate = space.hall(rng, rng.uniform(0.4, 1.8), rng.uniform(4000, 10000))
        snare = space.reverberate(tracks["snare"], plate, rng.uniform(0.05, 0.3))
        bus = bus + snare - tracks["snare"]
    if kick is not None:
        bus = bus + kick
    wet = rng.uniform(0, 0.12) if electronic else rng.uniform(0.03, 0.35)
    bus = space.reverberate(bus, room, wet)
    if rng.random() < 0.6:  # compressed in parallel
        squashed = fx.compress(bus, rng.uniform(-30, -18), 8, 0.003, rng.uniform(0.05, 0.2))
        bus = bus + rng.uniform(0.1, 0.5) * squashed
    if rng.random() < 0.7:
        bus = fx.compress(bus, rng.uniform(-16, -6), rng.uniform(2, 5), rng.uniform(0.003, 0.03))
    if rng.random() < 0.5:
        bus = fx.saturate(bus, rng.uniform(-6, 8))
    if rng.random() < 0.06:
        bus = fx.crush(bus, rng.integers(8, 13), rng.integers(1, 4))
    return fx.tone(bus, rng, 2.5)


# ---- Synthesised drums ---------------------------------------------------------------------------


def _stereo(audio, level):
    audio = audio / max(np.abs(audio).max(), 1e-9) * level
    return np.repeat(audio[None].astype(np.float32), 2, axis=0)


def _kick(rng):
    time = np.arange(int(rng.uniform(0.25, 0.7) * RATE)) / RATE
    low, high = rng.uniform(38, 62), rng.uniform(120, 500)
    frequency = low + high * np.exp(-time / rng.uniform(0.01, 0.05))
    body = np.sin(2 * np.pi * np.cumsum(frequency) / RATE) * np.exp(-time / rng.uniform(0.08, 0.3))
    click = rng.standard_normal(len(time)) * np.exp(-time / 0.003) * rng.uniform(0, 0.4)
    audio = np.tanh((body + click) * rng.uniform(1, 4))
    audio[-500:] *= np.linspace(1, 0, 500)
    return _stereo(audio, LEVELS["kick"])


def _snare(rng):
    time = np.arange(int(rng.uniform(0.15, 0.4) * RATE)) / RATE
    tone = np.sin(2 * np.pi * rng.uniform(150, 260) * time) * np.exp(-time / 0.06)
    noise = rng.standard_normal((1, len(time))) * np.exp(-time / rng.uniform(0.04, 0.15))
    noise = fx.cut(noise.astype(np.float32), rng.uniform(500, 2000), rng.uniform(7000, 15000))[0]
    return _stereo(np.tanh(rng.uniform(0.3, 1.2) * tone + rng.uniform(0.5, 1) * noise), 0.8)


def _clap(rng):
    time = np.arange(int(rng.uniform(0.2, 0.4) * RATE)) / RATE
    envelope = np.exp(-time / rng.uniform(0.04, 0.12))
    for start in np.cumsum(rng.uniform(0.006, 0.014, 3)):
        envelope += (time > start) * np.exp(-np.maximum(time - start, 0) / 0.006)
    noise = (rng.standard_normal((2, len(time))) * envelope).astype(np.float32)
    noise = fx.peak(fx.cut(noise, 600, 9000), rng.uniform(900, 1700), 9, 1.2)
    return noise / np.abs(noise).max() * np.float32(LEVELS["clap"])


def _hihat(rng, length=None):
    length = length or rng.uniform(0.02, 0.08)
    time = np.arange(int(6 * length * RATE)) / RATE
    metal = sum(np.sign(np.sin(2 * np.pi * f * time)) for f in rng.uniform(2000, 9000, 6))
    audio = metal / 6 * rng.uniform(0, 1) + 0.5 * rng.standard_normal(len(time))
    audio = (audio * np.exp(-time / length))[None].astype(np.float32)
    return _stereo(fx.cut(audio, rng.uniform(5000, 8500))[0], LEVELS["hihat_closed"])
