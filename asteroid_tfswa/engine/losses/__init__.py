"""Training losses by name and weight; each takes estimates and targets and returns one number.

Each loss is a mean over items of equal size, so `loss * batch size` can be summed over batches and
processes. `TrimmedL1` is such a mean in evaluation mode only.
"""

import functools

from asteroid import losses
from torch import nn

from asteroid_tfswa.config import current_value
from asteroid_tfswa.engine.losses.spectral import (
    ComplexSTFT,
    Compressed,
    Magnitude,
    MultiResolutionMagnitude,
    MultiScaleSpectral,
)
from asteroid_tfswa.engine.losses.waveform import NegativeSDR, TrimmedL1
from asteroid_tfswa.errors import InputError

LOSSES = {
    "l1": nn.L1Loss,
    "mse": nn.MSELoss,
    "l1_trimmed": TrimmedL1,
    "mrstft": ComplexSTFT,
    "mrmag": MultiResolutionMagnitude,
    "mag_l1": functools.partial(Magnitude, nn.L1Loss()),
    "mag_mse": functools.partial(Magnitude, nn.MSELoss()),
    "compressed": Compressed,
    "multi_scale_spectral": MultiScaleSpectral,
    "SingleSrcMultiScaleSpectral": functools.partial(MultiScaleSpectral, mean=False),
    "snr": functools.partial(NegativeSDR, losses.singlesrc_neg_snr),
    "sisdr": functools.partial(NegativeSDR, losses.singlesrc_neg_sisdr),
    "sdsdr": functools.partial(NegativeSDR, losses.singlesrc_neg_sdsdr),
}


class WeightedSum(nn.Module):
    """Weighted sum of losses.

    Args:
        terms (dict): the losses, by name.
        weights (dict): their weights, by the same names.

    Attributes:
        values (dict): the last value of each loss, without its weight and without gradients.

    Shape:
        estimates and targets (batch, n_src, n_channels, time) -> ().
    """

    def __init__(self, terms, weights):
        super().__init__()
        self.terms, self.weights, self.values = nn.ModuleDict(terms), weights, {}

    def check_length(self, n_samples, key):
        """Check that segments are long enough for all losses.

        Args:
            n_samples (int): length of a segment.
            key (str): what sets it, for the message.

        Raises:
            InputError: if they are not.
        """
        self._check("least", n_samples, "segments", "samples", key)

    def check_batch(self, n_stems):
        """Check that batches are large enough for all losses.

        Args:
            n_stems (int): sources times segments of a batch.

        Raises:
            InputError: if they are not.
        """
        self._check("least_stems", n_stems, "batches", "stems", "batch_size")

    def _check(self, attribute, found, what, unit, key):
        for name, term in self.terms.items():
            least = getattr(term, attribute, 1)
            if found < least:
                raise InputError(
                    f"loss: {name} needs {what} of at least {least} {unit}: got {found}; raise "
                    f"{key}, or choose another loss"
                )

    def forward(self, estimates, targets):
        """Return the sum."""
        values = {name: term(estimates, targets) for name, term in self.terms.items()}
        self.values = {name: value.detach() for name, value in values.items()}
        return sum(self.weights[name] * value for name, value in values.items())


def get_loss(weights):
    """Make a loss.

    Names and definitions, each a mean over the batch, the sources and the channels:

    - "l1", "mse": mean absolute and mean squared error of the waveforms. The paper's loss is "l1".
    - "l1_trimmed": see `TrimmedL1`.
    - "mrstft": multi-resolution complex STFT, see `ComplexSTFT`.
    - "mrmag": multi-resolution magnitude, see `MultiResolutionMagnitude`.
    - "mag_l1", "mag_mse": see `Magnitude`.
    - "compressed": see `Compressed`.
    - "multi_scale_spectral", "SingleSrcMultiScaleSpectral": see `MultiScaleSpectral`.
    - "snr", "sisdr", "sdsdr": Asteroid's negative SDRs in dB, see `NegativeSDR`.

    Args:
        weights (dict or str): weight of each loss by its name; a name alone counts as 1.

    Returns:
        WeightedSum: loss(estimates, targets) -> scalar.

    Raises:
        InputError: if no such loss exists.
    """
    weights = current_value("loss", weights)
    for name in weights:
        if name not in LOSSES:
            raise InputError(f"loss: {name!r} is unknown; choose from {', '.join(LOSSES)}")
    return WeightedSum({name: LOSSES[name]() for name in weights}, weights)
