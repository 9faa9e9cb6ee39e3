"""`asteroid-tfswa separate -`: real pipes on both sides."""

import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa import InputError, TFSWAUNet
from asteroid_tfswa.cli import main
from asteroid_tfswa.separate import separate_file, separate_wav
from asteroid_tfswa.separate.live import separate_pipe
from tests.trained import make_best_model

pytestmark = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
COMMAND = [sys.executable, "-c", "from asteroid_tfswa_cli import main; main()", "separate"]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    return make_best_model(tmp_path_factory.mktemp("exp"))


def start(*options, **kwargs):
    return subprocess.Popen(
        [*COMMAND, *map(str, options)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **kwargs,
    )


def wav_bytes(wav, rate=8000):
    file = io.BytesIO()
    soundfile.write(file, wav.T.numpy(), rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_wav_in_wav_out(model_file):
    wav = torch.randn(2, 20000) / 10
    process = start("-", "--model", model_file, "--latency", "0.5", "--segment", "2",
                    "--precision", "32")  # fmt: skip
    out, said = process.communicate(wav_bytes(wav))
    assert (process.returncode, said) == (0, b"")
    stems, rate = soundfile.read(io.BytesIO(out), dtype="float32")
    model = TFSWAUNet.from_pretrained(model_file)
    expected = separate_wav(model, wav, segment=2, latency=0.5).flatten(0, 1).T
    assert rate == 8000 and stems.shape == (20000, 4)
    np.testing.assert_allclose(stems, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("in_channels", [1, 2])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_pipe_gives_the_stems_of_the_file(make_model, tmp_path, channels, in_channels):
    model = make_model(in_channels=in_channels)
    path = tmp_path / "a.wav"
    wav = 0.1 * np.random.default_rng(0).standard_normal((8000, channels))
    soundfile.write(path, wav, 8000, format="WAVEX", subtype="FLOAT")
    files = separate_file(model, path, tmp_path, segment=0.5)
    sink = io.BytesIO()
    with open(path, "rb") as source:
        separate_pipe(model, source, sink, segment=0.5)
    stems, _ = soundfile.read(io.BytesIO(sink.getvalue()), always_2d=True)
    expected = np.hstack([soundfile.read(file, always_2d=True)[0] for file in files])
    np.testing.assert_allclose(stems, expected, atol=1e-5)


def test_samples_that_are_not_numbers_are_refused(make_model, tmp_path):
    wav = torch.zeros(2, 8000)
    wav[1, 6000] = torch.nan
    (tmp_path / "a.wav").write_bytes(wav_bytes(wav))
    with open(tmp_path / "a.wav", "rb") as source:
        with pytest.raises(InputError, match=r"^-: .* not numbers \(.* first at 0.75 s\); repair"):
            separate_pipe(make_model(), source, io.BytesIO(), segment=0.1)


def test_what_ffmpeg_cannot_decode_is_warned_of(make_model, tmp_path):
    rng = np.random.default_rng(0)
    path, sink = tmp_path / "a.flac", io.BytesIO()
    soundfile.write(path, rng.uniform(-0.1, 0.1, (40000, 2)), 8000)
    data = path.read_bytes()
    path.write_bytes(data[:50000] + rng.bytes(30000) + data[80000:])
    with open(path, "rb") as source, pytest.warns(UserWarning, match="-: ffmpeg complains .* may"):
        separate_pipe(make_model(), source, sink, form="raw")


def test_raw_samples_come_before_the_input_ends(model_file):
    process = start(model_file, "-", "--latency", "0.5", "--format", "raw", "--bits", "16",
                    "--stems", "drums", "--precision", "32")  # fmt: skip
    wav = torch.randn(2, 16000) / 10
    process.stdin.write(wav_bytes(wav))
    process.stdin.flush()
    # Of two seconds, at least one and a half less a chunk's step can be known; four bytes each.
    early = process.stdout.read(4 * (16000 - 4000 - 3000))
    out, said = process.communicate()
    assert (process.returncode, said) == (0, b"")
    drums = np.frombuffer(early + out, "<i2").reshape(-1, 2).T / 32768
    model = TFSWAUNet.from_pretrained(model_file)
    expected = separate_wav(model, wav, latency=0.5)[1].clamp(-1, 1).numpy()
    np.testing.assert_allclose(drums, expected, atol=1e-4)


def test_a_closed_pipe_and_a_signal_end_it_quietly(model_file):
    noise = wav_bytes(torch.randn(2, 16000))  # pipes hold it while nobody reads
    process = start("-", "--model", model_file, "--segment", "0.5", "--format", "raw")
    process.stdin.write(noise)
    process.stdin.flush()
    process.stdout.read(10)
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 141)
    process.stdin.close()

    process = start("-", "--model", model_file, "--segment", "0.5", "--format", "raw")
    process.stdin.write(noise)
    process.stdin.flush()
    process.stdout.read(10)
    process.send_signal(signal.SIGTERM)
    process.stdin.close()
    process.stdout.read()
    assert process.wait() == 143 and b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    "options, data, message",
    [
        ([], b"no audio at all", "error: -: standard input holds no audio"),
        (["--stems", "harp"], b"", "error: stems: the model has no source 'harp'"),
        (["--page"], b"", "error: --page: standard input cannot"),
        (["--clip", "none"], b"", "error: --clip: standard input cannot"),
        (["--overwrite"], b"", "error: --overwrite: standard input cannot"),
        (["--output-dir", "o"], b"", "error: --output-dir: standard input cannot"),
        (["song.wav"], b"", "error: FILES: - (standard input) is separated alone"),
    ],
)
def test_errors_are_one_line(model_file, tmp_path, monkeypatch, capsys, options, data, message):
    (tmp_path / "in").write_bytes(data)
    with open(tmp_path / "in") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(SystemExit) as stop:
            main(["separate", "--model", str(model_file), "-", *options])
    said = capsys.readouterr().err
    assert stop.value.code == 1 and said.startswith(message) and said.count("\n") == 1


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile secret.wav\n", "#EXTM3U\n#EXTINF:1,\nsecret.wav\n"]
)
def test_playlists_open_no_other_file(model_file, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Path("secret.wav").write_bytes(wav_bytes(torch.randn(2, 8000) / 10))
    Path("list").write_text(text)
    model, sink = TFSWAUNet.from_pretrained(model_file), io.BytesIO()
    with pytest.raises(InputError, match="standard input holds no audio"):
        with open("list", "rb") as source:
            separate_pipe(model, source, sink, form="raw")
    assert sink.getvalue() == b""
