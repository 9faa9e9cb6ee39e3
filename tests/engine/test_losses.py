"""Each loss against a plain definition in NumPy, and on silence; PIT in Asteroid's System."""

import numpy as np
import pytest
import torch
from asteroid import losses
from asteroid.engine import System
from pytorch_lightning import Trainer
from scipy.signal import get_window
from torch.utils.data import DataLoader, TensorDataset

from asteroid_tfswa import TFSWAUNet
from asteroid_tfswa.engine.losses import LOSSES, get_loss
from asteroid_tfswa.errors import InputError

IN_DB = ["snr", "sisdr", "sdsdr"]


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return torch.randn(3, 2, 2, 4096), torch.randn(3, 2, 2, 4096)


def stft(wave, size, window, hop):
    """Spectrogram (frames, freq) of one signal in NumPy."""
    wave = np.pad(wave, size // 2, mode="reflect")
    frame = np.zeros(size)
    first = (size - window) // 2
    frame[first : first + window] = get_window("hann", window)
    starts = range(0, len(wave) - size + 1, hop)
    return np.stack([np.fft.rfft(wave[s : s + size] * frame) for s in starts])


def magnitude(*args):
    return np.sqrt(np.abs(stft(*args)) ** 2 + 1e-8)


def mrstft(estimate, target):
    return sum(
        np.abs(stft(estimate, n, w, 147) - stft(target, n, w, 147)).mean()
        for n, w in [(4096, 4096), (2048, 2048), (2048, 1024), (2048, 512), (2048, 256)]
    )


def mrmag(estimate, target):
    values = []
    for n in (2048, 1024, 512):
        e, s = magnitude(estimate, n, n, n // 4), magnitude(target, n, n, n // 4)
        ratio = np.sqrt(((s - e) ** 2).sum()) / np.sqrt((s**2).sum()) if target.any() else 0
        values.append(ratio + np.abs(np.log(s) - np.log(e)).mean())
    return np.mean(values)


def mag(estimate, target, power):
    e, s = (np.abs(stft(x, 4096, 4096, 1024)) for x in (estimate, target))
    return (np.abs(e - s) ** power).mean()


def compressed(estimate, target):
    specs = [stft(x, 2048, 2048, 512) for x in (estimate, target)]
    mags = [np.sqrt(np.abs(spec) ** 2 + 1e-8) for spec in specs]
    e, s = (spec / mag * mag**0.3 for spec, mag in zip(specs, mags))
    return 0.7 * ((mags[0] ** 0.3 - mags[1] ** 0.3) ** 2).mean() + 0.3 * (np.abs(e - s) ** 2).mean()


def snr(estimate, target):  # Asteroid's subtracts the means too
    if not target.any():
        return 0
    estimate, target = estimate - estimate.mean(), target - target.mean()
    return -10 * np.log10((target**2).sum() / ((target - estimate) ** 2).sum())


def sisdr(estimate, target):
    if not target.any():
        return 0
    estimate, target = estimate - estimate.mean(), target - target.mean()
    return snr(estimate, (estimate @ target) / (target @ target) * target)


def sdsdr(estimate, target):
    if not target.any():
        return 0
    estimate, target = estimate - estimate.mean(), target - target.mean()
    scaled = (estimate @ target) / (target @ target) * target
    return -10 * np.log10((scaled**2).sum() / ((target - estimate) ** 2).sum())


DEFINITIONS = {
    "l1": lambda e, s: np.abs(e - s).mean(),
    "mse": lambda e, s: ((e - s) ** 2).mean(),
    "l1_trimmed": lambda e, s: np.abs(e - s).mean(),  # in evaluation mode
    "mrstft": mrstft,
    "mrmag": mrmag,
    "mag_l1": lambda e, s: mag(e, s, 1),
    "mag_mse": lambda e, s: mag(e, s, 2),
    "compressed": compressed,
    "snr": snr,
    "sisdr": sisdr,
    "sdsdr": sdsdr,
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_values_are_those_of_a_plain_definition(name, pair):
    """Means over batch, sources and channels; one target is silent."""
    estimates, targets = (0.1 * x[:2] for x in pair)
    estimates, targets = estimates + targets, targets.clone()
    targets[1, 0, 1] = 0
    signals = (x.reshape(8, -1).double().numpy() for x in (estimates, targets))
    expected = np.mean([DEFINITIONS[name](e, s) for e, s in zip(*signals)])
    value = get_loss(name).eval()(estimates, targets)
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_asteroid_s_spectral_loss_is_the_other_definition(pair):
    assert set(LOSSES) - set(DEFINITIONS) == {
        "multi_scale_spectral",
        "SingleSrcMultiScaleSpectral",
    }
    signals = [x.reshape(12, -1) for x in pair]
    expected = losses.SingleSrcMultiScaleSpectral()(*signals).mean()
    torch.testing.assert_close(get_loss("SingleSrcMultiScaleSpectral")(*pair), expected)
    torch.testing.assert_close(get_loss("multi_scale_spectral")(*pair), expected / (7 * 4096))


@pytest.mark.parametrize("length", [2048, 2049, 5000])
def test_spectral_loss_and_its_gradient_are_asteroid_s(length):
    estimates, targets = (torch.randn(2, 3, 1, length, requires_grad=True) for _ in range(2))
    theirs = losses.SingleSrcMultiScaleSpectral()
    theirs(estimates.reshape(6, -1), targets.reshape(6, -1)).mean().backward()
    gradient, estimates.grad = estimates.grad, None
    (7 * length * get_loss("multi_scale_spectral")(estimates, targets)).backward()
    torch.testing.assert_close(estimates.grad, gradient, rtol=1e-3, atol=1e-3 * gradient.std())


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_is_the_mean_of_its_items(name, pair):
    """Validation relies on it: the sums of chunks are added up over batches and processes."""
    estimates, targets = pair
    loss = get_loss(name).eval()
    items = [loss(e[None], t[None]) for e, t in zip(estimates, targets)]
    torch.testing.assert_close(loss(estimates, targets), torch.stack(items).mean())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0])
def test_silence_and_perfection_have_a_finite_gradient(name, pair, level):
    """Targets that are silent or all but silent; estimates that are right, silent or loud."""
    loss, targets = get_loss(name), pair[1]
    targets[:2] *= level
    for estimates in (targets.clone(), torch.zeros_like(targets), pair[0]):
        estimates.requires_grad_().grad = None
        value = loss(estimates, targets)
        value.backward()
        assert value.isfinite() and estimates.grad.isfinite().all()
        assert name in IN_DB or value >= 0
    assert loss(targets, targets) < 1e-12


@pytest.mark.parametrize("name", IN_DB)
def test_silent_targets_have_no_gradient_in_db(name, pair):
    estimates, targets = pair
    estimates.requires_grad_()
    targets[1, 0, 1] = 0
    get_loss(name)(estimates, targets).backward()
    assert not estimates.grad[1, 0, 1].any() and estimates.grad[1, 0, 0].any()


def test_quiet_targets_do_not_dominate_spectral_convergence(pair):
    """A stem with nothing but dither would outweigh all others."""
    estimates, targets = pair[0].requires_grad_(), pair[1]
    targets[0] *= 1e-6
    get_loss("mrmag")(estimates, targets).backward()
    assert estimates.grad[0].norm() < 2 * estimates.grad[1].norm()


def test_a_tenth_of_the_stems_is_trimmed_in_training():
    estimates = torch.zeros(5, 4, 2, 10)
    targets = torch.arange(20.0).reshape(5, 4, 1, 1).expand(5, 4, 2, 10)
    loss = get_loss("l1_trimmed")
    assert loss(estimates, targets) == np.mean(range(18))
    assert loss.eval()(estimates, targets) == np.mean(range(20))


def test_weights(pair):
    loss = get_loss({"l1": 0.5, "mse": 3.0})
    value = loss(*pair)
    assert loss.values == {name: get_loss(name)(*pair) for name in ("l1", "mse")}
    assert value == 0.5 * loss.values["l1"] + 3.0 * loss.values["mse"]
    assert get_loss("multisrc_neg_sisdr")(*pair) == get_loss("sisdr")(*pair)  # an earlier name


@pytest.mark.parametrize("name", LOSSES)
def test_losses_take_what_models_give(name, pair):
    estimates, targets = pair
    strided = estimates.transpose(1, 2).contiguous().transpose(1, 2)
    loss = get_loss(name)
    # CPUs differ in the order in which they sum.
    torch.testing.assert_close(loss(strided, targets), loss(estimates, targets))
    assert not loss.state_dict()  # nothing of it goes into checkpoints


def test_short_segments_are_named():
    loss = get_loss({"l1": 1.0, "multi_scale_spectral": 1.0})
    loss.check_length(2048, "segment")
    with pytest.raises(InputError, match="multi_scale_spectral needs .* 2048 samples: got 2047; r"):
        loss.check_length(2047, "segment")
    for name in LOSSES:
        loss = get_loss(name)
        least = max(getattr(term, "least", 1) for term in loss.terms.values())
        assert loss(*torch.randn(2, 1, 1, 1, least)).isfinite()


def test_unknown_loss_lists_the_names():
    with pytest.raises(InputError, match="loss: 'sdr' is unknown; choose from l1, mse, l1_trimmed"):
        get_loss({"l1": 1.0, "sdr": 0.5})


def test_speech_without_an_order_of_speakers(tmp_path):
    """Asteroid's PIT loss and System: mono, two speakers at 8 kHz, each as vibrating harmonics.

    Speakers come in a random order, which only a loss that permutes them can learn.
    """
    time, n = torch.arange(1600) / 8000, 24
    pitch = torch.tensor([[110.0], [330.0]]) * (1 + 0.1 * torch.rand(n, 2, 1))
    phase = 2 * torch.pi * pitch * time + torch.rand(n, 2, 1)
    speakers = sum((k * phase).sin() / k for k in range(1, 5))  # (n, 2, time)
    speakers[::2] = speakers[::2].flip(1)
    model = TFSWAUNet(
        sources=["speaker1", "speaker2"],
        in_channels=1,
        sample_rate=8000,
        n_filters=256,
        kernel_size=256,
        stride=128,
        n_bands=1,
        widths=[8, 16],
        depths=[1, 1],
        n_heads=[2, 2],
        window=[8, 8],
    )
    loss = losses.PITLossWrapper(losses.pairwise_neg_sisdr, pit_from="pw_mtx")
    estimates = model(speakers.sum(1))
    assert estimates.shape == (n, 2, 1600)
    assert loss(estimates, speakers) == loss(estimates, speakers.flip(1))
    before = loss(estimates, speakers).item()
    speech = TensorDataset(speakers.sum(1), speakers)
    system = System(
        model,
        torch.optim.Adam(model.parameters(), lr=5e-3),
        loss,
        DataLoader(speech, batch_size=8, shuffle=True),
        DataLoader(speech, batch_size=24),
    )
    trainer = Trainer(
        max_epochs=5,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(system)
    with torch.no_grad():
        value, ordered = loss(model.train()(speakers.sum(1)), speakers, return_est=True)
    assert value < before - 5
    fixed_order = losses.singlesrc_neg_sisdr(ordered.flatten(0, 1), speakers.flatten(0, 1)).mean()
    torch.testing.assert_close(fixed_order, value)
