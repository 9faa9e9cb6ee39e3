"""What chunks are computed in: full float32, whatever the process has allowed before."""

import subprocess
import sys
import threading

import pytest
import torch

from asteroid_tfswa.separate import separate_wav
from tests.stand_ins import StandIn


def switches():
    """TF32 or not: in matrix products, in convolutions."""
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


class Seeing(StandIn):
    """Notes the switches while it runs, where several threads run it until all have come."""

    def __init__(self, n_threads=1):
        super().__init__()
        self.found, self.barrier = [], threading.Barrier(n_threads)

    def forward(self, wav):
        self.found.append(switches())
        self.barrier.wait(timeout=30)
        return super().forward(wav)


@pytest.fixture
def training_switches():
    """What training on a GPU leaves."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield switches()
    torch.set_float32_matmul_precision(before)


def test_float32_is_not_rounded_to_tf32(training_switches):
    assert training_switches == ("high", True)
    model = Seeing()
    separate_wav(model, torch.randn(2, 250), segment=0.1)
    assert set(model.found) == {("highest", False)} and switches() == training_switches
    model = Seeing()
    separate_wav(model, torch.randn(2, 250), segment=0.1, precision="bf16")
    assert set(model.found) == {training_switches}


def test_threads_that_overlap_return_the_switches(training_switches):
    model = Seeing(n_threads=2)
    options = {"segment": 0.1, "overlap": 0.0}
    threads = [
        threading.Thread(target=separate_wav, args=(model, torch.randn(2, n)), kwargs=options)
        for n in (100, 300)  # the second one runs on alone, below
    ]
    threads[0].start()
    threads[1].start()
    threads[0].join(timeout=30)
    for _ in range(2):  # chunks of the second one
        model.barrier.wait(timeout=30)
    threads[1].join(timeout=30)
    assert model.found == [("highest", False)] * 4 and switches() == training_switches


def test_newer_switches_of_a_program_are_left_alone():
    """In a process of its own: torch cannot go back to the older ones."""
    code = """if True:
        import asteroid_tfswa_cli, torch
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        from asteroid_tfswa.separate.runner import full_float32
        with full_float32():
            print(torch.backends.cuda.matmul.fp32_precision)
        print(torch.backends.cuda.matmul.fp32_precision)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "tf32\ntf32\n"
