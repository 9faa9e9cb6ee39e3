"""BSS Eval v4 by its definition, for any number of estimates of a song at once, in bounded memory.

museval [1] computes the same: distortion filters of 512 taps over the whole song, energy ratios in
frames of one second. What makes this fast:

- SDR needs no filters: the three error terms add up to the estimate minus the reference.
- Filters come from correlations at 512 lags, which sums over short real FFTs give; all estimates
  share the correlations of the references and one Cholesky factor of their Gram matrix.
- Energies of frames are sums over their spectra (Parseval), so nothing is transformed back.

All of it runs in double precision, on the CPU or a GPU. Audio is read in blocks, twice: memory does
not grow with the length of the song.

Where the references lack a part of the spectrum (lossy coding, stems without highs) the Gram matrix
is nearly singular, the filters become huge in the empty band, and SIR, SAR and ISR collapse to what
they make of the edges of frames. In the end rounding decides how, and museval disagrees with itself
when the sources are given in another order. The same is tried here: if the order of the references
changes a ratio by more than `TOLERANCE`, the diagonal is raised by `RIDGE`, as by white noise 60 dB
below each reference. That gives stable numbers, above museval's; otherwise they are museval's.

References
    - [1] F.-R. Stoter, A. Liutkus, N. Ito. "The 2018 Signal Separation Evaluation Campaign."
      LVA/ICA 2018. https://github.com/sigsep/sigsep-mus-eval
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.linalg
import torch

FILTER = 512  # taps of a distortion filter
SAFE_CONDITION = 1e12  # of the Gram matrix, up to which rounding changes no ratio noticeably
TOLERANCE = 1e-3  # dB that rounding may change
RIDGE = 1e-6  # of the diagonal
FFT_SIZE = 8192  # of the blocks whose spectra give the correlations
BLOCK = 32 * (FFT_SIZE - 2 * FILTER)  # samples that are read at once for these
FRAMES = 8  # whose spectra are in memory at once
BINS = 512  # of these spectra that are filtered at once: results stay in the cache


class Signals(NamedTuple):
    """Several signals of equal length, read piece by piece.

    Attributes:
        n_src (int): number of stems.
        n_channels (int): of each stem.
        n_samples (int): of each channel.
        read (callable): `read(start, stop)` returns samples as (n_src, n_channels, stop - start).
    """

    n_src: int
    n_channels: int
    n_samples: int
    read: Callable

    @classmethod
    def of(cls, array):
        """Make signals of an array (n_src, n_channels, time)."""
        return cls(*array.shape, lambda start, stop: array[..., start:stop])


class Ratios(NamedTuple):
    """Energy ratios of a set of estimates.

    Attributes:
        values (np.ndarray): SDR, SIR, ISR and SAR in dB, (n_src, n_frames, 4); NaN in frames where
            a reference or an estimate is silent, and for the SIR of an only source.
        condition (float): condition number of the references' Gram matrix; NaN if not computed.
        regularised (bool): whether its diagonal was raised, since rounding decided the ratios.
    """

    values: np.ndarray
    condition: float = np.nan
    regularised: bool = False


def frames_of(n_samples, win):
    """List the frames that BSS Eval scores, one after the other; a shorter rest is not scored.

    Args:
        n_samples (int): length of the song.
        win (int): length of a frame in samples.

    Returns:
        list[slice]: the frames; the whole song where it is no longer than one.
    """
    n_frames = max(n_samples // win, 1)
    return [slice(k * win, min((k + 1) * win, n_samples)) for k in range(n_frames)]


def frame_sdr(references, estimates, win):
    """Compute the SDR of every frame, which needs no filters.

    Args:
        references (np.ndarray): true stems, (n_src, n_channels, time).
        estimates (np.ndarray): separated stems, same shape.
        win (int): length of a frame in samples.

    Returns:
        np.ndarray: dB, (n_src, n_frames), NaN for all stems of a frame in which a reference or an
        estimate is silent.
    """
    frames = frames_of(references.shape[-1], win)
    sdr = np.full((len(references), len(frames)), np.nan)
    for k, frame in enumerate(frames):
        true, found = references[..., frame], estimates[..., frame]
        if not (any_is_silent(true) or any_is_silent(found)):
            sdr[:, k] = decibels(energy(true), energy(found - true))
    return sdr


def energy(signals):
    """Sum the squares of signals over channels and time.

    Args:
        signals (np.ndarray): (n_src, n_channels, time).

    Returns:
        np.ndarray: (n_src,).
    """
    return dot(signals, signals)


def dot(x, y):
    """Sum the products of signals over channels and time.

    Args:
        x (np.ndarray): (n_src, n_channels, time), a second long or so: float32 is summed in lanes,
            which keeps six digits over that length.
        y (np.ndarray): same shape.

    Returns:
        np.ndarray: (n_src,), double precision.
    """
    n_samples = x.shape[-1]
    rows = zip(x.reshape(-1, n_samples), y.reshape(-1, n_samples))  # slices are not copied
    products = np.array([np.dot(a, b) for a, b in rows], dtype=np.float64)
    return products.reshape(x.shape[:-1]).sum(axis=1)


def any_is_silent(signals):
    """Whether BSS Eval takes one of the signals (n_src, n_channels, time) for silent.

    It does if the channels add up to zero in every sample, also where they cancel.
    """
    for signal in signals:
        for part in (signal[..., :64], signal):  # most signals need no look at the rest
            if np.any(part.sum(axis=0, dtype=np.float64)):
                break
        else:
            return True
    return False


def decibels(numerator, denominator):
    """Ratio of energies in dB, at most 313 dB, which double precision can tell from infinite.

    Args:
        numerator (np.ndarray): energies.
        denominator (np.ndarray): energies.

    Returns:
        np.ndarray: dB.
    """
    floor = np.finfo(np.float64).eps ** 2 * numerator
    with np.errstate(divide="ignore", invalid="ignore"):  # silent frames, which become NaN
        return 10 * np.log10(numerator / np.maximum(denominator, floor))


def score(references, estimate_sets, win, device="cpu"):
    """Score sets of estimates of the same references.

    Args:
        references (Signals): true stems, none of which is silent throughout.
        estimate_sets (list[Signals]): each of the form of `references`, with no silent stem.
        win (int): length of a frame in samples.
        device (str): where to compute. Default "cpu".

    Returns:
        list[Ratios]: for each set.
    """
    gram, cross = _correlations(references, estimate_sets, device)
    frames = frames_of(references.n_samples, win)
    filters, condition = _solve(gram, cross, references)
    regularised = np.isinf(condition)
    if SAFE_CONDITION < condition < np.inf:
        reordered, other_condition = _solve(gram, cross, references, reverse=True)
        some = frames[:: -(-len(frames) // FRAMES)]
        found = [_ratios_of(references, estimate_sets, x, some) for x in (filters, reordered)]
        regularised = np.isinf(other_condition) or not _agree(*found)
    if regularised:
        filters, _ = _solve(gram, cross, references, ridge=RIDGE)
    values = _ratios_of(references, estimate_sets, filters, frames)
    return [Ratios(x, condition, bool(regularised)) for x in values]


def _agree(ratios, others):
    """Whether ratios are the same but for rounding, which decides what is above 100 dB."""
    differences = np.abs(ratios - others)[(ratios < 100) | (others < 100)]
    return not np.any(differences > TOLERANCE)


def read_padded(signals, start, stop):
    """Read all channels of all stems, with zeros before and after the song.

    Args:
        signals (Signals): what to read.
        start (int): first sample, which may be negative.
        stop (int): end, which may lie behind the song's.

    Returns:
        np.ndarray: (n_src * n_channels, stop - start), double precision.
    """
    inside = signals.read(max(start, 0), min(stop, signals.n_samples))
    out = np.zeros((signals.n_src * signals.n_channels, stop - start))
    begin = max(-start, 0)
    out[:, begin : begin + inside.shape[-1]] = inside.reshape(len(out), -1)
    return out


def _correlations(references, estimate_sets, device):
    """Correlate the references with one another and with the estimates.

    Returns:
        tuple[torch.Tensor, torch.Tensor]: sums over t of x_i[t] x_j[t + lag],
        (i, j, 2 * FILTER - 1) for lags from 1 - FILTER, and sums of x_i[t] e_j[t + lag],
        (i, j, FILTER) for lags from 0.
    """
    n_ref = references.n_src * references.n_channels
    step, reach = FFT_SIZE - 2 * FILTER, FILTER - 1
    total = 0
    for start in range(0, references.n_samples, BLOCK):
        stop = start + -(-(min(start + BLOCK, references.n_samples) - start) // step) * step
        around = np.concatenate(
            [read_padded(x, start - reach, stop + reach) for x in (references, *estimate_sets)]
        )
        around = torch.from_numpy(around).to(device)
        blocks = around.unfold(1, step + 2 * reach, step)  # (channel, block, time)
        inner = blocks[:n_ref, :, reach : reach + step]
        x = torch.fft.rfft(inner, FFT_SIZE).permute(2, 0, 1).contiguous()  # (bin, channel, block)
        y = torch.fft.rfft(blocks, FFT_SIZE).permute(2, 1, 0).contiguous()
        total = total + x.conj() @ y  # (bin, reference, any)
    lags = torch.fft.irfft(total.permute(1, 2, 0), FFT_SIZE)
    return lags[:, :n_ref, : 2 * reach + 1], lags[:, n_ref:, reach : 2 * reach + 1]


def _solve(gram, cross, references, reverse=False, ridge=0.0):
    """Project the estimates on the delayed references: on all, and on those of their own source.

    Returns:
        tuple: filters from every reference channel to every estimate channel (reference, estimate,
        FILTER) with those from the own source's channels alone (channel, estimate, FILTER), and the
        condition number of the Gram matrix.
    """
    n_channels, n_est = references.n_channels, cross.shape[1]
    filters, condition = _project(gram, cross, reverse, ridge)
    own = gram.new_empty(n_channels, n_est, FILTER)
    stem_of = torch.arange(n_est, device=gram.device) // n_channels % references.n_src
    for stem in range(references.n_src):
        rows = slice(stem * n_channels, (stem + 1) * n_channels)
        some = cross[rows][:, stem_of == stem]
        own[:, stem_of == stem], _ = _project(gram[rows, rows], some, reverse, ridge)
    return (filters, own), condition


def _project(gram, cross, reverse, ridge):
    """Solve the normal equations: filters (reference, estimate, FILTER), condition number.

    `reverse` takes the references in reversed order, which changes nothing but rounding.
    """
    n_ref, n_est, _ = cross.shape
    kept = _independent(gram)[:: -1 if reverse else 1]
    scale = gram[kept, kept, FILTER - 1].rsqrt()  # to ones on the diagonal
    taps = torch.arange(FILTER, device=gram.device)
    toeplitz = FILTER - 1 + taps[:, None] - taps  # lag of each element
    matrix = gram.new_empty(len(kept), FILTER, len(kept), FILTER)
    for a, i in enumerate(kept):
        for b, j in enumerate(kept):
            matrix[a, :, b] = (gram[i, j] * (scale[a] * scale[b]))[toeplitz]
    matrix = matrix.reshape(len(kept) * FILTER, -1)
    matrix.diagonal().add_(ridge)
    right = (cross[kept] * scale[:, None, None]).transpose(1, 2).reshape(len(matrix), n_est)
    factor, info = torch.linalg.cholesky_ex(matrix)
    filters = gram.new_full((n_ref, n_est, FILTER), torch.nan)
    if info:  # not positive definite to working precision
        return filters, np.inf
    norm = matrix.abs().sum(dim=0).max().item()
    rcond, _ = scipy.linalg.lapack.dpocon(factor.cpu().numpy().T, norm, uplo="U")
    solution = torch.cholesky_solve(right, factor).reshape(-1, FILTER, n_est)
    filters[:] = 0
    filters[kept] = solution.transpose(1, 2) * scale[:, None, None]
    return filters, 1 / rcond if rcond else np.inf


def _independent(gram):
    """Channels that are neither zero nor copies of earlier ones, up to a gain: no others matter."""
    products = gram[..., FILTER - 1].cpu().numpy()
    power = products.diagonal()
    kept = []
    for i in np.flatnonzero(power > 0):
        same = products[i, kept] ** 2 >= (1 - 1e-15) * power[i] * power[kept]
        if not same.any():
            kept.append(int(i))
    return kept


def _ratios_of(references, estimate_sets, filters, frames):
    """Energy ratios of frames, (n_set, n_src, n_frames, 4)."""
    n_src, n_channels = references.n_src, references.n_channels
    length = frames[0].stop - frames[0].start
    size = scipy.fft.next_fast_len(length + FILTER - 1, real=True)
    spectra = [torch.fft.rfft(x, size).permute(2, 1, 0).contiguous() for x in filters]
    values = np.full((len(estimate_sets), n_src, len(frames), 4), np.nan)
    for first in range(0, len(frames), FRAMES):
        some = frames[first : first + FRAMES]
        silent, found = [], []
        for signals in (references, *estimate_sets):
            pieces = [signals.read(frame.start, frame.stop) for frame in some]
            silent.append([any_is_silent(piece) for piece in pieces])
            pieces = torch.from_numpy(np.stack(pieces, axis=2)).to(spectra[0].device)
            found.append(_half_spectra(pieces.flatten(0, 1).double(), size))
        energies = _energies(found[0], torch.cat(found[1:], dim=1), *spectra, n_src, n_channels)
        for m, part in enumerate(energies):
            part[:, np.logical_or(silent[0], silent[m + 1])] = np.nan
            values[m, :, first : first + len(some)] = part
    return values


def _half_spectra(frames, size):
    """Spectra (bin, channel, frame) of frames (channel, frame, time), such that their sums of
    squares are proportional to the frames' own."""
    spectra = torch.fft.rfft(frames, size).permute(2, 0, 1).contiguous()
    spectra[0] *= 0.5**0.5  # all other bins stand for two
    if size % 2 == 0:
        spectra[-1] *= 0.5**0.5
    return spectra


