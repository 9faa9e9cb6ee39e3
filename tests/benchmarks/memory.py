"""Gradient checkpointing on and off: memory, time and gradients of TFSWAUNet(); then one long step.

The comparison takes short audio, for which both fit into the memory of a small machine; the long
step, with checkpointing, says what a real training segment needs.
"""

import torch

from asteroid_tfswa import TFSWAUNet
from tests.benchmarks.measure import Variant, arguments, measure, print_table, show
from tests.benchmarks.work import noise, training


def gradients(seconds, **model_args):
    """Gradients of one batch, without a step: they are the same in every run."""
    model = TFSWAUNet(**model_args).train()
    mixture = noise(seconds)

    def work():
        model.zero_grad()
        (model(mixture) - mixture[:, None]).abs().mean().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    return work


def step(seconds, **model_args):
    """Steps of a training with Adam."""
    return training(TFSWAUNet(**model_args), seconds)


def main():
    """Print both, and the largest difference of the gradients."""
    parser = arguments(__doc__, runs=2)
    parser.add_argument("--seconds", type=float, default=0.5, help="audio of the comparison")
    parser.add_argument(
        "--long_seconds", type=float, default=3.0, help="audio of the long step; 0 leaves it out"
    )
    args = parser.parse_args()

    off, on = measure(
        [
            Variant("checkpointing off", gradients, {"seconds": args.seconds}),
            Variant(
                "checkpointing on",
                gradients,
                {"seconds": args.seconds, "gradient_checkpointing": True},
            ),
        ],
        args.runs,
        args.threads,
    )
    show(f"gradients, {args.seconds:g} s of stereo, batch 1", [off, on])
    difference, largest = (off.output - on.output).abs().max(), off.output.abs().max()
    print(f"  largest difference of the gradients {difference:.1e}, largest gradient {largest:.1e}")

    if args.long_seconds:
        kwargs = {"seconds": args.long_seconds, "gradient_checkpointing": True}
        long = Variant("checkpointing on", step, kwargs)
        measure([long], 1, args.threads)
        print_table(
            f"training step with Adam, {args.long_seconds:g} s of stereo, batch 1",
            ["variant", "seconds", "peak GiB"],
            [[long.name, f"{long.median:.1f}", f"{long.mib / 1024:.2f}"]],
        )


if __name__ == "__main__":
    main()
