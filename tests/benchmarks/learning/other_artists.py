"""Put together songs of other artists, to score on, from the stems that some repositories publish.

    git clone https://github.com/audiolabs/trackswitch.js                       (MIT)
    git clone https://github.com/jsvaldezv/clingo-mixer                         (MIT)
    git clone https://github.com/rgaino/SpaceShipSong                           (no licence)
    git clone https://github.com/philipclaesson/rainbow                         (no licence)
    git clone https://github.com/davetorre/nov2                                 (no licence)
    git clone https://github.com/rrphl/multitrack-test                          (no licence)
    git clone https://github.com/bree-jeune/bree-jeune-artist-promo-page        (no licence)
    python -m tests.benchmarks.learning.other_artists . songs

The songs of the first four go into songs/valid, to choose by; those of the last three into
songs/test, to score once at the end. All are for measuring only. What a song lacks is silent; the
sum of its stems peaks at 0.9.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asteroid_tfswa.files import atomic_folder

RATE = 44100
STEMS = ("vocals", "drums", "bass", "other")

# split/song: (folder, suffix, start and length in seconds, files of each stem), a file as name,
# gain and place in the stereo image if it is mono; loops are repeated
SONGS = {
    "valid/clingo": (
        "clingo-mixer/stems",
        ".wav",
        (0, 31),
        {
            "vocals": [("vox", 1.5)],
            "drums": [
                ("kick",),
                ("snare",),
                ("hihat", 0.8),
                ("tomOne", 1.0, -0.4),
                ("tomTwo",),
                ("tomThree", 1.0, 0.4),
            ],
            "bass": [("bass", 0.8)],
            "other": [("guitOne", 1.0, -0.6), ("guitTwo", 1.0, 0.6), ("piano", 0.6)],
        },
    ),
    "valid/rainbow1": (
        "rainbow/stems/pack1",
        ".wav",
        (0, 15.5),
        {
            "vocals": [("what-u-doin-to-me",)],
            "drums": [("drums",), ("hats",)],
            "bass": [("bass",)],
            "other": [("smooth-chords",), ("guitar",)],
        },
    ),
    "valid/rainbow2": (
        "rainbow/stems/pack2",
        ".wav",
        (0, 20.6),
        {
            "vocals": [("all-that-i-can-do",)],
            "drums": [("groovy-drums",), ("snare-hat-blipp", 0.5)],
            "bass": [("fat-bass",)],
            "other": [("house-chords",), ("pluck-synth", 0.7)],
        },
    ),
    "valid/spaceship": (
        "SpaceShipSong/audio",
        ".mp3",
        (60, 30),
        {
            "drums": [("drums",), ("percussion",)],
            "bass": [("bass",)],
            "other": [("guitar_chords",), ("guitar_lead",), ("guitar_solo",)],
        },
    ),
    "valid/trackswitch": (
        "trackswitch.js/examples/default/data",
        ".mp3",
        (40, 30),
        {"drums": [("drums",)], "bass": [("bass",)], "other": [("synth",), ("violins",)]},
    ),
    "test/nov2": (
        "nov2/audio",
        ".mp3",
        (10, 60),
        {
            "vocals": [("vox",)],
            "drums": [("drums",)],
            "bass": [("bass",)],
            "other": [("chords",)],
        },
    ),
    "test/multitrack": (
        "multitrack-test",
        ".mp3",
        (20, 100),
        {
            "vocals": [("Vocals",)],
            "drums": [("Drums",)],
            "bass": [("Bass",)],
            "other": [("Guitars",), ("Synths",)],
        },
    ),
    "test/phantom": (
        "bree-jeune-artist-promo-page/tracks/phantom-frequency/stems",
        ".mp3",
        (90, 60),
        {
            "drums": [("drums",), ("percussion",)],
            "bass": [("bass",)],
            "other": [("guitar",), ("synths",), ("fx",)],
        },
    ),
}


def read(path, start, seconds, gain=1.0, pan=0.0):
    """Read (2, time) of a file from a second on.

    A file that ends early is a loop and is repeated; a mono file gets its place by `pan`, -1 to 1.
    """
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = gain * soxr.resample(wave, rate, RATE).T
    if wave.shape[0] == 1:
        wave = wave * np.float32([[min(1, 1 - pan)], [min(1, 1 + pan)]])
    at = (np.arange(round(seconds * RATE)) + round(start * RATE)) % wave.shape[1]
    return wave[:, at]


def make_song(checkouts, name):
    """Make a song as {stem: (2, time)}.

    Args:
        checkouts (Path): holds the repositories under their own names.
        name (str): a key of `SONGS`.
    """
    folder, suffix, (start, seconds), files = SONGS[name]
    stems = {stem: np.zeros((2, round(seconds * RATE)), "float32") for stem in STEMS}
    for stem, parts in files.items():
        for part, *place in parts:
            stems[stem] += read(checkouts / folder / f"{part}{suffix}", start, seconds, *place)
    peak = np.abs(sum(stems.values())).max()
    return {stem: wave * (0.9 / peak) for stem, wave in stems.items()}


def main(args=None):
    """Write the songs whose repositories are there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkouts", type=Path, help="folder that holds the repositories")
    parser.add_argument("out", type=Path, help="where the songs go")
    args = parser.parse_args(args)
    for name, (folder, *_) in SONGS.items():
        if not (args.checkouts / folder).is_dir():
            print(f"{name}: left out, there is no {args.checkouts / folder}")
        elif not (args.out / name).exists():
            with atomic_folder(args.out / name) as work:
                for stem, wave in make_song(args.checkouts, name).items():
                    soundfile.write(work / f"{stem}.wav", wave.T, RATE, subtype="FLOAT")
            print(f"{name}: made")


if __name__ == "__main__":
    main()
