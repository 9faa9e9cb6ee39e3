"""Decoding stem.mp4 files, and summing stems."""

import json
import subprocess
from concurrent.futures import CancelledError
from dataclasses import dataclass

from asteroid_tfswa.audio.ffmpeg import require_ffmpeg
from asteroid_tfswa.audio.intact import cut_off
from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.audio.write import write_wav
from asteroid_tfswa.data.musdb18 import STEM_MP4_STREAMS
from asteroid_tfswa.errors import InputError

# Lossy decoders may end a few frames of 1024 samples early; more than this is missing music.
STEM_MP4_TOLERANCE = 4096


@dataclass(frozen=True)
class StreamInfo:
    """What an audio stream of a stem.mp4 file declares.

    Attributes:
        sample_rate (int): in Hz.
        n_channels (int): 1 is mono, 2 is stereo.
        n_samples (int): length in samples per channel.
    """

    sample_rate: int
    n_channels: int
    n_samples: int


def sum_blocks(files, stop):
    """Yield the sum of `AudioFile`s of equal length, block by block, (time, chan)."""
    for blocks in zip(*(file.blocks(stop) for file in files), strict=True):
        yield sum(blocks[1:], start=blocks[0])


def probe_stem_mp4(path):
    """What the five streams of a MUSDB18 stem.mp4 file hold.

    Args:
        path (Path): the stem.mp4 file.

    Returns:
        dict[str, StreamInfo]: one entry for each of mixture, drums, bass, other and vocals.

    Raises:
        InputError: ffmpeg is missing, or the file is not a stem.mp4 of five streams.
    """
    require_ffmpeg(path)
    command = ["ffprobe", "-v", "error", "-select_streams", "a", "-of", "json", "-show_entries"]
    command += ["stream=sample_rate,channels,duration", str(path)]
    result = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, text=True)
    if result.returncode != 0:
        raise InputError(f"{path}: not readable as stem.mp4 ({_last_line(result.stderr)})")
    streams = json.loads(result.stdout).get("streams", [])
    if len(streams) != len(STEM_MP4_STREAMS):
        raise InputError(
            f"{path}: {len(streams)} audio streams found, a stem.mp4 has {len(STEM_MP4_STREAMS)} "
            f"({', '.join(STEM_MP4_STREAMS)}); replace it, or give the stems as files in a folder"
        )
    infos = [
        StreamInfo(
            sample_rate=int(stream["sample_rate"]),
            n_channels=int(stream["channels"]),
            n_samples=round(float(stream["duration"]) * int(stream["sample_rate"])),
        )
        for stream in streams
    ]
    return dict(zip(STEM_MP4_STREAMS, infos, strict=True))


def decode_stem_mp4(path, folder, stop):
    """Decode the five streams of a stem.mp4 file to `<folder>/<stem>.wav`, 32-bit float.

    Streams of slightly different length are cut to the shortest, as stempeg and musdb do.

    Raises:
        InputError: ffmpeg fails, or a stream is clearly shorter than the file declares.
        CancelledError: `stop`, a `threading.Event`, has been set.
    """
    declared = probe_stem_mp4(path)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(path.absolute())]
    for index, stem in enumerate(STEM_MP4_STREAMS):
        options = ["-map", f"0:a:{index}", "-c:a", "pcm_f32le", "-bitexact"]
        command += [*options, str((folder / f"{stem}.wav").absolute())]
    _run(command, path, stop)

    decoded = {stem: open_audio(folder / f"{stem}.wav") for stem in STEM_MP4_STREAMS}
    for stem, file in decoded.items():
        if file.n_samples < declared[stem].n_samples - STEM_MP4_TOLERANCE:
            raise cut_off(path)
    shortest = min(file.n_samples for file in decoded.values())
    for file in decoded.values():
        if file.n_samples > shortest:
            _shorten(file, shortest, stop)


def _run(command, path, stop):
    """Run ffmpeg on `path`; kill it when `stop` is set."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while True:
            try:
                _, messages = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    process.kill()
    if stop.is_set():
        raise CancelledError
    if process.returncode != 0:
        if "No space left on device" in messages:
            raise OSError(f"{command[-1]}: no space left on device")
        raise InputError(f"{path}: ffmpeg cannot decode it ({_last_line(messages)})")


def _shorten(file, n_samples, stop):
    def blocks():
        left = n_samples
        for block in file.blocks(stop):
            yield block[:left]
            left -= len(block[:left])

    shortened = file.path.with_name(f".{file.path.name}")
    write_wav(shortened, blocks(), file.sample_rate, file.n_channels, n_samples)
    shortened.replace(file.path)


def _last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason given"
