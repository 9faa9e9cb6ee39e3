"""Read the formats that soundfile does not support through the program ffmpeg."""

import contextlib
import json
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass

import numpy as np

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.signal_masks import signals_blocked

# Containers that hold the audio themselves. Other formats of ffmpeg open further files, addresses
# or devices (playlists, scripts, image series), which a song must not be able to do.
CONTAINERS = (
    "3dostr,aac,ac3,adp,adx,aiff,alaw,amr,amrnb,amrwb,ape,aptx,aptx_hd,asf,asf_o,ast,au,avi,avr,bit"
    ",caf,codec2,daud,dfpwm,dsf,dts,dtshd,dv,eac3,ea,f32be,f32le,flac,flv,g722,g723_1,g729,gsm,gxf"
    ",ifv,iff,ilbc,ircam,kvag,latm,live_flv,loas,matroska,mlp,mmf,mods,moflex,mov,mp3,mpc,mpc8,mpeg"
    ",mpegts,mtaf,mtv,mulaw,mxf,nistsphere,nsv,nut,nuv,ogg,oma,paf,pva,pvf,rm,rpl,rso,sbc,smjpeg"
    ",sox,spdif,svag,swf,tak,truehd,tta,vag,voc,vpk,vqf,w64,wav,wsaud,wsd,wtv,wv,xa,xwma"
)
INPUT_OPTIONS = ["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS]
# What ffmpeg says of MP4 and Matroska files that are cut off, and of no others.
CUT_OFF = (b"partial file", b"File ended prematurely")


@dataclass(frozen=True)
class Stream:
    """An audio stream of a file, as ffprobe sees it.

    Attributes:
        sample_rate (int): in Hz.
        n_channels (int): 1 is mono, 2 is stereo.
        n_samples (int or None): length in samples per channel, which may be an estimate.
        layout (str or None): ffmpeg's name of the channel layout, such as "5.1(side)".
        is_default (bool): whether players choose it by default.
        label (str): language and title, as far as the file states them.
    """

    sample_rate: int
    n_channels: int
    n_samples: int | None
    layout: str | None
    is_default: bool
    label: str


def require_ffmpeg(path):
    """Check that ffmpeg and ffprobe are installed.

    Raises:
        InputError: if one is not on PATH; the message names it, the file to read and the remedy.
    """
    for program in ("ffmpeg", "ffprobe"):
        if shutil.which(program) is None:
            raise InputError(
                f"{path}: reading it needs the program {program}, which is not on PATH; install it "
                "(apt install ffmpeg, brew install ffmpeg or conda install -c conda-forge ffmpeg)"
            )


def file_url(path):
    """Write a path so that ffmpeg takes it for a file, whatever characters it contains."""
    return f"file:{path.absolute()}"


def probe(path):
    """Find the audio streams of a file with ffprobe.

    Args:
        path (Path): the file.

    Returns:
        list[Stream]: at least one, in the file's order.

    Raises:
        InputError: if ffmpeg is missing or the file has no audio that it can read.
    """
    require_ffmpeg(path)
    entries = "stream=sample_rate,channels,channel_layout,duration:stream_disposition=default"
    entries += ":stream_tags=language,title:format=duration"
    command = ["ffprobe", "-v", "error", *INPUT_OPTIONS, "-select_streams", "a", "-of", "json"]
    command += ["-show_entries", entries, "-i", file_url(path)]
    with running(command, stdin=subprocess.DEVNULL) as (process, messages):
        text = process.stdout.read()
        process.wait()
        said = messages()
    try:
        found = json.loads(text)
    except ValueError:
        found = {}
    streams = found.get("streams")
    if process.returncode != 0 or not streams:
        why = reason(said, path) or "no audio stream"
        raise InputError(f"{path}: is not audio that can be read ({why}); replace the file")
    length = found.get("format", {}).get("duration")
    return [_stream(entry, length) for entry in streams]


def _stream(entry, length_of_file):
    rate, layout = int(entry.get("sample_rate", 0)), entry.get("channel_layout")
    seconds = entry.get("duration") or length_of_file
    tags = {name.lower(): text for name, text in entry.get("tags", {}).items()}
    language = tags.get("language", "und")
    return Stream(
        sample_rate=rate,
        n_channels=int(entry.get("channels", 0)),
        n_samples=round(float(seconds) * rate) if seconds else None,
        # Layouts without a name are written "3 channels (FL+FR+LFE)".
        layout=(
            None if layout in (None, "", "unknown") else re.sub(r".*\((.+\+.+)\)", r"\1", layout)
        ),
        is_default=bool(entry.get("disposition", {}).get("default")),
        label=" ".join(filter(None, [language.replace("und", ""), tags.get("title")])),
    )


def start(command, **files):
    """Start a program that Ctrl-C and SIGTERM do not end: this process ends it when they end this.

    Args:
        command (list of str): the program and its arguments.
        **files: `stdin`, `stdout` and `stderr` of `subprocess.Popen`.

    Returns:
        subprocess.Popen: the process, in which both signals are blocked. In a session of its own
        it could receive them before it has left this one.
    """
    with signals_blocked({signal.SIGINT, signal.SIGTERM}):
        return subprocess.Popen(command, **files)


@contextlib.contextmanager
def running(command, stdin=None):
    """Run ffmpeg or ffprobe, which ends with the block.

    Args:
        command (list of str): with its output on stdout.
        stdin (file, optional): its input. Default: that of this process.

    Yields:
        tuple[subprocess.Popen, callable]: the process, and what returns its messages (bytes) when
        it has ended.
    """
    with tempfile.TemporaryFile() as messages:  # a pipe that nobody reads could fill up

        def said():
            messages.seek(0)
            return messages.read()

        process = start(command, stdin=stdin, stdout=subprocess.PIPE, stderr=messages)
        try:
            yield process, said
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def decode(path, number, stream, block_size, is_sure=True):
    """Decode an audio stream of a file.

    MP4 and Matroska files that are cut off are always noticed, others if more than 0.1 s is missing
    and ffmpeg complains. It does not for some, such as WMA, that end between two packets.

    Args:
        path (Path): the file.
        number (int): index of the audio stream, from 0.
        stream (Stream): that stream, as `probe` found it.
        block_size (int): samples per channel of a block.
        is_sure (bool): whether the length of `stream` can be relied on. Default True.

    Yields:
        np.ndarray: (time, chan), float32, the channels in ffmpeg's order, which is WAV's.

    Raises:
        InputError: if ffmpeg fails, or complains and decodes less than the file declares.
    """
    rate, n_channels = stream.sample_rate, stream.n_channels
    command = ["ffmpeg", "-v", "error", "-nostdin", *INPUT_OPTIONS, "-i", file_url(path)]
    # If the stream changes midway, ffmpeg converts it to its first sample rate and layout. The
    # number of channels alone would convert an unusual layout to the usual one.
    if stream.layout:
        command += ["-af", f"aformat=channel_layouts={stream.layout}"]
    else:
        command += ["-ac", str(n_channels)]
    command += ["-map", f"0:a:{number}", "-ar", str(rate), "-f", "f32le", "pipe:1"]
    n_read, block_bytes = 0, block_size * n_channels * 4
    with running(command) as (process, messages):
        while data := process.stdout.read(block_bytes):
            data = data[: len(data) // (4 * n_channels) * 4 * n_channels]
            block = np.frombuffer(bytearray(data), "<f4").reshape(-1, n_channels)
            n_read += len(block)
            yield block
        process.wait()
        said = messages()
    complaint = reason(said, path)
    if process.returncode != 0:
        raise InputError(f"{path}: ffmpeg cannot decode it ({complaint}); replace the file")
    # A stated length may be an estimate (whole WMA files hold up to 2,100 samples less) and a
    # complaint harmless; both together mean damage.
    tolerance = 0 if any(words in said for words in CUT_OFF) else rate // 10
    if is_sure and complaint and stream.n_samples and n_read < stream.n_samples - tolerance:
        raise InputError(
            f"{path}: is cut off or damaged ({n_read / rate:.1f} of "
            f"{stream.n_samples / rate:.1f} s can be decoded: {complaint}); replace the file"
        )


def reason(messages, path):
    """Reduce the messages of ffmpeg (bytes) about a file to one line."""
    lines = messages.decode(errors="replace").strip().splitlines()
    for line in lines:
        if "Format not on whitelist" in line:
            name = line.removeprefix("[").split()[0]
            return f"its format, {name}, is not an audio container"
    if not lines:
        return ""
    last = re.sub(r"^\[\w+ @ 0x[0-9a-f]+\] ", "", lines[-1].strip())
    return last.removeprefix(f"{file_url(path)}: ")
