"""Tables, JSON and a plot of the race."""

import json
import statistics
from collections import defaultdict

import numpy as np

from asteroid_tfswa.files import atomic_write
from tests.benchmarks.measure import print_table

METRICS = ("cSDR", "uSDR")
COSTS = {"step": "s a step", "separation": "separation s/s", "memory": "peak GB"}


def load(jobs):
    """Results of the jobs that have one, each with its job's keys."""
    found = [(folder / "result.json", job) for folder, job in jobs.items()]
    return [job | json.loads(path.read_text()) for path, job in found if path.exists()]


def stem_means(songs, metric=0):
    """{stem: mean dB over the songs in which it is heard}."""
    values = defaultdict(list)
    for scores in songs.values():
        for stem, pair in scores.items():
            values[stem].append(pair[metric])
    return {stem: statistics.fmean(each) for stem, each in values.items()}


def mean(songs, metric=0):
    """Mean over stems of `stem_means`."""
    return statistics.fmean(stem_means(songs, metric).values())


def valid_score(result, point=-1):
    """Mean cSDR over the validation folders, each of equal weight."""
    return statistics.fmean(mean(songs) for songs in result["curve"][point]["valid"].values())


def interval(runs):
    """95 % interval of the mean cSDR, songs and runs drawn again with replacement."""
    rng = np.random.default_rng(0)
    names = list(runs[0])
    draws = []
    for _ in range(1000):
        songs = runs[rng.integers(len(runs))]
        drawn = rng.integers(len(names), size=len(names))
        draws.append(mean({i: songs[names[k]] for i, k in enumerate(drawn)}))
    return np.percentile(draws, [2.5, 97.5])


def write(results, work):
    """Print the tables; write results.json, table.md and curves.png."""
    groups = defaultdict(list)
    for result in results:
        groups[result["label"]].append(result)
    lines = []
    for path in dict.fromkeys(p for r in results for p in [*r["curve"][-1]["valid"], *r["tests"]]):
        rows, header = [], None
        for label, runs in groups.items():
            split = "tests" if path in runs[0]["tests"] else "valid"
            songs = [
                r["tests"][path] if split == "tests" else r["curve"][-1]["valid"][path]
                for r in runs
            ]
            stems = list(stem_means(songs[0]))
            header = ["contestant", "params", "lr", "steps", "audio s", "CPU s", "cSDR", "seeds"]
            header += [f"{stem} c/uSDR" for stem in stems] + ["uSDR", *COSTS.values()]
            each = [mean(s) for s in songs]
            spread = " ".join(f"{value:.2f}" for value in each)
            cells = [
                f"{statistics.fmean(stem_means(s)[stem] for s in songs):.2f}/"
                f"{statistics.fmean(stem_means(s, 1)[stem] for s in songs):.2f}"
                for stem in stems
            ]
            average = {
                key: statistics.fmean(r[key] for r in runs) for key in ("steps", "audio", "seconds")
            }
            score = "{:.2f} ({:.2f} to {:.2f})".format(statistics.fmean(each), *interval(songs))
            rows.append(
                [label, f"{runs[0]['parameters'] / 1e6:.2f} M", f"{runs[0]['lr']:g}"]
                + [f"{value:.0f}" for value in average.values()]
                + [score, spread, *cells, f"{statistics.fmean(mean(s, 1) for s in songs):.2f}"]
                + [_cost(runs, key) for key in COSTS]
            )
        print_table(f"{path}, dB", header, rows)
        lines += [f"## {path}", "", "| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in rows] + [""]
    for name, text in {
        "table.md": "\n".join(lines),
        "results.json": json.dumps(results, indent=1),
    }.items():
        with atomic_write(work / name) as tmp:
            tmp.write_text(text)
    plot(groups, work / "curves.png")


def _cost(runs, key):
    """Mean over runs; those of earlier versions measured none."""
    values = [r["costs"][key] for r in runs if "costs" in r]
    return f"{statistics.fmean(values):.3g}" if values else "-"


def plot(groups, path):
    """Mean validation cSDR against CPU minutes, one line a contestant (needs matplotlib)."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for label, runs in groups.items():
        minutes = np.mean([[p["seconds"] / 60 for p in r["curve"]] for r in runs], axis=0)
        scores = np.array([[valid_score(r, i) for i in range(len(r["curve"]))] for r in runs])
        (line,) = axes.plot(minutes, scores.mean(0), marker="o", label=label)
        axes.fill_between(minutes, scores.min(0), scores.max(0), color=line.get_color(), alpha=0.15)
    axes.set(xlabel="minutes of computing", ylabel="validation, mean cSDR in dB")
    axes.legend()
    with atomic_write(path) as tmp:
        figure.savefig(tmp, dpi=120)
