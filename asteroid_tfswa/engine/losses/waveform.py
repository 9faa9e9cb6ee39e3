"""Losses on waveforms."""

import torch
from torch import nn

TRIMMED = 10  # one in so many stems of a batch is left out


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

    least_stems = TRIMMED  # of a batch: nothing would be left out of fewer

    def forward(self, estimates, targets):
        """Return the mean over the stems that are kept."""
        errors = (estimates - targets).abs().mean(dim=(-2, -1)).flatten()  # (batch * n_src)
        n_trimmed = len(errors) // TRIMMED if self.training else 0
        return errors.topk(len(errors) - n_trimmed, largest=False, sorted=False).values.mean()
