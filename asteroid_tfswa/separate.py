"""Separation of long audio: overlapping chunks, from file to files, at constant memory."""

import contextlib
from pathlib import Path

import numpy as np
import soundfile
import torch

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write

SEGMENT = 6.0  # seconds
OVERLAP = 0.25  # of a segment
BLOCK = 65536  # samples that are read from a file at once


def separate_blocks(model, blocks, segment=SEGMENT, overlap=OVERLAP, batch_size=1):
    """Separate a stream of audio.

    The audio is cut into chunks of `segment` that overlap. In the overlap one chunk fades into the
    next over its middle half: the fades sum to one, and the samples nearest to the end of a chunk,
    which lack context, are not used. The last chunk is as long as the audio that is left.

    Args:
        model (MusicModel): the model, on any device.
        blocks (iterable of torch.Tensor): audio, (chan, time) each, of any lengths.
        segment (float): length of a chunk in seconds. Default 6.
        overlap (float): share of a chunk that overlaps the next, 0 <= overlap <= 0.5. Default 0.25.
        batch_size (int): chunks that go through the model at once. Default 1.

    Yields:
        torch.Tensor: sources, (n_src, chan, time) each, on the CPU; together as long as the input.

    Raises:
        ValueError: if `segment`, `overlap` or `batch_size` is out of range.
    """
    if not 0 <= overlap <= 0.5:
        raise ValueError(f"overlap must be between 0 and 0.5: got {overlap}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1: got {batch_size}")
    size = round(segment * model.sample_rate)
    n_overlap = round(size * overlap)
    if size < 2:
        raise ValueError(f"segment must be at least two samples long: got {segment} s")
    fade_in = _fade_in(n_overlap)
    tail = None  # the faded end of the chunk before
    for chunks, is_last in _chunk_batches(blocks, size, size - n_overlap, batch_size):
        out = _run(model, chunks)  # (batch, n_src, chan, time)
        for i, sources in enumerate(out):
            if tail is not None:
                sources[..., :n_overlap] *= fade_in
                sources[..., :n_overlap] += tail
            if is_last and i == len(out) - 1:
                yield sources
            else:
                tail = sources[..., size - n_overlap :] * fade_in.flip(0)
                yield sources[..., : size - n_overlap]


def _fade_in(n):
    """A quarter of zeros, a ramp, a quarter of ones; with its mirror image it sums to one."""
    ramp = (torch.arange(n) + 0.5 - n / 4) / (n / 2)
    return ramp.clamp(0, 1)


def _chunk_batches(blocks, size, hop, batch_size):
    """Cut a stream into chunks that start `hop` samples apart, and batch those of full size.

    Yields:
        tuple[torch.Tensor, bool]: chunks (batch, chan, time), and whether they are the last.
    """
    held, ready = None, []
    for block in blocks:
        held = block if held is None else torch.cat([held, block], dim=-1)
        while held.shape[-1] > size:  # one sample more than a chunk: it is not the last
            ready.append(held[..., :size])
            held = held[..., hop:]
            if len(ready) == batch_size:
                yield torch.stack(ready), False
                ready = []
    if ready:
        yield torch.stack(ready), False
    if held is not None and held.shape[-1]:
        yield held[None], True


def _run(model, chunks):
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            device = next(model.parameters()).device
            return model(chunks.to(device)).float().cpu()
    finally:
        model.train(training)


def separate_wav(model, wav, **kwargs):
    """Separate audio in memory.

    Args:
        model (MusicModel): the model.
        wav (torch.Tensor): mixture, (time), (chan, time) or (batch, chan, time).
        **kwargs: `segment`, `overlap` and `batch_size` of `separate_blocks`.

    Returns:
        torch.Tensor: (n_src, time), (n_src, chan, time) or (batch, n_src, chan, time), on the
        device of `wav`.

    Raises:
        ValueError: if the shape of `wav` does not fit the model.
    """
    if wav.ndim == 1:
        return separate_wav(model, wav[None], **kwargs)[:, 0]
    if wav.ndim == 3:
        return torch.stack([separate_wav(model, item, **kwargs) for item in wav])
    wav = wav.to(torch.get_default_dtype())
    parts = list(separate_blocks(model, [wav], **kwargs)) or [
        model(wav)
    ]  # which says what is wrong
    return torch.cat(parts, dim=-1).to(wav.device)


def separate_file(model, path, output_dir=None, progress=None, **kwargs):
    """Separate a file into one 32-bit float WAV file per source, at constant memory.

    Nothing is rescaled: the sources have the level they have in the mixture.

    Args:
        model (MusicModel): the model.
        path (str or Path): a file that soundfile reads, of the model's sample rate, with the
            model's number of channels or one.
        output_dir (str or Path, optional): where ``<source>.wav`` are written. Defaults to a folder
            beside `path`, of its name without suffix.
        progress (callable, optional): called with the number of samples done since the last call.
        **kwargs: `segment`, `overlap` and `batch_size` of `separate_blocks`.

    Returns:
        list[Path]: the files, in the order of ``model.sources``.

    Raises:
        InputError: if the file cannot be read or does not fit the model.
    """
    output_dir = Path(path).with_suffix("") if output_dir is None else Path(output_dir)
    try:
        reader = soundfile.SoundFile(path)
    except soundfile.LibsndfileError as err:
        raise InputError(f"{path} cannot be read: {err.error_string}") from err
    with reader, contextlib.ExitStack() as stack:
        if reader.samplerate != model.sample_rate or not reader.frames:
            raise InputError(
                f"{path} has {reader.frames} samples at {reader.samplerate} Hz: the model needs "
                f"audio at {model.sample_rate:g} Hz"
            )
        if reader.channels not in (1, model.in_channels):
            raise InputError(
                f"{path} has {reader.channels} channels: the model takes {model.in_channels} or 1"
            )
        paths = [output_dir / f"{source}.wav" for source in model.sources]
        writers = []
        for out in paths:
            tmp = stack.enter_context(atomic_write(out))
            writer = soundfile.SoundFile(
                tmp, "w", reader.samplerate, reader.channels, subtype="FLOAT"
            )
            writers.append(stack.enter_context(writer))
        for sources in separate_blocks(model, _read_blocks(reader), **kwargs):
            for writer, source in zip(writers, sources):
                writer.write(np.ascontiguousarray(source.numpy().T))
            if progress is not None:
                progress(sources.shape[-1])
    return paths


def _read_blocks(reader):
    try:
        for block in reader.blocks(BLOCK, dtype="float32", always_2d=True):
            yield torch.from_numpy(block.T)  # (chan, time)
    except soundfile.LibsndfileError as err:
        raise InputError(f"{reader.name} is damaged: {err.error_string}") from err
