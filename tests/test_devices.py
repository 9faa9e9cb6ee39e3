"""Which devices there are and what they have; CUDA's answers are made up."""

import types

import pytest
import torch

from asteroid_tfswa.cli import device_checks
from asteroid_tfswa.devices import (
    choose_device,
    choose_devices,
    count_gpus,
    has_bfloat16,
)
from asteroid_tfswa.errors import InputError


@pytest.fixture
def gpus(monkeypatch):
    """Function that gives this machine GPUs of these compute capabilities."""

    def make(*capabilities, available=True):
        def properties(device=None):
            return types.SimpleNamespace(major=capabilities[torch.device(device).index or 0])

        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(capabilities))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
        monkeypatch.setattr(torch.cuda, "get_device_properties", properties)

    return make


@pytest.fixture
def old_driver(gpus):
    """A GPU that the driver counts and torch cannot use."""
    gpus(8, available=False)


def test_gpus_that_torch_cannot_use_do_not_count(old_driver):
    assert count_gpus() == 0
    assert choose_devices("", "32-true")["accelerator"] == "cpu"
    assert choose_devices("", "auto")["accelerator"] == "cpu"
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match="GPU 0 does not exist, this machine shows 0; use 'cpu'"):
        choose_devices("0", "32-true")
    with pytest.raises(InputError, match="'cuda' does not exist, torch finds 0 of its kind"):
        choose_device("cuda")


@pytest.mark.parametrize("smi", [["GPU 0: T4"], OSError("nvidia-smi is missing")])
def test_doctor_says_that_the_driver_is_too_old(old_driver, monkeypatch, smi):
    def output_lines(command):
        if isinstance(smi, OSError):
            raise smi
        return smi

    monkeypatch.setattr(device_checks, "output_lines", output_lines)
    (check,) = device_checks.check_gpus()
    assert not check.ok and "the driver: it is probably too old for torch's" in check.remedy
    assert ("GPU 0: T4" if isinstance(smi, list) else "the GPUs that the driver has") in check.found
    assert device_checks.find_devices() == [torch.device("cpu")]


def test_bfloat16_is_known_without_making_a_gpu_current(gpus, monkeypatch):
    """A GPU that is made current keeps memory for this process."""
    gpus(8, 7)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "device", None)
    assert has_bfloat16("cuda:0") and not has_bfloat16("cuda:1")
    assert choose_devices("0", "auto")["precision"] == "bf16-mixed"
    assert choose_devices("0,1", "auto")["precision"] == "32-true"
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert has_bfloat16("cuda:1")
