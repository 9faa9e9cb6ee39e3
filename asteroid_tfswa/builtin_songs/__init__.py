"""Built-in songs: a small data set in MUSDB18-HQ's layout, generated from a seed."""

import json
import shutil
from pathlib import Path

import soundfile
from tqdm import tqdm

from asteroid_tfswa.builtin_songs.render import LEVELS, find_sound_font, make_song
from asteroid_tfswa.builtin_songs.voice import SAMPLE_RATE
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_folder, atomic_write, remove_leftovers
from asteroid_tfswa.locks import locked

SPLITS = ("train", "test")
RECIPE_FILE = "builtin.json"  # the arguments that the songs of a folder were made with


def make_builtin_songs(folder, n_train=10, n_test=2, duration=30.0, seed=0, sound_font=None):
    """Make songs as `<folder>/{train,test}/<song>/{mixture,vocals,drums,bass,other}.wav`.

    Existing songs are kept, so an interrupted run continues where it stopped. The same seed gives
    the same files, byte for byte, on the same machine. The mixture is the exact sum of the stems
    (16-bit, 44.1 kHz, stereo).

    Args:
        folder (str or Path): the output folder; created if missing.
        n_train (int): training songs. Default: 10.
        n_test (int): test songs. Default: 2.
        duration (float): length of each song in seconds, at least 4. Default: 30.
        seed (int): 0 or more. Default: 0.
        sound_font (str or Path, optional): a General MIDI sound font (.sf2) that plays them.
            Default: TimGM6mb (GPL 2), which the package pretty_midi ships.

    Returns:
        Path: `folder`.

    Raises:
        InputError: an argument out of range, songs of another seed, duration or sound font in
            `folder`, another run that is making songs there, or missing packages.
    """
    folder = Path(folder)
    counts = {"n_train": n_train, "n_test": n_test, "seed": seed}
    for name, value in counts.items():
        if value < 0:
            raise InputError(f"{name} is {value}: give 0 or more")
    if duration < 4:
        raise InputError(f"duration is {duration} seconds: give 4 or more")
    songs = [
        (split, index, folder / split / f"{split}_{index + 1:02d}")
        for split, count in zip(SPLITS, (n_train, n_test), strict=True)
        for index in range(count)
    ]
    recipe = {"seed": seed, "duration": duration}
    if sound_font is not None:
        recipe["sound_font"] = Path(sound_font).name
    if _is_made(folder, recipe) and all(_is_whole(song) for _, _, song in songs):
        return folder  # reading needs no lock
    sound_font = find_sound_font(sound_font)
    with locked(folder):
        for split in {split for split, _, song in songs if song.parent.is_dir()}:
            remove_leftovers(folder / split)
        if not _is_made(folder, recipe):
            with atomic_write(folder / RECIPE_FILE) as tmp:
                tmp.write_text(json.dumps(recipe) + "\n")
        todo = [song for song in songs if not _is_whole(song[2])]
        for split, index, song in tqdm(todo, desc="making built-in songs", unit="song"):
            stems = make_song((seed, SPLITS.index(split), index), index, duration, sound_font)
            _write_song(song, stems)
    return folder


def _is_made(folder, recipe):
    """Whether `folder` holds songs of this recipe.

    Raises:
        InputError: if it holds songs of another recipe.
    """
    path = folder / RECIPE_FILE
    if not path.exists():
        return False
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"{path}: damaged; remove {folder} and run again") from None
    if found != recipe:
        raise InputError(
            f"{folder} holds songs made with {found}, not {recipe}: "
            "remove it or choose another folder"
        )
    return True


def _is_whole(song):
    return all((song / f"{name}.wav").is_file() for name in ("mixture", *LEVELS))


def _write_song(song, stems):
    """Write the files of a song; its folder appears when it is complete."""
    shutil.rmtree(song, ignore_errors=True)  # if it exists, it is incomplete
    with atomic_folder(song) as work:
        for stem, audio in {"mixture": sum(stems.values()), **stems}.items():
            soundfile.write(work / f"{stem}.wav", audio, SAMPLE_RATE, subtype="PCM_16")
