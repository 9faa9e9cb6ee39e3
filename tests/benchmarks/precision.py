"""Separation in bfloat16 against float32: time, and what it costs in uSDR, with a trained model.

Songs are folders with ``mixture.wav`` and a WAV file for each stem of the model, as the prepared
test set has them. uSDR is the SDR of the whole song, averaged over songs.
"""

import argparse
import time
from pathlib import Path

import soundfile
import torch
from tqdm import tqdm

from asteroid_tfswa import InputError, TFSWAUNet
from asteroid_tfswa_cli import run_command
from tests.benchmarks.measure import print_table


def read(path):
    """Samples of a file, (chan, time)."""
    return torch.from_numpy(soundfile.read(path, dtype="float32", always_2d=True)[0].T)


def usdr(reference, estimate):
    """SDR of whole stems in dB: (n_src, chan, time) twice to (n_src)."""
    signal = reference.double().square().sum((-2, -1))
    error = (reference - estimate).double().square().sum((-2, -1))
    return 10 * torch.log10((signal + 1e-7) / (error + 1e-7))


def separate(model, mixture, bfloat16):
    """Sources and the seconds that they took."""
    start = time.perf_counter()
    # The sources are on the CPU: whatever the device did is done.
    sources = model.separate(mixture, precision="bf16" if bfloat16 else "32")
    return sources, time.perf_counter() - start


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="model file, best_model.pth of a training")
    parser.add_argument("--songs", required=True, type=Path, help="folder with a folder per song")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--threads", type=int, default=2, help="threads on the CPU (default: 2)")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    model = TFSWAUNet.from_pretrained(args.model).to(args.device).eval()
    songs = sorted(path.parent for path in args.songs.glob("*/mixture.wav"))
    if not songs:
        raise InputError(
            f"--songs: no */mixture.wav in {args.songs}; name the prepared test folder"
        )
    scores, seconds = {False: [], True: []}, {False: 0.0, True: 0.0}
    for i, song in enumerate(tqdm(songs, leave=False)):
        mixture = read(song / "mixture.wav")
        stems = torch.stack([read(song / f"{name}.wav") for name in model.sources])
        for bfloat16 in (False, True):
            if i == 0:
                separate(model, mixture[:, : 6 * int(model.sample_rate)], bfloat16)  # warm-up
            sources, duration = separate(model, mixture, bfloat16)
            scores[bfloat16].append(usdr(stems, sources))
            seconds[bfloat16] += duration
    half, full = torch.stack(scores[True]), torch.stack(scores[False])  # (songs, n_src)

    rows = [
        [name, f"{f:.3f}", f"{h:.3f}", f"{h - f:+.3f}", f"{d:.3f}"]
        for name, f, h, d in zip(
            model.sources, full.mean(0), half.mean(0), (half - full).abs().amax(0)
        )
    ]
    header = ["stem", "float32 uSDR", "bfloat16 uSDR", "difference", "largest of a song"]
    print_table(f"{len(songs)} songs, dB", header, rows)
    ratio = seconds[True] / seconds[False]
    print(
        f"  time: float32 {seconds[False]:.1f} s, bfloat16 {seconds[True]:.1f} s, ratio {ratio:.2f}"
    )


if __name__ == "__main__":
    run_command(main)
