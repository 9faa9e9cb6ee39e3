"""List the models that ship with the package.

Give a name to any command that takes a model, or to TFSWAUNet.from_pretrained. Without --model,
asteroid-tfswa separate uses "small".
"""

import json

from asteroid_tfswa.models.card import describe
from asteroid_tfswa.models.shipped import shipped_models


def add_arguments(parser):
    """Add the command's arguments to an `argparse.ArgumentParser`."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(args):
    """Print the list."""
    models = {name: _summary(path) for name, path in shipped_models().items()}
    if args.json:
        print(json.dumps(models, indent=1))
        return
    for name, about in models.items():
        print(name)
        print(f"  sources     {', '.join(about['sources'])}")
        print(f"  parameters  {about['n_parameters']:,}, {about['megabytes']} MB")
        print(f"  trained on  {about['dataset']}")
        for licence in about["licenses"]:
            print(f"  licence     {licence}")
        scores = ", ".join(f"{stem} {value:.2f}" for stem, value in about["SDR"].items())
        songs = f" (median of {about['n_songs']} songs)" if scores else ""
        print(f"  test SDR    {scores or 'not scored'}{songs}")
    if not models:
        print("No model ships with this installation.")


def _summary(path):
    about = describe(path)
    tests = about["scores"] or {"stems": {}, "n_songs": 0}
    return {
        "sources": about["sources"],
        "n_parameters": about["n_parameters"],
        "megabytes": round(path.stat().st_size / 1e6, 1),
        "dataset": about["dataset"],
        "licenses": [notice["license"] for notice in about["licenses"] or []],
        "n_songs": tests["n_songs"],
        "SDR": {
            stem: scores["SDR"]["median"]
            for stem, scores in tests["stems"].items()
            if scores.get("SDR", {}).get("median") is not None
        },
    }
