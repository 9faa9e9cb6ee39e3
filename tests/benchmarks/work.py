"""What is measured: separation and training steps of models that take waveforms.

Models take mixtures (batch, chan, time) and give sources (batch, n_src, chan, time). Only torch is
imported on top: models of other projects are measured in an environment that has no Asteroid.
"""

from pathlib import Path

import torch

SAMPLE_RATE = 44100
RECIPE_CONF = Path(__file__).resolve().parents[2] / "egs/musdb18/local/conf.yml"


def recipe_model(conf=None, **changes):
    """Make the model of the recipe's configuration.

    Args:
        conf (str, optional): YAML file whose keys replace those of the recipe's ``conf.yml``.
        **changes: arguments of `TFSWAUNet` that replace both.

    Returns:
        TFSWAUNet: with random weights.
    """
    from asteroid_tfswa import TFSWAUNet
    from asteroid_tfswa.config import read_yaml

    sections = read_yaml(RECIPE_CONF)
    for title, section in (read_yaml(conf) if conf else {}).items():
        sections[title].update(section)
    args = {**sections["filterbank"], **sections["masknet"], **changes}
    sources = sections["data"]["sources"]
    return TFSWAUNet(sources=sources, sample_rate=sections["data"]["sample_rate"], **args)


def noise(seconds, batch=1, device="cpu"):
    """Stereo noise at 44.1 kHz, (batch, 2, time), the same every time."""
    generator = torch.Generator().manual_seed(1)
    wav = 0.1 * torch.randn(batch, 2, round(seconds * SAMPLE_RATE), generator=generator)
    return wav.to(device)


def separation(model, seconds, batch=1, bfloat16=False):
    """Work that separates one batch at once, without chunks.

    Args:
        model (torch.nn.Module): the model, on any device.
        seconds (float): length of the audio.
        batch (int): number of mixtures. Default 1.
        bfloat16 (bool): under autocast. Default False.

    Returns:
        callable: gives the sources.
    """
    model.eval()
    device = next(model.parameters()).device
    mixture = noise(seconds, batch, device)

    def work():
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            return model(mixture)

    return work


def training(model, seconds, batch=1, bfloat16=False):
    """Work that takes one optimizer step (Adam), with the mean absolute error as the loss.

    Arguments are those of `separation`. The mixture is the target of every source, so that no
    model needs targets of a shape of its own.
    """
    model.train()
    device = next(model.parameters()).device
    mixture = noise(seconds, batch, device)
    optimizer = torch.optim.Adam(model.parameters())

    def work():
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            sources = model(mixture)
        target = mixture[:, None, :, : sources.shape[-1]]  # some models cut the end off
        (sources.float() - target).abs().mean().backward()
        optimizer.step()

    return work


TASKS = {"separation": separation, "training": training}
