"""Separation from file to files: whole, at their level, and nothing half-written."""

import os

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa import InputError, separate
from asteroid_tfswa.separate import separate_file
from tests.stand_in import RATE, StandIn


def write(path, n_samples=3000, channels=2, rate=RATE, **kwargs):
    wav = 2 * torch.rand(n_samples, channels).numpy() - 1
    soundfile.write(path, wav, rate, **{"subtype": "FLOAT", **kwargs})
    return wav


@pytest.mark.parametrize("channels", [1, 2])
def test_file_to_files(tmp_path, monkeypatch, channels):
    monkeypatch.setattr(separate, "BLOCK", 700)
    wav = write(tmp_path / "a song.wav", channels=channels)
    done = []
    paths = separate_file(StandIn(), tmp_path / "a song.wav", progress=done.append, segment=0.1)
    assert paths == [tmp_path / "a song" / "one.wav", tmp_path / "a song" / "two.wav"]
    assert sum(done) == 3000 and len(done) > 30
    for gain, path in enumerate(paths, start=1):
        info = soundfile.info(path)
        assert (info.frames, info.samplerate, info.channels) == (3000, RATE, channels)
        assert info.subtype == "FLOAT"  # twice the input: no clipping, no rescaling
        out, _ = soundfile.read(path, always_2d=True)
        np.testing.assert_allclose(out, gain * wav, atol=1e-5)
    assert sorted(os.listdir(tmp_path / "a song")) == ["one.wav", "two.wav"]


def test_file_equals_tensor(tmp_path, make_model):
    model = make_model()
    wav = write(tmp_path / "in.wav", 5000, rate=8000)
    paths = model.separate(tmp_path / "in.wav", output_dir=tmp_path / "out", segment=0.2)
    out = np.stack([soundfile.read(path, dtype="float32")[0].T for path in paths])
    expected = model.separate(torch.from_numpy(wav.T.copy()).float(), segment=0.2)
    np.testing.assert_allclose(out, expected.numpy(), atol=1e-5)


def test_mono_file_into_a_stereo_model(tmp_path, make_model):
    write(tmp_path / "in.wav", 5000, channels=1, rate=8000)
    for path in make_model().separate(str(tmp_path / "in.wav"), segment=0.2):
        assert (soundfile.info(path).frames, soundfile.info(path).channels) == (5000, 1)


def write_text(path):
    path.write_text("no audio")


def write_cut_off_flac(path):
    write(path, 50_000, format="FLAC", subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda path: write(path, rate=44100),
            "3000 samples at 44100 Hz: .* needs audio at 1000 Hz",
        ),
        (lambda path: write(path, n_samples=0), "0 samples"),
        (lambda path: write(path, channels=3), "3 channels: the model takes 2 or 1"),
        (write_text, "cannot be read"),
        (lambda path: None, "cannot be read"),
        (write_cut_off_flac, "is damaged"),
    ],
)
def test_file_that_does_not_fit_leaves_nothing(tmp_path, make, message):
    path = tmp_path / "song.wav"
    make(path)
    with pytest.raises(InputError, match=f"song.wav.*{message}"):
        separate_file(StandIn(), path, tmp_path / "out", segment=0.1)
    assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interruption_leaves_what_was_there(tmp_path, error):
    write(tmp_path / "song.wav")
    (tmp_path / "song").mkdir()
    (tmp_path / "song" / "one.wav").write_text("from before")

    def stop(n_samples):
        raise error

    with pytest.raises(error):
        separate_file(StandIn(), tmp_path / "song.wav", progress=stop, segment=0.1)
    assert os.listdir(tmp_path / "song") == ["one.wav"]
    assert (tmp_path / "song" / "one.wav").read_text() == "from before"
