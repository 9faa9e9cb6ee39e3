"""What a training segment costs before the model: here, in Asteroid and in Open-Unmix.

All draw segments of 6 s whose four stems come from different songs, from the same WAV files, in one
process. What is counted is CPU time, so that a busy machine changes little. Rows are printed for
files of 16 bits, 24 bits and float samples; a second table reads one file in several ways.

Open-Unmix's row needs the package openunmix. Where it does not work with the installed torchaudio,
its files are read through soundfile.
"""

import argparse
import importlib.util
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch.utils.data import default_collate

from asteroid_tfswa.data.augment import Augment
from asteroid_tfswa.data.dataset import TrainSegments
from asteroid_tfswa.data.songs import Song
from tests.benchmarks.measure import print_table

RATE = 44100
STEMS = ["vocals", "drums", "bass", "other"]
SUBTYPES = ("PCM_16", "PCM_24", "FLOAT")
BATCH = 8


def write_songs(folder, subtype, n_songs, seconds):
    """Write songs of noise as `<folder>/train/<song>/<stem>.wav`; return them as `Song`s."""
    rng = np.random.default_rng(0)
    n_samples, songs = round(seconds * RATE), []
    for number in range(n_songs):
        path = folder / "train" / str(number)
        path.mkdir(parents=True)
        stems = {stem: path / f"{stem}.wav" for stem in STEMS}
        for file in stems.values():
            wave = 0.1 * rng.standard_normal((n_samples, 2), dtype=np.float32)
            soundfile.write(file, wave, RATE, subtype=subtype)
        songs.append(Song(path.name, path, stems, path / "mixture.wav", n_samples, RATE, 2))
    return songs


def ours(songs, segment, mixed):
    """Function that makes a batch; `mixed` on this core too, which the device does otherwise."""
    data = TrainSegments(songs, STEMS, segment, sample_rate=RATE, augment=Augment())
    if mixed:
        return lambda first: data.mix(data.__getitems__(range(first, first + BATCH)))
    return lambda first: data.__getitems__(range(first, first + BATCH))


def asteroid(folder, segment):
    """Function that makes a batch with Asteroid's data set, without augmentation."""
    # By its file: `asteroid.data` imports packages that neither of us needs.
    (root,) = importlib.util.find_spec("asteroid").submodule_search_locations
    spec = importlib.util.spec_from_file_location("theirs", f"{root}/data/musdb18_dataset.py")
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    options = {"random_segments": True, "random_track_mix": True, "samples_per_track": 1000}
    data = theirs.MUSDB18Dataset(str(folder), STEMS, STEMS, segment=segment, **options)
    return lambda first: default_collate([data[number] for number in range(first, first + BATCH)])


def open_unmix(folder, segment):
    """Function that makes a batch with Open-Unmix's data set, without augmentation."""
    from openunmix import data as umx

    if not hasattr(umx.torchaudio, "info"):
        umx.load_info = lambda path: {"duration": soundfile.info(path).duration}
        umx.load_audio = _load_audio
    files = [f"{stem}.wav" for stem in STEMS]
    options = {"random_chunks": True, "random_track_mix": True, "seq_duration": segment}
    data = umx.FixedSourcesTrackFolderDataset(
        folder, target_file=files[0], interferer_files=files[1:], **options
    )
    return lambda first: default_collate(
        [data[number % len(data)] for number in range(first, first + BATCH)]
    )


def _load_audio(path, start, dur):
    first, n_samples = int(start * RATE), int(dur * RATE)
    wave, rate = soundfile.read(path, n_samples, first, dtype="float32", always_2d=True)
    return torch.from_numpy(wave.T), rate


def cpu_time(make, n_batches):
    """CPU time in ms of one item."""
    make(0)
    before = time.process_time()
    for batch in range(1, 1 + n_batches):
        make(batch * BATCH)
    return 1000 * (time.process_time() - before) / n_batches / BATCH


def compare(folder, subtype, args):
    """Rows of the table for one format."""
    songs = write_songs(folder, subtype, args.songs, args.seconds)
    variants = {
        "here, to the device": ours(songs, args.segment, mixed=False),
        "here, mixed on the CPU too": ours(songs, args.segment, mixed=True),
        "Asteroid": asteroid(folder, args.segment),
    }
    if importlib.util.find_spec("openunmix"):
        variants["Open-Unmix"] = open_unmix(folder, args.segment)
    times = {name: cpu_time(make, args.batches) for name, make in variants.items()}
    base = times["here, to the device"]
    return [
        [subtype, name, f"{ms:.2f}", f"{1000 / ms:.0f}", f"{ms / base:.1f}"]
        for name, ms in times.items()
    ]


def ways_to_read(folder, segment, seconds, n_reads):
    """Rows: CPU time in ms of one segment of one stereo file, by format and way of reading."""
    rng = np.random.default_rng(0)
    wave = 0.1 * rng.standard_normal((round(seconds * RATE), 2), dtype=np.float32)
    n = round(segment * RATE)
    rows = []
    for form, subtype in (*(("WAV", s) for s in SUBTYPES), ("FLAC", "PCM_16"), ("FLAC", "PCM_24")):
        path = folder / f"{subtype}.{form.lower()}"
        soundfile.write(path, wave, RATE, subtype=subtype)
        out = np.empty((n, 2), dtype=np.int16 if (form, subtype) == ("WAV", "PCM_16") else "f4")

        def read(start):
            with soundfile.SoundFile(path) as file:
                file.seek(start)
                file.read(out=out)

        ways = {"soundfile": read}
        if form == "WAV" and subtype != "PCM_24":
            first = path.stat().st_size - wave.size * out.itemsize
            raw = np.memmap(path, out.dtype, "r", first, wave.shape)
            ways["memory map"] = lambda start: np.copyto(out, raw[start : start + n])
        for name, way in ways.items():
            starts = rng.integers(0, len(wave) - n, n_reads + 1)
            way(starts[0])
            before = time.process_time()
            for start in starts[1:]:
                way(start)
            ms = 1000 * (time.process_time() - before) / n_reads
            rows.append([f"{form} {subtype}", str(out.dtype), name, f"{ms:.2f}"])
    return rows


def main(argv=None):
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segment", type=float, default=6.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the songs")
    parser.add_argument("--songs", type=int, default=8, help="number of songs")
    parser.add_argument("--batches", type=int, default=6, help="batches of 8 that are measured")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    rows = []
    for subtype in SUBTYPES:
        with tempfile.TemporaryDirectory() as folder:
            rows += compare(Path(folder), subtype, args)
    header = ["files", "data set", "ms per item", "items per second and core", "ratio"]
    print_table(f"segments of {args.segment:g} s", header, rows)
    with tempfile.TemporaryDirectory() as folder:
        rows = ways_to_read(Path(folder), args.segment, args.seconds, args.batches * BATCH)
    header = ["file", "samples", "read through", "ms per segment"]
    print_table("reading one stereo file", header, rows)


if __name__ == "__main__":
    main()
