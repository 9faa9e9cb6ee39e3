"""The program ffmpeg as a reader of the formats that soundfile does not know."""

import json
import shutil
import subprocess
import tempfile

import numpy as np

from asteroid_tfswa.errors import InputError

# A file that plays other files or addresses (a playlist) must not make us fetch them.
ONLY_FILES = ["-protocol_whitelist", "file"]


def require_ffmpeg(path):
    """Check that ffmpeg and ffprobe are there to read a file.

    Raises:
        InputError: if one is not on PATH; the message names it, the file and the remedy.
    """
    for program in ("ffmpeg", "ffprobe"):
        if shutil.which(program) is None:
            raise InputError(
                f"{path}: reading it needs the program {program}, which is not on PATH; install it "
                "(apt install ffmpeg, brew install ffmpeg or conda install -c conda-forge ffmpeg)"
            )


def probe(path):
    """What the first audio stream of a file holds, as ffprobe sees it.

    Args:
        path (Path): the file.

    Returns:
        tuple[int, int, int or None]: sample rate in Hz, channels, and samples per channel, which
        may be an estimate, or None.

    Raises:
        InputError: if ffmpeg is missing or the file has no audio that it can read.
    """
    require_ffmpeg(path)
    entries = "stream=sample_rate,channels,duration:format=duration"
    command = ["ffprobe", "-v", "error", *ONLY_FILES, "-select_streams", "a:0", "-of", "json"]
    command += ["-show_entries", entries, "-i", _url(path)]
    result = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    found = json.loads(result.stdout or "{}")
    streams = found.get("streams")
    if result.returncode != 0 or not streams:
        reason = _last_line(result.stderr).removeprefix(f"{_url(path)}: ") or "no audio stream"
        raise InputError(f"{path}: is not audio that can be read ({reason}); replace the file")
    rate, n_channels = int(streams[0]["sample_rate"]), int(streams[0]["channels"])
    duration = streams[0].get("duration") or found.get("format", {}).get("duration")
    return rate, n_channels, round(float(duration) * rate) if duration else None


def decode(path, sample_rate, n_channels, n_samples, block_size):
    """Decode the first audio stream of a file.

    Args:
        path (Path): the file.
        sample_rate (int): its sample rate in Hz.
        n_channels (int): its channels.
        n_samples (int or None): the length that it declares.
        block_size (int): samples per channel of a block.

    Yields:
        np.ndarray: (time, chan), float32.

    Raises:
        InputError: if ffmpeg fails, or complains and gives less than the file declares.
    """
    command = ["ffmpeg", "-v", "error", "-nostdin", *ONLY_FILES, "-i", _url(path), "-map", "0:a:0"]
    command += ["-ac", str(n_channels), "-ar", str(sample_rate), "-f", "f32le", "pipe:1"]
    n_read, block_bytes = 0, block_size * n_channels * 4
    with tempfile.TemporaryFile() as messages:  # a pipe that nobody reads could fill up
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages)
        try:
            while data := process.stdout.read(block_bytes):
                block = np.frombuffer(bytearray(data), "<f4").reshape(-1, n_channels)
                n_read += len(block)
                yield block
            process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        messages.seek(0)
        complaint = _last_line(messages.read())
    if process.returncode != 0:
        raise InputError(f"{path}: ffmpeg cannot decode it ({complaint}); replace the file")
    # Declared lengths may be estimates, and complaints about nothing; both together are damage.
    if complaint and n_samples and n_read < n_samples - sample_rate // 10:
        raise InputError(
            f"{path}: is cut off or damaged ({n_read / sample_rate:.1f} of "
            f"{n_samples / sample_rate:.1f} s can be decoded: {complaint}); replace the file"
        )


def _url(path):
    """A name that ffmpeg takes for a file, whatever characters it begins with or holds."""
    return f"file:{path.absolute()}"


def _last_line(text):
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
