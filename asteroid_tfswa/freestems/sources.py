"""The free sounds that songs are rendered from: their index, and their audio as arrays."""

import csv
import hashlib
import math
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.freestems.effects import RATE
from asteroid_tfswa.freestems.plan import parse_key

INDEX = "index.tsv"
FORMAT = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}  # tabs alone separate
COLUMNS = ("path", "role", "kind", "instrument", "piece", "velocity", "round_robin", "key", "bpm")
ROLES = ("vocals", "bass", "other", "drums", "midi", "ir", "song")
NEEDED = ("vocals", "bass", "other", "drums", "midi")
CACHE = 400 << 20  # bytes of decoded audio that a process keeps


@dataclass(frozen=True)
class Sound:
    """A row of the index.

    Attributes:
        path (str): relative to the folder of sources.
        kind (str): "note", "one-shot", "phrase", "sung" (a phrase without key), "loop".
        instrument (str): the instrument, kit, voice or style.
        piece (str): the MIDI number of a note, the piece of a kit, the words of a phrase.
        velocity (int): its layer, 1 is the softest.
        key (str): such as "F# minor"; empty if unknown.
        bpm (float): tempo; 0 if unknown.
    """

    path: str
    kind: str
    instrument: str
    piece: str
    velocity: int
    key: str
    bpm: float


class Sources:
    """A folder of sources, read through its index.

    Args:
        folder (str or Path): holds index.tsv and the files it names.

    Attributes:
        notes (dict): "bass" and "other": instrument -> MIDI number -> list of `Sound`.
        kits (dict): kit -> piece -> list of `Sound`.
        phrases (dict): voice -> list of `Sound`.
        grooves (list): drum performances as `Sound`, whose instrument is the style.
        responses (list): impulse responses.
        songs (list): stems of real songs ("other").
        licences (list of str): of the sounds; "unknown" where the index states none.
        fingerprint (str): of the index.

    Raises:
        InputError: the folder or the index is missing or damaged, or it lacks a kind of sound.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.notes = {"bass": {}, "other": {}}
        self.kits, self.phrases = {}, defaultdict(list)
        self.grooves, self.responses, self.songs = [], [], []
        self._cache, self._cached_bytes = OrderedDict(), 0
        lists = {"midi": self.grooves, "ir": self.responses, "song": self.songs}
        found, licences = set(), set()
        for role, sound, licence in _read_index(self.folder / INDEX):
            found.add(role)
            licences.add(licence)
            if role in self.notes:
                notes = self.notes[role].setdefault(sound.instrument, {})
                notes.setdefault(int(sound.piece), []).append(sound)
            elif role == "drums":
                kit = self.kits.setdefault(sound.instrument, {})
                kit.setdefault(sound.piece, []).append(sound)
            elif role == "vocals":
                self.phrases[sound.instrument].append(sound)
            else:
                lists[role].append(sound)
        self.licences = sorted(licences)
        self.fingerprint = hashlib.sha256((self.folder / INDEX).read_bytes()).hexdigest()[:16]
        missing = [role for role in NEEDED if role not in found]
        if missing:
            raise InputError(
                f"{self.folder / INDEX}: has no rows of role {', '.join(missing)}, without which "
                "no song can be rendered; name a folder of sources that is complete"
            )
        if not any({"kick", "snare"} <= set(kit) for kit in self.kits.values()):
            raise InputError(
                f"{self.folder / INDEX}: no instrument of role drums has both pieces kick and "
                "snare; complete one"
            )

    def audio(self, sound):
        """Decode a file.

        Args:
            sound (Sound): its row of the index.

        Returns:
            ndarray: (channels, samples), float32; not to be written to.

        Raises:
            InputError: the file is missing, damaged or empty.
        """
        if sound.path in self._cache:
            self._cache.move_to_end(sound.path)
            return self._cache[sound.path]
        file = open_audio(self.folder / sound.path)
        audio = np.concatenate(list(file.blocks()))
        if file.sample_rate != RATE:
            audio = soxr.resample(audio, file.sample_rate, RATE)
        audio = np.ascontiguousarray(audio.T[:2])
        audio.flags.writeable = False
        self._cache[sound.path] = audio
        self._cached_bytes += audio.nbytes
        while self._cached_bytes > CACHE and len(self._cache) > 1:
            _, old = self._cache.popitem(last=False)
            self._cached_bytes -= old.nbytes
        return audio


def _read_index(path):
    """Read the rows of the index as (role, Sound, licence), in its order."""
    singers = {}
    for line, row in _read_rows(path):
        try:
            sound = _sound(row)
            if row["role"] == "vocals":
                _check_singer(singers, sound)
        except ValueError as error:
            raise InputError(f"{path}: line {line}: {error}") from None
        yield row["role"], sound, row.get("licence", "").strip() or "unknown"


def _read_rows(path):
    """Read the table as a list of (number of the line, row)."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", **FORMAT)
            absent = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if absent:
                raise InputError(f"{path}: has no column {', '.join(absent)}")
            return [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise InputError(
            f"{path}: does not exist; name the folder that holds the sources and their index"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


def _sound(row):
    """Check a row and make its sound; a ValueError says what is wrong."""
    role, path, bpm = row["role"], Path(row["path"]), float(row["bpm"] or 0)
    if role not in ROLES:
        raise ValueError(f"role {role!r} is none of {', '.join(ROLES)}")
    if role in ("bass", "other"):
        int(row["piece"])
    if not row["path"] or ".." in path.parts or path.is_absolute():
        raise ValueError(f"path {row['path']!r} leaves the folder")
    if not 0 <= bpm < math.inf:
        raise ValueError(f"bpm {row['bpm']!r} is no tempo; give a number above 0, or nothing")
    key, velocity = row["key"].strip(), int(row["velocity"] or 1)
    return Sound(row["path"], row["kind"], row["instrument"], row["piece"], velocity, key, bpm)


def _check_singer(singers, sound):
    """Refuse phrases in another key or tempo: a song moves all phrases of its singer alike."""
    found = parse_key(sound.key), sound.bpm
    if singers.setdefault(sound.instrument, found) != found:
        raise ValueError(
            f"key {sound.key!r} or bpm {sound.bpm:g} is not that of the phrases of "
            f"{sound.instrument!r} before; name another instrument"
        )
