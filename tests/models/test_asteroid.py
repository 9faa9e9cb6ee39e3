"""The contract of Asteroid's models: its own losses, trainer, overlap-add, metrics and tracing."""

import pytest
import torch
from asteroid.dsp import LambdaOverlapAdd
from asteroid.engine import System
from asteroid.losses import (
    MixITLossWrapper,
    PITLossWrapper,
    multisrc_mse,
    multisrc_neg_sisdr,
    multisrc_neg_snr,
    pairwise_neg_sisdr,
    pairwise_neg_snr,
    singlesrc_neg_sisdr,
)
from asteroid.metrics import get_metrics
from pytorch_lightning import Trainer
from torch.nn import L1Loss
from torch.utils.data import DataLoader, TensorDataset

from asteroid_tfswa.engine.system import MusicSystem
from asteroid_tfswa.separate import separate_file
from tests.stand_ins import read, write


@pytest.fixture
def mono(make_model):
    return make_model(in_channels=1, widths=(4, 8), depths=(1, 1), n_heads=2, window=4)


# --- shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((700,), (2, 700)),
        ((1, 700), (1, 2, 700)),
        ((3, 700), (3, 2, 700)),
        ((1, 1, 700), (1, 2, 700)),
        ((3, 1, 700), (3, 2, 700)),
    ],
)
def test_mono_model_has_asteroids_shapes(mono, shape, expected):
    wav = torch.randn(shape)
    with torch.no_grad():
        out = mono(wav)
        assert out.shape == expected
        one = mono(wav.reshape(-1, 700)[0])  # each mixture gives what it gives alone
        torch.testing.assert_close(out.reshape(-1, 2, 700)[0], one, rtol=0, atol=1e-5)
        assert torch.equal(out, mono.forward_wav(wav))
        separated = mono.separate(wav)
    torch.testing.assert_close(separated, out, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 2, 700), (1, 1, 1, 700), (0,), (1, 0), ()])
def test_shapes_that_a_mono_model_refuses(mono, shape):
    for separate in (mono, mono.separate):
        with pytest.raises(ValueError, match=r"\(time\), \(batch, time\) or \(batch, 1, time\)"):
            separate(torch.zeros(shape))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("fb_name", ["FFTSTFTFB", "torch_stft"])
def test_trace_bss_model(make_model, fb_name):
    """Asteroid's test of that name: traced once, a model takes mixtures of all shapes."""
    sizes = {"widths": (4, 8), "depths": (1, 1), "n_heads": 2, "window": 4}
    model = make_model(in_channels=1, fb_name=fb_name, **sizes)
    traced = torch.jit.trace(model, (torch.rand(1, 201) - 0.5) * 2)
    for shape in [(240,), (1, 220), (3, 250), (1, 1, 301), (2, 1, 501)]:
        wav = (torch.rand(shape) - 0.5) * 2
        with torch.no_grad():
            torch.testing.assert_close(traced(wav), model(wav))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_traced_stereo_model_takes_mixtures_of_all_shapes(make_model):
    model = make_model(widths=(4, 8), depths=(1, 1), n_heads=2, window=4)
    traced = torch.jit.trace(model, torch.randn(1, 2, 201))
    for shape in [(240,), (2, 220), (1, 220), (1, 2, 301), (3, 1, 301), (2, 2, 501)]:
        wav = torch.randn(shape)
        with torch.no_grad():
            torch.testing.assert_close(traced(wav), model(wav))


@pytest.mark.parametrize("n_channels", [1, 2, 3])
def test_mono_model_separates_files_of_any_channels(mono, tmp_path, n_channels):
    wav = write(tmp_path / "song.wav", 3000, n_channels, rate=8000)
    paths = separate_file(mono.eval(), tmp_path / "song.wav", tmp_path)
    assert [path.name for path in paths] == ["vocals.wav", "drums.wav"]
    for channel in range(n_channels):  # each by itself
        with torch.no_grad():
            expected = mono(torch.from_numpy(wav[:, channel]).float())
        for path, source in zip(paths, expected):
            torch.testing.assert_close(
                torch.from_numpy(read(path)[:, channel]).float(), source, rtol=0, atol=1e-5
            )


