"""Runs side by side: medians with intervals, a paired test over songs, and published results.

A run is a folder of the recipe, its score card, or a folder of museval's JSON files, one a song.
Values of two metrics never share a column.
"""

import json
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from scipy.stats import wilcoxon

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.scores.card import read_card
from asteroid_tfswa.scores.tables import statistics

METRICS = {"cSDR": "SDR", "uSDR": "uSDR", "SI-SDR": "SI-SDR"}  # our names, and those in the card
AVERAGE = "average"


class Run(NamedTuple):
    """The scores of a run.

    Attributes:
        name (str): what it is called in tables.
        data (str or None): fingerprint of the data set; None where it is unknown.
        scores (dict): ``{metric: {stem: {song: dB}}}``, defined values only.
    """

    name: str
    data: str | None
    scores: dict


def read_run(path):
    """Read the scores of a run.

    Args:
        path (str or Path): folder of a run, score card, or folder of museval's JSON files, whose
            only metric is cSDR.

    Returns:
        Run: its scores, named by the path.

    Raises:
        InputError: if there are no scores, or they cannot be read.
    """
    path = Path(path)
    for file in (path, path / "scores/score_card.json", path / "score_card.json"):
        if file.is_file():
            return _read_card(str(path), file)
    scores = {}
    for file in sorted(path.rglob("*.json")):
        for stem, values in (_museval_frames(file) or {}).items():
            if values:
                scores.setdefault(stem, {})[file.stem] = float(np.median(values))
    if not scores:
        raise InputError(
            f"{path}: no scores found; give the folder of a run after stage 2, its "
            "score_card.json, or a folder of museval's JSON files"
        )
    return Run(str(path), None, {"cSDR": scores})


def _read_card(name, file):
    card = read_card(file)
    scores = {metric: {} for metric in METRICS}
    try:
        for song in card["songs"]:
            for stem, values in song["methods"]["model"]["stems"].items():
                for metric in METRICS:
                    value = song_value(values, metric)
                    if value is not None:
                        scores[metric].setdefault(stem, {})[song["song"]] = float(value)
        return Run(name, card["data"]["fingerprint"], scores)
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


def _museval_frames(file):
    """`{stem: SDR of each frame where it is defined}` of museval's JSON, None for other JSON."""
    try:
        targets = json.loads(file.read_text(encoding="utf-8"))["targets"]
        values = {t["name"]: [float(f["metrics"]["SDR"]) for f in t["frames"]] for t in targets}
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return {stem: [v for v in sdrs if np.isfinite(v)] for stem, sdrs in values.items()}


