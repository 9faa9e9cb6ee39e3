"""The network: its size, its equality with the slow reference, its start, its arguments."""

import math

import pytest
import torch
from asteroid.masknn import norms
from torch import nn

from asteroid_tfswa.masknn.tfswa_unet import (
    TFSWABlock,
    TFSWAUNetMasker,
    merge_bands,
    split_bands,
)
from tests import reference

SMALL = {
    "in_chan": 2,
    "n_src": 2,
    "widths": (4, 8),
    "depths": (2, 1),
    "n_heads": 2,
    "window": (5, 4),
}


@pytest.fixture(scope="module")
def default_masker():
    torch.manual_seed(0)
    return TFSWAUNetMasker()


def small(**kwargs):
    return TFSWAUNetMasker(**{**SMALL, **kwargs})


def well_used(masker):
    """A network whose every number matters, with running statistics that fit its weights."""
    reference.randomise_(masker)
    for module in masker.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    masker(torch.rand(2, 2, 16, 16))
    return masker


# --- the network of the report -------------------------------------------------------------------


def test_default_network_has_the_size_of_the_report(default_masker):
    params = list(default_masker.parameters())
    assert sum(p.numel() for p in params) == 15_404_834
    assert len(params) == 936
    assert sum(isinstance(m, TFSWABlock) for m in default_masker.modules()) == 22
    assert sum(p.numel() for p in default_masker.stem.parameters()) == 3_232
    assert sum(p.numel() for p in default_masker.head.parameters()) == 9_378


def test_block_has_the_size_of_the_report():
    params = list(TFSWABlock(128, 8, (8, 8), False, norms.get("bN")).parameters())
    assert sum(p.numel() for p in params) == 659_968
    assert len(params) == 41


def test_default_network_gives_masks_between_zero_and_one(default_masker):
    with torch.no_grad():
        masks = default_masker.eval()(torch.rand(2, 2, 48, 64))
    assert masks.shape == (2, 2, 48, 64)
    assert masks.min() >= 0 and masks.max() <= 1
    assert masks.std() > 0.01


def test_all_parameters_of_the_default_network_are_trained():
    # In evaluation mode: batch statistics would cancel the bias of a convolution before them.
    masker = TFSWAUNetMasker(mask_act="linear").eval()
    masker(torch.rand(1, 2, 16, 24)).square().mean().backward()
    untrained = [
        name
        for name, p in masker.named_parameters()
        if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()
    ]
    assert untrained == []


def test_every_second_block_shifts_its_windows(default_masker):
    for stage in [*default_masker.encoder, default_masker.bottleneck, *default_masker.decoder]:
        shifts = [block.swa.shift for block in stage.blocks]
        assert shifts == [(0, 0), (4, 4)] * (len(shifts) // 2)


def test_initialisation(default_masker):
    n_checked = 0
    for module in default_masker.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            weight = module.weight
            fan_out = weight.shape[0] * math.prod(weight.shape[2:])
            std = 0.02 if isinstance(module, nn.Linear) else math.sqrt(2 / fan_out)
            if weight.numel() >= 2000:
                assert weight.std().item() == pytest.approx(std, rel=0.1)
                assert abs(weight.mean().item()) < 0.1 * std
                n_checked += 1
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, (nn.LayerNorm, nn.BatchNorm2d)):
            assert (module.weight == 1).all() and not module.bias.any()
    assert n_checked >= 300


# --- equality with the reference -----------------------------------------------------------------


def check_against_reference(masker, x, tolerance, training=False, mask_act=lambda x: x):
    state = {name: value.clone() for name, value in masker.state_dict().items()}
    expected = reference.masker(
        state, x, masker.n_heads, tuple(masker.window), masker.n_bands, training, mask_act
    )
    with torch.no_grad():
        out = masker.train(training)(x)
    assert out.shape == expected.shape
    assert expected.std() > 0.05
    assert (out - expected).abs().max() < tolerance


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("n_bands", [1, 2, 4])
@pytest.mark.parametrize("batch, n_frames, n_bins", [(2, 13, 21), (1, 16, 24), (3, 9, 32)])
def test_network_equals_reference(batch, n_frames, n_bins, n_bands, training):
    masker = well_used(small(n_bands=n_bands, mask_act="linear")).double()
    x = torch.rand(batch, 2, n_frames, n_bins, dtype=torch.float64)
    check_against_reference(masker, x, 1e-9, training)


