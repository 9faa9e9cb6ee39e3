import pytest
import torch

from asteroid_tfswa.data.augment import effects
from asteroid_tfswa.data.augment.effects import (
    EFFECTS,
    STEM_EFFECTS,
    band_mask,
    eq,
    limiter,
    lowpass,
    pan,
    time_mask,
    width,
)

RATE = 8000
AMOUNTS = {"lowpass": 1500.0, "band_mask": 1.0, "time_mask": 0.2, "limiter": 6.0}
AMOUNTS |= {"eq": 9.0, "width": 1.5, "pan": -0.5}


@pytest.fixture(params=[(4, 2, RATE), (1, 1, RATE + 1)], ids=["stereo", "mono"])
def stems(request):
    return torch.randn(request.param)


def spectrum(stems):
    """Frequencies in Hz and the spectrum."""
    return torch.fft.rfftfreq(stems.shape[-1], 1 / RATE), torch.fft.rfft(stems)


@pytest.mark.parametrize("name", EFFECTS)
def test_all_stems_follow_the_mixture(stems, name):
    """Stems that are equal but for their level remain so: all get the same gains."""
    parts = stems.sum(0) * torch.tensor([0.5, 0.3, 0.2])[:, None, None]
    changed = EFFECTS[name](parts, RATE, AMOUNTS[name], 0.4)
    mixture = EFFECTS[name](parts.sum(0, keepdim=True), RATE, AMOUNTS[name], 0.4)
    assert changed.shape == parts.shape
    torch.testing.assert_close(changed.sum(0, keepdim=True), mixture, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(changed[0] * 0.3, changed[1] * 0.5, atol=1e-5, rtol=1e-4)
    assert (changed - parts).abs().max() > 0.1


@pytest.mark.parametrize("name", [*STEM_EFFECTS, *EFFECTS])
def test_silence_stays_silent_and_few_samples_are_enough(name):
    effect = effects.BY_NAME[name]
    for time in (1, 2, 7, 500):
        silence = torch.zeros(3, 2, time)
        assert torch.equal(effect(silence, RATE, AMOUNTS[name], 1.0), silence)
        assert effect(torch.randn(3, 2, time), RATE, AMOUNTS[name], 0.5).isfinite().all()


@pytest.mark.parametrize("where, middle", [(0.0, 40.0), (1.0, 4000.0), (0.5, 400.0)])
@pytest.mark.parametrize("decibels", [-9.0, 6.0])
def test_eq_changes_a_band_around_its_middle(stems, where, middle, decibels):
    freqs, before = spectrum(stems)
    _, after = spectrum(eq(stems, RATE, decibels, where))
    gains = 20 * torch.log10((after / before).abs())[..., 1:]
    octaves = torch.log2(freqs[1:] / middle)
    expected = decibels * torch.exp(-(octaves**2) / 4.5)
    torch.testing.assert_close(gains, expected.expand_as(gains), atol=0.02, rtol=1e-3)


def test_width_scales_the_sides_alone(stems):
    middle = stems.mean(1)
    for factor in (0.0, 0.5, 2.0):
        changed = width(stems, RATE, factor, 0.3)
        torch.testing.assert_close(changed.mean(1), middle)
        sides, before = changed - middle[:, None], stems - middle[:, None]
        torch.testing.assert_close(sides, factor * before, atol=1e-5, rtol=1e-4)


def test_pan_lowers_the_other_channel():
    stems = torch.randn(3, 2, 100)
    left, right = pan(stems, RATE, -0.25, 0.0).unbind(1)
    assert torch.equal(left, stems[:, 0]) and torch.equal(right, 0.75 * stems[:, 1])
    left, right = pan(stems, RATE, 1.0, 0.0).unbind(1)
    assert not left.any() and torch.equal(right, stems[:, 1])
    surround = torch.randn(3, 6, 100)
    assert torch.equal(pan(surround, RATE, 0.5, 0.0), surround)


def test_lowpass_removes_what_is_above_the_cutoff_and_nothing_else(stems):
    freqs, before = spectrum(stems)
    _, after = spectrum(lowpass(stems, RATE, 1500.0, 0.0))
    assert after[..., freqs >= 1500].abs().max() < 1e-3
    kept = freqs < 1470
    torch.testing.assert_close(after[..., kept], before[..., kept], atol=1e-3, rtol=1e-3)
    assert lowpass(stems, RATE, RATE / 2, 0.0) is stems


@pytest.mark.parametrize("where, low", [(0.0, 40.0), (1.0, 2000.0), (0.5, (40 * 2000) ** 0.5)])
def test_band_mask_removes_a_band(stems, where, low):
    freqs, before = spectrum(stems)
    _, after = spectrum(band_mask(stems, RATE, 1.0, where))
    inside = (freqs >= low * 1.001) & (freqs <= 2 * low * 0.999)
    outside = (freqs < low / 1.021) | (freqs > 2 * low * 1.021)
    assert inside.any() and after[..., inside].abs().max() < 1e-3
    torch.testing.assert_close(after[..., outside], before[..., outside], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("where, first", [(0.0, 0), (0.5, 3200), (1.0, 6400)])
def test_time_mask_silences_a_stretch(where, first):
    stems = torch.ones(2, 2, RATE)
    masked = time_mask(stems, RATE, 0.2, where)
    assert not masked[..., first : first + 1600].any()
    fade = round(0.01 * RATE)
    assert (masked[..., : max(0, first - fade)] == 1).all()
    assert (masked[..., first + 1600 + fade :] == 1).all()
    assert masked.diff(dim=-1).abs().max() < 0.02
    assert not time_mask(stems, RATE, 1.5, where).any()


def test_limiter_lowers_the_peaks_alone(stems):
    stems = 0.1 * stems
    stems[0, 0, 4000] = 9.0
    limited = limiter(stems, RATE, 6.0, 0.0)
    limit = stems.sum(0).abs().max() * 10 ** (-6 / 20)
    assert limited.sum(0).abs().max() <= limit * 1.0001
    assert limited[0, 0, 4000] > 0.9 * limit  # no lower than needed
    far = (torch.arange(stems.shape[-1]) - 4000).abs() > 0.02 * RATE
    assert torch.equal(limited[..., far], stems[..., far])
    gains = (limited / stems)[..., 3900:4100]  # the same for all stems and channels
    torch.testing.assert_close(gains, gains[:1, :1].expand_as(gains), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(limiter(stems, RATE, 0.0, 0.0), stems)


def test_effects_are_applied_in_place_one_after_another(stems):
    louder = stems.clone()
    louder[-1:] = eq(stems[-1:], RATE, 6.0, 0.5)
    expected = limiter(time_mask(louder, RATE, 0.2, 0.3), RATE, 3.0, 0.0)
    drawn = [("eq", len(stems) - 1, 6.0, 0.5), ("time_mask", None, 0.2, 0.3)]
    effects.apply(stems, RATE, [*drawn, ("limiter", None, 3.0, 0.9)])
    assert torch.equal(stems, expected)
