"""Everything about one GPU in one call: speed, memory, share of its matrix rate, and a profile.

Rows are printed as they come, and all together at the end. A part that fails is reported and left
out; no new part starts when the time is up. ``--tiny`` tries the script out on a CPU.
"""

import argparse
import functools
import itertools
import statistics
import time
import traceback

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

import asteroid_tfswa.masknn.cpu_attention  # noqa: F401 - its operators get formulas below
from asteroid_tfswa.masknn.attention import attention
from tests.benchmarks.measure import print_table
from tests.benchmarks.work import TASKS, recipe_model

SCHEDULE = 720_000  # seconds of audio in the paper's training: 30 epochs of 8000 segments of 3 s
HEADER = ["task", "K", "precision", "compiled", "batch", "ms", "items/s", "audio s/s", "peak GiB"]
HEADER += ["share of matrix rate"]


class Bench:
    """Measures in one process on one device and collects the rows of the table.

    Args:
        args (argparse.Namespace): options of `main`.
    """

    def __init__(self, args):
        self.args = args
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.deadline = time.monotonic() + 60 * args.minutes
        self.rows = []
        self.rate = float("nan")  # FLOP/s
        self.training_speed = 0.0  # seconds of audio per second, the best of all
        self.best_batches = {}

    def part(self, title, function, *args, **kwargs):
        """Run one part; if it fails the others still run."""
        if time.monotonic() > self.deadline:
            print(f"\n{title}: left out, the time is up; raise --minutes", flush=True)
            return
        print(f"\n{title}", flush=True)
        try:
            function(*args, **kwargs)
        except Exception:
            traceback.print_exc()
        torch._dynamo.reset()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def matrix_rate(self):
        """Measure the product of two random bfloat16 matrices."""
        n = 512 if self.args.tiny else 8192
        a, b = (torch.randn(n, n, device=self.device).bfloat16() for _ in range(2))
        self.rate = 2 * n**3 / self.seconds(lambda: a @ b, runs=10)
        print(f"  {n} x {n} bfloat16 matrices: {self.rate / 1e12:.1f} TFLOP/s", flush=True)

    def seconds(self, work, runs):
        """Median seconds of a run, after three that warm up."""
        times = []
        for _ in range(3 + runs):
            start = time.perf_counter()
            work()
            if self.device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        return statistics.median(times[3:])

    def work(self, task, n_bands, batch, bfloat16=True, compiled=False):
        """Make the model, and what is done with it."""
        model = recipe_model(self.args.conf, n_bands=n_bands).to(self.device)
        if compiled:
            torch._dynamo.reset()  # or it would compile for any batch, because it has seen two
            model = torch.compile(model)
        return TASKS[task](model, self.args.seconds, batch, bfloat16)

    def best_batch(self, task, n_bands):
        """Measure batch sizes, doubled until that gains less than 3 % or memory ends."""
        best, batch = 0.0, 1
        while batch <= (2 if self.args.tiny else 64) and time.monotonic() < self.deadline:
            try:
                speed = self.measure(task, n_bands, batch)
            except RuntimeError as err:  # out of memory, or a limit of a kernel
                print(f"  batch {batch}: {str(err).splitlines()[0]}", flush=True)
                break
            if speed < 1.03 * best:
                break
            best, batch = speed, 2 * batch
        self.best_batches[task, n_bands] = max(1, batch // 2)

    def measure(self, task, n_bands, batch, bfloat16=True, compiled=False):
        """Add one row to the table, and return the items per second."""
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        duration = self.seconds(self.work(task, n_bands, batch, bfloat16, compiled), self.args.runs)
        speed = batch / duration
        peak = torch.cuda.max_memory_allocated() / 2**30 if self.device == "cuda" else 0
        share = speed * count_flops(self.args.conf, n_bands, task, self.args.seconds) / self.rate
        row = [task, n_bands, "bfloat16" if bfloat16 else "float32", "yes" if compiled else "no"]
        row += [batch, f"{1000 * duration:.1f}", f"{speed:.2f}", f"{speed * self.args.seconds:.0f}"]
        row += [f"{peak:.1f}", f"{share:.1%}"]
        self.rows.append(row)
        print("  " + ", ".join(f"{h} {c}" for h, c in zip(HEADER, row)), flush=True)
        if task == "training":
            self.training_speed = max(self.training_speed, speed * self.args.seconds)
        return speed

    def many_windows(self):
        """Check attention in more windows than a CUDA grid has rows against that in few.

        The windows are those of shifted window attention, then those of frequency attention.
        """
        large = {(8, 8): (64, 264, 256), (1, 16): (64, 1056, 16)}  # 67,584 windows each
        for window, shape in large.items():
            self.windows((4, 16, 16) if self.args.tiny else shape, window)

    def windows(self, shape, window):
        """Check attention in windows of a map (batch, time, freq) against a quarter at a time."""
        qkv = torch.randn(*shape, 96, device=self.device).bfloat16().requires_grad_()
        whole = attention(qkv, 2, window)
        (grad,) = torch.autograd.grad(whole.float().square().sum(), qkv)
        parts = [attention(part, 2, window) for part in qkv.split(shape[0] // 4)]
        grads = [torch.autograd.grad(p.float().square().sum(), qkv)[0] for p in parts]
        for name, a, b in (("output", whole, torch.cat(parts)), ("gradient", grad, sum(grads))):
            error = ((a - b).float().abs().max() / b.float().abs().max()).item()
            print(f"  {window}, {name}: {error:.1e} away from a quarter at a time", flush=True)
            assert error < 0.02, f"attention in many windows: wrong {name}"

    def profile(self, task, n_bands):
        """Print the operations that take the most time."""
        work = self.work(task, n_bands, self.best_batches.get((task, n_bands), 1))
        work()
        with torch.profiler.profile() as found:
            work()
            if self.device == "cuda":
                torch.cuda.synchronize()
        key = "self_device_time_total" if self.device == "cuda" else "self_cpu_time_total"
        table = found.key_averages().table(sort_by=key, row_limit=12, max_name_column_width=60)
        print(table, flush=True)


@register_flop_formula(torch.ops.asteroid_tfswa.cpu_attention)
def _(heads, *_, **__):
    return 2 * _matrix_product(heads)  # scores, and their product with the values


@register_flop_formula(torch.ops.asteroid_tfswa.cpu_attention_grad)
def _(grad, out, heads, *_, **__):
    return 4 * _matrix_product(heads)  # without the scores, which the fused kernels recompute too


def _matrix_product(heads):
    """Count the operations of one product with the score matrices, from the shape of the heads."""
    rows, cols, height, width, _, n_heads, head_dim = heads
    return 2 * rows * cols * n_heads * (height * width) ** 2 * head_dim


@functools.cache
def count_flops(conf, n_bands, task, seconds):
    """Count the matrix and convolution operations of one item, without computing anything.

    Attention is counted as its two matrix products, whatever kernel computes it later.
    """
    with FakeTensorMode():
        work = TASKS[task](recipe_model(conf, n_bands=n_bands), seconds)
        with FlopCounterMode(display=False) as counter:
            work()
    return counter.get_total_flops()


def main():
    """Run all parts, the most important first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a segment")
    parser.add_argument("--runs", type=int, default=5, help="runs after the warm-up")
    parser.add_argument("--minutes", type=float, default=6.0, help="no part starts after this time")
    parser.add_argument("--tiny", action="store_true", help="small matrices, batches of 1 and 2")
    parser.add_argument("--conf", help="YAML file that changes keys of the recipe's conf.yml")
    args = parser.parse_args()

    bench = Bench(args)
    name = torch.cuda.get_device_name() if bench.device == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, segments of {args.seconds:g} s", flush=True)
    k = recipe_model(args.conf).masker.n_bands
    try:
        bench.part("bfloat16 matrix rate", bench.matrix_rate)
        bench.part("attention in many windows", bench.many_windows)
        for task in TASKS:
            bench.part(f"{task}, the recipe's K = {k}", bench.best_batch, task, k)
            bench.part(f"profile of {task}", bench.profile, task, k)
        for n_bands, task in itertools.product(sorted({1, 4, 8} - {k}), TASKS):
            bench.part(f"{task}, K = {n_bands}", bench.best_batch, task, n_bands)
        for bfloat16, compiled in ((False, False), (True, True), (False, True)):
            for task in TASKS:
                batch = bench.best_batches.get((task, k), 1)
                title = f"{task}, bfloat16 {bfloat16}, compiled {compiled}"
                bench.part(title, bench.measure, task, k, batch, bfloat16, compiled)
    finally:
        print_table(name, HEADER, bench.rows)
        if bench.training_speed:
            hours = SCHEDULE / bench.training_speed / 3600
            print(f"  {SCHEDULE} s of audio through a training step: {hours:.2f} hours at best")


if __name__ == "__main__":
    main()
