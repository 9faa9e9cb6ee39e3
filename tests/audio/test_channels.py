"""Every channel keeps its position when read and written, whatever the format's own order."""

import shutil
import struct
import subprocess

import numpy as np
import pytest
import soundfile

from asteroid_tfswa.audio import channels
from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.audio.write import AudioFormat, AudioWriter

RATE = 48000
NUMBERS = [3, 4, 5, 6, 7, 8]
LAYOUTS = {3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}  # ffmpeg's names
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")


def tones(n_channels):
    """A tone of 40 + 15 i Hz in channel i; lossy coders keep only low ones in the LFE channel."""
    time = np.arange(RATE // 2) / RATE
    return np.stack([0.2 * np.sin(2 * np.pi * (40 + 15 * i) * time) for i in range(n_channels)], 1)


def tones_found(wav):
    """Find the tone in each channel."""
    wav = wav[: RATE // 2]
    basis = np.exp(-2j * np.pi * np.outer(40 + 15 * np.arange(10), np.arange(len(wav))) / RATE)
    power = np.abs(basis @ wav)  # (tone, chan)
    assert power.max(axis=0).min() > 0.3 * power.max()
    return power.argmax(axis=0).tolist()


def read(path):
    return np.concatenate(list(open_audio(path).blocks()))


def encode(path, n_channels, *options, layout=None):
    """Write the tones with ffmpeg, which takes them in WAV's order."""
    raw = tones(n_channels).astype("<f4").tobytes()
    command = ["ffmpeg", "-v", "error", "-f", "f32le", "-ar", str(RATE), "-ac", str(n_channels)]
    command += ["-channel_layout", layout or LAYOUTS[n_channels], "-i", "pipe:0", *options, path]
    subprocess.run(command, input=raw, check=True)


CODECS = {
    "a.ogg": (NUMBERS, ["-c:a", "libvorbis"]),
    "a.opus": (NUMBERS, ["-mapping_family", "1", "-b:a", "384k"]),
    "a.m4a": ([4, 6, 7], ["-c:a", "aac", "-b:a", "384k"]),
    "a.flac": ([6, 7], []),
    "a.wav": ([5, 6], []),
    "a.aiff": ([6, 8], []),
    "a.caf": ([6, 8], []),
    "a.wv": ([6], []),
}


@needs_ffmpeg
@pytest.mark.parametrize("name, n_channels", [(c, n) for c in CODECS for n in CODECS[c][0]])
def test_read(tmp_path, name, n_channels):
    encode(tmp_path / name, n_channels, *CODECS[name][1])
    assert tones_found(read(tmp_path / name)) == list(range(n_channels))
    if name not in ("a.aiff", "a.caf", "a.m4a"):  # theirs have the surround channels at the sides
        expected = channels.layout_of_ffmpeg(LAYOUTS[n_channels])
        assert open_audio(tmp_path / name).layout == expected == channels.USUAL[n_channels]


@needs_ffmpeg
@pytest.mark.parametrize(
    "name, n_channels, layout, options",
    [
        ("a.ac3", 6, "5.1(side)", ["-b:a", "640k"]),
        ("alac.m4a", 6, "5.1", ["-c:a", "alac"]),
        ("a.mka", 3, "2.1", ["-c:a", "pcm_s16le"]),  # not the usual layout of three
        ("a.mka", 4, "3.1", ["-c:a", "flac"]),
        ("a.wav", 3, "2.1", []),
        ("a.wav", 6, "5.1(side)", []),
    ],
)
def test_no_channel_is_mixed_into_another(tmp_path, name, n_channels, layout, options):
    encode(tmp_path / name, n_channels, *options, layout=layout)
    wav = read(tmp_path / name)
    assert tones_found(wav) == list(range(n_channels))
    np.testing.assert_allclose(np.abs(wav).max(axis=0), 0.2, atol=0.02)
    expected = channels.layout_of_ffmpeg(layout)
    assert open_audio(tmp_path / name).layout == expected or layout == "2.1" and "mka" in name


@pytest.mark.parametrize(
    "ext, bits, n_channels",
    [("wav", 16, 3), ("wav", 32, 6), ("wav", 24, 8), ("flac", 24, 6), ("flac", 16, 8)]
    + [("ogg", None, n_channels) for n_channels in NUMBERS],
)
def test_written_files_read_by_us_and_by_ffmpeg(tmp_path, n_channels, ext, bits):
    path = tmp_path / f"a.{ext}"
    with AudioWriter(path, AudioFormat(ext, bits), RATE, n_channels, RATE // 2) as writer:
        writer.write(tones(n_channels))
    assert tones_found(read(path)) == list(range(n_channels))
    assert open_audio(path).layout == channels.USUAL[n_channels]
    if shutil.which("ffmpeg"):
        command = ["ffmpeg", "-v", "error", "-i", path, "-f", "f32le", "pipe:1"]
        data = subprocess.run(command, capture_output=True, check=True).stdout
        wav = np.frombuffer(data, "<f4").reshape(-1, n_channels)
        assert tones_found(wav) == list(range(n_channels))
        command = ["ffprobe", "-v", "error", "-of", "csv=p=0", "-show_entries"]
        command += ["stream=channel_layout", path]
        layout = subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
        assert (
            layout.removesuffix("(side)") == LAYOUTS[n_channels]
        )  # FLAC does not distinguish them


@pytest.mark.parametrize("n_samples", [10, None])  # WAV and RF64
@pytest.mark.parametrize("layout", ["2.1", "5.1(side)", "7.1(wide)", "6.1(back)"])
def test_channel_mask_of_wav_is_that_of_the_song(tmp_path, n_samples, layout):
    layout = channels.layout_of_ffmpeg(layout)
    spec = (AudioFormat(), RATE, len(layout), n_samples, layout)
    with AudioWriter(tmp_path / "a.wav", *spec) as writer:
        writer.write(np.zeros((10, len(layout))))
    header = (tmp_path / "a.wav").read_bytes()
    place = header.index(b"fmt ") + 8
    assert struct.unpack_from("<H", header, place)[0] == 0xFFFE  # WAVE_FORMAT_EXTENSIBLE
    assert struct.unpack_from("<I", header, place + 20)[0] == channels.mask_of(layout)
    assert header[:4] == (b"RF64" if n_samples is None else b"RIFF")
    assert open_audio(tmp_path / "a.wav").layout == layout


def test_positions_that_a_format_lacks_take_the_places_that_are_left(tmp_path):
    side = channels.layout_of_ffmpeg("5.1(side)")
    with AudioWriter(tmp_path / "a.ogg", AudioFormat("ogg"), RATE, 6, None, side) as writer:
        writer.write(tones(6))
    assert tones_found(read(tmp_path / "a.ogg")) == list(range(6))


@pytest.mark.parametrize("tag", [121, 122, 123, 124])
@pytest.mark.parametrize("form", ["AIFF", "CAF"])
def test_apples_layouts(tmp_path, tag, form):
    """122 is L R Ls Rs C LFE, 124 C L R Ls Rs LFE."""
    names = channels.APPLE[tag]
    wav = tones(6)[:, [channels.in_wav_order(names).index(name) for name in names]]
    path = tmp_path / "a"
    soundfile.write(path, wav, RATE, format=form, subtype="PCM_16")
    data = path.read_bytes()
    layout = struct.pack(">3I", tag << 16 | 6, 0, 0)
    if form == "AIFF":
        place = data.index(b"SSND")
        data = data[:place] + b"CHAN" + struct.pack(">I", 12) + layout + data[place:]
        data = data[:4] + struct.pack(">I", len(data) - 8) + data[8:]
    else:
        place = data.index(b"data")
        data = data[:place] + b"chan" + struct.pack(">Q", 12) + layout + data[place:]
    path.write_bytes(data)
    assert tones_found(read(path)) == list(range(6))
    assert open_audio(path).layout == channels.layout_of_ffmpeg("5.1(side)")
