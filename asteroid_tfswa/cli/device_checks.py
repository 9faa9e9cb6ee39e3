"""The checks of ``doctor`` that need the package: memory, GPUs, and the model on every device."""

import contextlib
import os
import platform
import subprocess

import torch

from asteroid_tfswa import TFSWAUNet
from asteroid_tfswa.cli.doctor import GB, Check, one_short_line, output_lines
from asteroid_tfswa.devices import count_gpus, has_bfloat16
from asteroid_tfswa.machine import usable_memory

DTYPES = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def check_devices():
    """Check the memory, then every device.

    Yields:
        Check: one after the other, as soon as it is done.
    """
    yield check_memory()
    yield from check_gpus()
    for device in find_devices():
        yield check_model(device)


def check_memory():
    """Check the memory that a process may use here.

    Returns:
        Check: with the limit of the container, if it has one.
    """
    usable, machine = usable_memory(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = f"{usable / GB:.1f} GB"
    if usable < machine:
        found += f", the limit of this container on a machine with {machine / GB:.1f} GB"
    remedy = "separation needs 1.5 GB: close other programs, give --segment 3"
    return Check("memory", usable > 2 * GB, found, remedy)


def check_gpus():
    """Look for GPUs that the system has and torch cannot use.

    Yields:
        Check: one if torch cannot use a GPU.
    """
    if count_gpus():
        return
    build, gpus = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA", []
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        gpus = [line for line in output_lines(["nvidia-smi", "-L"]) if line.startswith("GPU")]
    n_known = torch.cuda.device_count()  # by the driver
    if not gpus and not n_known:
        none = "none; separation works on the CPU, training takes many times longer"
        yield Check("GPU", True, none)
        return
    remedy = "update the driver, and look at CUDA_VISIBLE_DEVICES"
    if n_known:
        remedy = f"update the driver: it is probably too old for torch's {build}"
    what = gpus[0] if gpus else "the GPUs that the driver has"
    yield Check("GPU", False, f"torch ({build}) cannot use {what}", remedy)


def find_devices():
    """List the devices that torch can use.

    Returns:
        list[torch.device]: the CPU first.
    """
    devices = ["cpu", *(f"cuda:{i}" for i in range(count_gpus()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [torch.device(device) for device in devices]


def check_model(device):
    """Separate and train a tiny model for a step, in every precision.

    Args:
        device (torch.device): where.

    Returns:
        Check: with the device's name and memory, and the precisions that work.
    """
    works, reason = [], ""
    for precision, dtype in DTYPES.items():
        try:
            if _fits(device, precision) and _step_is_finite(device, dtype):
                works.append(precision)
        except RuntimeError as err:  # out of memory, no kernel for this GPU, and the like
            reason = f" ({one_short_line(err)})"
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        gpu = torch.cuda.get_device_properties(device)
        name = f"{gpu.name}, {gpu.total_memory / GB:.1f} GB"
    found = f"{name}: precision {', '.join(works)}" if works else f"{name}: fails{reason}"
    remedy = "pip install 'torch==2.11.*' 'torchaudio==2.11.0', for a GPU built for its driver"
    return Check(f"model on {device}", bool(works), found, remedy, needed=device.type == "cpu")


def _fits(device, precision):
    """Whether the device has the precision itself, rather than emulating it."""
    if device.type == "cuda" and precision == "bf16-mixed":
        return has_bfloat16(device)
    other_than_cuda = {"cpu": ("32-true", "bf16-mixed"), "mps": ("32-true",)}
    return precision in other_than_cuda.get(device.type, tuple(DTYPES))


def _step_is_finite(device, dtype):
    sizes = {"widths": (4, 8), "depths": (1, 1), "n_heads": 1, "window": 4}
    model = TFSWAUNet(**sizes, n_filters=64, kernel_size=64, stride=32).to(device)
    wav = torch.randn(1, 2, 2000, device=device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        loss = (model(wav) - wav[:, None]).abs().mean()
    loss.backward()
    return bool(torch.isfinite(loss))
