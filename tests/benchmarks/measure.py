"""Measuring: each variant in a process of its own, and the processes take turns.

A process for each keeps peak memory honest; taking turns (A B A B) lets the drift of a busy machine
cancel in the ratios. Only torch and the standard library are needed on the measured side, so that
a variant can run under the Python of another environment. Memory is read from /proc: Linux only.
"""

import argparse
import contextlib
import importlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20


@dataclass
class Variant:
    """Something to measure, and what was measured.

    Args:
        name (str): in the table.
        set_up (callable): function of a module of this package; called once with `kwargs`, it gives
            back the work, a callable without arguments.
        kwargs (dict): plain values.

    Attributes:
        first (float): seconds of the first run, the warm-up, which may include compiling.
        seconds (list of float): of every later run.
        mib (float): highest memory over all runs above the memory after `set_up`; that of the GPU
            if the work uses one, else the process's resident memory.
        output (tensors or None): what the work gave back the last time.
    """

    name: str
    set_up: callable
    kwargs: dict = field(default_factory=dict)
    first: float = 0.0
    seconds: list = field(default_factory=list)
    mib: float = 0.0
    output: object = None

    @property
    def median(self):
        """Median seconds of a run (float)."""
        return statistics.median(self.seconds)


def measure(variants, runs, threads):
    """Warm every variant up with one run, then run all of them in turn.

    Args:
        variants (list of Variant): get their results.
        runs (int): runs of each after the warm-up.
        threads (int): threads of torch in each process.

    Returns:
        list of Variant: the same.

    Raises:
        RuntimeError: if the process of a variant ends early; its own error is on stderr.
    """
    from tqdm import tqdm  # not needed on the measured side

    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        processes = [stack.enter_context(_process(v, threads)) for v in variants]
        for variant, process in zip(variants, processes):
            _answer(process, variant)  # it has set up
        bar = tqdm(total=len(variants) * (runs + 1), leave=False)
        for i in range(runs + 1):
            for variant, process in zip(variants, processes):
                bar.set_description(variant.name)
                reply = _ask(process, "run", variant)
                if i == 0:
                    variant.first = reply["seconds"]
                else:
                    variant.seconds.append(reply["seconds"])
                variant.mib = max(variant.mib, reply["mib"])
                bar.update()
        bar.close()
        for variant, process in zip(variants, processes):
            path = Path(folder, "output.pt")
            _ask(process, str(path), variant)
            variant.output = torch.load(path, weights_only=True)
    return variants


def show(title, variants):
    """Print a table; ratios are to the first variant, with the lowest and highest of any turn."""
    base = variants[0]
    rows = []
    for v in variants:
        turns = [b / a for a, b in zip(base.seconds, v.seconds)]
        spread = f"{v.median / base.median:.2f} ({min(turns):.2f} to {max(turns):.2f})"
        seconds = f"{v.median:.3f} ({min(v.seconds):.3f} to {max(v.seconds):.3f})"
        rows.append(
            [v.name, seconds, spread, f"{v.mib:.0f}", f"{v.mib / (base.mib or math.nan):.2f}"]
        )
    print_table(title, ["variant", "seconds", "time ratio", "peak MiB", "memory ratio"], rows)


def print_table(title, header, rows):
    """Print rows of text in aligned columns."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    print(f"\n{title}")
    for row in [header, *rows]:
        first, *others = [str(cell) for cell in row]
        cells = [first.ljust(widths[0])] + [c.rjust(w) for c, w in zip(others, widths[1:])]
        print("  " + "   ".join(cells), flush=True)


def arguments(doc, runs=5):
    """Make a parser with the options that all benchmarks have.

    Args:
        doc (str): the benchmark's docstring.
        runs (int): default number of runs.

    Returns:
        argparse.ArgumentParser
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=runs, help="runs after the warm-up")
    parser.add_argument("--threads", type=int, default=2, help="threads of each process")
    return parser


@contextlib.contextmanager
def _process(variant, threads):
    """Start the process of a variant and end it with the block."""
    module = f"tests.benchmarks.{Path(variant.set_up.__code__.co_filename).stem}"
    job = json.dumps([module, variant.set_up.__name__, variant.kwargs, threads])
    command = [sys.executable, "-m", "tests.benchmarks.measure", job]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _ask(process, command, variant):
    with contextlib.suppress(BrokenPipeError):
        print(command, file=process.stdin, flush=True)
    return _answer(process, variant)


def _answer(process, variant):
    reply = process.stdout.readline()
    if not reply:
        raise RuntimeError(f"{variant.name} failed; its error is above")
    return json.loads(reply)


def _serve(job):
    """Be the process of a variant: a line is "run" or the path to save the last output to."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print must not mix with the replies
    module, name, kwargs, threads = json.loads(job)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    work = getattr(importlib.import_module(module), name)(**kwargs)
    loaded, output = _memory(), None
    print("{}", file=replies, flush=True)
    for line in sys.stdin:
        reply = {}
        if line == "run\n":
            output = None
            _reset_peak()
            start = time.perf_counter()
            output = work()
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            reply = {"seconds": time.perf_counter() - start, "mib": _memory("VmHWM") - loaded}
        else:
            torch.save(output, line.rstrip("\n"))
        print(json.dumps(reply), file=replies, flush=True)


def _memory(which="VmRSS"):
    """MiB that this process holds now (VmRSS) or held at most since the last reset (VmHWM)."""
    if torch.cuda.is_initialized():
        peak = which == "VmHWM"
        return (torch.cuda.max_memory_allocated() if peak else torch.cuda.memory_allocated()) / MIB
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{which}:")[1].split()[0]) / 1024


def _reset_peak():
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    else:
        Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    _serve(sys.argv[1])