@pytest.mark.parametrize("training", [False, True])
def test_deep_network_with_heads_for_each_stage_equals_reference(training):
    masker = small(widths=(4, 8, 16), depths=(3, 2, 4), n_heads=(1, 2, 8), mask_act="linear")
    masker = well_used(masker).double()
    check_against_reference(masker, torch.rand(2, 2, 13, 21, dtype=torch.float64), 1e-9, training)


@pytest.mark.parametrize("n_frames, n_bins", [(1, 1), (1, 37), (3, 2)])
def test_small_maps_equal_reference(n_frames, n_bins):
    masker = well_used(small(n_bands=2, mask_act="linear")).double()
    check_against_reference(masker, torch.rand(1, 2, n_frames, n_bins, dtype=torch.float64), 1e-9)


@pytest.mark.parametrize("window", [8, (5, 4), (3, 16)])
def test_float32_network_equals_reference(window):
    masker = well_used(small(window=window))
    check_against_reference(masker, torch.rand(2, 2, 13, 21), 1e-5, mask_act=torch.sigmoid)


# --- sub-bands and arguments ---------------------------------------------------------------------


def test_bands_are_stacked_per_channel_and_put_back():
    x = torch.arange(2 * 3 * 8).reshape(1, 2, 3, 8)
    bands = split_bands(x, 4)
    assert bands.shape == (1, 8, 3, 2)
    assert torch.equal(bands[:, 5], x[:, 1, :, 2:4])  # second channel, second band
    assert torch.equal(merge_bands(bands, 4), x)


@pytest.mark.parametrize("norm_type", ["bN", "gLN", "fgLN", "cLN"])
@pytest.mark.parametrize("mask_act", ["sigmoid", "relu", "tanh", "linear"])
def test_norms_and_activations_by_asteroids_names(norm_type, mask_act):
    masker = small(norm_type=norm_type, mask_act=mask_act)
    assert masker(torch.rand(2, 2, 6, 7)).shape == (2, 4, 6, 7)


def test_config_rebuilds_the_network():
    masker = small(out_chan=3, n_bands=2, n_heads=(1, 2), norm_type="gLN", mask_act="relu").eval()
    other = TFSWAUNetMasker(**masker.get_config()).eval()
    assert other.get_config() == masker.get_config()
    other.load_state_dict(masker.state_dict())
    x = torch.rand(1, 2, 9, 10)
    assert masker(x).shape == (1, 6, 9, 10)
    assert torch.equal(masker(x), other(x))


@pytest.mark.parametrize(
    "argument, value",
    [
        ("in_chan", 0),
        ("n_src", 1.5),
        ("n_src", -1),
        ("out_chan", 0),
        ("n_bands", True),
        ("n_bands", "2"),
        ("widths", ()),
        ("widths", (4, -8)),
        ("widths", 8.0),
        ("depths", (1, 2, 3)),
        ("depths", (1, 0)),
        ("depths", None),
        ("n_heads", (2, 2, 2)),
        ("n_heads", 3),
        ("n_heads", 0),
        ("window", (8, 8, 8)),
        ("window", 0),
        ("window", 2.5),
        ("window", "ab"),
        ("norm_type", "no_such_norm"),
        ("mask_act", "no_such_act"),
    ],
)
def test_wrong_arguments_are_named_with_their_value(argument, value):
    with pytest.raises(ValueError) as info:
        small(**{argument: value})
    wrong = value if not isinstance(value, tuple) else ([v for v in value if v < 1] or [value])[0]
    assert argument in str(info.value)
    assert str(wrong) in str(info.value) or repr(wrong) in str(info.value)


def test_gradient_checkpointing_changes_no_gradient_and_no_statistics():
    plain = TFSWAUNetMasker(widths=(8, 16), depths=(2, 1), n_heads=2, n_bands=2)
    again = TFSWAUNetMasker(
        widths=(8, 16), depths=(2, 1), n_heads=2, n_bands=2, gradient_checkpointing=True
    )
    again.load_state_dict(plain.state_dict())
    x = torch.rand(2, 2, 13, 21)
    for masker in (plain, again):
        masker(x).square().mean().backward()
    for (name, p), q in zip(plain.named_parameters(), again.parameters()):
        torch.testing.assert_close(q.grad, p.grad, atol=1e-6, rtol=1e-6, msg=name)
    for (name, p), q in zip(plain.named_buffers(), again.buffers()):
        torch.testing.assert_close(q, p, msg=name)
