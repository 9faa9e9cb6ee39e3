"""Separate a pipe into a pipe: audio on standard input, samples on standard output."""

import struct
import warnings
from pathlib import Path

import numpy as np
import torch

from asteroid_tfswa.audio.ffmpeg import CONTAINERS, reason, require_ffmpeg, running
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.separate.stream import separate_blocks

BLOCK = 1024  # samples that are read at once, at most
FORMATS = ("wav", "raw")
BITS = (16, 32)


def separate_pipe(model, source, sink, stems=None, form="wav", bits=32, **kwargs):
    """Separate what ffmpeg reads from a pipe, and write samples as soon as they are known.

    Args:
        model (MusicModel): the model, on any device.
        source (file): binary input with a file descriptor, at its first byte.
        sink (file): binary output: the channels of the first stem, then those of the next, at the
            sample rate of the model and with the channels of the stream, which are separated in
            groups as those of a file are.
        stems (list of str, optional): the sources to write. Defaults to all.
        form (str): ``"wav"``, with a header that leaves the length open, or ``"raw"``: samples
            alone, little-endian. Default ``"wav"``.
        bits (int): 16, where what is too loud is cut off, or 32 (float). Default 32.
        **kwargs: options of `separate_blocks`.

    Raises:
        InputError: if an option is wrong, nothing in `source` can be decoded, or a sample is NaN or
            infinite.
        BrokenPipeError: if nobody reads `sink` any longer.
    """
    stems = model.sources if stems is None else stems
    for name in stems:
        if name not in model.sources:
            raise InputError(
                f"stems: the model has no source {name!r}; it has {', '.join(model.sources)}"
            )
    if form not in FORMATS or bits not in BITS:
        raise InputError(f"format and bits: {form}, {bits}: a pipe takes wav or raw, 16 or 32")
    chosen = [model.sources.index(name) for name in stems]
    separated = separate_blocks(model, _read(model, source), **kwargs)
    header = None
    for sources in separated:
        samples = sources[chosen].flatten(0, 1).T.contiguous().numpy()  # (time, stems * chan)
        if header is None:
            header = _header(model, samples.shape[1], bits) if form == "wav" else b""
        if bits == 16:
            samples = (samples * 32768).round().clip(-32768, 32767)
        # The header comes with the first samples: what cannot be decoded leaves nothing behind.
        sink.write(header + samples.astype("<i2" if bits == 16 else "<f4").tobytes())
        header = b""
        sink.flush()


def _read(model, source):
    """Yield blocks, (chan, time), at the rate of the model, as soon as they arrive."""
    require_ffmpeg("standard input")
    command = ["ffmpeg", "-v", "error", "-nostdin", "-probesize", "4096", "-analyzeduration", "0"]
    command += ["-protocol_whitelist", "pipe", "-format_whitelist", CONTAINERS]
    command += ["-i", "pipe:0", "-map", "0:a:0", "-ar", str(round(model.sample_rate))]
    command += ["-c:a", "pcm_f32be", "-f", "au", "-flush_packets", "1", "pipe:1"]
    n_read = 0
    with running(command, source) as (process, messages):
        for block in _blocks(process.stdout):
            finite = np.isfinite(block).all(axis=1)
            if not finite.all():
                where = (n_read + int(finite.argmin())) / model.sample_rate
                raise InputError(
                    "-: standard input holds samples that are not numbers (NaN or infinite, first "
                    f"at {where:.2f} s); repair it"
                )
            n_read += len(block)
            yield torch.from_numpy(block.T.copy())
        process.wait()
        said = reason(messages(), Path("pipe:0"))
    if process.returncode != 0 or not n_read:
        state = "is cut off or damaged" if n_read else "holds no audio that ffmpeg can decode"
        raise InputError(f"-: standard input {state} ({said or 'it is empty'})")
    if said:
        # A stream states no length that would tell how much is missing, if anything.
        warnings.warn(
            f"-: ffmpeg complains of standard input ({said}); some of it may be missing",
            stacklevel=2,
        )


def _blocks(stream):
    """Yield the samples of an AU stream, (time, chan), float32, as they arrive.

    Its header is the simplest that says how many channels there are.
    """
    header = stream.read(24)
    if len(header) < 24:
        return
    _, start, _, _, _, n_channels = struct.unpack(">4s5I", header)
    stream.read(start - 24)
    width, rest = 4 * n_channels, b""
    while data := stream.read1(BLOCK * width):
        data = rest + data
        whole = len(data) // width * width
        rest = data[whole:]
        yield np.frombuffer(data[:whole], ">f4").reshape(-1, n_channels).astype(np.float32)


def _header(model, n_channels, bits):
    """A WAV header of a stream whose length is not known, as ffmpeg writes it to pipes."""
    rate, width = round(model.sample_rate), n_channels * bits // 8
    form = struct.pack(
        "<HHIIHH", 1 if bits == 16 else 3, n_channels, rate, rate * width, width, bits
    )
    size = b"\xff" * 4
    return b"RIFF" + size + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + size
