"""ONNX files that hold the STFT: waveforms in and out, in Python, in a program and in a browser."""

import functools
import http.server
import importlib.util
import json
import os
import runpy
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa import InputError, TFSWAUNet
from asteroid_tfswa.cli import main
from asteroid_tfswa.models.export import export_model
from asteroid_tfswa.models.waveform import WaveformNetwork
from asteroid_tfswa.separate import separate_wav
from tests.conftest import KINDS
from tests.trained import make_best_model

REPOSITORY = Path(__file__).parents[2]
PROGRAM = REPOSITORY / "egs" / "onnx" / "separate_wav.py"
MUSIC = REPOSITORY.parent / "shared" / "data" / "realmusic" / "train"
CHROMIUM = shutil.which("chromium")
# Where npm installs packages: here, or in a folder that NODE_PATH names.
MODULES = [REPOSITORY / "node_modules", *map(Path, os.environ.get("NODE_PATH", "").split(":"))]
ORT_WEB = next((dist for m in MODULES if (dist := m / "onnxruntime-web" / "dist").is_dir()), None)
RATE, SEGMENT = 8000, 0.5  # Hz, s

# --- the network ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stride, length", [(16, 4000), (24, 1001), (16, 20)])
def test_convolutions_compute_what_the_model_computes(make_model, kind, stride, length):
    model = make_model(stride=stride, **kind)
    network = WaveformNetwork(model, length)
    for level in (1, 1e-4, 0):
        wav = torch.randn(1, 2, length) * level
        with torch.no_grad():
            expected, out = model(wav), network(wav)
        assert out.shape == expected.shape
        assert (out - expected).abs().max() <= 1e-4 * expected.abs().max()  # silence: exactly


def test_a_filterbank_that_is_not_centred_is_refused(make_model):
    with pytest.raises(InputError, match="STFTFB of this model is not centred.*FFTSTFTFB"):
        WaveformNetwork(make_model(fb_name="stft"), 4000)


@pytest.mark.parametrize(
    "format, segment, message",
    [
        ("half", 6.0, "waveform: only the format onnx holds the STFT, not half"),
        ("onnx", 0.001, "segment must be .* got 0.001"),
        ("onnx", float("nan"), "segment must be .* got nan"),
    ],
)
def test_wrong_options_are_named(tmp_path, format, segment, message):
    with pytest.raises(InputError, match=message):
        export_model("none.pth", tmp_path / "out", format, waveform=True, segment=segment)


# --- the file ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model and the file that the command makes of it."""
    pytest.importorskip("onnxruntime", reason="of asteroid-tfswa[onnx]")
    pytest.importorskip("onnxscript", reason="of asteroid-tfswa[onnx]")
    folder = tmp_path_factory.mktemp("onnx")
    path = make_best_model(folder / "exp", widths=(4,), depths=(1,), mag_power=0.5)
    file = folder / "waveform.onnx"
    options = ["--format", "onnx", "--waveform", "--segment", str(SEGMENT)]
    main(["export", str(path), str(file), *options])
    return TFSWAUNet.from_pretrained(path).eval(), file


@pytest.fixture(scope="module")
def music():
    """Three seconds of a real song, (2, samples); chords where there is none."""
    stems = sorted((MUSIC / "eif_lithium").glob("*.ogg"))
    if stems:
        parts = [soundfile.read(stem, 3 * 44100, 20 * 44100, dtype="float32")[0] for stem in stems]
        return torch.from_numpy(sum(parts).T[:, ::5].copy())[:, : 3 * RATE]
    time = torch.arange(3 * RATE) / RATE
    tones = sum((2 * torch.pi * f * time).sin() for f in (110, 277.2, 329.6, 1760))
    return torch.stack([tones, tones.roll(40)]) * (-3 * (time % 0.6)).exp() / 5


def test_file_says_how_to_use_it_and_agrees_on_music(exported, music):
    import onnxruntime

    model, file = exported
    session = onnxruntime.InferenceSession(file)
    said = json.loads(session.get_modelmeta().custom_metadata_map["model.json"])
    assert said["licenses"][0]["license"] == "CC BY 4.0"
    said["waveform"].pop("join")
    assert said["waveform"] == {
        "chunk": 4000,
        "overlap": 1000,
        "sample_rate": 8000.0,
        "channels": 2,
        "sources": ["vocals", "drums"],
        "latency": 0.5,
    }
    for chunk in music.split(4000, dim=-1)[:4]:
        (sources,) = session.run(["sources"], {"mixture": chunk[None].numpy()})
        with torch.no_grad():
            expected = model(chunk[None])
        error = (torch.from_numpy(sources) - expected).abs().max() / expected.abs().max()
        assert error < 1e-4


