"""The GPU benchmark, tried out on the CPU: a GPU is rarely there when it breaks."""

import argparse

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from asteroid_tfswa.masknn.cpu_attention import cpu_attention
from tests.benchmarks.gpu import Bench, count_flops


@pytest.fixture
def bench(tmp_path):
    conf = tmp_path / "tiny.yml"
    sizes = "{widths: [4], depths: [1], n_heads: [1]}"
    conf.write_text(
        f"filterbank: {{n_filters: 64, kernel_size: 64, stride: 32}}\nmasknet: {sizes}\n"
    )
    return Bench(argparse.Namespace(tiny=True, conf=str(conf), seconds=0.05, runs=1, minutes=1))


def test_operations_of_attention_are_those_of_its_matrix_products():
    heads = torch.randn(2, 3, 4, 5, 3, 7, 8, requires_grad=True)
    product = 2 * (2 * 3 * 7) * 20 * 20 * 8
    with FlopCounterMode(display=False) as counter:
        out = cpu_attention(heads)
    assert counter.get_total_flops() == 2 * product
    with FlopCounterMode(display=False) as counter:
        out.sum().backward()
    assert counter.get_total_flops() == 4 * product


def test_rows_have_a_share_of_the_matrix_rate(bench, capsys):
    bench.matrix_rate()
    bench.many_windows()
    bench.best_batch("training", 2)
    assert bench.rows and all(row[-1].endswith("%") for row in bench.rows)
    assert capsys.readouterr().out.count("output: 0.0e+00") == 2
    flops = count_flops(bench.args.conf, 2, "separation", 0.05)
    # Backward is twice as much, less the gradient of the input, which nobody needs.
    assert 2.5 * flops < count_flops(bench.args.conf, 2, "training", 0.05) < 3 * flops


def test_failing_batch_size_ends_the_search(bench, capsys, monkeypatch):
    def measure(task, n_bands, batch):
        if batch == 2:
            raise RuntimeError("CUDA error: invalid configuration argument\nmore lines")
        return 1.0

    monkeypatch.setattr(bench, "measure", measure)
    bench.best_batch("training", 4)
    assert "batch 2: CUDA error: invalid configuration argument\n" in capsys.readouterr().out
    assert bench.best_batches == {("training", 4): 1}
