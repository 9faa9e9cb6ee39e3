"""Studio effects on arrays of shape (channels, samples), float32, 44.1 kHz."""

import numpy as np
from scipy import signal

RATE = 44100  # Hz, of every source and song
FRAME = 64  # samples between two values of a level or gain curve
CEILING = 0.97  # highest peak of a finished mixture


def db(value):
    """Convert decibels to a factor."""
    return 10.0 ** (value / 20)


def rms(audio):
    """Compute the level of the parts of a track that sound, in RMS.

    Args:
        audio (ndarray): (channels, samples).

    Returns:
        float: over the frames of 0.1 s that are within 30 dB of the loudest; 0 for silence.
    """
    size = RATE // 10
    n_frames = max(1, audio.shape[-1] // size)
    power = audio[:, : n_frames * size].reshape(len(audio), n_frames, -1)
    power = np.square(power, dtype=np.float64).mean(axis=(0, 2))
    loud = power[power > 1e-3 * power.max()]
    return float(np.sqrt(loud.mean())) if len(loud) else 0.0


# ---- Equaliser -----------------------------------------------------------------------------------


def cut(audio, low=None, high=None, order=2):
    """Remove what lies below `low` Hz and above `high` Hz."""
    for frequency, kind in ((low, "highpass"), (high, "lowpass")):
        if frequency and frequency < 0.49 * RATE:
            sos = signal.butter(order, frequency, kind, fs=RATE, output="sos")
            audio = signal.sosfilt(sos.astype(np.float32), audio, axis=1)
    return audio


def peak(audio, frequency, gain, width=1.0):
    """Raise or lower a bell around a frequency.

    Args:
        audio (ndarray): (channels, samples).
        frequency (float): centre in Hz.
        gain (float): in dB.
        width (float): quality factor Q. Default 1.
    """
    omega = 2 * np.pi * frequency / RATE
    alpha, a = np.sin(omega) / (2 * width), db(gain / 2)
    b = [1 + alpha * a, -2 * np.cos(omega), 1 - alpha * a]
    return _biquad(audio, b, [1 + alpha / a, -2 * np.cos(omega), 1 - alpha / a])


def shelf(audio, frequency, gain, high=True):
    """Raise or lower everything above (or below) a frequency in Hz by `gain` dB."""
    a, omega = db(gain / 2), 2 * np.pi * frequency / RATE
    sign, cos = (1 if high else -1), np.cos(omega)
    slope = 2 * np.sqrt(a) * np.sin(omega) / np.sqrt(2)
    b = [
        a * ((a + 1) + sign * (a - 1) * cos + slope),
        -sign * 2 * a * ((a - 1) + sign * (a + 1) * cos),
        a * ((a + 1) + sign * (a - 1) * cos - slope),
    ]
    return _biquad(
        audio,
        b,
        [
            (a + 1) - sign * (a - 1) * cos + slope,
            sign * 2 * ((a - 1) - sign * (a + 1) * cos),
            (a + 1) - sign * (a - 1) * cos - slope,
        ],
    )


def _biquad(audio, b, a):
    sos = np.array([[*b, *a]]) / a[0]
    return signal.sosfilt(sos.astype(np.float32), audio, axis=1)


def tone(audio, rng, amount=3.0):
    """Equalise as mixing engineers do: gentle random shelves and bells of `amount` dB or so."""
    audio = shelf(audio, rng.uniform(90, 250), rng.normal(0, amount / 2), high=False)
    audio = shelf(audio, rng.uniform(3000, 9000), rng.normal(0, amount / 2))
    for _ in range(rng.integers(1, 3)):
        frequency = np.exp(rng.uniform(np.log(200), np.log(7000)))
        audio = peak(audio, frequency, rng.normal(0, amount), rng.uniform(0.5, 1.5))
    return audio


# ---- Dynamics ------------------------------------------------------------------------------------


def _frames(audio):
    """The highest peak of all channels in each frame."""
    n_frames = -(-audio.shape[-1] // FRAME)
    level = np.zeros(n_frames * FRAME, dtype=np.float32)
    level[: audio.shape[-1]] = np.abs(audio).max(axis=0)
    return level.reshape(n_frames, FRAME).max(axis=1)


def _curve(gains, n_samples):
    """Interpolate a gain per frame to one per sample."""
    at = (np.arange(len(gains)) + 0.5) * FRAME
    return np.interp(np.arange(n_samples), at, gains).astype(np.float32)


def compress(audio, threshold, ratio=4.0, attack=0.005, release=0.12):
    """Compress: lower what exceeds a threshold, then make up for some of the lost level.

    Args:
        audio (ndarray): (channels, samples).
        threshold (float): in dB relative to the track's highest peak.
        ratio (float): of the excess in dB before and after. Default 4.
        attack (float): seconds. Default 0.005.
        release (float): seconds. Default 0.12.
    """
    gains = _gains(_frames(audio), threshold, ratio, attack, release)
    return audio * _curve(gains, audio.shape[1]) * np.float32(db(-threshold * (1 - 1 / ratio) / 2))


def glue(stems, threshold, ratio):
    """Compress the sum of stems, shape (stems, channels, samples): each gets the same gains."""
    gains = _gains(_frames(stems.sum(axis=0)), threshold, ratio, 0.02, 0.2)
    return stems * _curve(gains, stems.shape[2])


def _gains(level, threshold, ratio, attack, release):
    """A compressor's gain for each frame of a level."""
    if not level.max() > 0:
        return np.ones_like(level)
    excess = 20 * np.log10(np.maximum(level / level.max(), 1e-6)) - threshold
    reduction = np.maximum(excess, 0) * (1 - 1 / ratio)
    step = FRAME / RATE
    # The release follows the peaks of the reduction; the attack smooths what results.
    decay = np.exp(-step / release)
    held = _decaying_maximum(reduction, decay ** np.arange(0, int(4 * release / step) + 1))
    smooth = 1 - np.exp(-step / max(attack, step))
    held = signal.lfilter([smooth], [1, smooth - 1], held)
    return 10 ** (-held / 20)


def _decaying_maximum(values, weights):
    """The running maximum of `values`, where earlier ones count by geometric `weights`."""
    result, shift = values.copy(), 1
    while shift < len(weights):  # doubling: log(n) passes over the whole array
        earlier = result[:-shift] * weights[shift] if shift < len(result) else result[:0]
        result[shift:] = np.maximum(result[shift:], earlier)
        shift *= 2
    return result


def duck(audio, times, depth, length):
    """Lower a track at every kick, as side-chain compression does in electronic music.

    Args:
        audio (ndarray): (channels, samples).
        times (ndarray): seconds at which the kick sounds.
        depth (float): 0 to 1, how far the gain falls.
        length (float): seconds until it has recovered.
    """
    gains = np.ones(-(-audio.shape[1] // FRAME), dtype=np.float32)
    shape = 1 - depth * (1 - np.linspace(0, 1, max(2, int(length * RATE / FRAME)))) ** 1.5
    for time in times:
        start = int(time * RATE / FRAME)
        part = gains[start : start + len(shape)]
        np.minimum(part, shape[: len(part)], out=part)
    return audio * _curve(gains, audio.shape[1])


def limit(stems):
    """Apply one limiter to the sum of the stems: each stem gets the same gain curve.

    Args:
        stems (ndarray): (stems, channels, samples).

    Returns:
        ndarray: the stems; their sum stays within CEILING.
    """
    level = _frames(stems.sum(axis=0))
    gains = np.minimum(1, CEILING / np.maximum(level, 1e-9))
    look = 24  # frames (35 ms): the gain falls before a peak and recovers after it
    padded = np.pad(gains, look, mode="edge")
    lowest = np.lib.stride_tricks.sliding_window_view(padded, look + 1).min(axis=1)
    window = signal.windows.hann(look + 3)[1:-1]
    smooth = signal.oaconvolve(lowest, window / window.sum(), mode="valid")
    curve = np.minimum(_curve(smooth, stems.shape[2]), 1)
    stems = stems * curve
    highest = np.abs(stems.sum(axis=0)).max()
    return stems * min(1, CEILING / max(highest, 1e-9))


def saturate(audio, drive):
    """Saturate softly; `drive` in dB above the level at which the curve begins to bend."""
    level = np.abs(audio).max()
    if not level > 0:
        return audio
    gain = db(drive) / level
    return np.tanh(audio * gain) / gain * (db(drive) / np.tanh(db(drive)))


def crush(audio, bits, hold):
    """Reduce the bits and the sample rate (every sample held `hold` times), as old samplers do."""
    held = np.repeat(audio[:, ::hold], hold, axis=1)[:, : audio.shape[1]]
    scale = 2.0 ** (bits - 1) / max(np.abs(held).max(), 1e-9)
    return (np.round(held * scale) / scale).astype(np.float32)


def amplify(audio, rng, drive):
    """Play a guitar through an amplifier and its loudspeaker, `drive` dB into distortion."""
    audio = shelf(cut(audio, rng.uniform(90, 160)), 1200, rng.uniform(0, 8))
    audio = audio / max(np.abs(audio).max(), 1e-9)
    up = signal.resample_poly(audio, 2, 1, axis=1).astype(np.float32)
    bias = np.float32(rng.uniform(0, 0.3))  # even harmonics
    up = np.tanh(up * np.float32(db(drive)) + bias) - np.tanh(bias)
    audio = signal.resample_poly(up, 1, 2, axis=1)[:, : audio.shape[1]].astype(np.float32)
    audio = cut(audio, rng.uniform(70, 110), rng.uniform(4200, 7000), order=3)
    audio = peak(audio, rng.uniform(350, 700), rng.uniform(-7, 0), 0.8)
    return peak(audio, rng.uniform(1800, 3200), rng.uniform(1, 6), 0.9)
