"""Training losses by name; each takes estimates and targets and returns one number.

Each loss is a mean over items of equal size, so `loss * batch size` can be summed over batches and
processes.
"""

import functools

import torch
from asteroid import losses
from torch import nn

from asteroid_tfswa.errors import InputError

EPS = 1e-8  # Asteroid's, in magnitudes and logarithms
SIZES = (2048, 1024, 512, 256, 128, 64, 32)  # of the FFTs of `MultiScaleSpectral`


class PerChannel(nn.Module):
    """Apply a loss of Asteroid to each channel of each source and average the values.

    For a silent target, losses in dB are constant and have no gradient; that channel counts as
    zero.

    Args:
        loss (callable): of estimates and targets, (n, time) to (n,).
        in_db (bool): whether silent targets count as zero. Default False.

    Shape:
        estimates and targets (batch, n_src, n_channels, time) -> ().
    """

    def __init__(self, loss, in_db=False):
        super().__init__()
        self.loss, self.in_db = loss, in_db

    def forward(self, estimates, targets):
        """Return the mean loss."""
        time = targets.shape[-1]
        estimates = estimates.reshape(-1, time).contiguous()  # (batch * n_src * n_channels, time)
        targets = targets.reshape(-1, time).contiguous()
        values = self.loss(estimates, targets)  # (batch * n_src * n_channels)
        if self.in_db:
            values = torch.where(targets.any(dim=-1), values, 0.0)
        return values.mean()


class MultiScaleSpectral(nn.Module):
    """Asteroid's `SingleSrcMultiScaleSpectral` as a mean, computed by FFT.

    Asteroid's loss is a sum over seven spectrograms, each with about as many values as the signal
    has samples. It is divided by that number, so that it depends neither on the length of the
    segment nor on the size of the batch.

    Shape:
        estimates and targets (batch, n_src, n_channels, time) -> (), time at least 2048.

    Raises:
        InputError: if the segments are shorter.

    References
        - [1] Engel, Hantrakul, Gu, Roberts, "DDSP: Differentiable Digital Signal Processing", ICLR
          2020
    """

    def __init__(self):
        super().__init__()
        for size in SIZES:
            window = torch.hann_window(size, dtype=torch.float64).sqrt().float()
            self.register_buffer(f"window_{size}", window, persistent=False)

    def forward(self, estimates, targets):
        """Return the mean over all spectrogram values of the linear and the log distance."""
        time = targets.shape[-1]
        if time < SIZES[0]:
            raise InputError(
                f"loss: multi_scale_spectral needs segments of at least {SIZES[0]} samples: got "
                f"{time}; raise segment and valid_segment, or choose another loss"
            )
        signals = torch.stack([estimates, targets]).reshape(-1, time)
        distance = 0.0
        for size in SIZES:
            estimate, target = self._magnitudes(signals, size).chunk(2)
            linear, log = estimate - target, (estimate + EPS).log() - (target + EPS).log()
            distance = distance + linear.abs().sum() + log.abs().sum()
        return distance / (len(SIZES) * targets.numel())

    def _magnitudes(self, signals, size):
        """The magnitudes of Asteroid's `STFTFB`, (n, freq, frames)."""
        window = getattr(self, f"window_{size}")
        hop = size // 2
        spec = torch.stft(signals, size, hop, window=window, center=False, return_complex=True)
        scale = torch.full((spec.shape[1], 1), 2 * hop**0.5 / size, device=spec.device)
        scale[[0, -1]] *= 0.5**0.5
        return ((spec.real * scale) ** 2 + (spec.imag * scale) ** 2 + EPS).sqrt()


def _mse(estimates, targets):
    return losses.singlesrc_mse(estimates[:, None], targets[:, None]).flatten()


_SNR, _SISDR, _SDSDR = (
    functools.partial(PerChannel, loss, in_db=True)
    for loss in (
        losses.singlesrc_neg_snr,
        losses.singlesrc_neg_sisdr,
        losses.singlesrc_neg_sdsdr,
    )
)

# Asteroid's losses have its names; "neg" may be left out.
LOSSES = {
    "l1": nn.L1Loss,
    "mse": functools.partial(PerChannel, _mse),
    "multi_scale_spectral": MultiScaleSpectral,
    "multisrc_mse": functools.partial(PerChannel, _mse),
    "multisrc_snr": _SNR,
    "multisrc_neg_snr": _SNR,
    "multisrc_sisdr": _SISDR,
    "multisrc_neg_sisdr": _SISDR,
    "multisrc_sdsdr": _SDSDR,
    "multisrc_neg_sdsdr": _SDSDR,
    "SingleSrcMultiScaleSpectral": lambda: PerChannel(losses.SingleSrcMultiScaleSpectral()),
}


def get_loss(name):
    """Make a loss by name.

    Args:
        name (str): "l1", the mean absolute error of the waveforms (the paper's); "mse";
            "multi_scale_spectral", see `MultiScaleSpectral`; or one of Asteroid's losses in LOSSES,
            with its values: negative SDRs in dB, or the spectral loss as a sum.

    Returns:
        torch.nn.Module: loss(estimates, targets) -> scalar.

    Raises:
        InputError: if no such loss exists.
    """
    if name not in LOSSES:
        raise InputError(f"loss: '{name}' is unknown; choose from {', '.join(LOSSES)}")
    return LOSSES[name]()
