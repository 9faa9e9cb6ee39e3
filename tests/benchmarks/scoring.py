"""The fast scorer against museval on one song: time, memory, largest difference in dB.

Three sets of estimates are scored, leaking stems with noise, the mixture, and the mixture times the
best gain: SDR alone, which museval cannot compute alone, and SDR, SIR, ISR and SAR together.
"""

import argparse

import numpy as np
import torch

from asteroid_tfswa.scores import bsseval, museval
from asteroid_tfswa.scores.baselines import baselines
from asteroid_tfswa.scores.bsseval import Signals
from tests.benchmarks.measure import Variant, measure, print_table

RATE = 44100
METRICS = ("SDR", "SIR", "ISR", "SAR")


def song(seconds, stems):
    """References (stems, 2, time) of noise in different colours, and three sets of estimates."""
    rng = np.random.default_rng(0)
    references = rng.standard_normal((stems, 2, int(seconds * RATE)), dtype=np.float32) * 0.1
    references[:, 1] += 0.5 * references[:, 0]
    for k, stem in enumerate(references):
        stem[:, 1:] += 0.2 * k * stem[:, :-1]
    mixture = references.sum(axis=0)
    leaking = references + 0.1 * mixture
    leaking += 0.02 * rng.standard_normal(references.shape, dtype=np.float32)
    gains = baselines(Signals.of(mixture[None]), Signals.of(references))["best gain"]
    best_gain = gains.read(0, references.shape[-1])
    return references, [leaking, np.broadcast_to(mixture, references.shape), best_gain]


def by_museval(seconds, stems):
    """All four metrics by museval."""
    return _all_four(museval, seconds, stems)


def by_bsseval(seconds, stems):
    """All four metrics by the fast scorer."""
    return _all_four(bsseval, seconds, stems)


def _all_four(scorer, seconds, stems):
    references, sets = song(seconds, stems)
    references, sets = Signals.of(references), [Signals.of(x) for x in sets]
    return lambda: torch.tensor(
        np.stack([x.values for x in scorer.score(references, sets, RATE)])
    )  # (set, source, frame, metric)


def sdr_alone(seconds, stems):
    """SDR by the fast scorer."""
    references, sets = song(seconds, stems)
    return lambda: torch.tensor(np.stack([bsseval.frame_sdr(references, x, RATE) for x in sets]))


def main(argv=None):
    """Print the table and the differences."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=180.0, help="length of the song")
    parser.add_argument("--stems", type=int, default=4, help="stereo stems")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process")
    parser.add_argument("--without_museval", action="store_true", help="minutes less")
    args = parser.parse_args(argv)
    kwargs = {"seconds": args.seconds, "stems": args.stems}
    variants = [
        Variant("all four, fast", by_bsseval, kwargs),
        Variant("SDR alone, fast", sdr_alone, kwargs),
    ]
    if not args.without_museval:
        variants.insert(0, Variant("all four, museval", by_museval, kwargs))
    measure(variants, runs=0, threads=args.threads)
    base = variants[0]
    rows = [
        [v.name, f"{v.first:.2f}", f"{base.first / v.first:.1f}", f"{v.mib:.0f}"] for v in variants
    ]
    title = f"{args.seconds:g} s of {args.stems} stereo stems, 3 sets of estimates"
    print_table(title, ["variant", "seconds", "times faster", "peak MiB"], rows)
    if args.without_museval:
        return
    theirs, ours, sdr = (v.output for v in variants)
    # Above 100 dB, as the SAR of mixtures, rounding decides.
    difference = (theirs - ours).abs().masked_fill((theirs > 100) & (ours > 100), 0)
    largest = [f"{name} {difference[..., i].max():.1e}" for i, name in enumerate(METRICS)]
    largest.append(f"SDR alone {(theirs[..., 0] - sdr).abs().max():.1e}")
    print("\n  largest difference in dB: " + ", ".join(largest))


if __name__ == "__main__":
    main()
