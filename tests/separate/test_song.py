"""Separate a file: the stems have its rate, channels and length, or one line says why not."""

import os
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa import InputError
from asteroid_tfswa.audio import read as read_module
from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.audio.write import AudioFormat
from asteroid_tfswa.separate import file_separate, separate_file
from tests.stand_ins import RATE, StandIn, read, tones, write

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
REAL = Path(__file__).parents[3] / "shared/data/realmusic"


# --- read ---


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_file_to_files(tmp_path, monkeypatch, channels):
    monkeypatch.setattr(read_module, "BLOCK", 700)
    wav = write(tmp_path / "a song.wav", channels=channels)
    done = []
    paths = separate_file(
        StandIn(), tmp_path / "a song.wav", tmp_path / "out", progress=done.append, segment=0.1
    )
    assert paths == [tmp_path / "out/a song/one.wav", tmp_path / "out/a song/two.wav"]
    assert sum(done) == pytest.approx(3) and len(done) > 30
    for gain, path in enumerate(paths, start=1):
        info = soundfile.info(path)
        assert (info.frames, info.samplerate, info.channels) == (3000, RATE, channels)
        assert info.subtype == "FLOAT"  # twice the input: no clipping, no rescaling
        np.testing.assert_allclose(read(path), gain * wav, atol=1e-5)
    assert sorted(os.listdir(tmp_path / "out/a song")) == ["one.wav", "two.wav"]


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 192000, 999])
def test_other_sample_rates_keep_rate_length_and_signal(tmp_path, rate):
    wav = tones(rate, seconds=1.2345)
    soundfile.write(tmp_path / "in.wav", wav, rate, subtype="FLOAT")
    for gain, path in enumerate(separate_file(StandIn(), tmp_path / "in.wav", tmp_path), start=1):
        assert soundfile.info(path).samplerate == rate
        np.testing.assert_allclose(read(path), gain * wav, atol=2e-3)


@pytest.mark.parametrize("length", [1, 2, 47, 441, 44101])
def test_lengths_are_kept_to_the_sample(tmp_path, length):
    write(tmp_path / "in.wav", length, rate=44100)
    for path in separate_file(StandIn(), tmp_path / "in.wav", tmp_path, segment=0.3):
        assert soundfile.info(path).frames == length


@pytest.mark.parametrize("name", ["in.flac", "in.ogg", "in.mp3", "in.opus", "in.aiff"])
def test_formats_that_soundfile_reads(tmp_path, name):
    options = {"in.opus": {"format": "OGG", "subtype": "OPUS"}}.get(name, {})
    soundfile.write(tmp_path / name, tones(8000, 1), 8000, **options)
    expected = read(tmp_path / name)
    for gain, path in enumerate(separate_file(StandIn(), tmp_path / name, tmp_path), start=1):
        assert len(read(path)) == len(expected)
        np.testing.assert_allclose(read(path), gain * expected, atol=0.05)


@needs_ffmpeg
@pytest.mark.parametrize(
    "name", ["in.m4a", "in.mp4", "in.mka", "no xing.mp3", "cafe\u0301 'x'.mkv"]
)
def test_formats_that_only_ffmpeg_reads(tmp_path, name):
    wav = tones(44100, 1)
    soundfile.write(tmp_path / "in.wav", wav, 44100)
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "in.wav"]
    if name == "in.mp4":  # a video
        command += ["-f", "lavfi", "-i", "color=s=16x16:d=1"]
    command += ["-write_xing", "0"] if name.endswith("mp3") else []
    subprocess.run([*command, tmp_path / name], check=True)
    paths = separate_file(StandIn(), tmp_path / name, tmp_path)
    out = read(paths[0])
    assert soundfile.info(paths[0]).samplerate == 44100
    assert abs(len(out) - len(wav)) < 3000  # codecs add silence
    assert out.std() == pytest.approx(wav.std(), rel=0.1)


@pytest.mark.parametrize("ext", ["wav", "flac", "ogg"])
def test_channels_keep_their_places(tmp_path, ext):
    """From Vorbis, whose order differs, to any format."""
    time = np.arange(24000) / 48000
    wav = np.stack([0.2 * np.sin(2 * np.pi * (40 + 16 * i) * time) for i in range(6)], axis=1)
    soundfile.write(tmp_path / "in.ogg", wav[:, [0, 2, 1, 4, 5, 3]], 48000)  # FL FC FR BL BR LFE
    form = AudioFormat(ext)
    (path,) = separate_file(
        StandIn(), tmp_path / "in.ogg", tmp_path / "out", stems=["one"], form=form
    )
    spectrum = np.abs(np.fft.rfft(np.concatenate(list(open_audio(path).blocks())), axis=0))
    assert spectrum.argmax(axis=0).tolist() == [20, 28, 36, 44, 52, 60]  # of 2 Hz


@needs_ffmpeg
def test_the_mixture_of_a_stem_mp4(tmp_path):
    stempeg = pytest.importorskip("stempeg")
    paths = separate_file(StandIn(), stempeg.example_stem_path(), tmp_path, stems=["one"])
    mixture, rate = stempeg.read_stems(stempeg.example_stem_path(), stem_id=0)
    assert paths[0].parent.name == "The Easton Ellises - Falcon 69"
    assert soundfile.info(paths[0]).samplerate == rate
    assert soundfile.info(paths[0]).frames == len(mixture)