@pytest.mark.parametrize("length", [3 * RATE - 77, 3700])
def test_the_example_separates_a_wav_as_the_package_does(exported, music, tmp_path, length):
    assert len(PROGRAM.read_text().splitlines()) < 50
    model, file = exported
    soundfile.write(tmp_path / "a song.wav", music[:, :length].T.numpy(), RATE, subtype="PCM_16")
    command = [sys.executable, PROGRAM, file, tmp_path / "a song.wav", tmp_path / "out"]
    subprocess.run(command, check=True, cwd=tmp_path)
    wav = soundfile.read(tmp_path / "a song.wav", dtype="float32")[0].T
    padded = torch.from_numpy(np.pad(wav, ((0, 0), (0, max(0, 4000 - length))), mode="wrap"))
    expected = separate_wav(model, padded, segment=SEGMENT)[..., :length]
    for name, source in zip(model.sources, expected.clamp(-1, 1)):
        stem, rate = soundfile.read(tmp_path / "out" / f"{name}.wav", dtype="float32")
        assert rate == RATE and stem.shape == (length, 2)
        assert np.abs(stem.T - source.numpy()).max() < 1e-4  # 16 bits


def test_the_example_says_in_a_line_what_it_cannot_use(exported, tmp_path, monkeypatch):
    def refused(*args):
        monkeypatch.setattr(sys, "argv", ["separate_wav.py", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(PROGRAM), run_name="__main__")
        assert "\n" not in stop.value.code and not (tmp_path / "out").exists()
        return stop.value.code

    def refused_song(name):
        return refused(exported[1], tmp_path / name, tmp_path / "out")

    soundfile.write(tmp_path / "mono.wav", np.zeros(100), 44100, subtype="PCM_16")
    for subtype in ("FLOAT", "PCM_16"):
        soundfile.write(tmp_path / f"{subtype}.wav", np.zeros((99, 2)), RATE, subtype=subtype)
    whole = (tmp_path / "PCM_16.wav").read_bytes()
    for length in (0, 30, 44, 101):
        (tmp_path / f"{length}.wav").write_bytes(whole[:length])
    assert refused_song("mono.wav").endswith("are (1, 2, 44100); convert it to (2, 2, 8000)")
    for name in ("FLOAT.wav", "0.wav", "30.wav", "44.wav", "101.wav", "none.wav"):
        assert f"/{name} to " in (line := refused_song(name)) and "give a whole 16-bit WAV" in line
    (tmp_path / "file").touch()
    assert "/file: " in refused(exported[1], tmp_path / "PCM_16.wav", tmp_path / "file")
    for model in ("none.onnx", "0.wav"):
        line = refused(tmp_path / model, tmp_path / "PCM_16.wav", tmp_path / "out")
        assert f"{model}: give a model of asteroid-tfswa export --waveform" in line
    assert refused("model.onnx").startswith("usage: python separate_wav.py MODEL.onnx SONG.wav")


# --- a browser -----------------------------------------------------------------------------------

IN_BROWSER = """async ([wav, shape]) => {
  const ort = await import("/ort/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create("/waveform.onnx");
  const mixture = new ort.Tensor("float32", Float32Array.from(wav), shape);
  const { sources } = await session.run({ mixture });
  return [Array.from(sources.data), sources.dims];
}"""


class Files(http.server.SimpleHTTPRequestHandler):
    extensions_map = {".mjs": "text/javascript", ".wasm": "application/wasm", "": "text/html"}

    def log_message(self, *args):
        pass


@pytest.fixture
def address(exported, tmp_path):
    """Address of a server of the exported file and of onnxruntime-web."""
    (tmp_path / "ort").symlink_to(ORT_WEB)
    (tmp_path / "waveform.onnx").symlink_to(exported[1])
    (tmp_path / "index.html").write_text("<!doctype html><title>ONNX</title>")
    files = functools.partial(Files, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()


@pytest.mark.skipif(
    not (CHROMIUM and importlib.util.find_spec("playwright")),
    reason="chromium or the package playwright is missing",
)
@pytest.mark.skipif(
    ORT_WEB is None, reason="onnxruntime-web is missing: npm install onnxruntime-web"
)
def test_a_browser_computes_the_same(exported, music, address):
    from playwright.sync_api import sync_playwright

    model, _ = exported
    chunk = music[None, :, :4000]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(address)
        sources, dims = page.evaluate(IN_BROWSER, [chunk.flatten().tolist(), list(chunk.shape)])
        browser.close()
    with torch.no_grad():
        expected = model(chunk)
    error = (torch.tensor(sources).reshape(dims) - expected).abs().max() / expected.abs().max()
    assert error < 1e-3
