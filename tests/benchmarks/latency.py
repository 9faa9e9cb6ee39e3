"""What a bound on the latency costs: SDR of whole songs and time, against 6 s, for a model.

Songs are folders with ``mixture.wav`` and a WAV file for each stem of the model, as the prepared
test set has them.
"""

import argparse
import time
from pathlib import Path

import torch

from asteroid_tfswa import InputError, TFSWAUNet
from asteroid_tfswa.separate import separate_wav
from asteroid_tfswa_cli import run_command
from tests.benchmarks.measure import print_table
from tests.benchmarks.precision import read, usdr

LATENCIES = (6.0, 2.0, 1.0, 0.5)  # seconds; the first is the segment, and the reference


def main(args=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="model file, best_model.pth of a run")
    parser.add_argument("--songs", required=True, type=Path, help="folder with a folder per song")
    parser.add_argument("--threads", type=int, default=2, help="threads (default: 2)")
    args = parser.parse_args(args)

    torch.set_num_threads(args.threads)
    model = TFSWAUNet.from_pretrained(args.model).eval()
    songs = sorted(path.parent for path in args.songs.glob("*/mixture.wav"))
    if not songs:
        raise InputError(
            f"--songs: no */mixture.wav in {args.songs}; name the prepared test folder"
        )
    scores, seconds = {}, {}
    for latency in LATENCIES:
        start, values = time.process_time(), []
        for song in songs:
            stems = torch.stack([read(song / f"{name}.wav") for name in model.sources])
            estimates = separate_wav(
                model, read(song / "mixture.wav"), segment=LATENCIES[0], latency=latency
            )
            values.append(usdr(stems, estimates))
        scores[latency] = torch.stack(values).mean(0)  # (n_src)
        seconds[latency] = time.process_time() - start
    rows = []
    for latency, score in scores.items():
        loss = (scores[LATENCIES[0]] - score).mean()
        row = [f"{latency:g} s", *(f"{x:.2f}" for x in score), f"{score.mean():.2f}"]
        rows.append([*row, f"{loss:.2f}", f"{seconds[latency]:.1f}"])
    header = ["latency", *model.sources, "mean uSDR", "loss", "CPU seconds"]
    print_table(f"{len(songs)} songs, dB", header, rows)


if __name__ == "__main__":
    run_command(main)
