"""Where to train: GPUs by their numbers, or the CPU."""

import re

import torch

from asteroid_tfswa.errors import InputError

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def choose_devices(devices, precision):
    """Find out what to train on.

    Args:
        devices (str): see `train`.
        precision (str): one of PRECISIONS.

    Returns:
        dict: "accelerator", "devices" as Lightning takes them, and "n_devices".

    Raises:
        InputError: if a GPU is not there, the text cannot be read, or the precision does not fit.
    """
    n_gpus = torch.cuda.device_count()
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
        return {"accelerator": "cpu", "devices": n_devices, "n_devices": n_devices}
    if not re.fullmatch(r"[0-9]+(,[0-9]+)*", devices):
        raise InputError(f"devices: '{devices}' is not understood; give '0', '0,1', 'cpu' or ''")
    gpus = sorted({int(number) for number in devices.split(",")})
    if gpus[-1] >= n_gpus:
        raise InputError(
            f"devices: GPU {gpus[-1]} is not there, this machine shows {n_gpus}"
            + (f" (0 to {n_gpus - 1})" if n_gpus else "; use 'cpu'")
        )
    return {"accelerator": "gpu", "devices": gpus, "n_devices": len(gpus)}
