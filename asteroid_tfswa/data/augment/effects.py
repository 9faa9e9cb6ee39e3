"""Effects on the stems of an item, applied on the device.

Each function takes stems (n_stems, n_channels, time), float32, their sample rate, an amount and a
position from 0 to 1, and returns stems of the same shape.

Those of `STEM_EFFECTS` change one stem as another recording or another mixing desk would. Those of
`EFFECTS` multiply all stems of an item by the same gains, over time or over frequency, so that the
mixture, their sum, is changed in just that way. The targets are changed too: what was taken out of
the mixture no mask can bring back.
"""

import torch
from torch.nn import functional

EDGE = 0.01  # seconds: fades of `time_mask`, and how fast `limiter` reacts
# Edges in the spectrum, relative to their frequency.
STEEPNESS = 0.02
LOWEST = 40.0  # Hz: where the bands of `eq` and `band_mask` begin
EQ_WIDTH = 1.5  # octaves from the middle of an equaliser's band to 0.6 of its decibels


def eq(stems, sample_rate, decibels, where):
    """Raise or lower a broad band of frequencies, shaped like a bell over the octaves.

    Args:
        stems (torch.Tensor): (n_stems, n_channels, time).
        sample_rate (int): in Hz.
        decibels (float): gain in the middle of the band.
        where (float): 0 for a middle of 40 Hz to 1 for the Nyquist frequency, by octaves.

    Returns:
        torch.Tensor: same shape.
    """
    middle = LOWEST * (max(sample_rate / 2, LOWEST) / LOWEST) ** where

    def gains(freqs):
        octaves = torch.log2(freqs.clamp(min=1.0) / middle)
        return 10 ** (decibels / 20 * torch.exp(-0.5 * (octaves / EQ_WIDTH) ** 2))

    return _filtered(stems, sample_rate, gains)


def width(stems, sample_rate, factor, where):
    """Make stems narrower or wider: scale what differs between their channels.

    Args:
        stems (torch.Tensor): (n_stems, n_channels, time).
        sample_rate (int): not used.
        factor (float): of each channel's difference from the mean of the channels; 0 makes all
            channels equal.
        where (float): not used.

    Returns:
        torch.Tensor: same shape.
    """
    middle = stems.mean(1, keepdim=True)
    return middle + factor * (stems - middle)


def pan(stems, sample_rate, balance, where):
    """Move stereo stems to one side: lower the other channel. Others are left as they are.

    Args:
        stems (torch.Tensor): (n_stems, n_channels, time).
        sample_rate (int): not used.
        balance (float): -1 leaves the left channel alone, 1 the right one; 0 changes nothing.
        where (float): not used.

    Returns:
        torch.Tensor: same shape.
    """
    if stems.shape[1] != 2:
        return stems
    left, right = stems.unbind(1)  # scaled by numbers: nothing is copied from the host
    return torch.stack([left * (1 - max(balance, 0.0)), right * (1 + min(balance, 0.0))], dim=1)


def lowpass(stems, sample_rate, cutoff, where):
    """Remove high frequencies, as lossy coders do; nothing happens above the Nyquist frequency.

    Args:
        stems (torch.Tensor): (n_stems, n_channels, time).
        sample_rate (int): in Hz.
        cutoff (float): Hz above which nothing remains; what is 2 % lower passes unchanged.
        where (float): not used.

    Returns:
        torch.Tensor: same shape.
    """
    if cutoff >= sample_rate / 2:
        return stems
    return _filtered(
        stems, sample_rate, lambda freqs: _falling(freqs, cutoff / (1 + STEEPNESS), cutoff)
    )


