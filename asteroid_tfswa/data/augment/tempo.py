"""Play music faster or slower, higher or lower."""

import math

import numpy as np
import soxr
import torch
from torch.nn import functional

WINDOW = 2048  # samples of the vocoder's STFT
HOP = 512
MARGIN = 64  # samples read beyond the end, for rounded lengths


def n_samples_read(n_samples, speed=1.0, stretch=1.0, pitch=0.0):
    """Count the samples that `change` needs.

    Args:
        n_samples (int): samples wanted.
        speed, stretch, pitch (float): see `change`; the pitch does not matter.

    Returns:
        int: samples; `n_samples` if nothing changes.
    """
    factor = speed * stretch
    return n_samples if (factor, pitch) == (1, 0) else math.ceil(n_samples * factor) + MARGIN


def change(wave, n_samples, speed=1.0, stretch=1.0, pitch=0.0):
    """Change tempo and pitch of a wave.

    Args:
        wave (np.ndarray): (time, n_channels), float32, `n_samples_read` samples.
        n_samples (int): samples wanted.
        speed (float): how many times faster it is played, the pitch rising with it, by resampling.
            Default 1.
        stretch (float): how many times faster it becomes at the same pitch, by a phase vocoder.
            Default 1.
        pitch (float): semitones by which it rises at the same tempo, by both. Default 0.

    Returns:
        np.ndarray: (n_samples, n_channels), float32.
    """
    ratio = 2 ** (pitch / 12)
    if not wave.any():
        return np.zeros((n_samples, wave.shape[1]), dtype=np.float32)
    if (rate := stretch / ratio) != 1:
        wave = _vocode(wave, rate)
    if (rate := speed * ratio) != 1:
        wave = soxr.resample(wave, rate, 1.0)
    wave = wave[:n_samples]
    return np.pad(wave, ((0, n_samples - len(wave)), (0, 0)))


def _vocode(wave, rate):
    """Make a wave (time, n_channels) `rate` times faster at the same pitch.

    A phase vocoder in which the bins around a peak of the spectrum keep their phases relative to it
    (Laroche and Dolson, "Improved phase vocoder time-scale modification of audio", 1999). Without
    that, as in torchaudio, neighbouring bins cancel each other: tones and noise lose 3 to 12 dB.
    All channels get the same rotation, which preserves the stereo image.
    """
    window = torch.hann_window(WINDOW)
    n_frames = math.ceil(len(wave) / rate / HOP) + 1
    places = (torch.arange(n_frames) * (HOP * rate)).round().long().clamp(max=len(wave) - 1)
    padded = functional.pad(torch.from_numpy(wave).T, (WINDOW // 2 + HOP, WINDOW // 2))
    frames = padded.unfold(-1, WINDOW, 1)  # (n_channels, time, WINDOW)
    spectra = torch.fft.rfft(frames[:, places + HOP] * window)  # (n_channels, n_frames, bins)
    before = torch.fft.rfft(frames[:, places] * window)  # a hop earlier
    # What the frame a hop earlier has to be rotated by to fit the frame that was written last.
    turns = (spectra[:, :-1] * before[:, 1:].conj()).sum(0).angle()
    nearest = _nearest_peaks(spectra.abs().sum(0))
    rotation = torch.zeros_like(spectra[0], dtype=torch.float32)  # (n_frames, bins)
    for frame in range(1, n_frames):
        rotation[frame] = (rotation[frame - 1] + turns[frame - 1])[nearest[frame]]
    spectra *= torch.polar(torch.ones_like(rotation), rotation)
    length = round(len(wave) / rate)
    spectra = spectra.transpose(1, 2)
    return torch.istft(spectra, WINDOW, HOP, window=window, length=length).T.contiguous().numpy()


def _nearest_peaks(magnitudes):
    """Find for each bin of (n_frames, bins) the nearest that is louder than two on each side."""
    n_bins = magnitudes.shape[1]
    sides = functional.pad(magnitudes, (2, 2)).unfold(1, 5, 1)
    is_peak = sides.argmax(-1) == 2
    bins = torch.arange(n_bins).expand_as(is_peak)
    below = bins.where(is_peak, torch.tensor(-n_bins)).cummax(1).values
    above = bins.where(is_peak, torch.tensor(2 * n_bins)).flip(1).cummin(1).values.flip(1)
    return torch.where(bins - below <= above - bins, below, above).clamp(0, n_bins - 1)
