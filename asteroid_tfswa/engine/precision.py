"""Whether a precision suits the model and the devices of a training run."""

import sys

import torch
from asteroid.masknn import norms
from pytorch_lightning.utilities import rank_zero_only

from asteroid_tfswa.devices import has_bfloat16
from asteroid_tfswa.errors import InputError


def prepare_precision(model, hardware):
    """Check the precision; on GPUs, let what it leaves in float32 use TF32.

    Prints a warning if GPUs would emulate bfloat16, for which they have no fast attention.

    Args:
        model (torch.nn.Module): what is trained.
        hardware (dict): of `place`.

    Raises:
        InputError: if the model has layers that divide by zero in float16.
    """
    precision = hardware["precision"]
    # Their epsilon, 1e-8, is zero in float16.
    if precision == "16-mixed" and any(isinstance(m, norms._LayerNorm) for m in model.modules()):
        raise InputError(
            "norm_type: gLN, fgLN and cLN divide silence by zero in 16-mixed; use bN, or precision "
            "bf16-mixed or 32-true"
        )
    if hardware["accelerator"] == "cpu":
        return
    torch.set_float32_matmul_precision("high")
    lacking = [gpu for gpu in hardware["devices"] if not has_bfloat16(f"cuda:{gpu}")]
    if precision == "bf16-mixed" and lacking and rank_zero_only.rank == 0:
        print(
            f"warning: precision: GPU {lacking[0]} lacks bfloat16, so that attention uses slow "
            "kernels; --precision 16-mixed is faster",
            file=sys.stderr,
        )
