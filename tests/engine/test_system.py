"""The numbers of a validation, against a plain computation on whole songs."""

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa.data.songs import read_prepared
from asteroid_tfswa.engine.system import MusicSystem
from asteroid_tfswa.engine.train import train
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.scores.song import score_song
from tests.engine import tiny


@pytest.fixture
def data_dir(tmp_path):
    return tiny.make_data(tmp_path / "data")


def silence(data_dir, song, stem):
    path = data_dir / "valid" / song / f"{stem}.wav"
    wave, rate = soundfile.read(path)
    soundfile.write(path, np.zeros_like(wave), rate, subtype="FLOAT")


@pytest.mark.parametrize("valid_segment", [0.7, 5.0])
def test_validation_is_exact_over_whole_songs(data_dir, tmp_path, valid_segment):
    silence(data_dir, "e", "drums")
    data, conf = read_prepared(data_dir), tiny.make_conf(epochs=1, valid_segment=valid_segment)
    conf["training"]["batch_size"] = 2
    torch.manual_seed(0)
    model = tiny.TinyModel()
    torch.nn.init.zeros_(model.conv.weight)  # a model without memory: chunks change nothing
    with torch.no_grad():
        model.conv.weight[:, :, 4] = torch.rand(4, 2)
        model.conv.weight.requires_grad = False
    path = train(model, data, conf, tmp_path / "exp", "cpu")
    model = model.eval()

    errors, n_samples, usdr, csdr = 0.0, 0, [], {stem: [] for stem in tiny.SOURCES}
    for song in data.splits["valid"]:
        read = [soundfile.read(song.stems[s], dtype="float32")[0].T for s in tiny.SOURCES]
        mixture = torch.from_numpy(soundfile.read(song.mixture, dtype="float32")[0].T)
        targets = torch.from_numpy(np.stack(read))
        with torch.no_grad():
            error = (model(mixture[None])[0] - targets).double()
        scored = score_song(
            targets.numpy(), {"model": (error.float() + targets).numpy()}, tiny.SOURCES, tiny.RATE
        )
        for stem in scored["model"]["targets"]:
            values = [frame["metrics"]["SDR"] for frame in stem["frames"]]
            csdr[stem["name"]].append(np.median([v for v in values if v is not None]))
        errors += error.abs().mean((0, 1)).sum().item()
        n_samples += song.n_samples
        for target, e in zip(targets.double(), error):
            if song.name != "e" or target.any():
                usdr.append(10 * np.log10((target.square().sum() / e.square().sum()).item()))
    assert len(usdr) == 3  # the silent stem is left out
    metrics = torch.load(path, weights_only=True)["metrics"]
    assert metrics["val_loss"] == pytest.approx(errors / n_samples, rel=1e-5)
    assert metrics["val_usdr"] == pytest.approx(np.mean(usdr), rel=1e-4)
    assert {stem: len(values) for stem, values in csdr.items()} == {"vocals": 2, "drums": 1}
    expected = np.mean([np.median(values) for values in csdr.values()])
    assert metrics["val_csdr"] == pytest.approx(expected, abs=1e-4)


def test_only_silence_to_validate_on_is_refused(data_dir, tmp_path):
    for song in "de":
        for stem in tiny.SOURCES:
            silence(data_dir, song, stem)
    with pytest.raises(InputError, match="silent in every validation song"):
        tiny.run(data_dir, tmp_path / "exp")


def test_a_model_of_other_channels_is_named(data_dir, tmp_path):
    data = read_prepared(data_dir)
    model = tiny.TinyModel()
    model.forward = lambda wave: model.conv(wave).unflatten(1, (2, 2))[:, :, :1]
    with pytest.raises(InputError, match=r"\(4, 2, 1, 4000\).*\(4, 2, 2, 4000\)"):
        train(model, data, tiny.make_conf(), tmp_path / "exp", "cpu")


def test_lists_in_the_configuration_can_be_logged():
    hparams = MusicSystem.config_to_hparams({"data": {"sources": ["a", "b"], "seed": None}})
    assert hparams == {"data_sources": "['a', 'b']", "data_seed": "None"}


def test_our_model_trains_and_comes_back(data_dir, tmp_path, make_model):
    """Its normalisation layers have running statistics, and its file is the safe loader's."""
    model = make_model()
    path = train(model, read_prepared(data_dir), tiny.make_conf(epochs=1), tmp_path / "exp", "cpu")
    again = type(model).from_pretrained(str(path)).eval()
    wave = torch.randn(1, 2, 3000)
    assert torch.equal(again(wave), model.eval()(wave))
