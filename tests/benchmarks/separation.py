"""What separation costs: python -m tests.benchmarks.separation [--parts time memory demucs]

time: a file through `separate_file` at overlap 0.25 against the model alone for the same length,
    cut into chunks without overlap; at most 1.4.
memory: peaks for 2 minutes and 2 hours, the network run for the first chunk only; at most 1.05.
demucs: time and peak against demucs with random weights, if that is installed.

Each peak is that of a process of its own. Ratios travel between machines; the numbers behind them
do not.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from asteroid_tfswa import TFSWAUNet
from asteroid_tfswa.separate import separate_file
from tests.benchmarks.work import recipe_model
from tests.stand_ins import StandIn

RATE = 44100
SOURCES = ["vocals", "drums", "bass", "other"]


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=["time", "memory", "demucs"])
    parser.add_argument("--seconds", type=float, default=120, help="of audio for time and demucs")
    parser.add_argument("--long", type=float, default=7200, help="of audio for memory")
    parser.add_argument("--folder", help="for the files, some 20 GB (default: a temporary one)")
    parser.add_argument("--model", default="", help="model file (default: the recipe's, untrained)")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)  # in a process of its own
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(*args.case)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        song = write_song(Path(folder, "song.wav"), args.seconds)
        if "time" in args.parts or "demucs" in args.parts:
            ours = in_process("ours", song, args.model)
            report("ours", ours)
        if "time" in args.parts:
            alone = in_process("network", song, args.model)
            report("the network alone", alone)
            print(f"overlap 0.25 over the network alone: {ours['time'] / alone['time']:.2f} (1.4)")
        if "memory" in args.parts:
            short = in_process("pipeline", write_song(Path(folder, "short.wav"), 120))
            report("2 minutes, network run once", short)
            long = in_process("pipeline", write_song(Path(folder, "long.wav"), args.long))
            report(f"{args.long / 60:.0f} minutes, network run once", long)
            print(f"peak of long over short: {long['peak'] / short['peak']:.3f} (1.05)")
        if "demucs" in args.parts:
            theirs = in_process("demucs", song)
            if theirs["time"]:
                report("demucs, htdemucs", theirs)
                print(f"time, ours over demucs: {ours['time'] / theirs['time']:.2f}")
                print(f"peak, ours over demucs: {ours['peak'] / theirs['peak']:.2f}")
            else:
                print("demucs is not installed")


def write_song(path, seconds):
    """Write noise, a minute at a time."""
    rng = np.random.default_rng(0)
    minute = (0.1 * rng.standard_normal((60 * RATE, 2))).astype("float32")
    with soundfile.SoundFile(path, "w", RATE, 2) as file:
        for start in np.arange(0, seconds, 60):
            file.write(minute[: round(RATE * min(60, seconds - start))])
    return path


def in_process(case, song, model=""):
    """Run a case in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.separation",
        "--case",
        case,
        str(song),
        model,
    ]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout.splitlines()[-1])


def report(name, result):
    """Print time and peak."""
    print(f"{name}: {result['time']:.1f} s, peak {result['peak'] / 1e6:.0f} MB", flush=True)


def measure(case, song, model):
    """Time in seconds and peak memory in bytes of a case."""
    try:
        work = CASES[case](song, model)
    except ImportError:
        return {"time": None, "peak": None}
    start = time.perf_counter()
    with torch.no_grad():
        work()
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"time": seconds, "peak": peak}


def load(model):
    """The model of a file, or an untrained one of the recipe's configuration."""
    return TFSWAUNet.from_pretrained(model).eval() if model else recipe_model().eval()


def ours(song, model):
    """The model, from file to files."""
    model = load(model)
    return lambda: separate_file(model, song, Path(song).parent / "out")


def network(song, model):
    """The model on as much audio, in chunks of the same length side by side."""
    model = load(model)
    n_samples = soundfile.info(song).frames
    chunk = 0.1 * torch.randn(1, 2, 6 * RATE)

    def work():
        for start in range(0, n_samples, chunk.shape[-1]):
            model(chunk[..., : n_samples - start])

    return work


class FirstChunk(StandIn):
    """The recipe's network for one chunk, which takes the memory that it takes; then for free."""

    def __init__(self):
        super().__init__(sources=SOURCES)
        self.sample_rate = RATE
        self.network = recipe_model()

    def forward(self, wav):
        return super().forward(wav) if self.seen else self.network(super().forward(wav)[:, 0])


def pipeline(song, _):
    """All but the network's time, from file to files."""
    model = FirstChunk().eval()

    def work():
        for path in separate_file(model, song, Path(song).parent / "out"):
            path.unlink()

    return work


def demucs(song, _):
    """Htdemucs of random weights, as its command does: the whole song in memory."""
    from demucs.apply import apply_model
    from demucs.htdemucs import HTDemucs

    model = HTDemucs(SOURCES).eval()

    def work():
        wav = torch.from_numpy(soundfile.read(song, dtype="float32")[0].T)
        for name, stem in zip(SOURCES, apply_model(model, wav[None], shifts=0, overlap=0.25)[0]):
            out = Path(song).parent / f"demucs {name}.wav"
            soundfile.write(out, stem.T.numpy(), RATE, subtype="FLOAT")

    return work


CASES = {"ours": ours, "network": network, "pipeline": pipeline, "demucs": demucs}

if __name__ == "__main__":
    main()
