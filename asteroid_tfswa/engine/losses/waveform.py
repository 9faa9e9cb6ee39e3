"""Losses on waveforms."""

import torch
from torch import nn

TRIMMED_SHARE = 0.1  # of the stems of a batch


class NegativeSDR(nn.Module):
    """One of Asteroid's losses in dB, for each channel of each source, averaged.

    Asteroid's subtract the mean of each signal first. For a silent target they are constant and
    have no gradient; that channel counts as zero.

    Args:
        loss (callable): of estimates and targets, (n, time) to (n,).

    Shape:
        estimates and targets (batch, n_src, n_channels, time) -> ().
    """

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, estimates, targets):
        """Return the mean loss."""
        time = targets.shape[-1]
        estimates = estimates.reshape(-1, time)  # (batch * n_src * n_channels, time)
        targets = targets.reshape(-1, time)
        values = self.loss(estimates, targets)  # (batch * n_src * n_channels)
        return torch.where(targets.any(dim=-1), values, 0.0).mean()


class TrimmedL1(nn.Module):
    """Mean absolute error without the stems of the batch whose error is the largest.

    Stems that are wrong, such as vocals in the drums, often have the largest errors. A tenth of the
    stems of a batch, rounded down, is left out in training; nothing in evaluation mode.

    Shape:
        estimates and targets (batch, n_src, n_channels, time) -> ().

    References
        - [1] Fabbro et al., "The Sound Demixing Challenge 2023 - Music Demixing Track", TISMIR 2024
    """

    def forward(self, estimates, targets):
        """Return the mean over the stems that are kept."""
        errors = (estimates - targets).abs().mean(dim=(-2, -1)).flatten()  # (batch * n_src)
        n_trimmed = int(TRIMMED_SHARE * len(errors)) if self.training else 0
        return errors.topk(len(errors) - n_trimmed, largest=False, sorted=False).values.mean()
