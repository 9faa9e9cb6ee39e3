import pytest
import torch
from asteroid.losses import SingleSrcMultiScaleSpectral, multisrc_mse

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
    assert loss.item() == 0
    assert estimates.grad.isfinite().all()


def test_values_are_the_paper_s_and_asteroid_s(pair):
    estimates, targets = pair
    expected = {
        "l1": (estimates - targets).abs().mean(),
        "mse": multisrc_mse(estimates, targets).mean(),
        "multi_scale_spectral": SingleSrcMultiScaleSpectral()(
            estimates.reshape(12, -1), targets.reshape(12, -1)
        ).mean()
        / (7 * 4096),
    }
    for name, value in expected.items():
        torch.testing.assert_close(get_loss(name)(estimates, targets), value)


def test_spectral_loss_takes_what_models_give(pair):
    estimates, targets = pair
    strided = estimates.transpose(1, 2).contiguous().transpose(1, 2)
    loss = get_loss("multi_scale_spectral")
    assert loss(strided, targets) == loss(estimates, targets)


def test_unknown_loss_lists_the_names():
    with pytest.raises(InputError, match="l1, mse, multi_scale_spectral"):
        get_loss("sisdr")
