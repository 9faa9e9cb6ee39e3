"""Names of metrics, of methods and of files of scores."""

import hashlib
import json
import os

FRAME_METRICS = ("SDR", "SIR", "ISR", "SAR")
SONG_METRICS = ("uSDR", "SI-SDR")
MODEL = "model"
BASELINES = ("mixture", "best gain", "ratio mask", "ideal mask")
METHODS = (MODEL, *BASELINES)


def json_name(song):
    """Name the JSON file of a song; the name of a folder may be too long for it.

    Args:
        song (str): name of the song.

    Returns:
        str: its name and ".json", at most 255 bytes; longer ones are cut and get a digest.
    """
    name = os.fsencode(song)
    if len(name) > 250:
        song = f"{name[:230].decode(errors='ignore')}-{digest_of(song)}"
    return f"{song}.json"


def state_of(paths):
    """Summarise the names, sizes and times of files, to notice that one was replaced.

    Args:
        paths (list[Path]): the files.

    Returns:
        str: a digest.
    """
    stats = [(f"{path.parent.name}/{path.name}", path.stat()) for path in paths]
    return digest_of([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])


def digest_of(plain):
    """Digest plain values.

    Args:
        plain (object): what JSON can hold.

    Returns:
        str: 16 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
