"""Models for `torch.hub`, as Asteroid has them."""

from asteroid_tfswa import TFSWAUNet

dependencies = ["torch", "torchaudio", "asteroid", "asteroid_filterbanks", "soundfile", "soxr"]
dependencies += ["mutagen", "yaml", "requests", "tqdm"]


def tfswa_unet(name_url_or_file=None, **kwargs):
    """Make a TFSWA-UNet, with trained weights where their place is given.

    Args:
        name_url_or_file (str, optional): model file, URL, or name on a hub. Defaults to none: the
            weights are random.
        **kwargs: arguments of `TFSWAUNet`.

    Returns:
        TFSWAUNet: the model.

    Examples:
        >>> model = torch.hub.load("path/to/checkout", "tfswa_unet", "model.pth", source="local")
    """
    if name_url_or_file is None:
        return TFSWAUNet(**kwargs)
    return TFSWAUNet.from_pretrained(name_url_or_file, **kwargs)
