"""The recipe's default model against other separators, random weights, four stems.

pip install openunmix demucs BS-RoFormer
"""

from tests.benchmarks.measure import Variant, arguments, measure, show
from tests.benchmarks.work import SAMPLE_RATE, TASKS, recipe_model

SOURCES = ["drums", "bass", "other", "vocals"]


def htdemucs(task, **kwargs):
    """HTDemucs with the defaults of its class."""
    from demucs.htdemucs import HTDemucs

    # Otherwise it pads what it separates to the length of its training segments.
    model = HTDemucs(SOURCES, samplerate=SAMPLE_RATE, use_train_segment=False)
    return TASKS[task](model, **kwargs)


def bs_roformer(task, **kwargs):
    """BS-RoFormer of a width that fits a CPU."""
    from bs_roformer import BSRoformer

    return TASKS[task](BSRoformer(dim=192, depth=6, stereo=True, num_stems=4), **kwargs)


def openunmix(task, **kwargs):
    """Open-Unmix, umxhq: four networks and a Wiener filter."""
    from openunmix import umxhq

    return TASKS[task](umxhq(targets=SOURCES, pretrained=False), **kwargs)


def recipe(task, conf, **kwargs):
    """TFSWA-UNet as the recipe has it."""
    return TASKS[task](recipe_model(conf), **kwargs)


PEERS = {"htdemucs": htdemucs, "openunmix": openunmix, "bs_roformer": bs_roformer}


def main():
    """Print a table for separation and one for a training step; HTDemucs is the baseline."""
    parser = arguments(__doc__)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS, metavar="PEER")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of the audio")
    parser.add_argument("--batch", type=int, default=1, help="batch of the training step")
    parser.add_argument("--conf", help="YAML file that changes keys of the recipe's conf.yml")
    args = parser.parse_args()

    for task, batch in [("separation", 1), ("training", args.batch)]:
        kwargs = {"task": task, "seconds": args.seconds, "batch": batch}
        ours = {**kwargs, "conf": args.conf}
        variants = [
            Variant(name, PEERS[name], kwargs)
            for name in args.peers
            # Open-Unmix is trained stem by stem on spectrograms: no step to compare with.
            if (task, name) != ("training", "openunmix")
        ]
        variants.append(Variant("TFSWA-UNet, float32", recipe, ours))
        variants.append(Variant("TFSWA-UNet, bfloat16", recipe, {**ours, "bfloat16": True}))
        measure(variants, args.runs, args.threads)
        show(f"{task}, {args.seconds:g} s of stereo, batch {batch}", variants)


if __name__ == "__main__":
    main()
