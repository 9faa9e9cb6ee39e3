"""Choose the songs for training, validation and test, and name the set."""

import random

from asteroid_tfswa.data import musdb18


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
            f"drawn at random with seed {seed}."
        )
    splits = {
        "train": [song for song in train if song.name not in chosen],
        "valid": [song for song in train if song.name in chosen],
        "test": found["test"],
    }
    return splits, validation


def describe(source_dir, splits):
    """Find the name and licence of a set by its songs.

    Args:
        source_dir (Path): its folder.
        splits (dict[str, list[RawSong]]): its songs.

    Returns:
        tuple[str, str]: those of MUSDB18 if it is that set, else the folder's name and "unknown".
    """
    train = splits["train"] + splits["valid"]
    if not musdb18.VALIDATION_SONGS.issubset(song.name for song in train):
        return source_dir.name.encode(errors="replace").decode() or "unnamed", "unknown"
    name = "MUSDB18" if train[0].is_stem_mp4 else "MUSDB18-HQ"
    return name, musdb18.LICENSE
