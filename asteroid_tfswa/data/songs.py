"""The prepared set of songs: what training and evaluation read."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import soundfile

from asteroid_tfswa.errors import InputError

SPLITS = ("train", "valid", "test")
DATASET_FILE = "dataset.json"
SPOT = 4096  # bytes that a fingerprint reads at a quarter, a half and three quarters of each file


@dataclass(frozen=True)
class Song:
    """A prepared song: WAV files of equal length, rate and number of channels.

    Attributes:
        name (str): the song's name, which is that of its folder.
        folder (Path): `<data_dir>/<split>/<name>`.
        stems (dict[str, Path]): WAV file of every stem, sorted by name, without the mixture.
        mixture (Path): WAV file of the mixture.
        n_samples (int): length in samples per channel.
        sample_rate (int): in Hz.
        n_channels (int): 1 is mono, 2 is stereo.
    """

    name: str
    folder: Path
    stems: dict[str, Path]
    mixture: Path
    n_samples: int
    sample_rate: int
    n_channels: int

    @cached_property
    def fingerprint(self):
        """str: changes when an audio file of the song changes, not when folders are moved.

        It covers the name, the size and three short parts of each file: a replaced stem of the same
        length is noticed without reading all of it.
        """
        digest = hashlib.sha256(repr((self.name, self.n_samples, self.sample_rate)).encode())
        for stem, path in {"mixture": self.mixture, **self.stems}.items():
            with open(path, "rb") as file:
                size = file.seek(0, 2)
                digest.update(f"{stem} {size}".encode("utf-8", "surrogateescape"))
                for quarter in (1, 2, 3):
                    file.seek(size * quarter // 4)
                    digest.update(file.read(SPOT))
        return digest.hexdigest()


@dataclass(frozen=True)
class PreparedData:
    """A prepared set of songs, as `read_prepared` returns it.

    Attributes:
        name (str): the set's name, for example "MUSDB18-HQ".
        license (str): terms of the audio.
        sample_rate (int): of every song, in Hz.
        n_channels (int): of every song.
        validation (str): one sentence that says how the validation songs were chosen.
        splits (dict[str, list[Song]]): songs of "train", "valid" and "test", sorted by name.
        notes (list[str]): what the user should know, such as files that were left out.
    """

    name: str
    license: str
    sample_rate: int
    n_channels: int
    validation: str
    splits: dict[str, list[Song]]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def fingerprint(self):
        """str: changes when a song, the splits or the audio change, not when folders are moved.

        It does not depend on the set's name and licence.
        """
        digest = hashlib.sha256()
        for split, songs in self.splits.items():
            digest.update(f"{split} {len(songs)}".encode())
            for song in songs:
                digest.update(song.fingerprint.encode())
        return digest.hexdigest()


def read_prepared(data_dir):
    """Read the set that `prepare` made in `data_dir`. Needs no ffmpeg, musdb or museval.

    Args:
        data_dir (str or Path): the folder that holds dataset.json.

    Returns:
        PreparedData: the set with the paths of all its files.

    Raises:
        InputError: dataset.json is missing or damaged, or an audio file is missing or has changed
            its length, rate or channels.
    """
    path = Path(data_dir) / DATASET_FILE
    if not path.is_file():
        raise InputError(f"{path}: not found; prepare the data first (run stage 0)")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        data = _prepared_data(path.parent, stored)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: damaged ({type(error).__name__}: {error}); run stage 0 again"
        ) from None
    for songs in data.splits.values():
        for song in songs:
            check_files(song)
    return data


def _prepared_data(data_dir, stored):
    sample_rate, n_channels = _count(stored["sample_rate"]), _count(stored["n_channels"])
    splits = {}
    for split in SPLITS:
        splits[split] = []
        for entry in stored["songs"][split]:
            splits[split].append(song_of_entry(entry, data_dir / split, sample_rate, n_channels))
    return PreparedData(
        name=str(stored["name"]),
        license=str(stored["license"]),
        sample_rate=sample_rate,
        n_channels=n_channels,
        validation=str(stored["validation"]),
        splits=splits,
        notes=[str(note) for note in stored.get("notes", [])],
    )


def song_of_entry(entry, split_dir, sample_rate, n_channels):
    """Make a `Song` from its entry in dataset.json.

    Args:
        entry (dict): has the keys name, n_samples and stems.
        split_dir (Path): the folder that holds the song's folder.
        sample_rate (int): in Hz.
        n_channels (int): 1 is mono, 2 is stereo.

    Returns:
        Song: the song; its files need not exist.

    Raises:
        ValueError, KeyError or TypeError: the entry is damaged.
    """
    folder = split_dir / _file_name(entry["name"])
    return Song(
        name=entry["name"],
        folder=folder,
        stems={stem: folder / f"{_file_name(stem)}.wav" for stem in sorted(entry["stems"])},
        mixture=folder / "mixture.wav",
        n_samples=_count(entry["n_samples"]),
        sample_rate=sample_rate,
        n_channels=n_channels,
    )


def _count(value):
    if type(value) is not int or value < 1:
        raise ValueError(f"{value!r} found, a number above 0 expected")
    return value


def _file_name(value):
    if not isinstance(value, str) or value in ("", ".", "..") or "/" in value or "\0" in value:
        raise ValueError(f"{value!r} found, a name expected")
    return value


def check_files(song):
    """Check by their headers that the files of a prepared song exist and belong together.

    Args:
        song (Song): the song.

    Raises:
        InputError: a file is missing, or its length, rate or channels are not the song's.
    """
    for path in (song.mixture, *song.stems.values()):
        if not path.is_file():
            # WAV files are linked, not copied: the usual reason is that their source was moved.
            target = f" (a link to {os.readlink(path)})" if path.is_symlink() else ""
            raise InputError(
                f"{path}{target}: the file is missing; put it back, or run stage 0 again"
            )
        try:
            info = soundfile.info(os.fsencode(path))  # names need not be UTF-8
            found = (info.frames, info.samplerate, info.channels)
        except soundfile.LibsndfileError:
            found = (0, 0, 0)
        if found != (song.n_samples, song.sample_rate, song.n_channels):
            raise InputError(
                f"{path}: has changed since it was prepared ({found[0]} samples at {found[1]} Hz "
                f"in {found[2]} channels, expected {song.n_samples} at {song.sample_rate} in "
                f"{song.n_channels}); put it back, or run stage 0 again"
            )
