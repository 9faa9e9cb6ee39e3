import pytest
import torch
from asteroid import losses

from asteroid_tfswa.engine.losses import LOSSES, get_loss
from asteroid_tfswa.errors import InputError


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return torch.randn(3, 2, 2, 4096), torch.randn(3, 2, 2, 4096)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_is_the_mean_of_its_items(name, pair):
    """Validation relies on it: the sums of chunks are added up over batches and processes."""
    estimates, targets = pair
    loss = get_loss(name)
    items = [loss(e[None], t[None]) for e, t in zip(estimates, targets)]
    torch.testing.assert_close(loss(estimates, targets), torch.stack(items).mean())


@pytest.mark.parametrize("name", LOSSES)
def test_silence_and_perfection_have_a_finite_gradient(name, pair):
    _, targets = pair
    targets[0] = 0
    estimates = targets.clone().requires_grad_()
    loss = get_loss(name)(estimates, targets)
    loss.backward()
    assert loss.item() <= 0
    assert estimates.grad.isfinite().all()


def test_values_are_the_paper_s_and_asteroid_s(pair):
    estimates, targets = pair
    spectral = losses.SingleSrcMultiScaleSpectral()(
        estimates.reshape(12, -1), targets.reshape(12, -1)
    ).mean()
    folded = [x.transpose(1, 2).reshape(6, 2, -1) for x in pair]  # channels in the batch
    expected = {
        "l1": (estimates - targets).abs().mean(),
        "mse": losses.multisrc_mse(estimates, targets).mean(),
        "multisrc_mse": losses.multisrc_mse(estimates, targets).mean(),
        "multi_scale_spectral": spectral / (7 * 4096),
        "SingleSrcMultiScaleSpectral": spectral,
        "multisrc_neg_snr": losses.multisrc_neg_snr(*folded).mean(),
        "multisrc_neg_sisdr": losses.multisrc_neg_sisdr(*folded).mean(),
        "multisrc_neg_sdsdr": losses.multisrc_neg_sdsdr(*folded).mean(),
    }
    for name, value in expected.items():
        torch.testing.assert_close(get_loss(name)(estimates, targets), value)
        if "_neg_" in name:
            torch.testing.assert_close(
                get_loss(name.replace("_neg_", "_"))(estimates, targets), value
            )
    assert set(LOSSES) == set(expected) | {n.replace("_neg_", "_") for n in expected}


@pytest.mark.parametrize("length", [2048, 2049, 5000])
def test_spectral_loss_and_its_gradient_are_asteroid_s(length):
    estimates, targets = (torch.randn(2, 3, 1, length, requires_grad=True) for _ in range(2))
    gradients = []
    for name, scale in (("multi_scale_spectral", 7 * length), ("SingleSrcMultiScaleSpectral", 1)):
        (scale * get_loss(name)(estimates, targets)).backward()
        gradients.append(estimates.grad.clone())
        estimates.grad = None
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3 * gradients[0].std().item())


@pytest.mark.parametrize("name", [name for name in LOSSES if "sdr" in name or "snr" in name])
def test_silent_targets_are_left_out_of_losses_in_db(name, pair):
    estimates, targets = pair
    estimates.requires_grad_()
    targets[1, 0, 1] = 0
    loss = get_loss(name)
    alone = [
        loss(estimates[i : i + 1, j : j + 1, k : k + 1], targets[i : i + 1, j : j + 1, k : k + 1])
        for i in range(3)
        for j in range(2)
        for k in range(2)
        if (i, j, k) != (1, 0, 1)
    ]
    value = loss(estimates, targets)
    torch.testing.assert_close(value, torch.stack(alone).sum() / 12)
    value.backward()
    assert not estimates.grad[1, 0, 1].any() and estimates.grad[1, 0, 0].any()


def test_spectral_loss_takes_what_models_give(pair):
    estimates, targets = pair
    strided = estimates.transpose(1, 2).contiguous().transpose(1, 2)
    loss = get_loss("multi_scale_spectral")
    assert loss(strided, targets) == loss(estimates, targets)
    assert not loss.state_dict()  # nothing of it goes into checkpoints
    with pytest.raises(InputError, match="segments of at least 2048 samples: got 2000"):
        loss(estimates[..., :2000], targets[..., :2000])


def test_unknown_loss_lists_the_names():
    with pytest.raises(InputError, match="l1, mse, multi_scale_spectral, multisrc_mse"):
        get_loss("sisdr")
