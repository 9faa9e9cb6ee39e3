"""Tables of scores: medians and means over songs, for a model and the baselines beside it."""

import numpy as np

from asteroid_tfswa.errors import one_line
from asteroid_tfswa.scores.names import FRAME_METRICS, METHODS, SONG_METRICS

MEANINGS = {
    "cSDR": "BSS Eval v4's SDR, median over a song's one-second frames",
    "SIR, ISR, SAR": "BSS Eval v4's, median over a song's one-second frames; SIR and SAR say "
    "nothing about estimates that are a mixture times a gain",
    "frame mean": "BSS Eval v4's, mean over a song's one-second frames",
    "uSDR": "energy of the reference over energy of the error, whole song",
    "SI-SDR": "uSDR after the reference was scaled to fit the estimate best, whole song",
}
NO_SIR_SAR = ("mixture", "best gain")  # sums of stems: no artefacts, and rounding for SAR
N_RESAMPLES = 2000


def summarise(songs, sources):
    """Aggregate the scores of songs.

    Args:
        songs (list[dict]): what `evaluate_songs` returns.
        sources (list[str]): the stems to show, in this order.

    Returns:
        dict: `{"n_songs", "scores": {method: {stem: {metric: statistics}}}, "left_out": [{"song",
        "stem", "method", "metrics", "reason"}]}`. Statistics run over songs: "median", "mean", and
        "interval", the bootstrap 95 % interval of the median; for BSS Eval's metrics over each
        song's median over frames, with "frame mean", the mean over songs of the mean over frames.
        Stem "average" has the mean over those stems that have a value, of each statistic but the
        interval. Values are None where nothing could be scored, intervals for fewer than two songs,
        and the SIR and SAR of mixtures times a gain: such an estimate is a sum of the stems, no
        part of it is an artefact, and what BSS Eval computes there is rounding noise.
    """
    methods = [method for method in METHODS if any(method in song["scores"] for song in songs)]
    scores = {}
    for method in methods:
        found = [song["scores"][method] for song in songs if method in song["scores"]]
        scores[method] = {stem: _over_songs(found, stem) for stem in sources}
        if method in NO_SIR_SAR:
            for metrics in scores[method].values():
                metrics["SIR"] = metrics["SAR"] = dict.fromkeys(metrics["SIR"])
        scores[method]["average"] = {
            metric: {
                kind: _aggregate(np.mean, [x[metric][kind] for x in scores[method].values()])
                for kind in scores[method][sources[0]][metric]
                if kind != "interval"
            }
            for metric in (*FRAME_METRICS, *SONG_METRICS)
        }
    left_out = [
        {"song": song["song"], "method": method, **entry}
        for song in songs
        for method in methods
        for entry in song["scores"].get(method, {"left_out": []})["left_out"]
    ]
    return {"n_songs": len(songs), "scores": scores, "left_out": left_out}


def _over_songs(songs, stem):
    """Statistics of one method's scores of one stem, {metric: {name: value}}."""
    result = {}
    targets = [t["frames"] for song in songs for t in song["targets"] if t["name"] == stem]
    for metric in FRAME_METRICS:
        frames = [[frame["metrics"][metric] for frame in song] for song in targets]
        result[metric] = statistics([_aggregate(np.median, song) for song in frames])
        means = [_aggregate(np.mean, song) for song in frames]
        result[metric]["frame mean"] = _aggregate(np.mean, means)
    for metric in SONG_METRICS:
        result[metric] = statistics([song[metric].get(stem) for song in songs])
    return result


def statistics(values):
    """Compute what is said of one value a song.

    Args:
        values (list of float or None): None where it is undefined.

    Returns:
        dict: "median", "mean", and "interval", the bootstrap 95 % interval of the median; None for
        what the values are too few for.
    """
    known = [value for value in values if value is not None]
    interval = None
    if len(known) > 1:
        draws = np.random.default_rng(0).choice(known, (N_RESAMPLES, len(known)))
        interval = [round(x, 5) for x in np.percentile(np.median(draws, axis=1), (2.5, 97.5))]
    return {
        "median": _aggregate(np.median, known),
        "mean": _aggregate(np.mean, known),
        "interval": interval,
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
        str: two tables, medians and means over songs, and what was left out.
    """
    n_songs = f"{summary['n_songs']} songs" if summary["n_songs"] != 1 else "1 song"
    lines = [f"Median over {n_songs} in dB, with its bootstrap 95 % interval for cSDR:", ""]
    lines += _table(summary["scores"], "median")
    lines += ["", f"Mean over {n_songs} in dB:", ""]
    lines += _table(summary["scores"], "mean")
    lines += [""] + [f"- {name}: {meaning}." for name, meaning in MEANINGS.items()]
    whole = [entry for entry in summary["left_out"] if "frames" not in entry]
    if whole:
        lines += ["", "Left out, because it is undefined there:", ""]
        lines += list(dict.fromkeys(map(_left_out_line, whole)))
    return "\n".join(lines) + "\n"


def _left_out_line(entry):
    of = "" if "reference" in entry["reason"] else f" of the {entry['method']}"
    metrics = ", ".join(entry["metrics"])
    return one_line(f"- {entry['song']}: {metrics} of {entry['stem']}{of} ({entry['reason']})")


def in_table(name):
    """Make a name of the user fit into a cell of a Markdown table.

    Args:
        name (str): any text.

    Returns:
        str: one line without bars that end a cell.
    """
    return one_line(name).replace("|", "\\|")


def _table(scores, kind):
    """Rows of stems and methods; `kind` of every metric, and frame means beside means."""
    columns = {"cSDR": ("SDR", kind)}
    if kind == "median":
        columns["95 %"] = ("SDR", "interval")
    else:
        columns["frame mean"] = ("SDR", "frame mean")
    columns |= {metric: (metric, kind) for metric in (*FRAME_METRICS[1:], *SONG_METRICS)}
    stems = list(next(iter(scores.values()), {}))
    shown = {stem: in_table(stem) for stem in stems}
    width = max(map(len, shown.values()), default=4)
    widths = {name: 12 if name in ("95 %", "frame mean") else 6 for name in columns}
    head = " | ".join(f"{name:>{widths[name]}}" for name in columns)
    lines = [
        f"| {'stem':{width}} | {'estimate':10} | {head} |",
        f"|{'-' * (width + 2)}|{'-' * 12}|"
        + "|".join("-" * (widths[name] + 1) + ":" for name in columns)
        + "|",
    ]
    for stem in stems:
        for method, values in scores.items():
            cells = [
                f"{_cell(values[stem][metric].get(name)):>{widths[title]}}"
                for title, (metric, name) in columns.items()
            ]
            lines.append(f"| {shown[stem]:{width}} | {method:10} | " + " | ".join(cells) + " |")
    return lines


def _cell(value):
    if value is None:
        return "-"
    return "{:.2f}".format(value) if isinstance(value, float) else "{:.2f} {:.2f}".format(*value)
