"""How the cost of the recipe's model grows: with the segment, with K, and with the audio's length.

Time must be linear in the length of the audio, and memory constant, once it is cut into chunks.
"""

import torch

from tests.benchmarks.measure import Variant, arguments, measure, print_table
from tests.benchmarks.work import noise, recipe_model, separation


def at_once(seconds, conf, **changes):
    """A segment without chunks."""
    return separation(recipe_model(conf, **changes), seconds)


def in_chunks(seconds, conf, segment):
    """Audio of any length in chunks, as a file is separated; the sources are not kept."""
    from asteroid_tfswa.separate import separate_blocks

    model = recipe_model(conf)
    block = noise(1.0)[0]  # (chan, time), handed over again and again

    def work():
        blocks = (block for _ in range(round(seconds)))
        n_samples = sum(out.shape[-1] for out in separate_blocks(model, blocks, segment))
        return torch.tensor(n_samples)

    return work


def main():
    """Print the three tables."""
    parser = arguments(__doc__, runs=3)
    parser.add_argument(
        "--segments", type=float, nargs="+", default=[1, 2, 4, 8], help="segments, in seconds"
    )
    parser.add_argument("--n_bands", type=int, nargs="+", default=[1, 2, 4, 8], help="values of K")
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[6, 12, 24, 48], help="audio in chunks, seconds"
    )
    parser.add_argument("--segment", type=float, default=2.0, help="segment for K and for chunks")
    parser.add_argument("--conf", help="YAML file that changes keys of the recipe's conf.yml")
    args = parser.parse_args()

    base = {"conf": args.conf, "seconds": args.segment}
    tables = {
        "one segment": [
            Variant(f"{s:g} s", at_once, {**base, "seconds": s}) for s in args.segments
        ],
        f"one segment of {args.segment:g} s": [
            Variant(f"K = {k}", at_once, {**base, "n_bands": k}) for k in args.n_bands
        ],
        f"chunks of {args.segment:g} s": [
            Variant(f"{n} s", in_chunks, {**base, "seconds": n, "segment": args.segment})
            for n in args.lengths
        ],
    }
    for title, variants in tables.items():
        measure(variants, args.runs, args.threads)
        header = ["variant", "seconds", "per s of audio", "time ratio", "peak MiB", "memory ratio"]
        first = variants[0]
        rows = [
            [
                v.name,
                f"{v.median:.3f}",
                f"{v.median / v.kwargs['seconds']:.3f}",
                f"{v.median / first.median:.2f}",
                f"{v.mib:.0f}",
                f"{v.mib / first.mib:.2f}",
            ]
            for v in variants
        ]
        print_table(f"separation, {title}", header, rows)


if __name__ == "__main__":
    main()
