"""Render many songs into a folder that is prepared and trained on like MUSDB18."""

import functools
import json
import shutil
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from asteroid_tfswa.audio.folders import visible_entries
from asteroid_tfswa.data.musdb18 import RENDERED
from asteroid_tfswa.data.raw.splits import write_about
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import (
    atomic_folder,
    atomic_write,
    remove_leftovers,
    require_space,
)
from asteroid_tfswa.freestems.effects import RATE
from asteroid_tfswa.freestems.plan import STEMS
from asteroid_tfswa.freestems.render import render_song
from asteroid_tfswa.freestems.sources import Sources
from asteroid_tfswa.locks import locked
from asteroid_tfswa.machine import usable_cores
from asteroid_tfswa.workers import worker_pool

SETTINGS_FILE = "freestems.json"  # what the songs of a folder were rendered with
SPLITS = ("train", "test")
SHORTEST, LONGEST = 8, 600  # seconds of a song
FEW = 6  # songs that take less time to render than processes to start


def make_songs(sources_dir, folder, n_train, n_test=0, seconds=45.0, seed=0, n_jobs=None):
    """Render songs as `<folder>/{train,test}/song_<number>/{vocals,drums,bass,other}.wav`.

    Songs that exist are kept, so an interrupted run continues where it stopped, and a later one can
    add songs. A song follows from its number, the seed, the length and the sources alone. The files
    have 16 bits and 44.1 kHz; the sum of the four stays within full scale.

    Args:
        sources_dir (str or Path): folder of sounds with its index, see `Sources`.
        folder (str or Path): where the songs go; created if missing.
        n_train (int): training songs.
        n_test (int): test songs. Default 0.
        seconds (float): length of the songs, to a bar, and four bars at least; 8 to 600.
            Default 45.
        seed (int): 0 or more. Default 0.
        n_jobs (int, optional): processes. Default: one per usable core.

    Returns:
        Path: `folder`.

    Raises:
        InputError: an argument out of range, sources that are missing or damaged, or a folder that
            holds songs of other sources or settings.
        OSError: writing fails.
    """
    folder, names = Path(folder), name_songs(n_train, n_test, seconds, seed)
    sources = Sources(sources_dir)
    settings = {"seed": seed, "seconds": seconds, "sources": sources.fingerprint}
    songs = [
        (number, folder / split / name) for split in SPLITS for number, name in names[split].items()
    ]
    with locked(folder):
        _check_settings(folder, settings)
        write_about(folder, "freestems", RENDERED + ", ".join(sources.licences))
        for split in SPLITS:
            if (folder / split).is_dir():
                remove_leftovers(folder / split)
        missing = [song for song in songs if not _is_whole(song[1])]
        require_space(folder, int(len(missing) * seconds * RATE * 16), "render these songs")
        _render_all(sources, missing, seconds, seed, n_jobs or usable_cores())
    return folder


def name_songs(n_train, n_test=0, seconds=45.0, seed=0):
    """Check what `make_songs` is asked for, and name its songs.

    Args:
        n_train, n_test, seconds, seed: see `make_songs`.

    Returns:
        dict[str, dict[int, str]]: "train" and "test": number -> name of each song.

    Raises:
        InputError: an argument out of range.
    """
    for name, value in {"n_train": n_train, "n_test": n_test, "seed": seed}.items():
        if value < 0:
            raise InputError(f"{name} is {value}: give 0 or more")
    if not SHORTEST <= seconds <= LONGEST:
        raise InputError(f"seconds is {seconds}: give {SHORTEST} to {LONGEST}")
    # Test songs are counted from the other end, so that more training songs can follow later.
    numbers = {"train": range(n_train), "test": range(10**6, 10**6 + n_test)}
    return {split: {n: f"song_{n:05d}" for n in numbers[split]} for split in SPLITS}


def _check_settings(folder, settings):
    """Keep the settings beside the songs; refuse to mix songs of different ones."""
    path = folder / SETTINGS_FILE
    if not path.exists():
        others = visible_entries(folder)
        if others:
            raise InputError(
                f"{folder}: holds something else ({others[0].name}); choose another folder"
            )
        with atomic_write(path) as tmp:
            tmp.write_text(json.dumps(settings) + "\n", encoding="utf-8")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name in settings if found[name] != settings[name]]
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{path}: is damaged; remove {folder} and run again") from None
    if differing:
        name = differing[0]
        raise InputError(
            f"{folder}: holds songs of another {name} ({found[name]}, not {settings[name]}); "
            "remove it or choose another folder"
        )


def _is_whole(song):
    return all((song / f"{stem}.wav").is_file() for stem in STEMS)


def _render_all(sources, songs, seconds, seed, n_jobs):
    progress = tqdm(total=len(songs), desc="rendering songs", unit="song", disable=not songs)
    with progress:
        if n_jobs == 1 or len(songs) < FEW:
            for number, path in songs:
                _say(_write(sources, number, path, seconds, seed), path)
                progress.update()
            return
        with worker_pool(min(n_jobs, len(songs))) as submit:
            futures = {
                submit(_work, str(sources.folder), number, path, seconds, seed): path
                for number, path in songs
            }
            for future in as_completed(futures):
                _say(future.result(), futures[future])
                progress.update()


def _say(silent, path):
    """Tell of stems that are silent throughout, as phrases or hits may be silent files."""
    if silent:
        tqdm.write(f"note: {path}: {', '.join(silent)} silent throughout")


@functools.lru_cache(maxsize=1)
def _sources(folder):
    """The sources of a worker, whose decoded sounds serve all of its songs."""
    return Sources(folder)


def _work(folder, number, path, seconds, seed):
    return _write(_sources(folder), number, path, seconds, seed)


def _write(sources, number, path, seconds, seed):
    """Render one song, whose folder appears when it is complete; return its silent stems."""
    plan, stems = render_song(sources, number, seed, seconds)
    shutil.rmtree(path, ignore_errors=True)  # if it exists, it is incomplete
    with atomic_folder(path) as work:
        for stem, audio in stems.items():
            soundfile.write(work / f"{stem}.wav", _as_int16(audio), RATE)
        about = {"number": number, "seed": seed, **plan.summary()}
        (work / "about.json").write_text(json.dumps(about) + "\n", encoding="utf-8")
    return [stem for stem, audio in stems.items() if not np.abs(audio).max() > 1e-4]


def _as_int16(audio):
    return np.round(audio * 32767).clip(-32768, 32767).astype(np.int16)
