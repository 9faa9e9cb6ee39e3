"""What all tests share: fixed seeds, and a model small enough to run many times."""

import signal

import pytest
import torch

from asteroid_tfswa import TFSWAUNet

SMALL = {
    "sources": ["vocals", "drums"],
    "n_bands": 2,
    "widths": (4, 8, 16),
    "depths": (2, 1, 1),
    "n_heads": (1, 2, 4),
    "window": (5, 4),
    "n_filters": 64,
    "kernel_size": 64,
    "stride": 16,
    "sample_rate": 8000.0,
}

# What the network can see and mask; each must keep the model's promises.
KINDS = [
    {},
    {"mag_power": 0.5},
    {"mask_type": "complex", "mask_act": "linear"},
    {"mask_type": "complex", "mask_act": "tanh", "mag_power": 0.3},
]


def pytest_collection_modifyitems(items):
    """Put the longest files first, or one of two processes would wait for the other at the end."""
    items.sort(key=lambda item: item.path.name not in ("test_recipe.py", "test_train.py"))


@pytest.fixture(scope="session", autouse=True)
def ctrl_c():
    """Ctrl-C works here and in processes started here, also where the tests run in background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seed():
    """Every test draws the same random numbers whichever other tests run."""
    torch.manual_seed(0)


@pytest.fixture
def make_model():
    """Function that makes a small `TFSWAUNet` in evaluation mode; keywords change its arguments."""
    return lambda **kwargs: TFSWAUNet(**{**SMALL, **kwargs}).eval()