@needs_ffmpeg
def test_a_track_of_several(tmp_path):
    command, tracks = ["ffmpeg", "-v", "error"], []
    for i in (1, 2):
        tracks.append(i / 4 * tones(8000, 1))
        soundfile.write(tmp_path / f"{i}.wav", tracks[-1], 8000, subtype="FLOAT")
        command += ["-i", tmp_path / f"{i}.wav"]
    command += ["-map", "0", "-map", "1", "-c", "copy", "-metadata:s:a:1", "language=ger"]
    for default in (1, 2):  # the one that players choose
        song = tmp_path / f"film {default}.mka"
        flags = ["-disposition:a", "0", f"-disposition:a:{default - 1}", "default"]
        subprocess.run([*command, *flags, song], check=True)
        line = rf"film {default}.mka: separating audio track {default} of 2 .*2 ger.*--track"
        with pytest.warns(UserWarning, match=line):
            one, _ = separate_file(StandIn(), song, tmp_path)
        np.testing.assert_allclose(read(one), tracks[default - 1], atol=2e-3)
        with pytest.warns(UserWarning, match=line):
            file_separate(StandIn(), song, resample=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, _ = separate_file(StandIn(), song, tmp_path, track=1)
    np.testing.assert_allclose(read(one), tracks[0], atol=2e-3)
    with pytest.raises(InputError, match="film 2.mka: has no audio track 3; it has 1, 2 ger"):
        separate_file(StandIn(), song, tmp_path, track=3)


def test_file_equals_tensor(tmp_path, make_model):
    model = make_model()
    wav = write(tmp_path / "in.wav", 5000, rate=8000)
    paths = separate_file(model, tmp_path / "in.wav", tmp_path / "out", segment=0.2)
    out = np.stack([soundfile.read(path, dtype="float32")[0].T for path in paths])
    expected = model.separate(torch.from_numpy(wav.T.copy()).float(), segment=0.2)
    np.testing.assert_allclose(out, expected.numpy(), atol=1e-5)


def test_real_music(tmp_path, make_model):
    song = REAL / "test/eif_rubidium/vocals.ogg"
    if not song.is_file():
        pytest.skip("the shared real music is missing")
    model = make_model(sample_rate=4000.0)
    wave, rate = soundfile.read(song, frames=1_000_001)
    song = tmp_path / "vocals.ogg"
    soundfile.write(song, wave, rate)
    info = soundfile.info(song)
    for path in separate_file(model, song, tmp_path, mixture_consistency=True, segment=20):
        out = soundfile.info(path)
        assert (out.frames, out.samplerate) == (info.frames, info.samplerate)


# --- refused, and nothing left -------------------------------------------------------------------


def cut(path, size):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * size)])


def write_cut_off(path, format, subtype):
    write(path, 50_000, rate=8000, format=format, subtype=subtype)
    cut(path, 0.5)


def write_nan(path):
    wav = np.zeros((3000, 2))
    wav[2000, 1] = np.nan
    soundfile.write(path, wav, RATE, subtype="FLOAT", format="WAV")


def write_cut_off_mkv(path):
    source = path.with_suffix(".source.wav")
    soundfile.write(source, tones(8000, 20), 8000)
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, "-f", "matroska", path], check=True)
    source.unlink()
    cut(path, 0.5)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda path: None, r"cannot be read \(No such file or directory\)"),
        (lambda path: path.mkdir(), r"cannot be read \(Is a directory\)"),
        (lambda path: path.touch(), r"is empty \(0 bytes\)"),
        (lambda path: path.write_text("no audio\n" * 1000), "is not audio that can be read"),
        (lambda path: path.write_bytes(bytes(3000)), "is not audio that can be read"),
        (lambda path: write(path, n_samples=0, format="WAV"), r"holds no audio \(0 samples\)"),
        (write_nan, r"not numbers \(NaN or infinite, first at 2.00 s\)"),
        (lambda path: write_cut_off(path, "MP3", "MPEG_LAYER_III"), "cut off"),
        (lambda path: write_cut_off(path, "FLAC", "PCM_16"), "damaged"),
        (lambda path: write_cut_off(path, "OGG", "VORBIS"), "cut off"),
        (lambda path: write_cut_off(path, "WAV", "FLOAT"), "cut off"),
        (write_cut_off_mkv, "cut off or damaged"),
    ],
)
@needs_ffmpeg
def test_files_that_cannot_be_used_leave_nothing(tmp_path, make, message):
    path = tmp_path / "song.mp3"
    make(path)
    with pytest.raises(InputError, match=f"^[^\n]*song.mp3: [^\n]*{message}[^\n]*$"):
        separate_file(StandIn(), path, tmp_path / "out", segment=0.1)
    assert not (tmp_path / "out/song").exists()


def test_without_ffmpeg_the_remedy_is_named(tmp_path, monkeypatch):
    (tmp_path / "song.m4a").write_text("what soundfile cannot read")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="song.m4a: .*ffmpeg, which is not on PATH; install it"):
        separate_file(StandIn(), tmp_path / "song.m4a", tmp_path)


def test_playlists_do_not_open_addresses(tmp_path):
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n")
    with pytest.raises(InputError, match="not audio that can be read"):
        separate_file(StandIn(), tmp_path / "list.m3u8", tmp_path)


def test_a_model_that_gives_nonsense_is_noticed(tmp_path):
    write(tmp_path / "song.wav")
    model = StandIn()
    model.weight.data[1] = float("nan")
    with pytest.raises(InputError, match="song.wav: the model's output is not a number"):
        separate_file(model, tmp_path / "song.wav", tmp_path / "out", segment=0.1)
    assert not (tmp_path / "out/song").exists()
