"""Check separated stems by their samples."""

import numpy as np

from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.errors import InputError

FLOOR = 1e-20


def duration(path, track=None):
    """Find the length of an audio file.

    Args:
        path (Path): a file that soundfile or ffmpeg reads.
        track (int, optional): its audio track, from 1. Defaults to the one that players choose.

    Returns:
        float: the length in seconds.
    """
    audio = open_audio(path, track)
    if audio.n_samples:
        return audio.seconds
    return sum(map(len, audio.blocks())) / audio.sample_rate


def check_song(song):
    """Check that the stems add up to the mixture, do not clip, and join without clicks.

    Args:
        song (PageSong): its files are read block by block.

    Returns:
        list[str]: a sentence for each result.

    Raises:
        InputError: if a stem has other channels than the mixture.
    """
    names = list(song.estimates)
    files = [open_audio(song.mixture, song.track), *map(open_audio, song.estimates.values())]
    for file in files[1:]:
        if file.n_channels != files[0].n_channels:
            raise InputError(
                f"{file.path}: has {file.n_channels} channels, its song {files[0].n_channels}; it "
                "is of another track or song: separate again with --overwrite"
            )
    rate = files[0].sample_rate
    mixture_energy = rest_energy = 0.0
    clipped = np.zeros(len(names), int)
    joins = np.zeros((2, 2))  # energy and number of differences, outside of joins and inside
    position = 0
    for blocks in _aligned([file.blocks() for file in files]):
        mixture, stems = blocks[0], np.stack(blocks[1:])  # (n_src, time, chan)
        mixture_energy += _energy(mixture)
        rest_energy += _energy(mixture - stems.sum(axis=0))
        clipped += (np.abs(stems) >= 1).sum(axis=(1, 2))
        if song.hop:
            steps = np.diff(stems, axis=1)
            power = np.einsum("stc,stc->t", steps, steps, dtype=np.float64)
            times = (position + np.arange(len(power))) / rate
            inside = (times >= song.hop) & (times % song.hop < max(song.overlap, 1 / rate))
            for k, chosen in enumerate((~inside, inside)):
                joins[k] += power[chosen].sum(), chosen.sum()
        position += len(mixture)
    rest = 10 * np.log10((rest_energy + FLOOR) / (mixture_energy + FLOOR))
    lines = [f"Mixture minus the sum of the stems: {rest:.1f} dB of the mixture's energy."]
    loud = [f"{name} {n}" for name, n in zip(names, clipped) if n]
    lines.append(f"Samples at or beyond full scale: {', '.join(loud) if loud else 'none'}.")
    if joins[1, 1] and joins[0, 1]:
        outside, inside = joins[:, 0] / joins[:, 1]
        ratio = 10 * np.log10((inside + FLOOR) / (outside + FLOOR))
        lines.append(
            "Energy of the difference between neighbouring samples where chunks join, relative to "
            f"elsewhere: {ratio:+.1f} dB."
        )
    return lines


def _aligned(streams):
    """Yield blocks of equal length from streams of any blocks, to the end of the shortest."""
    held = [next(stream, None) for stream in streams]
    while all(block is not None for block in held):
        n = min(map(len, held))
        if n:
            yield [block[:n] for block in held]
        held = [block[n:] for block in held]
        held = [b if len(b) else next(s, None) for b, s in zip(held, streams)]


def _energy(wave):
    return float(np.einsum("tc,tc->", wave, wave, dtype=np.float64))
