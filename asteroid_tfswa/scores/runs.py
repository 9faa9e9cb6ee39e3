"""Read what is compared: runs of the recipe, score cards, and museval's JSON files."""

import json
import unicodedata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.scores.card import read_card

METRICS = {"cSDR": "SDR", "uSDR": "uSDR", "SI-SDR": "SI-SDR"}  # our names, and those in the card
SAME_LEVEL = 0.02  # dB; references that differ more are not of one recording


class Run(NamedTuple):
    """The scores of a run.

    Attributes:
        name (str): what it is called in tables.
        scores (dict): ``{metric: {stem: {song: dB}}}``, defined values only.
        levels (dict): ``{(song, stem): dB}`` of the references, where known.
        data (str or None): fingerprint of the data, where known.
    """

    name: str
    scores: dict
    levels: dict
    data: str | None = None

    @property
    def songs(self):
        """set of str: songs with any score."""
        return {
            song for stems in self.scores.values() for found in stems.values() for song in found
        }


def read_run(path):
    """Read the scores of a run.

    Args:
        path (str or Path): folder of a run, score card, or folder of museval's JSON files, one a
            song, whose only metric is cSDR.

    Returns:
        Run: its scores, named by the path.

    Raises:
        InputError: if there are no scores, they cannot be read, or are those of several runs.
    """
    path = Path(path)
    for file in (path, path / "scores/score_card.json", path / "score_card.json"):
        if file.is_file():
            return _read_card(str(path), file)
    scores, files = {}, {}
    for file in sorted(path.rglob("[!.]*.json")):
        stems = _museval_frames(file)
        if stems is None:
            continue
        song = _normalised(file.stem)
        if song in files:
            raise InputError(
                f"{path}: has two files of the song {song} ({files[song]}, {file}); give the "
                "folder of one of them"
            )
        files[song] = file
        for stem, values in stems.items():
            if len(values):
                scores.setdefault(stem, {})[song] = float(np.median(values))
    if not scores:
        raise InputError(
            f"{path}: no scores found; give the folder of a run after stage 2, its "
            "score_card.json, or a folder of museval's JSON files"
        )
    return Run(str(path), {"cSDR": scores}, {})


def _read_card(name, file):
    card = read_card(file)
    scores, levels = {metric: {} for metric in METRICS}, {}
    try:
        for entry in card["songs"]:
            song = _normalised(entry["song"])
            for stem, values in entry["methods"]["model"]["stems"].items():
                for metric in METRICS:
                    value = song_value(values, metric)
                    if value is not None:
                        scores[metric].setdefault(stem, {})[song] = float(value)
                if values.get("level") is not None:
                    levels[song, stem] = float(values["level"])
        return Run(name, scores, levels, card["data"]["fingerprint"])
    except (ValueError, LookupError, TypeError, AttributeError) as err:
        raise InputError(f"{file}: is damaged; run stage 2 again") from err


def song_value(values, metric):
    """Look up what a score card says of one stem of one song.

    Args:
        values (dict): the stem's entry in the card.
        metric (str): "cSDR", "uSDR" or "SI-SDR".

    Returns:
        float or None: dB; None where it is undefined.
    """
    value = values[METRICS[metric]]
    return value["median"] if metric == "cSDR" else value


def _normalised(song):
    """One form of a name: file systems differ in how they write accents."""
    return unicodedata.normalize("NFC", song)


def _museval_frames(file):
    """`{stem: SDR of each frame where it is defined}` of museval's JSON, None for other JSON."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise InputError(f"{file}: cannot be read or is no JSON; restore or remove it") from err
    try:
        found = {t["name"]: [f["metrics"]["SDR"] for f in t["frames"]] for t in content["targets"]}
        sdrs = {stem: np.array(values, dtype=float) for stem, values in found.items()}
    except (ValueError, LookupError, TypeError):
        return None
    return {stem: values[np.isfinite(values)] for stem, values in sdrs.items()}


def read_runs(paths):
    """Read runs that can be compared.

    A run whose references are known to be others than an earlier run's is left out: songs of one
    name are one song only if their references are equally loud.

    Args:
        paths (list of str or Path): the runs; the first one is what others are compared with.

    Returns:
        tuple[list[Run], list[str]]: the runs, and a line for each that is left out.

    Raises:
        InputError: if none can be read.
    """
    runs, problems = [], []
    for path in paths:
        try:
            run = read_run(path)
            for other in runs:
                _check_references(run, other)
            runs.append(run)
        except InputError as err:
            problems.append(str(err))
    if not runs:
        raise InputError(problems[0])
    return runs, problems


def _check_references(run, other):
    """Raise InputError if the references of a song are not those of the other run."""
    is_old = not run.levels or not other.levels  # a card of an earlier version, or museval's files
    if is_old and None not in (run.data, other.data) and run.data != other.data:
        raise InputError(
            f"{run.name}: was scored on other data than {other.name}, or by an earlier version; "
            "score both again, and compare runs on the same test songs"
        )
    for key in sorted(run.levels.keys() & other.levels.keys()):
        here, there = run.levels[key], other.levels[key]
        if abs(here - there) > SAME_LEVEL:
            song, stem = key
            raise InputError(
                f"{run.name}: was scored on other data than {other.name}, its {stem} of {song} "
                f"have a level of {here:.2f} dB, there {there:.2f} dB; compare runs on the same "
                "test songs"
            )
