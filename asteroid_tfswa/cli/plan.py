"""Measure what a training run will need, before it starts.

    asteroid-tfswa plan --conf my.yml --data_dir data/musdb18hq
    asteroid-tfswa plan --batch_size 16 --precisions 32-true --json plan.json

Trains a few real steps at several batch sizes, each in a process of its own and a temporary folder,
and prints memory, speed, the largest batch that fits, and time and disk for the whole run. Each key
of the recipe's configuration is an option.
"""

import json
import sys
from pathlib import Path

import asteroid_tfswa
from asteroid_tfswa.config import add_keys, read_keys
from asteroid_tfswa.devices import PRECISIONS
from asteroid_tfswa.engine.planning.plan import plan
from asteroid_tfswa.engine.weights import start_network
from asteroid_tfswa.files import atomic_write, require_writable

BASE = Path(asteroid_tfswa.__file__).parent / "recipe/local/conf.yml"


def add_arguments(parser):
    """Add the command's arguments to an `argparse.ArgumentParser`."""
    parser.add_argument("--data_dir", type=Path, help="prepared songs (default: noise)")
    parser.add_argument("--id", default="", help='GPUs, "0" or "0,1", or cpu (default: all GPUs)')
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, default=[], help="others to measure too"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all that was found")
    add_keys(parser, BASE)


def run(args):
    """Measure, and print a table."""
    conf = read_keys(args, BASE, derive=lambda args, conf: start_network(conf))
    if args.json is not None:
        require_writable(args.json)
    found = plan(conf, args.data_dir, args.id, args.precisions)
    _print(found)
    if args.json is not None:
        sys.stdout.flush()
        with atomic_write(args.json) as tmp:
            tmp.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _print(found):
    print(f"{found['device']}, {found['memory_gib']:.1f} GiB usable")
    print(f"{'precision':12}{'batch':>6}{'GiB':>8}{'segments/s':>12}{'waiting':>9}")
    for trial in found["trials"]:
        start = f"{trial['precision']:12}{trial['batch_size']:6d}"
        if "error" in trial:
            print(f"{start}  {trial['error']}")
            continue
        speed, waiting = trial["segments_per_second"], trial["waiting_share"]
        print(f"{start}{trial['memory_gib']:8.2f}{speed:12.3g}{waiting:9.1%}")
    for precision, size in found["largest_batch"].items():
        told = "unknown" if size is None else f"about {size}, by how memory grows with the batch"
        print(f"largest batch that fits, {precision}: {told}")
    schedule = found["schedule"]
    validation = schedule["validation_hours"]
    told = "unknown without --data_dir" if validation is None else f"{validation:.3g} h"
    print(
        f"with batches of {schedule['batch_size']}: training {schedule['train_hours']:.3g} h, "
        f"validation {told}"
    )
    print(
        f"together {schedule['hours']:.3g} h on {found['n_devices']} devices, "
        f"{schedule['device_hours']:.3g} device-hours"
    )
    songs = schedule["data_gib"]
    told = "" if songs is None else f", {songs:.3g} GiB for the songs"
    print(f"disk: {schedule['disk_gib']:.2g} GiB for checkpoints and model{told}")
