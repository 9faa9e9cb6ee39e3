"""Built-in songs: a small set in MUSDB18-HQ's own form, made from a seed, with no download."""

import json
import os
import shutil
from pathlib import Path

import soundfile
from tqdm import tqdm

from asteroid_tfswa.data.builtin.render import find_sound_font, make_song
from asteroid_tfswa.data.builtin.voice import SAMPLE_RATE
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write

SPLITS = ("train", "test")


def make_builtin_songs(folder, n_train=10, n_test=2, duration=30.0, seed=0):
    """Make songs as `<folder>/{train,test}/<song>/{mixture,vocals,drums,bass,other}.wav`.

    Songs that are there already are kept, so an interrupted run continues where it was. The same
    seed gives the same files, byte for byte, on the same machine. The mixture is the exact sum of
    the stems (16-bit, 44.1 kHz, stereo).

    Args:
        folder (str or Path): where to; made if missing.
        n_train (int): training songs. Default: 10, of which two serve for validation later.
        n_test (int): test songs. Default: 2.
        duration (float): seconds of each song, at least 4. Default: 30.
        seed (int): 0 or more. Default: 0.

    Returns:
        Path: `folder`.

    Raises:
        InputError: an argument out of range, songs of another seed or duration in `folder`, or
            packages missing that the songs are made with.
    """
    folder = Path(folder)
    counts = {"n_train": n_train, "n_test": n_test, "seed": seed}
    for name, value in counts.items():
        if value < 0:
            raise InputError(f"{name} is {value}: give 0 or more")
    if duration < 4:
        raise InputError(f"duration is {duration} seconds: give 4 or more")
    sound_font = find_sound_font()
    _check_recipe(folder / "builtin.json", {"seed": seed, "duration": duration})

    todo = [
        (split, index)
        for split, count in zip(SPLITS, (n_train, n_test), strict=True)
        for index in range(count)
        if not _song_folder(folder, split, index).is_dir()
    ]
    for split, index in tqdm(todo, desc="making built-in songs", unit="song", disable=not todo):
        stems = make_song((seed, SPLITS.index(split), index), index, duration, sound_font)
        _write_song(_song_folder(folder, split, index), stems, folder)
    return folder


def _song_folder(folder, split, index):
    return folder / split / f"{split}_{index + 1:02d}"


def _check_recipe(path, recipe):
    """Songs made another way must not be taken for the ones asked for."""
    if not path.exists():
        with atomic_write(path) as tmp:
            tmp.write_text(json.dumps(recipe) + "\n")
        return
    found = json.loads(path.read_text())
    if found != recipe:
        raise InputError(
            f"{path.parent} holds songs made with {found}, not {recipe}: "
            "remove it or choose another folder"
        )


def _write_song(song, stems, folder):
    """Write the files of a song into a folder that gets its name only when it is complete."""
    song.parent.mkdir(parents=True, exist_ok=True)
    # its own name for every process: two that run at once must not mix their files
    unfinished = folder / f".unfinished-{song.name}-{os.getpid()}"
    unfinished.mkdir()
    try:
        for stem, audio in {"mixture": sum(stems.values()), **stems}.items():
            soundfile.write(unfinished / f"{stem}.wav", audio, SAMPLE_RATE, subtype="PCM_16")
        unfinished.rename(song)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
