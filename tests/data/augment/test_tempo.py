import numpy as np
import pytest

from asteroid_tfswa.data.augment import tempo

RATE = 44100
N = 2 * RATE  # samples wanted


def clicks_and_tone(n_samples, freq):
    """A tone that pulses four times a second, in stereo: its pitch and tempo can be measured."""
    time = np.arange(n_samples) / RATE
    wave = np.sin(2 * np.pi * freq * time) * (1 + np.cos(2 * np.pi * 4 * time)) / 4
    return np.stack([wave, 0.5 * wave], axis=1).astype(np.float32)


def peak(wave, low, high):
    """Frequency in Hz of the strongest part of a spectrum."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 8 * len(wave)))
    freqs = np.fft.rfftfreq(8 * len(wave), 1 / RATE)
    inside = (freqs >= low) & (freqs <= high)
    return freqs[inside][spectrum[inside].argmax()]


@pytest.mark.parametrize(
    "change, pitch, pulse",
    [
        ({"speed": 1.25}, 1.25, 1.25),
        ({"speed": 0.8}, 0.8, 0.8),
        ({"stretch": 1.25}, 1, 1.25),
        ({"stretch": 0.8}, 1, 0.8),
        ({"pitch": 3.0}, 2 ** (3 / 12), 1),
        ({"pitch": -3.0}, 2 ** (-3 / 12), 1),
        ({"speed": 1.1, "stretch": 0.9, "pitch": 2.0}, 1.1 * 2 ** (2 / 12), 0.99),
    ],
)
def test_pitch_and_tempo_change_as_told(change, pitch, pulse):
    wave = clicks_and_tone(tempo.n_samples_read(N, **change), 500)
    changed = tempo.change(wave, N, **change)
    assert changed.shape == (N, 2) and changed.dtype == np.float32
    assert peak(changed[:, 0], 300, 800) == pytest.approx(500 * pitch, rel=0.01)
    envelope = changed[:, 0] ** 2
    assert peak(envelope - envelope.mean(), 2, 8) == pytest.approx(4 * pulse, rel=0.06)
    np.testing.assert_allclose(changed[:, 1], changed[:, 0] / 2, atol=1e-4)
    inner = slice(N // 4, -N // 4)
    level = np.sqrt(np.mean(changed[inner, 0] ** 2) / np.mean(wave[inner, 0] ** 2))
    assert level == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("change", [{"stretch": 0.9}, {"stretch": 1.1}, {"pitch": 2.0}])
def test_noise_keeps_its_level(change):
    wave = np.random.default_rng(0).standard_normal((tempo.n_samples_read(N, **change), 1))
    changed = tempo.change(wave.astype(np.float32), N, **change)
    assert np.sqrt(np.mean(changed**2)) == pytest.approx(0.93, abs=0.07)


def test_no_change_and_silence_and_short_waves():
    wave = clicks_and_tone(N, 500)
    assert tempo.n_samples_read(N) == N and np.array_equal(tempo.change(wave, N), wave)
    silence = np.zeros((tempo.n_samples_read(N, stretch=0.9), 1), dtype=np.float32)
    assert not tempo.change(silence, N, stretch=0.9).any()
    for n_samples in (1, 10, 3000):  # shorter than the vocoder's window, and than what is needed
        changed = tempo.change(wave[:n_samples], n_samples, speed=1.3, pitch=2.0)
        assert changed.shape == (n_samples, 2) and np.isfinite(changed).all()
