"""Training losses by name; all take estimates and targets and return their mean as one number.

A loss is a mean over equal items, so that `loss * batch size` is a sum that can be added up over
batches and processes.
"""

from asteroid.losses import SingleSrcMultiScaleSpectral, multisrc_mse
from torch import nn

from asteroid_tfswa.errors import InputError


class WaveformMSE(nn.Module):
    """Asteroid's `multisrc_mse`, averaged over the batch.

    Shape:
        estimates and targets (batch, n_src, n_channels, time) -> ().
    """

    def forward(self, estimates, targets):
        """Return the mean squared error."""
        return multisrc_mse(estimates, targets).mean()


class MultiScaleSpectral(nn.Module):
    """Asteroid's `SingleSrcMultiScaleSpectral` on each source and channel, as a mean.

    Asteroid's loss is a sum over seven spectrograms, each with about as many values as the signal
    has samples. It is divided by that number, so that it depends neither on the length of the
    segment nor on the size of the batch. The segment must have at least 2048 samples.

    Shape:
        estimates and targets (batch, n_src, n_channels, time) -> ().

    References:
        Engel, Hantrakul, Gu, Roberts, "DDSP: Differentiable Digital Signal Processing", ICLR 2020.
    """

    def __init__(self):
        super().__init__()
        self.spectral = SingleSrcMultiScaleSpectral()

    def forward(self, estimates, targets):
        """Return the mean over all spectrogram values of the linear and the log distance."""
        time = targets.shape[-1]
        estimates = estimates.reshape(-1, time).contiguous()  # (batch * n_src * n_channels, time)
        targets = targets.reshape(-1, time).contiguous()  # (batch * n_src * n_channels, time)
        return self.spectral(estimates, targets).mean() / (len(self.spectral.encoders) * time)


LOSSES = {"l1": nn.L1Loss, "mse": WaveformMSE, "multi_scale_spectral": MultiScaleSpectral}


def get_loss(name):
    """Make the loss of that name.

    Args:
        name (str): "l1", the mean absolute error of the waveforms (the paper's); "mse", Asteroid's
            mean squared error; or "multi_scale_spectral".

    Returns:
        torch.nn.Module: loss(estimates, targets) -> scalar.

    Raises:
        InputError: if there is no such loss.
    """
    if name not in LOSSES:
        raise InputError(f"loss: '{name}' is unknown; choose from {', '.join(LOSSES)}")
    return LOSSES[name]()
