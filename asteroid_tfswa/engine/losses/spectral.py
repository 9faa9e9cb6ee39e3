"""Losses on spectrograms, computed by FFT."""

import torch
from torch import nn

EPS = 1e-8  # Asteroid's, in magnitudes and logarithms
QUIET = 1e-8  # power of a signal (-80 dB) up to which it counts as silent


class STFTLoss(nn.Module):
    """STFTs of several resolutions with Hann windows, which checkpoints do not contain.

    Args:
        resolutions (sequence of (int, int, int)): FFT size, window and hop of each, in samples.

    Attributes:
        least (int): the shortest signal that can be padded by reflection, in samples.
    """

    def __init__(self, resolutions):
        super().__init__()
        self.resolutions = resolutions
        self.least = max(resolutions)[0] // 2 + 1
        for _, length, _ in resolutions:
            self.register_buffer(f"window_{length}", torch.hann_window(length), persistent=False)

    def spectra(self, signals):
        """Yield a spectrogram of each resolution, one after another.

        Args:
            signals (torch.Tensor): (..., time).

        Yields:
            torch.Tensor: complex, (n, freq, frames), where n is the number of signals.
        """
        signals = signals.reshape(-1, signals.shape[-1])
        for size, length, hop in self.resolutions:
            window = getattr(self, f"window_{length}")
            yield torch.stft(signals, size, hop, length, window, return_complex=True)


class ComplexSTFT(STFTLoss):
    """Distance of complex spectrograms of five resolutions, BS-RoFormer's.

    The sum over the resolutions of the mean of ``|STFT(estimate) - STFT(target)|``. Windows have
    4096, 2048, 1024, 512 and 256 samples, FFTs at least 2048, and the hop is 147.

    Shape:
        estimates and targets (batch, n_src, n_channels, time) -> (), time at least 2049.

    References
        - [1] Lu, Wang, Kong, Hung, "Music Source Separation with Band-Split RoPE Transformer",
          ICASSP 2024
    """

    def __init__(self):
        windows = (4096, 2048, 1024, 512, 256)
        super().__init__([(max(window, 2048), window, 147) for window in windows])

    def forward(self, estimates, targets):
        """Return the sum over the resolutions."""
        # The STFT is linear: one of the difference is the difference of two.
        return sum(spec.abs().mean() for spec in self.spectra(estimates - targets))


