"""Estimates that need no model: what learns nothing reaches, and what masks reach at best.

All of them depend on the data alone, and are computed piece by piece as they are read.
"""

import functools
from typing import NamedTuple

import numpy as np

from asteroid_tfswa.scores import bsseval

BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, np.inf)}  # of masks
PIECE = 441_000  # samples that are read at once to find gains


class MaskForm(NamedTuple):
    """What a network's masks can be.

    Attributes:
        n_fft (int): FFT size in samples. Default 2048.
        hop (int): in samples. Default 1024.
        is_complex (bool): masks change the phase as well. Default False.
        low (float): least value of the mask, or of its real and imaginary parts. Default 0.
        high (float): greatest value. Default 1.
    """

    n_fft: int = 2048
    hop: int = 1024
    is_complex: bool = False
    low: float = 0.0
    high: float = 1.0


def mask_form(model_args):
    """Find the form of a model's masks.

    Args:
        model_args (dict): from `get_model_args`; what it lacks has `MaskForm`'s default.

    Returns:
        MaskForm: the form; without bounds for activations that have none.
    """
    low, high = BOUNDS.get(model_args.get("mask_act", "sigmoid"), (-np.inf, np.inf))
    n_fft = model_args.get("n_filters", MaskForm().n_fft)
    return MaskForm(
        n_fft,
        model_args.get("stride", n_fft // 2),
        model_args.get("mask_type", "magnitude") == "complex",
        low,
        high,
    )


def baselines(mixture, references, form=MaskForm()):
    """Make the baselines and oracles of a song.

    Args:
        mixture (Signals): of one stem.
        references (Signals): true stems.
        form (MaskForm): of the oracles' masks. Default: sigmoid masks on magnitudes.

    Returns:
        dict[str, Signals]: by name.

        - "mixture": the mixture itself as the estimate of every stem.
        - "best gain": the mixture times the one gain that suits each stem best.
        - "ratio mask": the ideal ratio mask, magnitude of the stem over the sum of all stems'
          magnitudes, with the phase of the mixture.
        - "ideal mask": for each bin the best mask that `form` allows.
    """
    from scipy import signal  # takes a second, which other users of this module need not wait for

    gains = _best_gains(mixture, references).astype(np.float32)

    def repeat(start, stop):
        piece = mixture.read(start, stop)
        return np.broadcast_to(piece, (references.n_src, *piece.shape[1:]))

    def scale(start, stop):
        return mixture.read(start, stop) * gains[:, None, None]

    def ratio_mask(x, stems):
        magnitudes = np.abs(stems)
        rest = np.abs(x[0] - stems.sum(axis=0))  # what is in the mixture besides these stems
        return magnitudes / (magnitudes.sum(axis=0) + rest + np.finfo(np.float64).tiny)

    def ideal_mask(x, stems):
        power = np.abs(x) ** 2 + np.finfo(np.float64).tiny
        mask = stems * np.conj(x) / power
        real = np.clip(mask.real, form.low, form.high)
        if not form.is_complex:
            return real
        return real + 1j * np.clip(mask.imag, form.low, form.high)

    window = np.sqrt(signal.windows.hann(form.n_fft, sym=False))
    stft = signal.ShortTimeFFT(window, form.hop, fs=1)

    @functools.lru_cache(maxsize=1)  # both oracles are read piece by piece in turn
    def spectra(begin, end):
        """Spectra of the mixture and the stems, (stem, channel, bin, frame)."""
        return [
            stft.stft(
                bsseval.read_padded(x, begin, end).reshape(x.n_src, x.n_channels, end - begin)
            )
            for x in (mixture, references)
        ]

    def masked(mask):
        def read(start, stop):
            # Frames lie on one grid for all pieces, and those that reach into this one are whole.
            begin = (start - form.n_fft) // form.hop * form.hop
            end = stop + form.n_fft
            x, stems = spectra(begin, end)
            out = stft.istft(x * mask(x, stems), k1=end - begin)
            return out[..., start - begin : stop - begin].astype(np.float32)

        return read

    reads = {
        "mixture": repeat,
        "best gain": scale,
        "ratio mask": masked(ratio_mask),
        "ideal mask": masked(ideal_mask),
    }
    return {name: references._replace(read=read) for name, read in reads.items()}


def _best_gains(mixture, references):
    """For each stem the gain of the mixture with the smallest squared error."""
    energy, products = 0.0, np.zeros(references.n_src)
    for start in range(0, mixture.n_samples, PIECE):
        span = (start, min(start + PIECE, mixture.n_samples))
        piece = mixture.read(*span)
        energy += bsseval.energy(piece)[0]
        stems = references.read(*span)
        products += bsseval.dot(np.broadcast_to(piece, stems.shape), stems)
    return products / (energy or 1.0)
