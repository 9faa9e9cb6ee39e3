"""What the drummer plays: human performances from MIDI files, and programmed patterns."""

from pathlib import Path

import mido
import numpy as np

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.freestems.drums import Hit

# The electronic kit of the Groove MIDI data set; other drum files follow General MIDI.
PIECE_OF_NOTE = {35: "kick", 36: "kick", 37: "sidestick", 38: "snare", 40: "snare", 39: "clap"}
PIECE_OF_NOTE |= {41: "tom3", 43: "tom3", 45: "tom2", 47: "tom2", 48: "tom1", 50: "tom1"}
PIECE_OF_NOTE |= {58: "tom3", 22: "hihat_closed", 42: "hihat_closed", 44: "hihat_pedal"}
PIECE_OF_NOTE |= {26: "hihat_open", 46: "hihat_open", 49: "crash", 55: "crash2", 57: "crash2"}
PIECE_OF_NOTE |= {
    52: "crash2",
    51: "ride",
    59: "ride",
    53: "ride_bell",
    54: "shaker",
    56: "percussion",
}

# Programmed bars of 16 steps: x a hit, o a soft one.
KICKS = {
    "four": ["x...x...x...x...", "x...x...x...x.x."],
    "break": ["x.x.......xx....", "x.........x.....", "x..x......x..x..", "x.x....x..x....."],
    "trap": ["x......x..x.....", "x.....x...x..x..", "x..........x....", "x...x.....x....."],
    "pop": ["x.....x.x.......", "x.......x.x.....", "x..x....x..x....", "x.......x......."],
}
SNARES = {
    "four": ["....x.......x...", "....x.......x..o"],
    "break": ["....x..o.o..x...", "....x.......x..x"],
    "trap": ["........x.......", "........x......o"],
    "pop": ["....x.......x...", "....x......ox..."],
}
HATS = {
    "four": ["..x...x...x...x.", "x.x.x.x.x.x.x.x.", "xoxoxoxoxoxoxoxo", "..x...x...x..ox."],
    "break": ["x.x.x.x.x.x.x.x.", "xoxoxoxoxoxoxoxo"],
    "trap": ["x.x.x.x.x.x.x.x.", "x.xxx.x.x.xxx.xx", "xoxoxoxoxoxoxoxo"],
    "pop": ["x.x.x.x.x.x.x.x.", "x...x...x...x...", "xoxoxoxoxoxoxoxo"],
}


class Performance:
    """The hits of a MIDI file in beats.

    Args:
        path (Path): a MIDI file of drums in 4/4.

    Attributes:
        hits (list[Hit]): their times in beats.
        n_bars (int): whole bars of four beats, at least 1.

    Raises:
        InputError: the file is missing or damaged, or has no drums.
    """

    def __init__(self, path):
        try:
            midi = mido.MidiFile(Path(path))
        except FileNotFoundError:
            raise InputError(f"{path}: is missing; download the sources again") from None
        except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
            raise InputError(f"{path}: is no MIDI file that can be read ({error})") from None
        self.hits = []
        for track in midi.tracks:
            ticks = 0
            for message in track:
                ticks += message.time
                if message.type == "note_on" and message.velocity:
                    piece = PIECE_OF_NOTE.get(message.note)
                    if piece:
                        beat = ticks / midi.ticks_per_beat
                        self.hits.append(Hit(beat, piece, message.velocity / 127))
        if not self.hits:
            raise InputError(f"{path}: has no drum that is known; remove its row from the index")
        self.hits.sort()
        self.n_bars = max(1, int((self.hits[-1].time + 1) // 4))

    def bar(self, number):
        """Hits of one bar, whose times begin at about 0 (a hit may come a little early)."""
        start = 4 * (number % self.n_bars)
        early = 0.12
        return [
            Hit(hit.time - start, hit.piece, hit.velocity)
            for hit in self.hits
            if start - early <= hit.time < start + 4 - early
        ]


def choose_grooves(sources, rng, styles, bpm):
    """Choose a long performance for a song, and a short one for its fills.

    Args:
        sources (Sources): where the MIDI files are.
        rng (Generator): the choice.
        styles (list[str]): wanted styles; any style if none of them exists.
        bpm (float): tempo of the song; performances of similar tempo are preferred.

    Returns:
        tuple[Performance, Performance]: a groove and fills.
    """
    grooves = [groove for groove in sources.grooves if "4-4" in groove.piece or not groove.piece]
    grooves = grooves or sources.grooves
    wanted = [groove for groove in grooves if groove.instrument.split("/")[0] in styles] or grooves
    near = [groove for groove in wanted if 0.75 < bpm / (groove.bpm or bpm) < 1.4] or wanted
    beats = [groove for groove in near if "fill" not in groove.piece] or near
    fills = [groove for groove in near if "fill" in groove.piece] or beats
    chosen = [pool[rng.integers(len(pool))] for pool in (beats, fills)]
    return tuple(Performance(sources.folder / sound.path) for sound in chosen)


def programmed_bar(rng, kind, machine):
    """Make one bar of a pattern; `machine` is a dict that keeps the choices for a song."""
    if not machine:
        machine["kick"] = str(rng.choice(KICKS[kind]))
        machine["snare"] = str(rng.choice(SNARES[kind]))
        machine["hats"] = str(rng.choice(HATS[kind]))
        machine["back"] = str(rng.choice(["snare", "clap", "snare+clap"]))
        machine["open"] = rng.random() < 0.4
        machine["swing"] = rng.choice([0, 0, 0, 0.04, 0.08])
        machine["shaker"] = rng.random() < 0.3
        machine["percussion"] = "".join(rng.choice(list("x......"), 16)) * (rng.random() < 0.35)
    bar = []

    def put(pattern, piece, loud, soft):
        for step, sign in enumerate(pattern):
            if sign != ".":
                time = step / 4 + (machine["swing"] if step % 2 else 0)
                bar.append(Hit(time, piece, (loud if sign == "x" else soft) * rng.uniform(0.92, 1)))

    put(machine["kick"], "kick", 1.0, 0.6)
    for piece in machine["back"].split("+"):
        put(machine["snare"], piece, 0.95, 0.35)
    put(machine["hats"], "hihat_closed", 0.85, 0.45)
    if machine["open"]:
        put("..x...x...x...x.", "hihat_open", 0.8, 0.5)
    if machine["shaker"]:
        put("xoxoxoxoxoxoxoxo", "shaker", 0.8, 0.4)
    put(machine["percussion"], "percussion", 0.8, 0.4)
    if kind == "trap" and rng.random() < 0.5:  # a roll of the hi-hat
        start, n_steps = rng.integers(0, 14) / 4, rng.choice([6, 8, 12])
        rolls = [start + i / n_steps for i in range(n_steps)]
        bar += [Hit(time, "hihat_closed", rng.uniform(0.4, 0.8)) for time in rolls if time < 4]
    return bar


def programmed_fill(rng):
    """Make one bar that leads to the next section: a roll that gets louder."""
    piece = str(rng.choice(["snare", "clap", "tom2", "kick"]))
    steps = np.arange(0, 4, rng.choice([0.25, 0.5]))
    if rng.random() < 0.5:
        steps = np.concatenate([steps[steps < 2], np.arange(2, 4, 0.25)])
    return [Hit(float(time), piece, float(0.35 + 0.15 * time)) for time in steps]
