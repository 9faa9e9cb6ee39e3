"""Find the songs of a raw data set, in the layouts that people use."""

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from asteroid_tfswa.audio.folders import visible_entries
from asteroid_tfswa.data.musdb18 import STEM_MP4_STREAMS
from asteroid_tfswa.data.songs import SPLITS
from asteroid_tfswa.errors import InputError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")  # those that messages name
OTHER_SUFFIXES = (".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".wma")  # accepted as well
STEM_MP4_SUFFIX = ".stem.mp4"


@dataclass(frozen=True)
class RawSong:
    """A song as the user has it: a folder of audio files, or one stem.mp4 file.

    Attributes:
        name (str): the folder's name, or the file's without ".stem.mp4".
        path (Path): that folder or file.
        files (dict[str, Path]): every audio file by its name without suffix, sorted: stems, the
            mixture, and any others. For a stem.mp4 file all values are that file.
    """

    name: str
    path: Path
    files: dict[str, Path]

    @property
    def is_stem_mp4(self):
        """bool: whether all stems are streams of one stem.mp4 file."""
        return self.path.name.lower().endswith(STEM_MP4_SUFFIX)


def find_raw_songs(source_dir):
    """Find the songs of a raw data set, without opening their files.

    Supports two layouts, also mixed: `<split>/<song>.stem.mp4` (MUSDB18) and
    `<split>/<song>/<stem>.{wav,flac,ogg,mp3}` (MUSDB18-HQ and other collections), for the splits
    train, test and, optionally, valid. Ignores hidden files and what network storage and archives
    add. A song that exists in both forms is taken from its folder. Links are followed.

    Args:
        source_dir (str or Path): the folder that holds `train/` and `test/`.

    Returns:
        dict[str, list[RawSong]]: songs of "train", "valid" and "test", each sorted by name.

    Raises:
        InputError: no songs, two files for one stem, a dangling link, two names for one folder, an
            audio file that is not a regular file, or a name with control characters or bytes that
            are not UTF-8.
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
    _check_each_folder_once(found)
    return found


def _songs_of_split(folder):
    _check_link(folder)
    if not folder.is_dir():
        return []
    songs = {}
    # Folders sort after files of the same name here, so that they win.
    for path in sorted(visible_entries(folder), key=lambda path: path.is_dir()):
        _check_link(path)
        is_stem_mp4 = path.name.lower().endswith(STEM_MP4_SUFFIX)
        if path.is_dir():
            name, files = path.name, _audio_files(path)
        elif is_stem_mp4 and path.name.lower() != STEM_MP4_SUFFIX:
            _check_regular(path)
            name = path.name[: -len(STEM_MP4_SUFFIX)]
            files = dict.fromkeys(sorted(STEM_MP4_STREAMS), path)
        else:
            continue
        _check_name(path)
        songs[name] = RawSong(name, path, files)
    return [songs[name] for name in sorted(songs)]


def _audio_files(folder):
    files = {}
    for path in visible_entries(folder):
        if path.suffix.lower() not in AUDIO_SUFFIXES + OTHER_SUFFIXES:
            continue
        _check_link(path)
        if path.is_dir():
            continue
        _check_regular(path)
        _check_name(path)
        if path.stem in files:
            raise InputError(
                f"{folder}: {files[path.stem].name} and {path.name} both exist; keep one of them "
                f"as the stem {path.stem!r}"
            )
        files[path.stem] = path
    return dict(sorted(files.items()))


def _check_link(path):
    if path.is_symlink() and not os.path.exists(path):
        raise InputError(
            f"{path}: is a link to {os.readlink(path)}, which does not exist or leads back to "
            "itself; put the target back or remove the link"
        )


def _check_regular(path):
    if not path.is_file():
        raise InputError(f"{path}: is not a regular file; replace it with an audio file")


def _check_name(path):
    """Song and stem names go into tables, JSON and messages of one line."""
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in path.name):
        raise InputError(
            f"{str(path)!r}: the name holds control characters or bytes that are not UTF-8; "
            "rename it"
        )


def _check_each_folder_once(found):
    """Refuse a song with two names, which could be in train and test, or count twice."""
    names = {}
    for song in (song for songs in found.values() for song in songs):
        if song.is_stem_mp4:
            continue
        real = os.path.realpath(song.path)
        if real in names:
            raise InputError(
                f"{song.path}: is the same folder as {names[real]}; remove one of the two"
            )
        names[real] = song.path
