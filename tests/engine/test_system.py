"""The numbers of a validation, against a plain computation on whole songs."""

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa import TFSWAUNet
from asteroid_tfswa.data.songs import read_prepared
from asteroid_tfswa.engine.chunks import ValidChunks
from asteroid_tfswa.engine.system import MusicSystem
from asteroid_tfswa.engine.train import train
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.scores.song import score_song
from asteroid_tfswa.separate.stream import separate_wav
from tests.engine import tiny


@pytest.fixture
def data_dir(tmp_path):
    return tiny.make_data(tmp_path / "data")


def load(path):
    return torch.load(path, weights_only=True)


def silence(data_dir, song, stem):
    path = data_dir / "valid" / song / f"{stem}.wav"
    wave, rate = soundfile.read(path)
    soundfile.write(path, np.zeros_like(wave), rate, subtype="FLOAT")


@pytest.mark.parametrize("valid_segment, valid_overlap", [(0.7, 0.25), (0.5, 0.5), (2.0, 0.0)])
def test_validation_is_what_separation_scores(
    data_dir, tmp_path, make_model, valid_segment, valid_overlap
):
    """A song is shorter than the longest segment, and a stem is silent in it."""
    silence(data_dir, "e", "drums")
    data = read_prepared(data_dir)
    changes = {"valid_segment": valid_segment, "valid_overlap": valid_overlap, "batch_size": 3}
    path = train(make_model(), data, tiny.make_conf(epochs=1, **changes), tmp_path / "exp", "cpu")
    model = TFSWAUNet.from_pretrained(path).eval()

    usdr, csdr = ({stem: [] for stem in tiny.SOURCES} for _ in range(2))
    for song in data.splits["valid"]:
        mixture = torch.from_numpy(soundfile.read(song.mixture, dtype="float32")[0].T)
        read = [soundfile.read(song.stems[s], dtype="float32")[0].T for s in tiny.SOURCES]
        estimates = separate_wav(model, mixture, segment=valid_segment, overlap=valid_overlap)
        scored = score_song(np.stack(read), {"model": estimates.numpy()}, tiny.SOURCES, tiny.RATE)
        for stem in scored["model"]["targets"]:
            values = [frame["metrics"]["SDR"] for frame in stem["frames"]]
            csdr[stem["name"]].append(np.median([v for v in values if v is not None]))
        for stem, value in scored["model"]["uSDR"].items():
            usdr[stem] += [value] if value is not None else []
    assert {stem: len(values) for stem, values in csdr.items()} == {"vocals": 2, "drums": 1}
    expected = {f"val_usdr/{stem}": np.mean(values) for stem, values in usdr.items()}
    expected |= {f"val_csdr/{stem}": np.median(values) for stem, values in csdr.items()}
    expected["val_usdr"] = np.mean(usdr["vocals"] + usdr["drums"])
    expected["val_csdr"] = np.mean([np.median(values) for values in csdr.values()])
    metrics = load(path)["metrics"]
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-4)


def test_validation_loss_is_the_mean_over_chunks(data_dir, tmp_path):
    data = read_prepared(data_dir)
    path = tiny.run(data_dir, tmp_path / "exp", epochs=1, batch_size=2)
    model = tiny.TinyModel.from_pretrained(str(path)).eval()
    chunks = ValidChunks(data.splits["valid"], tiny.SOURCES, 1.0, 0.25, sample_rate=tiny.RATE)
    errors = []
    for number in range(len(chunks)):
        mixture, targets, _ = chunks[number]
        with torch.no_grad():
            errors.append((model(mixture[None])[0] - targets).abs().mean().item())
    assert len(errors) == 5
    assert load(path)["metrics"]["val_loss"] == pytest.approx(np.mean(errors), rel=1e-5)


def test_only_silence_to_validate_on_is_refused(data_dir, tmp_path):
    for song in "de":
        for stem in tiny.SOURCES:
            silence(data_dir, song, stem)
    with pytest.raises(InputError, match="silent in every validation song"):
        tiny.run(data_dir, tmp_path / "exp")
    assert not (tmp_path / "exp").exists()  # it says so before it trains


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"monitor": "val_sdr"}, "monitor: 'val_sdr' is unknown; choose from val_usdr, .*/drums"),
        ({"monitor": "val_csdr/drums"}, "val_csdr/drums is undefined, as the stem is silent"),
        ({"valid_every": 3}, "valid_every: 3 epochs, but there are 2"),
    ],
)
def test_what_cannot_be_monitored_is_named(data_dir, tmp_path, changes, named):
    for song in "de":
        silence(data_dir, song, "drums")
    with pytest.raises(InputError, match=named):
        tiny.run(data_dir, tmp_path / "exp", **changes)
    assert not (tmp_path / "exp").exists()


def test_stems_that_never_sound_together_have_no_csdr(data_dir, tmp_path):
    for song in "de":
        for stem, part in zip(tiny.SOURCES, (slice(tiny.RATE, None), slice(0, tiny.RATE))):
            path = data_dir / "valid" / song / f"{stem}.wav"
            wave, _ = soundfile.read(path, dtype="float32")
            wave[part] = 0
            soundfile.write(path, wave, tiny.RATE, subtype="FLOAT")
    with pytest.raises(InputError, match="val_csdr is undefined, .* in no second with the others"):
        tiny.run(data_dir, tmp_path / "exp", monitor="val_csdr")


def test_a_model_of_other_channels_is_named(data_dir, tmp_path):
    data = read_prepared(data_dir)
    model = tiny.TinyModel()
    model.forward = lambda wave: model.conv(wave).unflatten(1, (2, 2))[:, :, :1]
    with pytest.raises(InputError, match=r"\(4, 2, 1, 4000\).*\(4, 2, 2, 4000\)"):
        train(model, data, tiny.make_conf(), tmp_path / "exp", "cpu")


def test_numbers_of_chunks_never_travel_to_the_device():
    batch = [torch.zeros(2, 2, 5), torch.zeros(2, 1, 2, 5), torch.tensor([3, 4])]
    assert MusicSystem.on_before_batch_transfer(None, batch, 0)[2] == [3, 4]


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