class MultiResolutionMagnitude(STFTLoss):
    """Spectral convergence and log distance of magnitudes of three resolutions.

    With magnitudes S of a target and E of its estimate, ``|S - E|`` is the Frobenius norm in
    ``|S - E| / |S|``, the spectral convergence, to which the mean of ``abs(log S - log E)`` is
    added. Both are means over signals and resolutions. For targets of at most -80 dB the spectral
    convergence, which would grow without bound, counts as zero. The FFTs have 2048, 1024 and 512
    samples, with a quarter as hop.

    Shape:
        estimates and targets (batch, n_src, n_channels, time) -> (), time at least 1025.

    References
        - [1] Yamamoto, Song, Kim, "Parallel WaveGAN", ICASSP 2020
    """

    def __init__(self):
        super().__init__([(size, size, size // 4) for size in (2048, 1024, 512)])

    def forward(self, estimates, targets):
        """Return the mean over signals and resolutions."""
        loud = targets.square().mean(dim=-1).flatten() > QUIET  # (n)
        distances = []
        for spec in self.spectra(torch.stack([estimates, targets])):
            estimate, target = _magnitudes(spec).chunk(2)  # (n, freq, frames)
            convergence = _norm(target - estimate) / torch.where(loud, _norm(target), 1.0)
            log = (target.log() - estimate.log()).abs().mean()
            distances.append(torch.where(loud, convergence, 0.0).mean() + log)
        return torch.stack(distances).mean()


class Magnitude(STFTLoss):
    """Distance of magnitudes, for networks that estimate masks of magnitudes.

    With the mixture's phase, the magnitude of an estimate is the mask times the mixture's
    magnitude; so this compares masked mixtures with targets. The STFT is Open-Unmix's: 4096
    samples, a hop of 1024.

    Args:
        distance (callable): of two tensors of magnitudes, to a scalar.

    Shape:
        estimates and targets (batch, n_src, n_channels, time) -> (), time at least 2049.

    References
        - [1] Stoeter, Uhlich, Liutkus, Mitsufuji, "Open-Unmix", JOSS 2019
    """

    def __init__(self, distance):
        super().__init__([(4096, 4096, 1024)])
        self.distance = distance

    def forward(self, estimates, targets):
        """Return the distance."""
        (spec,) = self.spectra(torch.stack([estimates, targets]))
        return self.distance(*spec.abs().chunk(2))


class Compressed(STFTLoss):
    """Squared error of compressed spectrograms, in which quiet parts count more.

    Magnitudes, of at least 1e-4, are raised to the power 0.3. The loss is 0.7 times the mean
    squared error of these magnitudes plus 0.3 times that of the complex spectrograms with these
    magnitudes. The STFT has 2048 samples and a hop of 512.

    Shape:
        estimates and targets (batch, n_src, n_channels, time) -> (), time at least 1025.

    References
        - [1] Braun, Tashev, "A consolidated view of loss functions for supervised deep
          learning-based speech enhancement", TSP 2021
    """

    def __init__(self):
        super().__init__([(2048, 2048, 512)])

    def forward(self, estimates, targets):
        """Return the weighted sum of both errors."""
        (spec,) = self.spectra(torch.stack([estimates, targets]))
        magnitudes = _magnitudes(spec)
        compressed = magnitudes**0.3
        spec = spec * (compressed / magnitudes)  # (2n, freq, frames)
        errors = [torch.sub(*pair.chunk(2)).abs().square().mean() for pair in (compressed, spec)]
        return 0.7 * errors[0] + 0.3 * errors[1]


class MultiScaleSpectral(nn.Module):
    """Asteroid's `SingleSrcMultiScaleSpectral`, computed by FFT.

    The sum of linear and log distances of magnitudes over seven spectrograms, each with about as
    many values as the signal has samples.

    Args:
        mean (bool): divide the sum by that number of values, so that it does not depend on the
            length of the segment. Asteroid's does not. Default True.

    Shape:
        estimates and targets (batch, n_src, n_channels, time) -> (), time at least 2048.

    References
        - [1] Engel, Hantrakul, Gu, Roberts, "DDSP: Differentiable Digital Signal Processing", ICLR
          2020
    """

    SIZES = (2048, 1024, 512, 256, 128, 64, 32)  # of the FFTs
    least = SIZES[0]  # the shortest signal

    def __init__(self, mean=True):
        super().__init__()
        self.mean = mean
        for size in self.SIZES:
            window = torch.hann_window(size, dtype=torch.float64).sqrt().float()
            self.register_buffer(f"window_{size}", window, persistent=False)

    def forward(self, estimates, targets):
        """Return the mean over all spectrogram values, or the sum, of both distances."""
        time = targets.shape[-1]
        signals = torch.stack([estimates, targets]).reshape(-1, time)
        distance = 0.0
        for size in self.SIZES:
            estimate, target = self._magnitudes(signals, size).chunk(2)
            linear, log = estimate - target, (estimate + EPS).log() - (target + EPS).log()
            distance = distance + linear.abs().sum() + log.abs().sum()
        n_values = len(self.SIZES) * time if self.mean else 1
        return distance / (n_values * (targets.numel() // time))

    def _magnitudes(self, signals, size):
        """The magnitudes of Asteroid's `STFTFB`, (n, freq, frames)."""
        window = getattr(self, f"window_{size}")
        hop = size // 2
        spec = torch.stft(signals, size, hop, window=window, center=False, return_complex=True)
        scale = torch.full((spec.shape[1], 1), 2 * hop**0.5 / size, device=spec.device)
        for row in (0, -1):  # a list of both would be copied to the device
            scale[row] *= 0.5**0.5
        return ((spec.real * scale) ** 2 + (spec.imag * scale) ** 2 + EPS).sqrt()


def _magnitudes(spec):
    """Magnitudes of at least 1e-4, whose logarithms and gradients are finite."""
    return (spec.real.square() + spec.imag.square() + EPS).sqrt()


def _norm(magnitudes):
    """Frobenius norm of each spectrogram, (n, freq, frames) to (n)."""
    return torch.linalg.vector_norm(magnitudes, dim=(-2, -1))
