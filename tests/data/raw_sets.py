"""Small raw data sets for the tests of `prepare`."""

import shutil

import numpy as np
import pytest
import soundfile as sf

from asteroid_tfswa.data.prepare import prepare
from asteroid_tfswa.errors import InputError

RATE = 8000
SOURCES = ["vocals", "bass"]
needs_ffmpeg = pytest.mark.skipif(
    not (shutil.which("ffmpeg") and shutil.which("ffprobe")), reason="ffmpeg is not installed"
)


def noise(seed, n_samples=2000, n_channels=2):
    return np.random.default_rng(seed).uniform(-0.4, 0.4, (n_samples, n_channels))


def write_song(folder, suffix="wav", stems=SOURCES, n_samples=2000, n_channels=2, rate=RATE):
    folder.mkdir(parents=True, exist_ok=True)
    for index, stem in enumerate(stems):
        sf.write(folder / f"{stem}.{suffix}", noise(index, n_samples, n_channels), rate)
    return folder


def write_set(folder):
    """Four train songs and a test song of WAV stems without mixture."""
    for name in "abcd":
        write_song(folder / "train" / name)
    write_song(folder / "test" / "t")
    return folder


def run(source, data_dir=None, sources=SOURCES, **options):
    data_dir = data_dir or source.parent / "prepared"
    return prepare(source, data_dir, sources, sample_rate=RATE, n_jobs=2, **options)


def read(path):
    return sf.read(path, dtype="float32", always_2d=True)[0]


def failure(source, **options):
    """Prepare an unusable set; return its message. Nothing may look prepared afterwards."""
    with pytest.raises(InputError) as caught:
        run(source, **options)
    assert "\n" not in str(caught.value)
    assert not (source.parent / "prepared" / "dataset.json").exists()
    return str(caught.value)