def _energies(true, found, spectra, own_spectra, n_src, n_channels):
    """Ratios of one batch of frames, (n_set, n_src, frame, 4)."""
    n_est, n_frames = found.shape[1:]
    n_sets = n_est // (n_src * n_channels)
    shape = (n_sets, n_src, n_channels, n_frames)
    sums = true.real.new_zeros(7, n_sets, n_src, n_frames)
    for start in range(0, len(true), BINS):
        bins = slice(start, start + BINS)
        s = true[bins].reshape(-1, n_src, n_channels, n_frames)
        own = own_spectra[bins].reshape(-1, n_sets, n_src, n_channels, n_channels)
        p_own = (own[..., None] * s[:, None, :, None]).sum(dim=-2)  # (bin, set, src, chan, frame)
        p_all = (spectra[bins] @ true[bins]).reshape(-1, *shape)
        est = found[bins].reshape(-1, *shape)
        s = s[:, None]
        for i, x in enumerate((s, est - s, p_own - s, p_own, p_all - p_own, p_all, est - p_all)):
            sums[i] += torch.view_as_real(x).square().sum(dim=0).sum(dim=(2, 4))
    target, error, spatial, filtered, interference, projected, artefacts = sums.cpu().numpy()
    sir = decibels(filtered, interference) if n_src > 1 else np.full_like(target, np.nan)
    ratios = (
        decibels(target, error),
        sir,
        decibels(target, spatial),
        decibels(projected, artefacts),
    )
    return np.stack(ratios, axis=-1)
