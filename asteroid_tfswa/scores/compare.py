"""Runs side by side: medians with intervals, a paired test over songs, and published results.

Values of two metrics never share a column.
"""

from importlib import resources

import numpy as np
import yaml
from scipy.stats import wilcoxon

from asteroid_tfswa.errors import InputError, one_line
from asteroid_tfswa.scores.runs import METRICS
from asteroid_tfswa.scores.tables import in_table, statistics

AVERAGE = "average"
PUBLISHED_STEMS = ("vocals", "drums", "bass", "other")  # those that published averages are of


def compare(runs):
    """Compare runs on the songs that all of them have scored, stem by stem.

    Args:
        runs (list[Run]): the runs.

    Returns:
        dict: ``{metric: {"songs": {stem: n}, "runs": {name: {stem: {"median", "interval", "change",
        "p"}}}}}`` for the metrics that all runs have. "change" is the median over songs of the
        difference to the first run in dB, "p" that of Wilcoxon's signed-rank test over songs; both
        are None for the first run, "p" also where no song differs. Stem "average" is the mean of
        medians and changes over vocals, drums, bass and other, as in published results, or over
        all stems where one of these is missing.

    Raises:
        InputError: if no song is in all runs.
    """
    result = {}
    for metric in METRICS:
        songs = common_songs(runs, metric)
        if not songs:
            continue
        averaged = PUBLISHED_STEMS if songs.keys() >= {*PUBLISHED_STEMS} else songs
        table = {}
        for run in runs:
            rows = {stem: _row(*_paired(run, runs[0], metric, stem, songs[stem])) for stem in songs}
            table[run.name] = {**rows, AVERAGE: _average([rows[stem] for stem in averaged])}
        result[metric] = {"songs": {s: len(names) for s, names in songs.items()}, "runs": table}
    if not result:
        some = "; ".join(f"{run.name} has {', '.join(sorted(run.songs)[:3])} ..." for run in runs)
        raise InputError(f"no song has scores of one stem in all runs; {some}")
    return result


def common_songs(runs, metric):
    """List the songs that all runs have scored.

    Args:
        runs (list[Run]): the runs.
        metric (str): one of METRICS.

    Returns:
        dict[str, list[str]]: for each stem that all have its songs, sorted; none without songs.
    """
    found = [run.scores.get(metric, {}) for run in runs]
    songs = {}
    for stem in found[0]:
        common = set.intersection(*(set(scores.get(stem, ())) for scores in found))
        if common:
            songs[stem] = sorted(common)
    return songs


def left_out(runs):
    """Say which songs are not compared, since not all runs have them.

    Args:
        runs (list[Run]): the runs.

    Returns:
        list[str]: a line for each run that has such songs.
    """
    common = set.intersection(*(run.songs for run in runs))
    lines = []
    for run in runs:
        names = sorted(run.songs - common)
        if names:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            noun = "song that is" if len(names) == 1 else "songs that are"
            line = f"{run.name}: {len(names)} {noun} not in all runs, left out ({shown})"
            lines.append(one_line(line))
    return lines


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
    row = dict.fromkeys(("median", "interval", "change", "p"))
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
        counts = ", ".join(f"{one_line(stem)} {n}" for stem, n in found["songs"].items())
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
    if {*PUBLISHED_STEMS} <= {*stems}:  # else the runs' averages are of other stems
        known[AVERAGE] = entry.get("average") or np.mean([known[stem] for stem in PUBLISHED_STEMS])
    return [f"{known[stem]:.2f}" if stem in known else "-" for stem in stems]


def _markdown(head, rows):
    head, *rows = [[in_table(cell) for cell in row] for row in [head, *rows]]
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
        dict: ``{stem: {run: [dB of each song that all runs have]}}``.
    """
    return {
        stem: {run.name: [run.scores[metric][stem][song] for song in songs] for run in runs}
        for stem, songs in common_songs(runs, metric).items()
    }
