"""The model: shapes, masks, levels and silence."""

import pytest
import torch
from asteroid import models
from torch import nn

from asteroid_tfswa import TFSWAUNet
from tests.conftest import KINDS


class Ones(nn.Module):
    """Masker that lets everything through: real masks of one, or complex ones."""

    def __init__(self, n_src, is_complex):
        super().__init__()
        self.n_src, self.is_complex = n_src, is_complex
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        masks = torch.ones(x.shape[:1] + (self.n_src,) + x.shape[1:])
        if self.is_complex:
            masks[:, :, x.shape[1] // 2 :] = 0
        return masks.flatten(1, 2) * self.weight


def rms(x):
    return x.square().mean().sqrt().item()


# --- shapes --------------------------------------------------------------------------------------


def test_default_model_is_the_one_of_the_report():
    model = TFSWAUNet()
    assert sum(p.numel() for p in model.parameters()) == 15_404_834
    assert (model.n_src, model.in_channels, model.sample_rate) == (1, 2, 44100.0)
    assert (model.encoder.filterbank.kernel_size, model.encoder.stride) == (2048, 512)
    assert model.sources == ["vocals"]
    assert set(model.state_dict()) == {f"masker.{name}" for name in model.masker.state_dict()}


def test_asteroid_finds_it_by_name():
    assert models.get("TFSWAUNet") is TFSWAUNet


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 64, 65, 100, 1000, 4097])
def test_output_is_as_long_as_the_input(make_model, length):
    model = make_model()
    with torch.no_grad():
        assert model(torch.randn(length)).shape == (2, length)
        assert model(torch.randn(2, length)).shape == (2, 2, length)
        assert model(torch.randn(3, 2, length)).shape == (3, 2, 2, length)


@pytest.mark.parametrize(
    "n_src, in_channels, n_bands", [(1, 1, 1), (1, 2, 4), (4, 1, 2), (3, 6, 1)]
)
def test_any_number_of_sources_and_channels(make_model, n_src, in_channels, n_bands):
    model = make_model(n_src=n_src, sources=None, in_channels=in_channels, n_bands=n_bands)
    out = model(torch.randn(2, in_channels, 500))
    assert out.shape == ((2, n_src, 500) if in_channels == 1 else (2, n_src, in_channels, 500))
    assert len(model.sources) == len(set(model.sources)) == n_src


def test_ranks_give_the_same_numbers(make_model):
    model = make_model()
    wav = torch.randn(2, 2, 700)
    out = model(wav)
    for i in range(2):
        torch.testing.assert_close(model(wav[i]), out[i], rtol=0, atol=1e-5)


def test_mono_is_taken_where_the_shape_says_so(make_model):
    model = make_model()
    wav = torch.randn(700)
    out = model(wav)
    stereo = model(wav.expand(2, -1))
    torch.testing.assert_close(out, stereo.mean(dim=1), rtol=0, atol=1e-5)
    torch.testing.assert_close(model(wav[None]), out[:, None], rtol=0, atol=1e-5)
    torch.testing.assert_close(model(wav[None, None]), out[None, :, None], rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 500), (2, 3, 500), (2, 2, 0), (0,), (), (1, 1, 2, 500)])
def test_other_shapes_are_refused(make_model, shape):
    with pytest.raises(
        ValueError, match=r"2 or 1 channels.*got shape \(" + ", ".join(map(str, shape))
    ):
        make_model()(torch.zeros(shape))


# --- from masks to waveforms ---------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 100, 2047, 2049, 4097, 44100])
@pytest.mark.parametrize("stride", [512, 441])
@pytest.mark.parametrize("kind", KINDS)
def test_masks_of_one_give_the_input(make_model, kind, stride, length):
    model = make_model(n_filters=2048, kernel_size=2048, stride=stride, **kind)
    model.masker = Ones(2, model.mask_type == "complex")
    wav = torch.randn(2, 2, length)
    assert (model(wav) - wav.unsqueeze(1)).abs().max() < 1e-5