def band_mask(stems, sample_rate, octaves, where):
    """Remove a band of frequencies.

    Args:
        stems (torch.Tensor): (n_stems, n_channels, time).
        sample_rate (int): in Hz.
        octaves (float): width of the band.
        where (float): 0 for the lowest band, from 40 Hz on, to 1 for the highest, up to the Nyquist
            frequency; in between by octaves.

    Returns:
        torch.Tensor: same shape.
    """
    nyquist = sample_rate / 2
    highest = max(nyquist / 2**octaves, LOWEST)
    low = LOWEST * (highest / LOWEST) ** where
    high = low * 2**octaves

    def gains(freqs):
        below = _falling(freqs, low / (1 + STEEPNESS), low)
        above = 1 - _falling(freqs, high, high * (1 + STEEPNESS))
        return below + above

    return _filtered(stems, sample_rate, gains)


def time_mask(stems, sample_rate, seconds, where):
    """Silence a stretch of time, with fades of 10 ms around it.

    Args:
        stems (torch.Tensor): (n_stems, n_channels, time).
        sample_rate (int): in Hz.
        seconds (float): how long all is silent.
        where (float): 0 for the first moments of the item to 1 for the last ones.

    Returns:
        torch.Tensor: same shape; all silent if the item is not longer than that.
    """
    time = stems.shape[-1]
    length = seconds * sample_rate
    start = where * max(time - length, 0)
    place = torch.arange(time, device=stems.device, dtype=torch.float32)
    distance = torch.maximum(start - place, place - (start + length)).clamp(min=0)
    return stems * (distance / (EDGE * sample_rate)).clamp(max=1)


def limiter(stems, sample_rate, decibels, where):
    """Lower the mixture's peaks, as a limiter with look-ahead does: one gain for all channels.

    Args:
        stems (torch.Tensor): (n_stems, n_channels, time).
        sample_rate (int): in Hz.
        decibels (float): how much lower the mixture's highest peak becomes.
        where (float): not used.

    Returns:
        torch.Tensor: same shape. Their sum stays below the limit; parts of it that are more than
        20 ms away from a peak keep their level.
    """
    peaks = stems.sum(0).abs().amax(0)  # (time)
    limit = peaks.amax() * 10 ** (-decibels / 20)
    reduction = 1 - (limit / peaks.clamp(min=1e-9)).clamp(max=1)
    half = max(1, round(EDGE * sample_rate))
    # The largest reduction nearby, then its average over as long a time: nowhere less than needed.
    reduction = functional.max_pool1d(reduction[None], 2 * half + 1, stride=1, padding=half)
    reduction = functional.pad(reduction[None], (half, half), mode="replicate")[0]
    return stems * (1 - functional.avg_pool1d(reduction, 2 * half + 1, stride=1))


# In this order.
STEM_EFFECTS = {f.__name__: f for f in (eq, width, pan)}
EFFECTS = {f.__name__: f for f in (lowpass, band_mask, time_mask, limiter)}
BY_NAME = STEM_EFFECTS | EFFECTS


def apply(stems, sample_rate, drawn):
    """Apply the effects of one item in place.

    Args:
        stems (torch.Tensor): (n_stems, n_channels, time), float32.
        sample_rate (int): in Hz.
        drawn (list of (str, int or None, float, float)): name of each effect, number of the stem
            that it changes (None: all), amount and position.
    """
    for name, index, amount, where in drawn:
        part = stems if index is None else stems[index : index + 1]
        part.copy_(BY_NAME[name](part, sample_rate, amount, where))


def _filtered(stems, sample_rate, gains):
    """Multiply the spectrum of each stem by `gains` of the frequencies in Hz."""
    time = stems.shape[-1]
    freqs = torch.fft.rfftfreq(time, 1 / sample_rate, device=stems.device)
    return torch.fft.irfft(torch.fft.rfft(stems) * gains(freqs), time)


def _falling(freqs, passes, stops):
    """Fall from 1 at the frequency `passes` to 0 at `stops`, like a cosine."""
    share = ((freqs - passes) / (stops - passes)).clamp(0, 1)
    return (1 + torch.cos(torch.pi * share)) / 2
