"""Compare runs: medians with intervals, differences song by song, published results.

RUNS are folders of runs after stage 2, score cards, or folders of museval's JSON files. Each is
compared with the first one, on the songs that all of them have.
"""

import sys
from pathlib import Path

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write, require_writable
from asteroid_tfswa.page.charts import box_plot, standalone
from asteroid_tfswa.scores.compare import box_groups, compare, format_comparison, left_out
from asteroid_tfswa.scores.runs import read_runs


def add_arguments(parser):
    """Add the arguments of the command to an `argparse.ArgumentParser`."""
    parser.add_argument("runs", metavar="RUNS", nargs="+", help="what to compare")
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="write box plots over songs, as SVG"
    )


def run(args):
    """Run the command."""
    if args.plot is not None:
        if args.plot.suffix.lower() not in ("", ".svg"):
            raise InputError(f"--plot: {args.plot} is no name for SVG; end it in .svg")
        require_writable(args.plot)
    runs, problems = read_runs(args.runs)
    comparison = compare(runs)
    print(format_comparison(comparison), end="", flush=True)
    if args.plot is not None:
        charts = [
            box_plot(f"{metric} of each song", "dB", box_groups(runs, metric))
            for metric in comparison
        ]
        with atomic_write(args.plot) as tmp:
            tmp.write_text(standalone(charts), encoding="utf-8")
    for line in left_out(runs):
        print(f"note: {line}", file=sys.stderr)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
