"""Choose the songs for training, validation and test, and name the set."""

import json
import random

from asteroid_tfswa.data import musdb18
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write

ABOUT_FILE = "about.json"  # a set's name and licence, beside its splits


def choose_splits(found, valid_share=0.1, seed=0):
    """Choose the validation songs.

    Args:
        found (dict[str, list[RawSong]]): the result of `find_raw_songs`.
        valid_share (float): share of the train songs to take, if the set itself does not say.
        seed (int): seed of that choice.

    Returns:
        tuple[dict[str, list[RawSong]], str]: songs of "train", "valid" and "test", sorted by name,
        and the sentence that says how the validation songs were chosen.
    """
    if found["valid"]:
        return found, "The validation songs are those of the set's own folder valid/."
    train = found["train"]
    names = [song.name for song in train]
    if musdb18.VALIDATION_SONGS.issubset(names):
        chosen = musdb18.VALIDATION_SONGS
        validation = f"The {len(chosen)} official MUSDB18 validation songs of {len(names)}."
    else:
        n_valid = min(len(names), max(1, round(valid_share * len(names))))
        chosen = set(random.Random(seed).sample(names, n_valid))
        validation = (
            f"{n_valid} of the {len(names)} train songs (a share of {valid_share}), "
            f"drawn at random with seed {seed}, as valid/ has no songs."
        )
    splits = {
        "train": [song for song in train if song.name not in chosen],
        "valid": [song for song in train if song.name in chosen],
        "test": found["test"],
    }
    return splits, validation


def describe(source_dir, splits):
    """Find the name and licence of a set.

    Args:
        source_dir (Path): its folder.
        splits (dict[str, list[RawSong]]): its songs.

    Returns:
        tuple[str, str]: what its own `about.json` says; those of MUSDB18 if the songs are that
        set's; else the folder's name and "unknown".

    Raises:
        InputError: if the file is no JSON object with the texts "name" and "license".
    """
    if (source_dir / ABOUT_FILE).exists():
        return _read_about(source_dir / ABOUT_FILE)
    train = splits["train"] + splits["valid"]
    if not musdb18.VALIDATION_SONGS.issubset(song.name for song in train):
        return source_dir.name.encode(errors="replace").decode() or "unnamed", "unknown"
    name = "MUSDB18" if train[0].is_stem_mp4 else "MUSDB18-HQ"
    return name, musdb18.LICENSE


def write_about(folder, name, license):
    """State the name and licence of a set of songs in its folder (Path), for `describe`."""
    with atomic_write(folder / ABOUT_FILE) as tmp:
        about = {"name": name, "license": license}
        tmp.write_text(json.dumps(about, ensure_ascii=False) + "\n", encoding="utf-8")


def _read_about(path):
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        labels = tuple(about[key].strip() for key in ("name", "license"))
        if all(labels):
            return labels
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise InputError(
        f'{path}: must be of the form {{"name": "my songs", "license": "CC BY 4.0"}}; mend or '
        "remove it"
    )
