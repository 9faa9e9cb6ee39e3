"""The contract of Asteroid's models: its own losses, trainer, overlap-add, metrics and tracing."""

from pathlib import Path

import asteroid.separate
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
from asteroid.models import BaseModel
from asteroid.scripts.asteroid_cli import infer as asteroid_infer
from asteroid_filterbanks import TorchSTFTFB
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader, TensorDataset

from asteroid_tfswa import InputError, TFSWAUNet
from asteroid_tfswa.engine.losses import get_loss
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
    config = {"optim": {"max_skipped_steps": 1}}
    system = MusicSystem(mono, None, get_loss({"l1": 1.0}), None, None, None, config)
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


# --- filterbanks ---------------------------------------------------------------------------------


class Ones(torch.nn.Module):
    """Masks of one, for stereo and two sources."""

    def forward(self, x):
        return torch.ones(len(x), 4, *x.shape[2:])


@pytest.mark.parametrize("fb_name", ["torch_stft", "TorchSTFTFB", "stft", "STFTFB"])
@pytest.mark.parametrize("length", [1, 63, 64, 65, 1000, 2049])
def test_masks_of_one_give_the_input_with_asteroids_filterbanks(make_model, fb_name, length):
    model = make_model(fb_name=fb_name)
    model.masker = Ones()
    wav = torch.randn(2, 2, length)
    torch.testing.assert_close(model(wav), wav[:, None].expand(-1, 2, -1, -1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("stride", [16, 20])
def test_torch_stft_gives_what_ours_gives(make_model, stride):
    model = make_model(stride=stride, mag_power=0.5)
    other = make_model(stride=stride, mag_power=0.5, fb_name="torch_stft")
    other.load_state_dict(model.state_dict())  # which has no filters
    wav = torch.randn(2, 2, 900)
    with torch.no_grad():
        out = model(wav)
        assert (other(wav) - out).abs().max() < 5e-6
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (other(wav) - model(wav)).abs().max() < 0.05 * out.abs().max()


def test_models_are_saved_and_loaded_with_any_filterbank(make_model, tmp_path):
    wav = torch.randn(2, 900)
    ours = make_model()
    with torch.no_grad():
        expected = ours(wav)
    torch.save(ours.serialize(), tmp_path / "FFTSTFTFB.pth")
    for name in ("torch_stft", "FFTSTFTFB", "torch_stft"):  # into theirs, back, and in again
        previous = max(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        model = TFSWAUNet.from_pretrained(previous, fb_name=name).eval()
        torch.save(model.serialize(), tmp_path / f"{len(list(tmp_path.iterdir()))}.pth")
        with torch.no_grad():
            assert (model(wav) - expected).abs().max() < 5e-6
    args = model.get_model_args()
    assert args["fb_name"] == "TorchSTFTFB"
    assert {"encoder.filterbank._filters", "decoder.filterbank._filters"} <= set(model.state_dict())
    for cls in (BaseModel, TFSWAUNet):
        again = cls.from_pretrained(str(tmp_path / "3.pth")).eval()
        assert isinstance(again.encoder.filterbank, TorchSTFTFB)
        with torch.no_grad():
            assert torch.equal(again(wav), model(wav))


# --- files, hubs ---------------------------------------------------------------------------------


@pytest.fixture
def saved(mono, tmp_path, monkeypatch):
    """A mono model's file, and 3000 samples of song.wav, in the current folder."""
    monkeypatch.chdir(tmp_path)
    torch.save(mono.serialize(), "model.pth")
    wav = write("song.wav", 3000, 1, rate=8000)
    with torch.no_grad():
        sources = mono.eval()(torch.from_numpy(wav.T).float())[0]
    return sources * abs(wav).sum() / sources.abs().sum()  # the level that Asteroid gives them


def test_asteroid_separate_and_infer_work_on_mono_files(saved, mono):
    Path("out").mkdir()
    asteroid.separate.separate(mono.train(), "song.wav")
    asteroid_infer(["model.pth", "--files", "song.wav", "-o", "out", "-d", "cpu"])
    for folder in (".", "out"):
        for name, expected in zip(("song_est1.wav", "song_est2.wav"), saved):
            written = torch.from_numpy(read(f"{folder}/{name}")[:, 0]).float()
            torch.testing.assert_close(written, expected.clamp(-1, 1), rtol=0, atol=1e-4)


def test_asteroid_infer_in_windows_is_in_evaluation_mode(saved, mono):
    windows = ["-w", "1000", "--ola-window-type", "hann", "--ola-no-reorder"]
    asteroid_infer(["model.pth", "--files", "song.wav", "-d", "cpu", *windows])
    stream = LambdaOverlapAdd(mono.eval(), None, 1000, window="hann", reorder_chunks=False)
    wav = torch.from_numpy(read("song.wav").T).float()[None]
    expected = stream(wav)[0]
    expected *= wav.abs().sum() / expected.abs().sum()
    for name, source in zip(("song_est1.wav", "song_est2.wav"), expected):
        written = torch.from_numpy(read(name)[:, 0]).float()
        torch.testing.assert_close(written, source.clamp(-1, 1), rtol=0, atol=1e-4)


def test_asteroid_infer_of_a_stereo_model_is_one_line_and_leaves_no_file(make_model, tmp_path):
    model = make_model()
    torch.save(model.serialize(), tmp_path / "model.pth")
    write(tmp_path / "song.wav", 3000, 2, rate=8000)
    calls = [
        lambda: asteroid.separate.separate(model, str(tmp_path / "song.wav")),
        lambda: asteroid_infer(
            [str(tmp_path / "model.pth"), "--files", str(tmp_path / "song.wav")]
        ),
    ]
    for call in calls:
        with pytest.raises(InputError, match="use the command asteroid-tfswa infer") as info:
            call()
        assert "\n" not in str(info.value)
    assert {path.name for path in tmp_path.iterdir()} == {"model.pth", "song.wav"}
    out = asteroid.separate.separate(model, torch.randn(2, 700))  # tensors work
    assert out.shape == (2, 2, 700)


def test_wrong_sample_rate_is_the_error_that_asteroid_raises(mono, tmp_path):
    write(tmp_path / "song.wav", 3000, 1, rate=11025)
    for error in (RuntimeError, ValueError, InputError):
        with pytest.raises(error, match="11025"):
            mono.separate(tmp_path / "song.wav")
    with pytest.raises(RuntimeError, match="11025"):
        asteroid.separate.separate(mono, str(tmp_path / "song.wav"))
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]


def test_torch_hub_gives_models(saved, tmp_path):
    checkout = Path(__file__).parents[2]
    small = {"widths": (4, 8), "depths": (1, 1), "n_heads": 2}
    model = torch.hub.load(checkout, "tfswa_unet", source="local", n_src=2, **small)
    assert isinstance(model, TFSWAUNet) and model.n_src == 2
    again = torch.hub.load(checkout, "tfswa_unet", "model.pth", source="local")
    assert again.in_channels == 1 and again.sources == ["vocals", "drums"]
