"""Show what a model is: sources, network, training data, licence and scores."""

import json

from asteroid_tfswa.models.card import describe, format_description


def add_arguments(parser):
    """Add the command's arguments to an `argparse.ArgumentParser`."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="model file, folder of a training run, checkpoint, or name on a hub",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(args):
    """Print the description."""
    about = describe(args.model)
    if args.json:
        print(json.dumps(about, indent=1))
    else:
        print(format_description(about), end="")
