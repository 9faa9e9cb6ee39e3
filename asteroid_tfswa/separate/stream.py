"""Separate audio in memory: streams of blocks, and tensors."""

import itertools
from concurrent.futures import CancelledError

import torch

from asteroid_tfswa.arguments import check_shape, integer, refusal
from asteroid_tfswa.separate.chunks import overlap_add
from asteroid_tfswa.separate.runner import ChunkRunner, evaluating

SEGMENT = 6.0  # seconds
OVERLAP = 0.25  # of a segment
SEGMENTS = (0.01, 600.0)  # the shortest and the longest
MAX_BATCH_SIZE, MAX_SHIFTS = 256, 100


def separate_blocks(
    model,
    blocks,
    segment=SEGMENT,
    overlap=OVERLAP,
    batch_size=1,
    shifts=1,
    precision="32",
    progress=None,
    latency=None,
):
    """Separate a stream of audio at the model's sample rate, at constant memory.

    Reads blocks lazily and yields sources as soon as they are final. Levels are kept: nothing is
    rescaled.

    The algorithmic latency is `segment` seconds, plus ``segment * (1 - overlap)`` for each chunk
    of a batch after the first: once so much audio after a sample has been read, its sources are
    yielded. Blocks add up to their length and the computer its time. With `latency` that is the
    algorithmic latency, and `segment` says how much audio the network sees, the rest of it from
    the past: it then computes each second ``segment / (latency * (1 - overlap))`` times.

    Args:
        model (MusicModel): the model, on any device.
        blocks (iterable of torch.Tensor): audio, (chan, time) each, of any lengths. Channels beyond
            the model's are separated in groups, see `asteroid_tfswa.separate.runner`.
        segment (float): length of a chunk in seconds, 0.01 to 600. Default 6.
        overlap (float): share of a chunk that overlaps the next, 0 to 0.5. Default 0.25.
        batch_size (int): chunks that go through the model at once, 1 to 256. Default 1.
        shifts (int): passes to average, each with its joins at different times, 1 to 100.
            Default 1.
        precision (str): "32", "bf16", or "auto": bf16 on a GPU or CPU that has it in
            hardware. Default ``"32"``.
        progress (callable, optional): called with the seconds done since the last call; if it
            returns False, the separation is cancelled.
        latency (float, optional): bound on the algorithmic latency in seconds, 0.01 to `segment`,
            for a `batch_size` of 1. By default the latency follows from `segment`.

    Returns:
        iterator of torch.Tensor: sources, (n_src, chan, time) each, on the CPU; together as long as
        the input. The model is in evaluation mode from the first to the last of them.

    Raises:
        InputError: if an option is out of range.
        concurrent.futures.CancelledError: in the iterator, if `progress` returned False.

    Examples:
        >>> for sources in separate_blocks(model, blocks):
        ...     play(sources[0])
    """
    if not SEGMENTS[0] <= segment <= SEGMENTS[1]:
        raise refusal("segment", f"{SEGMENTS[0]:g} to {SEGMENTS[1]:g} seconds", segment)
    if not 0 <= overlap <= 0.5:
        raise refusal("overlap", "a number from 0 to 0.5", overlap)
    integer("batch_size", batch_size, MAX_BATCH_SIZE)
    integer("shifts", shifts, MAX_SHIFTS)
    if latency is not None and not SEGMENTS[0] <= latency <= segment:
        raise refusal("latency", f"{SEGMENTS[0]:g} to {segment:g} seconds, the segment", latency)
    if latency is not None and batch_size != 1:
        raise refusal("batch_size", "1 with a bound on the latency", batch_size)
    total = max(round(segment * model.sample_rate), 2)
    size = total if latency is None else max(int(latency * model.sample_rate), 2)
    n_overlap = round(size * overlap)
    run = ChunkRunner(model, overlap, precision)
    hop, context = size - n_overlap, max(total - size, 0)
    passes = [
        overlap_add(run, stream, size, n_overlap, batch_size, hop * i // shifts, context)
        for i, stream in enumerate(itertools.tee(blocks, shifts))
    ]
    return _run(model, passes[0] if shifts == 1 else _mean(passes), progress)


def _run(model, stream, progress):
    with evaluating(model):
        for sources in stream:
            yield sources
            if progress is not None and progress(sources.shape[-1] / model.sample_rate) is False:
                raise CancelledError("separation was cancelled by its progress callback")


def _mean(passes):
    """Average streams whose pieces have different lengths."""
    held = [next(p, None) for p in passes]
    while all(piece is not None for piece in held):
        length = min(piece.shape[-1] for piece in held)
        yield sum(piece[..., :length] for piece in held) / len(held)
        held = [piece[..., length:] for piece in held]
        held = [piece if piece.shape[-1] else next(p, None) for piece, p in zip(held, passes)]


def separate_wav(model, wav, **kwargs):
    """Separate audio in memory.

    Args:
        model (MusicModel): the model.
        wav (torch.Tensor): mixture at the model's sample rate, in a shape that the model's
            `forward` accepts.
        **kwargs: options of `separate_blocks`.

    Returns:
        torch.Tensor: sources, in the shape that `forward` returns, on the device of `wav`.

    Raises:
        InputError: if the shape of `wav` does not fit the model, or an option is out of range.
    """
    check_shape(wav, model.in_channels)
    if wav.ndim == 1:
        return separate_wav(model, wav[None, None], **kwargs).reshape(-1, len(wav))
    if wav.ndim == 2:
        if model.in_channels == 1:
            return separate_wav(model, wav[:, None], **kwargs)
        return separate_wav(model, wav[None], **kwargs)[0]
    wav = wav.to(torch.get_default_dtype())
    out = torch.stack(
        [torch.cat(list(separate_blocks(model, [item], **kwargs)), dim=-1) for item in wav]
    ).to(wav.device)
    return out[:, :, 0] if model.in_channels == 1 else out
