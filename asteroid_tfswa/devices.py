"""Where work runs: devices and processes."""

import contextlib
import ctypes
import re

import torch

from asteroid_tfswa.errors import InputError

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")  # of training
BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")  # of CPUs


def count_gpus():
    """Count the GPUs that torch can use.

    `torch.cuda.device_count` may ask the driver, which also counts GPUs when it is itself too old
    for torch's CUDA.

    Returns:
        int: 0 without GPUs.
    """
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def choose_device(name="auto"):
    """Find the device to separate on.

    Args:
        name (str): "cpu", "cuda" (or "cuda:1"), "mps", or "auto" for the first GPU, or the CPU of
            a machine without one. Default ``"auto"``.

    Returns:
        torch.device: the device.

    Raises:
        InputError: if it is unknown or does not exist.
    """
    if name == "auto":
        name = "cpu"
        if count_gpus():
            name = "cuda"
        elif torch.backends.mps.is_available():
            name = "mps"
    match = re.fullmatch(r"(cpu|cuda|mps)(?::([0-9]{1,9}))?", name)
    if match is None:
        raise InputError(f"device: '{name}' is unknown; use auto, cpu, cuda, cuda:1 or mps")
    kind, number = match.groups()
    n_devices = {
        "cpu": 1,
        "cuda": count_gpus(),
        "mps": int(torch.backends.mps.is_available()),
    }[kind]
    if int(number or 0) >= n_devices:
        raise InputError(
            f"device: '{name}' does not exist, torch finds {n_devices} of its kind; use auto or cpu"
        )
    return torch.device(name)


def choose_devices(devices, precision):
    """Find the devices to train on.

    Args:
        devices (str): see `train`.
        precision (str): one of PRECISIONS.

    Returns:
        dict: "accelerator", "devices" and "precision" as Lightning takes them, and "n_devices".

    Raises:
        InputError: if a GPU does not exist, `devices` cannot be parsed, or they do not support the
            precision.
    """
    n_gpus = count_gpus()
    if devices == "cpu" or (devices == "" and n_gpus == 0):
        devices = "cpu:1"
    elif devices == "":
        devices = ",".join(map(str, range(n_gpus)))
    if precision not in PRECISIONS:
        raise InputError(
            f"precision: '{precision}' is unknown; choose from {', '.join(PRECISIONS)}"
        )
    if match := re.fullmatch(r"cpu:([1-9][0-9]*)", devices):
        if precision == "16-mixed":
            raise InputError(
                "precision: 16-mixed needs a GPU; on the CPU use bf16-mixed or 32-true"
            )
        n_devices = int(match[1])
        return {
            "accelerator": "cpu",
            "devices": n_devices,
            "n_devices": n_devices,
            "precision": _precision_on(["cpu"], precision),
        }
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*", devices):
        raise InputError(f"devices: '{devices}' is invalid; use '0', '0,1', 'cpu' or ''")
    gpus = sorted(map(int, devices.split(",")))
    if len(set(gpus)) < len(gpus):
        raise InputError(f"devices: '{devices}' names a GPU twice; name each one once")
    if gpus[-1] >= n_gpus:
        raise InputError(
            f"devices: GPU {gpus[-1]} does not exist, this machine shows {n_gpus}"
            + (f" (0 to {n_gpus - 1})" if n_gpus else "; use 'cpu'")
        )
    return {
        "accelerator": "gpu",
        "devices": gpus,
        "n_devices": len(gpus),
        "precision": _precision_on([f"cuda:{gpu}" for gpu in gpus], precision),
    }


def _precision_on(names, precision):
    """The precision that "auto" stands for on these devices."""
    if precision != "auto":
        return precision
    return "bf16-mixed" if all(map(has_bfloat16, names)) else "32-true"


def has_bfloat16(device):
    """Whether a device computes in bfloat16 itself, rather than emulating it.

    Args:
        device (torch.device or str): a CPU (AMX or AVX-512 BF16) or GPU.

    Returns:
        bool
    """
    device = torch.device(device)
    if device.type == "cuda":
        # `torch.cuda.is_bf16_supported` tells of the current GPU alone, and to make another one
        # current takes memory there.
        return bool(torch.version.hip) or torch.cuda.get_device_properties(device).major >= 8
    flags = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return any(flags.get(flag, False) for flag in BFLOAT16_FLAGS)


def rank_and_world():
    """Rank of this process and number of processes; (0, 1) outside distributed training.

    Returns:
        tuple of int: rank, world size.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def over_ranks(tensor, operation="SUM"):
    """Reduce a tensor over all processes, in place.

    Args:
        tensor (torch.Tensor): of the same shape on all.
        operation (str): of `torch.distributed.ReduceOp`. Default ``"SUM"``.

    Returns:
        torch.Tensor: the same tensor; unchanged outside distributed training.
    """
    if rank_and_world()[1] > 1:
        torch.distributed.all_reduce(tensor, getattr(torch.distributed.ReduceOp, operation))
    return tensor


def _find_malloc_trim():
    with contextlib.suppress(AttributeError, OSError, TypeError):
        return ctypes.CDLL(None).malloc_trim
    return lambda pad: 0


_MALLOC_TRIM = _find_malloc_trim()


def return_memory(device="cpu"):
    """Return freed memory to the operating system, or that of a GPU to other programs.

    glibc keeps freed blocks for reuse. Feature maps differ in size, so the blocks rarely fit the
    next request and the heap grows to several times what is in use. Does nothing without glibc.

    Args:
        device (str or torch.device): the device whose memory is returned. Default ``"cpu"``.
    """
    kind = torch.device(device).type
    if kind == "cpu":
        _MALLOC_TRIM(0)
    else:
        getattr(torch, kind).empty_cache()  # torch.cuda, torch.mps
