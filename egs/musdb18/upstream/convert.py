"""Weights of our TFSWAUNet for the one of the contribution, which has Asteroid's filterbank."""

import torch
from asteroid_filterbanks import make_enc_dec

from asteroid_tfswa import TFSWAUNet
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.models.loading import load_model_file

FILTERBANKS = ("FFTSTFTFB", "torch_stft", "TorchSTFTFB")  # of the same numbers


def convert_model(model_file, out_file):
    """Write a model file of ours for the contribution's `TFSWAUNet`.

    Args:
        model_file (str or Path): best_model.pth of a training run, or another saved model.
        out_file (str or Path): file to write. What else the model file holds, such as licences
            and scores, is kept.

    Raises:
        InputError: if the file is no TFSWAUNet, or has a filterbank of other numbers.
    """
    conf = load_model_file(model_file)
    model = TFSWAUNet.from_pretrained(conf)
    if type(model) is not TFSWAUNet:
        raise InputError(f"{model_file} is a {type(model).__name__}: only TFSWAUNet is converted")
    args = model.get_model_args()
    if args["fb_name"] not in FILTERBANKS:
        raise InputError(
            f"{model_file} has the filterbank {args['fb_name']}: only {', '.join(FILTERBANKS)} "
            "have the numbers of torch_stft"
        )
    args.pop("gradient_checkpointing", None)
    args["fb_name"] = "TorchSTFTFB"
    sizes = [args[name] for name in ("n_filters", "kernel_size", "stride", "sample_rate")]
    weights = {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith(("encoder.", "decoder."))
    }
    for part, module in zip(("encoder", "decoder"), make_enc_dec("torch_stft", *sizes)):
        weights.update({f"{part}.{name}": value for name, value in module.state_dict().items()})
    with atomic_write(out_file) as tmp:
        torch.save({**conf, "model_args": args, "state_dict": weights}, tmp)
