"""The audio of a page: choose the parts of each song, and encode them for all browsers.

A page opened from disk may not read other files, but it may run scripts. So each track is an mp3
file as text in its own script.
"""

import base64
import io
import json
from dataclasses import dataclass

import numpy as np
import soundfile

from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.audio.resample import Resampler

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz, of mp3
# 145 kbit/s at 44.1 kHz; as text it takes 4/3 of that.
ENCODING = {"bitrate_mode": "AVERAGE", "compression_level": 0.6}
BYTES_PER_SECOND = 145_000 / 8 * 4 / 3
FADE = 0.005  # seconds, at the ends of clips
SHORTEST_CLIP = 1.0  # seconds


@dataclass(frozen=True)
class Clip:
    """A part of a song that is on the page.

    Attributes:
        start (float): its position in the song in seconds.
        seconds (float): its length.
    """

    start: float
    seconds: float


def choose_clips(duration, moments, seconds):
    """Choose the parts of a song for the page: all of it if it fits.

    Args:
        duration (float): of the song in seconds.
        moments (list[tuple[float, float]]): begin and length, in seconds, of parts to include.
        seconds (float): how much of the song fits.

    Returns:
        list[Clip]: in the order of the song, without overlaps. Moments that do not fit are all
        shortened by the same factor; remaining time is given to the middle of the song.
    """
    if duration <= seconds:
        return [Clip(0.0, duration)]
    share = min(1.0, seconds / max(sum(length for _, length in moments), 1e-9))
    parts = [(begin, begin + length * share) for begin, length in moments]
    rest = seconds - sum(end - begin for begin, end in parts)
    if rest >= SHORTEST_CLIP:
        parts.append(((duration - rest) / 2, (duration + rest) / 2))
    clips = []
    for begin, end in sorted(parts):
        if clips and begin <= clips[-1][1]:
            clips[-1][1] = max(clips[-1][1], end)
        else:
            clips.append([begin, end])
    return [Clip(begin, min(end, duration) - begin) for begin, end in clips]


def position_on_page(clips, time):
    """Convert a time of the song to a time of the page's audio.

    Args:
        clips (list[Clip]): the result of `choose_clips`.
        time (float): seconds from the beginning of the song.

    Returns:
        float or None: seconds from the beginning of the page's audio; None if it is in no clip.
    """
    before = 0.0
    for clip in clips:
        if clip.start - 1e-6 <= time < clip.start + clip.seconds:
            return before + time - clip.start
        before += clip.seconds
    return None


def read_clips(path, clips, track=None):
    """Read the clips of a file, one after the other.

    Args:
        path (Path): a file that soundfile or ffmpeg reads.
        clips (list[Clip]): what to read, in order.
        track (int, optional): the audio track to read, from 1. Defaults to the one that players
            choose.

    Returns:
        tuple[np.ndarray, int]: audio of one or two channels, (time, chan), float32, and its sample
        rate in Hz. Of more channels the first two are kept, front left and right.
    """
    audio = open_audio(path, track)
    rate = audio.sample_rate
    bounds = [(round(c.start * rate), round((c.start + c.seconds) * rate)) for c in clips]
    parts = [[] for _ in clips]
    position = 0
    for block in audio.blocks():
        for part, (begin, end) in zip(parts, bounds):
            part.append(block[max(0, begin - position) : max(0, end - position), :2])
        position += len(block)
        if position >= bounds[-1][1]:
            break
    waves = [np.concatenate(part) for part in parts]
    if len(clips) > 1:
        waves = [_faded(wave, round(FADE * rate)) for wave in waves]
    wave = np.concatenate(waves)
    n_missing = sum(end - begin for begin, end in bounds) - len(wave)
    return np.pad(wave, ((0, max(0, n_missing)), (0, 0))), rate


def _faded(wave, n):
    n = min(n, len(wave) // 2)
    ramp = np.linspace(0, 1, n, dtype=np.float32)[:, None]
    middle, end = wave[n : len(wave) - n], wave[len(wave) - n :]
    return np.concatenate([wave[:n] * ramp, middle, end * ramp[::-1]])


def write_track(path, key, wave, sample_rate):
    """Write audio as a script that hands it to the page.

    Args:
        path (Path): the script.
        key (str): the page's name of the track.
        wave (np.ndarray): (time, chan).
        sample_rate (int): in Hz; audio at rates that mp3 lacks is resampled to 44.1 kHz.
    """
    if sample_rate not in RATES:
        resample = Resampler(sample_rate, 44100, wave.shape[1])
        wave, sample_rate = np.concatenate([resample(wave), resample.flush()]), 44100
    coded = io.BytesIO()
    # Players clip louder samples as well; the encoder would wrap them around.
    soundfile.write(
        coded, np.clip(wave, -1, 1), sample_rate, "MPEG_LAYER_III", format="MP3", **ENCODING
    )
    text = base64.b64encode(coded.getvalue()).decode()
    path.write_text(f"addTrack({json.dumps(key)}, '{text}');\n")
