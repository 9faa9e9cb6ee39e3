"""Songs on disk: finding them in the layouts people have, and reading the prepared set."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from asteroid_tfswa.data.musdb18 import STEM_MP4_STREAMS
from asteroid_tfswa.errors import InputError

SPLITS = ("train", "valid", "test")
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
STEM_MP4_SUFFIX = ".stem.mp4"
DATASET_FILE = "dataset.json"
SPOT = 4096  # bytes of each file that its fingerprint reads, at a quarter, half and three quarters


@dataclass(frozen=True)
class Song:
    """A prepared song: WAV files of equal length, rate and number of channels.

    Attributes:
        name (str): the song's name, which is its folder's.
        folder (Path): `<data_dir>/<split>/<name>`.
        stems (dict[str, Path]): WAV file of every stem, sorted by name, without the mixture.
        mixture (Path or None): WAV file of the mixture; in prepared data there always is one.
        n_samples (int): length in samples per channel.
        sample_rate (int): in Hz.
        n_channels (int): 1 is mono, 2 is stereo.
    """

    name: str
    folder: Path
    stems: dict[str, Path]
    mixture: Path | None
    n_samples: int
    sample_rate: int
    n_channels: int

    @cached_property
    def fingerprint(self):
        """str: changes when an audio file of the song does, and stays when folders are moved.

        Of every file it takes the name, the size and three spots of the audio: a replaced stem of
        the same length is noticed without reading all of it.
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
    """

    name: str
    license: str
    sample_rate: int
    n_channels: int
    validation: str
    splits: dict[str, list[Song]]

    @cached_property
    def fingerprint(self):
        """str: changes when a song, the splits or the audio do, and stays when folders are moved.

        The set's name and licence do not count.
        """
        digest = hashlib.sha256()
        for split, songs in self.splits.items():
            digest.update(f"{split} {len(songs)}".encode())
            for song in songs:
                digest.update(song.fingerprint.encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class RawSong:
    """A song as the user has it: a folder of audio files, or one stem.mp4 file.

    Attributes:
        name (str): the folder's name, or the file's without ".stem.mp4".
        path (Path): that folder or file.
        files (dict[str, Path]): audio file of every stem and of the mixture if there is one,
            sorted by name. In a stem.mp4 file all of them are that file.
    """

    name: str
    path: Path
    files: dict[str, Path]

    @property
    def is_stem_mp4(self):
        """bool: whether all stems are streams of one stem.mp4 file."""
        return self.path.name.endswith(STEM_MP4_SUFFIX)


def find_songs(source_dir):
    """Find the songs of a raw data set; nothing is opened.

    Known layouts, also mixed: `<split>/<song>.stem.mp4` (MUSDB18) and
    `<split>/<song>/<stem>.{wav,flac,ogg,mp3}` (MUSDB18-HQ and own collections), for the splits
    train, test and, if there is one, valid. Hidden files and folders are ignored. A song that is
    there in both forms is taken from its folder.

    Args:
        source_dir (str or Path): the folder that holds `train/` and `test/`.

    Returns:
        dict[str, list[RawSong]]: songs of "train", "valid" and "test", each sorted by name.

    Raises:
        InputError: no songs there, or two files for one stem.
    """
    source_dir = Path(source_dir)
    if not source_dir.is_dir():
        raise InputError(f"{source_dir}: no such folder; name the one that holds train/ and test/")
    found = {split: _songs_of_split(source_dir / split) for split in SPLITS}
    if not any(found.values()):
        raise InputError(
            f"{source_dir}: no songs found; looked for train/<song>.stem.mp4 and "
            f"train/<song>/<stem>{{{','.join(AUDIO_SUFFIXES)}}}, and the same in test/ and valid/; "
            "name the folder that holds train/ and test/"
        )
    return found


def _songs_of_split(folder):
    if not folder.is_dir():
        return []
    songs = {}
    # Folders sort after files of the same name here, so that they win.
    for path in sorted(_visible(folder), key=lambda path: path.is_dir()):
        if path.is_dir():
            songs[path.name] = RawSong(path.name, path, _audio_files(path))
        elif path.name.endswith(STEM_MP4_SUFFIX):
            name = path.name.removesuffix(STEM_MP4_SUFFIX)
            songs[name] = RawSong(name, path, dict.fromkeys(sorted(STEM_MP4_STREAMS), path))
    return [songs[name] for name in sorted(songs)]


def _audio_files(folder):
    files = {}
    for path in _visible(folder):
        if path.suffix.lower() not in AUDIO_SUFFIXES:
            continue
        if path.stem in files:
            raise InputError(
                f"{folder}: {files[path.stem].name} and {path.name} are both there; keep one of "
                f"them as the stem {path.stem!r}"
            )
        files[path.stem] = path
    return dict(sorted(files.items()))


def _visible(folder):
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def read_prepared(data_dir):
    """Read the set that `prepare` made in `data_dir`. Needs no ffmpeg, musdb or museval.

    Args:
        data_dir (str or Path): the folder that holds dataset.json.

    Returns:
        PreparedData: the set with the paths of all its files.

    Raises:
        InputError: dataset.json is missing or damaged, or one of the audio files is gone.
    """
    path = Path(data_dir) / DATASET_FILE
    if not path.is_file():
        raise InputError(f"{path}: not found; prepare the data first (run stage 0)")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        data = _prepared_data(path.parent, stored)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: damaged ({type(error).__name__}: {error}); remove it and run stage 0 again"
        ) from None
    for songs in data.splits.values():
        for song in songs:
            _check_files_exist(song)
    return data


def _prepared_data(data_dir, stored):
    splits = {}
    for split in SPLITS:
        splits[split] = []
        for entry in stored["songs"][split]:
            folder = data_dir / split / entry["name"]
            song = Song(
                name=entry["name"],
                folder=folder,
                stems={stem: folder / f"{stem}.wav" for stem in sorted(entry["stems"])},
                mixture=folder / "mixture.wav",
                n_samples=int(entry["n_samples"]),
                sample_rate=int(stored["sample_rate"]),
                n_channels=int(stored["n_channels"]),
            )
            splits[split].append(song)
    return PreparedData(
        name=stored["name"],
        license=stored["license"],
        sample_rate=int(stored["sample_rate"]),
        n_channels=int(stored["n_channels"]),
        validation=stored["validation"],
        splits=splits,
    )


def _check_files_exist(song):
    for path in (song.mixture, *song.stems.values()):
        if not path.exists():
            # WAV files are linked, not copied: the usual reason is that their source was moved.
            target = f" (a link to {path.readlink()})" if path.is_symlink() else ""
            raise InputError(
                f"{path}{target}: the file is gone; put it back, or remove the prepared data and "
                "run stage 0 again"
            )
