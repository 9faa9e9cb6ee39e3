"""Decode stem.mp4 files, and sum stems."""

import contextlib
import subprocess
from concurrent.futures import CancelledError

from asteroid_tfswa.audio import ffmpeg
from asteroid_tfswa.audio.parts import cut_off
from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.data.musdb18 import STEM_MP4_STREAMS
from asteroid_tfswa.errors import InputError

# Samples. Lossy decoders may end a few frames of 1024 early; more than this is missing music.
STEM_MP4_TOLERANCE = 4096


def sum_blocks(files, stop):
    """Yield the sum of `AudioFile`s of equal length, block by block, (time, chan)."""
    for blocks in zip(*(file.blocks(stop) for file in files), strict=True):
        yield sum(blocks[1:], start=blocks[0])


def probe_stem_mp4(path):
    """Find what the five streams of a MUSDB18 stem.mp4 file hold.

    Args:
        path (Path): the stem.mp4 file.

    Returns:
        dict[str, ffmpeg.Stream]: one entry for each of mixture, drums, bass, other and vocals.

    Raises:
        InputError: ffmpeg is missing, or the file does not have five streams of a known length.
    """
    streams = ffmpeg.probe(path)
    if len(streams) != len(STEM_MP4_STREAMS):
        raise InputError(
            f"{path}: {len(streams)} audio streams found, a stem.mp4 has {len(STEM_MP4_STREAMS)} "
            f"({', '.join(STEM_MP4_STREAMS)}); replace it, or give the stems as files in a folder"
        )
    if not all(stream.n_samples for stream in streams):
        raise InputError(
            f"{path}: states no length, so it may be cut off; write it again (ffmpeg -i "
            f"{path.name} -map 0 -c copy again.stem.mp4)"
        )
    return dict(zip(STEM_MP4_STREAMS, streams, strict=True))


def decode_stem_mp4(path, folder, stop):
    """Decode the five streams of a stem.mp4 file to `<folder>/<stem>.wav`, 32-bit float.

    The streams may differ slightly in length.

    Raises:
        InputError: ffmpeg fails, or a stream is clearly shorter than the file declares.
        CancelledError: `stop`, a `threading.Event`, is set.
    """
    declared = probe_stem_mp4(path)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *ffmpeg.INPUT_OPTIONS]
    command += ["-i", ffmpeg.file_url(path)]
    for index, stem in enumerate(STEM_MP4_STREAMS):
        options = ["-map", f"0:a:{index}", "-c:a", "pcm_f32le", "-bitexact"]
        command += [*options, ffmpeg.file_url(folder / f"{stem}.wav")]
    _run(command, path, stop)

    for stem in STEM_MP4_STREAMS:
        file = open_audio(folder / f"{stem}.wav")
        if file.n_samples < declared[stem].n_samples - STEM_MP4_TOLERANCE:
            raise cut_off(path)


def _run(command, path, stop):
    """Run ffmpeg on `path`; kill it when `stop` is set."""
    process = ffmpeg.start(command, stderr=subprocess.PIPE)
    try:
        messages = None
        while messages is None and not stop.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, messages = process.communicate(timeout=0.2)
    finally:
        process.kill()
        process.communicate()
    if stop.is_set():
        raise CancelledError
    if process.returncode != 0:
        if b"No space left on device" in messages:
            raise OSError(f"{command[-1]}: no space left on device")
        raise InputError(
            f"{path}: ffmpeg cannot decode it ({ffmpeg.reason(messages, path)}); replace it"
        )
