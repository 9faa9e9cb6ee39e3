"""Change a voice: its pitch, its tempo, the size of its singer, and speech into singing."""

import numpy as np
import python_stretch
import pyworld
from scipy import signal

from asteroid_tfswa.freestems.effects import RATE

FFT = 2048
LIFTER = 60  # cepstral coefficients of the envelope of a voice
FRAME_MS = 10.0  # between two frames of the vocoder


def stretched(audio, semitones, tempo):
    """Move the pitch of a sound (and with it its formants), and change its tempo.

    Args:
        audio (ndarray): (1, samples).
        semitones (float): up if positive.
        tempo (float): above 1 is faster.

    Returns:
        ndarray: (1, samples / tempo), about.
    """
    if abs(semitones) < 0.01 and abs(tempo - 1) < 0.005:
        return audio
    stretch = python_stretch.Signalsmith.Stretch()
    stretch.preset(1, RATE)
    stretch.setTransposeSemitones(semitones, 8000 / RATE)
    stretch.timeFactor = tempo
    return stretch.process(np.ascontiguousarray(audio))


def shift_formants(audio, ratio):
    """Move the formants of a voice, not its pitch.

    Args:
        audio (ndarray): (1, samples).
        ratio (float): above 1 for a smaller singer.

    Returns:
        ndarray: (1, samples).
    """
    if abs(ratio - 1) < 0.01 or audio.shape[1] < FFT:
        return audio
    transform = signal.ShortTimeFFT(signal.windows.hann(FFT, sym=False), FFT // 4, RATE)
    spectrum = transform.stft(audio[0])
    log = np.log(np.abs(spectrum) + 1e-7)
    cepstrum = np.fft.irfft(log, axis=0)
    cepstrum[LIFTER:-LIFTER] = 0
    envelope = np.fft.rfft(cepstrum, axis=0).real
    bins = np.arange(len(envelope)) / ratio
    low = np.minimum(bins.astype(int), len(envelope) - 2)
    part = (np.minimum(bins, len(envelope) - 1) - low)[:, None]
    moved = envelope[low] * (1 - part) + envelope[low + 1] * part
    spectrum *= np.exp(np.clip(moved - envelope, -2.5, 2.5))
    result = transform.istft(spectrum, k1=audio.shape[1])
    return np.real(result)[None].astype(np.float32)


def resung(audio, semitones, tempo, formants):
    """Move pitch, tempo and formants at once, by a vocoder: clean over large distances.

    Args:
        audio (ndarray): (1, samples), one voice.
        semitones (float): up if positive; formants stay.
        tempo (float): above 1 is faster.
        formants (float): ratio by which they move.

    Returns:
        ndarray: (1, samples / tempo), about.
    """
    pitch, envelope, noise = _analysed(audio)
    at = np.arange(max(2, int(len(pitch) / tempo))) * tempo
    nearest = np.minimum(at.round().astype(int), len(pitch) - 1)
    bins = np.arange(envelope.shape[1]) / formants
    low = np.minimum(bins.astype(int), envelope.shape[1] - 2)
    part = np.minimum(bins - low, 1)
    moved = envelope[:, low] * (1 - part) + envelope[:, low + 1] * part
    frequency = pitch[nearest] * 2 ** (semitones / 12)
    return _synthesised(frequency, moved, noise, at)


def _analysed(audio):
    """Pitch in Hz, spectral envelope and share of noise of each frame."""
    wave = audio[0].astype(np.float64)
    pitch, times = pyworld.dio(wave, RATE, f0_floor=60, f0_ceil=900, frame_period=FRAME_MS)
    pitch = pyworld.stonemask(wave, pitch, times, RATE)
    envelope = pyworld.cheaptrick(wave, pitch, times, RATE)
    return pitch, envelope, pyworld.d4c(wave, pitch, times, RATE)


def _synthesised(frequency, envelope, noise, at):
    frames = [_between(frames, at) for frames in (envelope, noise)]
    result = pyworld.synthesize(np.ascontiguousarray(frequency), *frames, RATE, FRAME_MS)
    return result[None].astype(np.float32)


def sung_from_speech(audio, rng, scale, centre, stretch, beat):
    """Turn speech into singing: its syllables become longer and get notes of a scale.

    Args:
        audio (ndarray): (1, samples), speech.
        rng (Generator): the tune.
        scale (list[int]): pitch classes that may be sung.
        centre (float): MIDI number around which the tune moves.
        stretch (float): how much longer the phrase becomes.
        beat (float): seconds of a beat; notes last a quarter of that at least.

    Returns:
        ndarray: (1, samples).
    """
    pitch, envelope, noise = _analysed(audio)
    n_frames = int(len(pitch) * stretch)
    at = np.arange(n_frames) / stretch
    nearest = np.minimum(at.round().astype(int), len(pitch) - 1)
    tune = _tune(pitch[nearest] > 0, rng, scale, centre, beat)
    frequency = np.where(pitch[nearest] > 0, 440 * 2 ** ((tune - 69) / 12), 0)
    return _synthesised(frequency, envelope, noise, at)


def _between(frames, at):
    low = np.minimum(at.astype(int), len(frames) - 1)
    high, part = np.minimum(low + 1, len(frames) - 1), (at - low)[:, None]
    return np.ascontiguousarray(frames[low] * (1 - part) + frames[high] * part)


def _tune(voiced, rng, scale, centre, beat):
    """A note for each frame: every voiced stretch gets one, long ones more."""
    notes = sorted(12 * octave + tone for octave in range(11) for tone in scale)
    notes = np.array([note for note in notes if abs(note - centre) <= 9])
    step = len(notes) // 2
    tune = np.full(len(voiced), float(notes[step]))
    shortest = int(beat / 4 * 1000 / FRAME_MS)
    left = 0
    for index, sounds in enumerate(voiced):
        new = sounds and (index == 0 or not voiced[index - 1])
        if (new and left < shortest / 2) or left <= 0:
            step = int(np.clip(step + rng.integers(-2, 3), 0, len(notes) - 1))
            left = shortest * int(rng.choice([1, 2, 2, 3, 4]))
        tune[index] = notes[step]
        left -= 1
    glide = signal.windows.hann(9)
    smooth = np.convolve(np.pad(tune, 4, mode="edge"), glide / glide.sum(), "valid")
    time = np.arange(len(tune)) * FRAME_MS / 1000
    drift = np.cumsum(rng.normal(0, 0.02, len(tune)))
    vibrato = rng.uniform(0, 0.4) * np.sin(2 * np.pi * rng.uniform(4.8, 6) * time)
    return smooth + vibrato + drift - signal.lfilter([0.02], [1, -0.98], drift)
