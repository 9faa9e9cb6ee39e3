"""The audio of a page: what is heard of each song, coded for every browser.

A page that is opened from disk may not read other files, but it may run scripts. So each track is
an mp3 file in a script of its own, as text.
"""

import base64
import io
import json
from dataclasses import dataclass

import numpy as np
import soundfile

from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.audio.resample import Resampler

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # that mp3 has
# 145 kbit/s at 44.1 kHz; text takes 4/3 of that.
ENCODING = {"bitrate_mode": "AVERAGE", "compression_level": 0.6}
BYTES_PER_SECOND = 145_000 / 8 * 4 / 3
FADE = 0.005  # seconds, at the ends of clips
SHORTEST_CLIP = 1.0  # seconds


@dataclass(frozen=True)
class Clip:
    """A part of a song that is on the page.

    Attributes:
        start (float): where it begins in the song, in seconds.
        seconds (float): its length.
    """

    start: float
    seconds: float


def choose_clips(duration, moments, seconds):
    """Choose what of a song is on the page: all of it if it fits, otherwise parts.

    Args:
        duration (float): of the song in seconds.
        moments (list[tuple[float, float]]): begin and length, in seconds, of what must be there.
        seconds (float): how much of the song fits.

    Returns:
        list[Clip]: in the order of the song, without overlaps; moments are shortened alike if they
        do not fit, what is left goes to the middle of the song.
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
    """Where a time of the song is on the page.

    Args:
        clips (list[Clip]): of `choose_clips`.
        time (float): in seconds from the beginning of the song.

    Returns:
        float or None: in seconds from the beginning of the page's audio; None if it is not there.
    """
    before = 0.0
    for clip in clips:
        if clip.start - 1e-6 <= time < clip.start + clip.seconds:
            return before + time - clip.start
        before += clip.seconds
    return None


def read_clips(path, clips):
    """Read the clips of a file, one after the other.

    Args:
        path (Path): a file that soundfile or ffmpeg reads.
        clips (list[Clip]): what to read, in order.

    Returns:
        tuple[np.ndarray, int]: audio of one or two channels, (time, chan), float32, and its sample
        rate in Hz. Of more channels the first two are kept, the front left and right ones.
    """
    audio = open_audio(path)
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
        key (str): by which the page knows the track.
        wave (np.ndarray): (time, chan).
        sample_rate (int): in Hz; rates that mp3 does not have are resampled to 44.1 kHz.
    """
    if sample_rate not in RATES:
        resample = Resampler(sample_rate, 44100, wave.shape[1])
        wave, sample_rate = np.concatenate([resample(wave), resample.flush()]), 44100
    coded = io.BytesIO()
    # Louder samples are cut off by players as well; here they would wrap in the coder.
    soundfile.write(
        coded, np.clip(wave, -1, 1), sample_rate, "MPEG_LAYER_III", format="MP3", **ENCODING
    )
    text = base64.b64encode(coded.getvalue()).decode()
    path.write_text(f"addTrack({json.dumps(key)}, '{text}');\n")