# --- losses and training -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [
        PITLossWrapper(pairwise_neg_sisdr, pit_from="pw_mtx"),
        PITLossWrapper(pairwise_neg_snr, pit_from="pw_mtx"),
        PITLossWrapper(singlesrc_neg_sisdr, pit_from="pw_pt"),
        PITLossWrapper(multisrc_neg_sisdr, pit_from="perm_avg"),
        MixITLossWrapper(multisrc_neg_sisdr),
        lambda estimates, targets: multisrc_neg_sisdr(estimates, targets).mean(),
        lambda estimates, targets: multisrc_neg_snr(estimates, targets).mean(),
        lambda estimates, targets: multisrc_mse(estimates, targets).mean(),
    ],
)
def test_asteroids_losses_take_the_sources_of_a_mono_model(mono, loss):
    targets = torch.randn(3, 2, 700)
    value = loss(mono(targets.sum(dim=1)), targets)
    value.backward()
    assert value.ndim == 0 and value.isfinite()
    assert all(p.grad.isfinite().all() for p in mono.parameters())
    assert any(p.grad.any() for p in mono.parameters())


def test_permutation_is_found(mono):
    with torch.no_grad():
        estimates = mono(torch.randn(2, 700))
    loss = PITLossWrapper(pairwise_neg_sisdr, pit_from="pw_mtx")
    _, ordered = loss(estimates.flip(1), estimates, return_est=True)
    torch.testing.assert_close(ordered, estimates)


@pytest.mark.filterwarnings("ignore")
def test_asteroids_system_trains_a_mono_model(mono, tmp_path):
    targets = torch.randn(4, 2, 700)
    loader = DataLoader(TensorDataset(targets.sum(dim=1), targets), batch_size=2)
    before = [p.clone() for p in mono.parameters()]
    optimizer = torch.optim.Adam(mono.parameters(), lr=1e-3)
    loss = PITLossWrapper(pairwise_neg_sisdr, pit_from="pw_mtx")
    system = System(mono, optimizer, loss, loader, loader)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        limit_train_batches=1,
        limit_val_batches=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(system)
    assert any(not torch.equal(p, q) for p, q in zip(mono.parameters(), before))
    assert torch.isfinite(trainer.callback_metrics["val_loss"])


def test_the_recipe_s_system_trains_a_mono_model(mono):
    system = MusicSystem(mono, None, L1Loss(), None, None, None, {})
    system.on_train_start()
    targets = torch.randn(3, 2, 1, 700)  # of data with one channel
    loss = system.training_step((targets.sum(dim=1), targets), 0)
    assert loss == (mono(targets.sum(dim=1)).unsqueeze(2) - targets).abs().mean()


# --- overlap-add and metrics ---------------------------------------------------------------------


def test_lambda_overlap_add_streams_a_mono_model(mono):
    whole = torch.randn(2, 1, 3000)
    stream = LambdaOverlapAdd(mono, n_src=2, window_size=1000, reorder_chunks=False)
    with torch.no_grad():
        out = stream(whole)
    assert out.shape == (2, 2, 3000) and out.isfinite().all()
    difference = out - mono(whole)  # seams apart it is what the model gives for the whole
    assert difference.norm() < 0.5 * out.norm()


def test_get_metrics_takes_what_a_mono_model_gives(mono):
    targets = torch.randn(2, 8000)
    with torch.no_grad():
        estimates = mono(targets.sum(dim=0))
    values = get_metrics(
        targets.sum(dim=0, keepdim=True).numpy(),
        targets.numpy(),
        estimates.numpy(),
        sample_rate=8000,
        metrics_list=["si_sdr", "sdr"],
    )
    gains = (estimates * targets).sum(-1, keepdim=True) / targets.square().sum(-1, keepdim=True)
    errors = estimates - gains * targets
    si_sdr = 10 * (gains * targets).square().sum(-1).div(errors.square().sum(-1)).log10()
    assert values["si_sdr"] == pytest.approx(si_sdr.mean().item(), abs=0.01)
    assert {"sdr", "input_si_sdr"} <= set(values)