def read_runs(paths):
    """Read runs that can be compared.

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
            if runs and None not in (run.data, runs[0].data) and run.data != runs[0].data:
                raise InputError(
                    f"{path}: was scored on other data than {runs[0].name}; compare runs on the "
                    "same test songs"
                )
            runs.append(run)
        except InputError as err:
            problems.append(str(err))
    if not runs:
        raise InputError(problems[0])
    return runs, problems


def compare(runs):
    """Compare runs on the songs that all of them have scored, stem by stem.

    Args:
        runs (list[Run]): the runs.

    Returns:
        dict: ``{metric: {"songs": {stem: n}, "runs": {name: {stem: {"median", "interval", "change",
        "p"}}}}}`` for the metrics that all runs have. "change" is the median over songs of the
        difference to the first run in dB, "p" that of Wilcoxon's signed-rank test over songs; both
        are None for the first run, "p" also where no song differs. Stem "average" is the mean over
        stems of medians and changes.
    """
    result = {}
    for metric in METRICS:
        if not all(run.scores.get(metric) for run in runs):
            continue
        stems = [s for s in runs[0].scores[metric] if all(s in r.scores[metric] for r in runs)]
        songs = {
            stem: sorted(set.intersection(*(set(run.scores[metric][stem]) for run in runs)))
            for stem in stems
        }
        stems = [stem for stem in stems if songs[stem]]
        table = {}
        for run in runs:
            rows = {stem: _row(*_paired(run, runs[0], metric, stem, songs[stem])) for stem in stems}
            table[run.name] = {**rows, AVERAGE: _average(rows.values())}
        result[metric] = {"songs": {stem: len(songs[stem]) for stem in stems}, "runs": table}
    return result


def _paired(run, first, metric, stem, songs):
    values = np.array([run.scores[metric][stem][song] for song in songs])
    if run is first:
        return values, None
    return values, values - [first.scores[metric][stem][song] for song in songs]


def _row(values, differences):
    row = {key: value for key, value in statistics(list(values)).items() if key != "mean"}
    row |= {"change": None, "p": None}
    if differences is not None:
        row["change"] = float(np.median(differences))
        if differences.any():
            row["p"] = float(wilcoxon(differences).pvalue)
    return row


def _average(rows):
    rows = list(rows)
    row = dict.fromkeys(("median", "interval", "change", "p"))
    if rows:
        row["median"] = float(np.mean([r["median"] for r in rows]))
        if rows[0]["change"] is not None:
            row["change"] = float(np.mean([r["change"] for r in rows]))
    return row


def published():
    """Read published results.

    Returns:
        list[dict]: "model", "source", "training_data", "metric", and "stems" or "average".
    """
    file = resources.files("asteroid_tfswa.scores") / "published.yml"
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def format_comparison(comparison):
    """Write a comparison as Markdown that also reads well in a terminal.

    Args:
        comparison (dict): from `compare`.

    Returns:
        str: for each metric a table with a row a run and a column a stem.
    """
    lines = []
    for metric, found in comparison.items():
        stems = [*found["songs"], AVERAGE]
        rows = [[name, *(_cell(cells[s]) for s in stems)] for name, cells in found["runs"].items()]
        for entry in published():
            if entry["metric"] == metric:
                rows.append([f"published: {entry['model']}", *_published_cells(entry, stems)])
        counts = ", ".join(f"{stem} {n}" for stem, n in found["songs"].items())
        lines += [f"{metric} in dB, median over songs ({counts}):", ""]
        lines += _markdown(["run", *stems], rows) + [""]
    lines += [
        "In brackets: the median's bootstrap 95 % interval; then the median difference to the "
        "first run, song by song, and p of Wilcoxon's signed-rank test."
    ]
    if "cSDR" in comparison:
        lines += ["Published on MUSDB18's 50 test songs; compare them only with runs on those:"]
        lines += [
            f"- {entry['model']}, trained on {entry['training_data']}: {entry['source']}"
            for entry in published()
        ]
    return "\n".join(lines) + "\n"


def _cell(row):
    if row["median"] is None:
        return "-"
    text = f"{row['median']:.2f}"
    if row["interval"]:
        text += " [{:.2f} {:.2f}]".format(*row["interval"])
    if row["change"] is not None:
        text += f" {row['change']:+.2f}"
        text += f" p {row['p']:.2g}" if row["p"] is not None else ""
    return text


def _published_cells(entry, stems):
    known = dict(entry.get("stems", {}))
    known[AVERAGE] = entry.get("average", np.mean(list(known.values())) if known else None)
    return [f"{known[stem]:.2f}" if stem in known else "-" for stem in stems]


def _markdown(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "| " + " | ".join(f"{cell:{width}}" for cell, width in zip(row, widths)) + " |"
        for row in [head, *rows]
    ]
    return [lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]]


def box_groups(runs, metric):
    """Values for `charts.box_plot`.

    Args:
        runs (list[Run]): the runs.
        metric (str): that all of them have.

    Returns:
        dict: ``{stem: {run: [dB of each song]}}``.
    """
    stems = [stem for stem in runs[0].scores[metric] if all(stem in r.scores[metric] for r in runs)]
    return {
        stem: {run.name: list(run.scores[metric][stem].values()) for run in runs} for stem in stems
    }
