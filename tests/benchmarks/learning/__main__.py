"""Race separators: an equal budget on the same songs, the same loss and augmentation, N seeds.

Contestants are YAML files with keys of the recipe's conf.yml, or names of peers. For each, the
learning rate is the one of the grid with the best mean cSDR on the validation songs (first seed).
Everything is kept below --work: runs that were killed continue, complete ones are not repeated.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from asteroid_tfswa.config import read_yaml
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.strict_yaml import scalar
from tests.benchmarks.learning import report
from tests.benchmarks.learning.contestants import PEERS
from tests.benchmarks.measure import ROOT
from tests.benchmarks.work import RECIPE_CONF


def parse():
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("contestants", nargs="+", help=f"YAML files, or of {', '.join(PEERS)}")
    add("--train", nargs="+", required=True, metavar="DIR", help="songs; DIR:3 counts three times")
    add("--valid", nargs="+", required=True, metavar="DIR", help="songs that choose learning rates")
    add("--tests", nargs="*", default=[], metavar="DIR", help="songs to score on at the end")
    add("--work", type=Path, required=True, help="folder of all runs")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--seconds", type=float, help="of CPU time; on a GPU of time")
    budget.add_argument("--audio", type=float, help="seconds of audio")
    budget.add_argument("--steps", type=float, help="optimizer steps")
    add("--seeds", type=int, default=1, help="number of seeds")
    add("--lrs", type=float, nargs="*", help="grid of learning rates; without, the YAML's own")
    add("--excerpt", type=float, help="score only the busiest so many seconds of each song")
    add("--threads", type=int, default=1)
    add("--jobs", type=int, default=1, help="runs at the same time")
    add("--base", default=str(RECIPE_CONF), help="YAML file of what contestants do not say")
    add("--set", nargs="*", default=[], metavar="KEY=VALUE", help="keys that change for all")
    add("--launcher", default="", help="command before each run, such as 'nice'")
    return parser.parse_args()


def configuration(args, name):
    """Configuration of a contestant: the base, --set, and what its own file says."""
    conf = read_yaml(RECIPE_CONF)
    layers = [read_yaml(args.base)] + ([] if name in PEERS else [read_yaml(name)])
    for item in args.set:
        key, _, value = item.partition("=")
        section = next(title for title, keys in conf.items() if key in keys)
        layers.insert(1, {section: {key: scalar(value)}})
    for layer in layers:
        for section, keys in layer.items():
            conf.setdefault(section, {}).update(keys)
    return conf


def jobs_of(args, name, seeds, lrs):
    """Jobs of a contestant, {folder: job}; each learning rate with each seed."""
    kind = next(kind for kind in ("seconds", "audio", "steps") if getattr(args, kind))
    budget, jobs = [kind, getattr(args, kind)], {}
    for lr in lrs or [None]:
        for seed in seeds:
            conf = configuration(args, name)
            if lr is not None:
                conf["optim"]["lr"] = lr
            label = Path(name).stem
            folder = f"{label}_{kind}{budget[1]:g}_lr{conf['optim']['lr']:g}_seed{seed}"
            jobs[args.work / folder] = {
                "label": label, "name": name, "conf": conf, "seed": seed, "budget": budget,
                "lr": conf["optim"]["lr"], "train": args.train, "valid": args.valid,
                "tests": args.tests, "cache": str(args.work / "cache"), "excerpt": args.excerpt,
                "threads": args.threads,
            }  # fmt: skip
    return jobs


def run_all(args, jobs):
    """Run jobs that have no result yet, each in a process of its own.

    Raises:
        SystemExit: if a folder holds another job of the same name.
    """
    waiting, running = [], []
    for folder, job in jobs.items():
        path, wanted = folder / "job.json", json.dumps(job, indent=1)
        if path.exists() and path.read_text() != wanted:
            raise SystemExit(f"{folder}: holds a run of other settings; use another --work")
        with atomic_write(path) as tmp:
            tmp.write_text(wanted)
        if not (folder / "result.json").exists():
            waiting.append(folder)
    command = [*args.launcher.split(), sys.executable, "-m", "tests.benchmarks.learning.run"]
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    while waiting or running:
        while waiting and len(running) < args.jobs:
            folder = waiting.pop(0)
            process = subprocess.Popen([*command, str(folder)], cwd=ROOT, env=environment)
            running.append((process, folder))
        process, folder = running.pop(0)
        if process.wait():
            print(f"{folder.name} failed; its error is above", file=sys.stderr)


def main():
    """Race, then report."""
    args = parse()
    args.work = args.work.resolve()
    first = {}
    for name in args.contestants:
        first |= jobs_of(args, name, [0], args.lrs)
    run_all(args, first)
    results = report.load(first)
    everything = {}
    for name in args.contestants:
        mine = [r for r in results if r["name"] == name]
        if mine:
            best = max(mine, key=report.valid_score)
            everything |= jobs_of(args, name, range(args.seeds), [best["lr"]])
    run_all(args, everything)
    report.write(report.load(everything), args.work)


if __name__ == "__main__":
    main()
