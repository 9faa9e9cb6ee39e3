"""Turning the audio files of a data set into float WAV, block by block."""

import json
import subprocess
from concurrent.futures import CancelledError
from dataclasses import dataclass

import soundfile as sf

from asteroid_tfswa.audio.ffmpeg import require_ffmpeg
from asteroid_tfswa.audio.intact import (
    cut_off,
    mp3_states_length,
    ogg_has_last_page,
    wav_is_cut_off,
)
from asteroid_tfswa.data.musdb18 import STEM_MP4_STREAMS
from asteroid_tfswa.errors import InputError

BLOCK = 1 << 18  # samples per channel that are in memory at a time
# Lossy decoders may end a few frames of 1024 samples early; more than this is missing music.
STEM_MP4_TOLERANCE = 4096


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file holds.

    Attributes:
        n_samples (int): length in samples per channel.
        sample_rate (int): in Hz.
        n_channels (int): 1 is mono, 2 is stereo.
        is_wav (bool): uncompressed WAV that training can read as it is.
    """

    n_samples: int
    sample_rate: int
    n_channels: int
    is_wav: bool


def probe(path):
    """Read the header of a wav, flac, ogg or mp3 file and check that the file is not cut off.

    Args:
        path (Path): the audio file.

    Returns:
        AudioInfo: what it holds.

    Raises:
        InputError: not readable as audio, empty, or shorter than its header says.
    """
    try:
        info = sf.info(path)
    except sf.LibsndfileError as error:
        raise InputError(
            f"{path}: not readable as audio ({_reason(error)}); replace the file"
        ) from None
    if info.format == "MP3" and not mp3_states_length(path):
        raise InputError(
            f"{path}: an MP3 file that does not state its length (no Xing header), which decoders "
            "have to guess; convert it to wav or flac"
        )
    if wav_is_cut_off(path) or (info.format == "OGG" and not ogg_has_last_page(path)):
        raise cut_off(path)
    if info.frames == 0:
        raise InputError(f"{path}: holds no audio (0 samples); replace it or remove the song")
    plain = info.subtype.startswith("PCM_") or info.subtype in ("FLOAT", "DOUBLE")
    is_wav = info.format in ("WAV", "WAVEX", "RF64") and plain
    return AudioInfo(info.frames, info.samplerate, info.channels, is_wav)


def read_blocks(path, stop):
    """Yield a file's audio in blocks of shape (samples, channels), float32.

    Raises:
        InputError: the decoder fails, or ends before the length that the header declares.
        CancelledError: `stop`, a `threading.Event`, has been set.
    """
    n_read = 0
    try:
        with sf.SoundFile(path) as reader:
            while len(block := reader.read(BLOCK, dtype="float32", always_2d=True)):
                if stop.is_set():
                    raise CancelledError
                n_read += len(block)
                yield block
            n_declared = reader.frames
    except sf.LibsndfileError as error:
        raise InputError(f"{path}: decoding fails ({_reason(error)}); replace the file") from None
    if n_read < n_declared:
        raise cut_off(path)


def write_wav(path, blocks, sample_rate, n_channels):
    """Write blocks of shape (samples, channels) as 32-bit float WAV, which never clips.

    Raises:
        OSError: the file cannot be written; libsndfile does not say more.
    """
    try:
        with sf.SoundFile(path, "w", sample_rate, n_channels, "FLOAT", format="WAV") as writer:
            for block in blocks:
                writer.write(block)
    except sf.LibsndfileError as error:
        raise OSError(f"{path}: cannot be written ({_reason(error)}); is the disk full?") from None


def sum_blocks(paths, stop):
    """Yield the sum of audio files of equal length in blocks of shape (samples, channels)."""
    for blocks in zip(*(read_blocks(path, stop) for path in paths), strict=True):
        yield sum(blocks[1:], start=blocks[0])


def probe_stem_mp4(path):
    """What the five streams of a MUSDB18 stem.mp4 file hold.

    Args:
        path (Path): the stem.mp4 file.

    Returns:
        dict[str, AudioInfo]: one entry for each of mixture, drums, bass, other and vocals.

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
        AudioInfo(
            n_samples=round(float(stream["duration"]) * int(stream["sample_rate"])),
            sample_rate=int(stream["sample_rate"]),
            n_channels=int(stream["channels"]),
            is_wav=False,
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

    decoded = {stem: probe(folder / f"{stem}.wav") for stem in STEM_MP4_STREAMS}
    for stem, info in decoded.items():
        if info.n_samples < declared[stem].n_samples - STEM_MP4_TOLERANCE:
            raise cut_off(path)
    shortest = min(info.n_samples for info in decoded.values())
    for stem, info in decoded.items():
        if info.n_samples > shortest:
            _shorten(folder / f"{stem}.wav", shortest, info, stop)


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


def _shorten(path, n_samples, info, stop):
    def blocks():
        left = n_samples
        for block in read_blocks(path, stop):
            yield block[:left]
            left -= len(block[:left])

    shortened = path.with_name(f".{path.name}")
    write_wav(shortened, blocks(), info.sample_rate, info.n_channels)
    shortened.replace(path)


def _reason(error):
    return error.error_string.strip(" .") or f"libsndfile error {error.code}"


def _last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason given"