def test_masks_act_on_their_own_source_channel_and_bin(make_model):
    model = make_model()
    tf_rep = torch.randn(1, 2, 66, 5)
    masks = torch.zeros(1, 2, 2, 33, 5)
    masks[0, 1, 0, 7, 3] = 0.5
    out = model.apply_masks(tf_rep, masks)
    assert out.shape == (1, 2, 2, 66, 5)
    for bin_ in (7, 33 + 7):  # real and imaginary part
        assert out[0, 1, 0, bin_, 3] == 0.5 * tf_rep[0, 0, bin_, 3]
        out[0, 1, 0, bin_, 3] = 0
    assert not out.any()


def test_complex_masks_turn_the_phase(make_model):
    model = make_model(mask_type="complex", mask_act="linear")
    tf_rep = torch.randn(1, 2, 66, 5)
    masks = torch.zeros(1, 2, 2, 66, 5)
    masks[..., 33:, :] = 1  # i
    out = model.apply_masks(tf_rep, masks)[:, 1]
    torch.testing.assert_close(out[..., :33, :], -tf_rep[..., 33:, :])
    torch.testing.assert_close(out[..., 33:, :], tf_rep[..., :33, :])


def test_mask_ranges(make_model):
    wav = 3 * torch.randn(1, 2, 900)
    tf_rep = make_model().encoder(wav)
    magnitude = make_model().forward_masker(tf_rep)
    assert magnitude.shape == (1, 2, 2, 33, tf_rep.shape[-1])
    assert magnitude.min() >= 0 and magnitude.max() <= 1
    tanh = make_model(mask_type="complex", mask_act="tanh").forward_masker(tf_rep)
    assert tanh.shape == (1, 2, 2, 66, tf_rep.shape[-1])
    assert tanh.min() < 0 and tanh.abs().max() <= 1
    linear = make_model(mask_type="complex", mask_act="linear").forward_masker(tf_rep)
    assert linear.abs().max() > 1


def test_network_sees_compressed_magnitudes_of_mean_one(make_model):
    seen = []
    for mag_power in (1.0, 0.5):
        model = make_model(mag_power=mag_power)
        model.masker.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        torch.manual_seed(1)
        model(7 * torch.randn(2, 2, 900))
    assert seen[0].shape[1:2] == (2,) and seen[0].shape[3] == 32  # without the Nyquist bin
    torch.testing.assert_close(seen[0].mean(dim=(1, 2, 3)), torch.ones(2))
    torch.testing.assert_close(seen[1], seen[0].sqrt())


def test_network_sees_real_and_imaginary_parts(make_model):
    model = make_model(mask_type="complex", mask_act="linear", mag_power=0.5)
    seen = []
    model.masker.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    tf_rep = model.encoder(torch.randn(1, 2, 900))
    model.forward_masker(tf_rep)
    spec = torch.complex(*tf_rep.transpose(-1, -2).chunk(2, dim=-1))[..., :-1]
    spec = spec / spec.abs().mean()
    expected = spec / spec.abs().sqrt()
    torch.testing.assert_close(seen[0], torch.cat([expected.real, expected.imag], dim=1))


# --- levels, silence, NaN ------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [1e-10, 1e-4, 1e4])
@pytest.mark.parametrize("kind", KINDS)
def test_output_has_the_level_of_the_input(make_model, kind, gain):
    model = make_model(**kind)
    wav = torch.randn(2, 2, 900)
    out, scaled = model(wav), model(gain * wav) / gain
    assert rms(scaled - out) < 1e-4 * rms(out)
    # Each item of a batch has a level of its own.
    mixed = model(torch.stack([wav[0], gain * wav[1]]))
    assert rms(mixed[0] - out[0]) < 1e-4 * rms(out)
    assert rms(mixed[1] / gain - out[1]) < 1e-4 * rms(out)


@pytest.mark.parametrize("kind", KINDS)
def test_silence_stays_silence_in_training_too(make_model, kind):
    model = make_model(**kind).train()
    wav = torch.zeros(3, 2, 900)
    wav[1, :, 450:] = torch.randn(2, 450)
    wav.requires_grad_(True)
    out = model(wav)
    assert not out[0].any() and not out[2].any() and out[1].any()
    out.abs().sum().backward()
    assert wav.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("level", [1e-20, 1e-38, 1e-42, 1e15])
@pytest.mark.parametrize("kind", KINDS)
def test_no_level_gives_nan(make_model, kind, level):
    out = make_model(**kind)(level * torch.randn(2, 900))
    assert out.isfinite().all()
