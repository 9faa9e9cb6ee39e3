"""TFSWAUNet() against a plain implementation of the same network (plain.py), with equal weights.

The plain one needs about 30 s per second of audio, and keeps every attention matrix for training.
"""

import tempfile
from pathlib import Path

import torch

from asteroid_tfswa import TFSWAUNet
from tests.benchmarks.measure import Variant, arguments, measure, show
from tests.benchmarks.plain import PlainTFSWAUNet
from tests.benchmarks.work import TASKS, noise


def fast(task, weights, seconds):
    """The package's network."""
    return _loaded(TFSWAUNet(), task, weights, seconds)


def plain(task, weights, seconds):
    """The plain network."""
    return _loaded(PlainTFSWAUNet(), task, weights, seconds)


def _loaded(model, task, weights, seconds):
    model.load_state_dict(torch.load(weights, weights_only=True))
    return TASKS[task](model, seconds)


def save_weights(path):
    """Save random weights with which each layer matters.

    New, the network's running statistics do not fit its maps, which grow until the masks are 0 or
    1 and hide differences; and its attention is all but uniform.
    """
    model = TFSWAUNet().train()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    torch.nn.init.normal_(model.masker.head[-1].weight, std=0.1)  # masks between 0 and 1
    with torch.no_grad():
        model(noise(0.1))
    torch.save(model.state_dict(), path)


def main():
    """Print a table for separation, the difference of the outputs, and one for a training step."""
    parser = arguments(__doc__, runs=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="audio to separate")
    parser.add_argument("--train_seconds", type=float, default=0.1, help="audio of a step")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.pt")
        save_weights(weights)
        for task, seconds in [("separation", args.seconds), ("training", args.train_seconds)]:
            kwargs = {"task": task, "weights": str(weights), "seconds": seconds}
            variants = [Variant("plain", plain, kwargs), Variant("TFSWAUNet()", fast, kwargs)]
            measure(variants, args.runs, args.threads)
            show(f"{task}, {seconds:g} s of stereo, batch 1", variants)
            if task == "separation":
                a, b = (variant.output for variant in variants)
                print(f"  largest difference {(a - b).abs().max():.1e}, output {a.abs().max():.2f}")


if __name__ == "__main__":
    main()
