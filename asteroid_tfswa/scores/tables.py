"""Tables of scores: medians and means over songs, for a model and the baselines beside it."""

import json
from pathlib import Path

import numpy as np

from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.scores.jobs import METHODS
from asteroid_tfswa.scores.museval import METRICS


def summarise(songs, sources):
    """Aggregate the scores of songs.

    Args:
        songs (list[dict]): what `evaluate_songs` returns.
        sources (list[str]): the stems to show, in this order.

    Returns:
        dict: `{"n_songs", "scores": {method: {stem: {metric: {"median", "mean"}}}}, "left_out":
        [{"song", "stem", "method", "metrics", "reason"}]}`. The medians and means run over songs,
        and for museval's metrics over each song's median over frames; uSDR has no frames. Stem
        "average" is the mean over those stems that have a value. Values are None where nothing
        could be scored, and for the SIR and SAR of baselines: the mixture is the sum of the
        stems, no part of it is an artefact, and what museval computes there is rounding noise.
    """
    scores = {
        method: {stem: _over_songs([s["scores"][method] for s in songs], stem) for stem in sources}
        for method in METHODS
    }
    for method in METHODS[1:]:
        for stem in sources:
            scores[method][stem] |= dict.fromkeys(("SIR", "SAR"), {"median": None, "mean": None})
    for stems in scores.values():
        stems["average"] = {
            metric: {
                kind: _aggregate(np.mean, [stem[metric][kind] for stem in stems.values()])
                for kind in ("median", "mean")
            }
            for metric in (*METRICS, "uSDR")
        }
    left_out = [
        {"song": song["song"], "method": method, **entry}
        for song in songs
        for method in METHODS
        for entry in song["scores"][method]["left_out"]
        if entry["stem"] in sources
    ]
    return {"n_songs": len(songs), "scores": scores, "left_out": left_out}


def _over_songs(songs, stem):
    """Aggregate one method's scores of one stem: {metric: {"median", "mean"}}."""
    values = {"uSDR": [song["uSDR"][stem] for song in songs]}
    frames = [t["frames"] for song in songs for t in song["targets"] if t["name"] == stem]
    for metric in METRICS:
        per_song = [[frame["metrics"][metric] for frame in song] for song in frames]
        values[metric] = [_aggregate(np.median, song) for song in per_song]
    return {
        metric: {"median": _aggregate(np.median, x), "mean": _aggregate(np.mean, x)}
        for metric, x in values.items()
    }


def _aggregate(function, values):
    """Apply it to the values that are not None; None if all are."""
    known = [value for value in values if value is not None]
    return float(function(known)) if known else None


def format_table(summary):
    """Write a summary as Markdown that also reads well in a terminal.

    Args:
        summary (dict): from `summarise`.

    Returns:
        str: two tables, medians and means over songs, and the stems that were left out.
    """
    n_songs = summary["n_songs"]
    lines = [f"Median over {n_songs} songs of museval's median over frames, in dB:", ""]
    lines += _table(summary["scores"], "median", METRICS)
    lines += ["", "Mean over songs of museval's median over frames (uSDR: whole songs), in dB:", ""]
    lines += _table(summary["scores"], "mean", (*METRICS, "uSDR"))
    if summary["left_out"]:
        lines += ["", "Left out, because it is undefined there:", ""]
        lines += list(dict.fromkeys(map(_left_out_line, summary["left_out"])))
    return "\n".join(lines) + "\n"


def _left_out_line(entry):
    of = "" if "reference" in entry["reason"] else f" of the {entry['method']}"
    metrics = ", ".join(entry["metrics"])
    return f"- {entry['song']}: {metrics} of {entry['stem']}{of} ({entry['reason']})"


def _table(scores, kind, metrics):
    stems = list(scores["model"])
    width = max(map(len, stems))
    lines = [
        f"| {'stem':{width}} | {'estimate':9} | " + " | ".join(f"{m:>6}" for m in metrics) + " |",
        f"|{'-' * (width + 2)}|{'-' * 11}|" + "|".join("-" * 7 + ":" for _ in metrics) + "|",
    ]
    for stem in stems:
        for method in METHODS:
            values = [scores[method][stem][metric][kind] for metric in metrics]
            cells = [f"{'-' if value is None else format(value, '.2f'):>6}" for value in values]
            lines.append(f"| {stem:{width}} | {method:9} | " + " | ".join(cells) + " |")
    return lines


def write_summary(summary, folder):
    """Write `summary.json` and `table.md` (see `summarise`, `format_table`) into a folder.

    Args:
        summary (dict): from `summarise`.
        folder (str or Path): made if missing.
    """
    with atomic_write(Path(folder) / "summary.json") as tmp:
        tmp.write_text(json.dumps(summary, indent=1, allow_nan=False))
    with atomic_write(Path(folder) / "table.md") as tmp:
        tmp.write_text(format_table(summary))
