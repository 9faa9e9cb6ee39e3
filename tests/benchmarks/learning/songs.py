"""The songs of the race: in folders of any layout, every folder that holds all stems is one."""

import hashlib
import os
from pathlib import Path

import numpy as np
import soundfile

from asteroid_tfswa.data.songs import Song
from asteroid_tfswa.files import atomic_write

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


def find_songs(folder, sources, cache, seconds=None):
    """Find the songs below a folder; what is not WAV is decoded once.

    Args:
        folder (str or Path): songs at any depth, a folder with one file for each stem.
        sources (list of str): stems that a song has.
        cache (Path): where decoded files are kept.
        seconds (float, optional): take only the loudest excerpt of this length, by the stem that is
            quietest there: one in which all stems play.

    Returns:
        list of Song: sorted by path, which is their name.

    Raises:
        SystemExit: if there are none.
    """
    songs = []
    for path, _, names in sorted(os.walk(folder, followlinks=True)):
        files = {Path(name).stem: Path(path, name) for name in names if name.endswith(SUFFIXES)}
        if set(sources) <= set(files):
            stems = {name: files[name] for name in sorted(sources)}
            title = os.path.relpath(path, folder)
            songs.append(_song(title, Path(path), stems, cache, seconds))
    if not songs:
        raise SystemExit(f"{folder}: no songs with {', '.join(sources)}")
    return songs


def _song(title, folder, stems, cache, seconds):
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]
    place = cache / f"{folder.name}_{digest}"
    if seconds is not None:
        place = place.with_name(f"{place.name}_{seconds:g}s")
    paths, start = {}, None
    for name, path in stems.items():
        if path.suffix == ".wav" and seconds is None:
            paths[name] = path
            continue
        paths[name] = place / f"{name}.wav"
        if paths[name].exists():
            continue
        if start is None:
            start = 0 if seconds is None else _busiest(stems.values(), seconds)
        rate = soundfile.info(path).samplerate
        n_samples = -1 if seconds is None else round(seconds * rate)
        wave, rate = soundfile.read(path, n_samples, round(start * rate), dtype="float32")
        with atomic_write(paths[name]) as tmp:
            soundfile.write(tmp, wave, rate, subtype="FLOAT", format="WAV")
    infos = [soundfile.info(path) for path in paths.values()]
    return Song(
        name=title,
        folder=folder,
        stems=paths,
        mixture=None,  # the sum of the stems, always
        n_samples=min(info.frames for info in infos),
        sample_rate=infos[0].samplerate,
        n_channels=infos[0].channels,
    )


def _busiest(paths, seconds):
    """Second with which the excerpt begins whose quietest stem is loudest (silent stems aside)."""
    levels = []
    for path in paths:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
        power = (
            np.square(wave[: len(wave) // rate * rate]).reshape(-1, rate * wave.shape[1]).mean(1)
        )
        if power.max() > 1e-8:
            levels.append(np.log(power + 1e-6))
    n = min(map(len, levels))
    size = min(round(seconds), n)
    sums = [np.convolve(level[:n], np.ones(size), "valid") for level in levels]
    return int(np.argmax(np.min(sums, axis=0)))


def read_stems(song, sources):
    """Read a whole song, (n_src, n_channels, time), float32."""
    waves = [
        soundfile.read(song.stems[name], song.n_samples, dtype="float32", always_2d=True)[0].T
        for name in sources
    ]
    return np.stack(waves)
