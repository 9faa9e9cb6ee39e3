"""Look through a data set before training on it.

    asteroid-tfswa check-data /data/musdb18hq
    asteroid-tfswa check-data data/musdb18hq --json report.json --allow silent clipped

DIR has train/, test/ and, optionally, valid/, raw or prepared (stage 0 of the recipe). All audio is
read once. The exit status is 0 if all is well and 1 if there are problems.
"""

import json
import sys
from pathlib import Path

from asteroid_tfswa.data.survey import KINDS, survey
from asteroid_tfswa.errors import InputError, one_line
from asteroid_tfswa.files import atomic_write, require_writable


def add_arguments(parser):
    """Add the command's arguments to an `argparse.ArgumentParser`."""
    parser.add_argument("dir", metavar="DIR", type=Path, help="folder of the data set")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all that was found")
    parser.add_argument(
        "--sources", nargs="+", metavar="STEM", help="stems of every song (default: the usual ones)"
    )
    parser.add_argument(
        "--allow",
        nargs="+",
        default=[],
        choices=list(KINDS),
        metavar="KIND",
        help=f"kinds of problems that do not count: {', '.join(KINDS)}",
    )
    parser.add_argument("--jobs", type=int, help="songs at a time (default: one per core)")


def run(args):
    """Look through the set and print a table."""
    if args.jobs is not None and args.jobs < 1:
        raise InputError(f"--jobs must be 1 or more: got {args.jobs}")
    if args.json is not None:
        require_writable(args.json)
    report = survey(args.dir, args.sources, args.jobs)
    counted = [p for p in report["problems"] if p["kind"] not in args.allow]
    report["n_counted"] = len(counted)
    print(_table(report))
    for problem in report["problems"]:
        allowed = " (allowed)" if problem["kind"] in args.allow else ""
        print(f"{problem['kind']}{allowed}: {one_line(problem['message'])}")
    print(f"{len(counted)} problems" if len(counted) != 1 else "1 problem")
    sys.stdout.flush()
    if args.json is not None:
        with atomic_write(args.json) as tmp:
            tmp.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if counted:
        sys.exit(1)


def _table(report):
    splits = {name: about for name, about in report["splits"].items() if about["songs"]}
    stems = sorted({stem for about in splits.values() for stem in about["stem_hours"]})
    width = max(map(len, [*stems, "songs"]))
    lines = [f"{'':{width}}" + "".join(f"{name:>10}" for name in splits)]
    counts = [f"{about['songs']:10d}" for about in splits.values()]
    lines.append(f"{'songs':{width}}" + "".join(counts))
    rows = [("hours", [about["hours"] for about in splits.values()])]
    rows += [(s, [about["stem_hours"].get(s, 0.0) for about in splits.values()]) for s in stems]
    for name, hours in rows:
        lines.append(f"{name:{width}}" + "".join(f"{value:10.3f}" for value in hours))
    rates = ", ".join(f"{rate} Hz ({n} songs)" for rate, n in report["sample_rates"].items())
    return "\n".join([*lines, f"sample rate: {rates or 'unknown'}"])
