"""Cut a stream into overlapping chunks, and join their outputs without seams."""

from dataclasses import dataclass

import torch


@dataclass
class _Chunk:
    """Audio (chan, time) for the network, and the part of the output that is used."""

    audio: torch.Tensor
    begin: int = 0
    end: int | None = None
    is_last: bool = False


def overlap_add(run, blocks, size, n_overlap, batch_size, offset=0, context=0):
    """Separate a stream in overlapping chunks.

    Chunks fade into each other over the middle half of their overlap. The fades sum to one, and the
    samples nearest to the end of a chunk, which lack context, are not used. The last chunk begins
    early enough to have `size` samples too, unless the audio is shorter than that.

    Args:
        run (callable): maps chunks (batch, chan, time) to sources (batch, n_src, chan, time).
        blocks (iterable of torch.Tensor): audio, (chan, time) each, of any lengths.
        size (int): samples of a chunk.
        n_overlap (int): samples that a chunk shares with the next, at most half of `size`.
        batch_size (int): chunks that are run at once.
        offset (int): samples by which all joins are moved forward in time, less than
            ``size - n_overlap``. Default 0.
        context (int): past samples that the network sees before each chunk. Default 0.

    Yields:
        torch.Tensor: sources, (n_src, chan, time) each, together as long as the input.
    """
    join = Joiner(n_overlap)
    chunks = _cut(blocks, size, size - n_overlap, n_overlap, offset, context)
    for batch in _batches(chunks, batch_size):
        out = run(torch.stack([chunk.audio for chunk in batch]))  # (batch, n_src, chan, time)
        for chunk, sources in zip(batch, out):
            yield join(sources[..., chunk.begin : chunk.end], chunk.is_last)


class Joiner:
    """Lets consecutive chunks fade into each other.

    Args:
        n_overlap (int): samples that a chunk shares with the next.
    """

    def __init__(self, n_overlap):
        self.n_overlap = n_overlap
        self.fade_in = _fade_in(n_overlap)
        self.tail = None  # the faded end of the previous chunk

    def __call__(self, sources, is_last):
        """Add the next chunk.

        Args:
            sources (torch.Tensor): (n_src, chan, time), changed in place; begins with the overlap.
            is_last (bool): whether the audio ends with this chunk.

        Returns:
            torch.Tensor: what is final now: up to the overlap with the next chunk, if any.
        """
        fade_in = self.fade_in = self.fade_in.to(sources.device)  # copied once
        if self.tail is not None:
            sources[..., : self.n_overlap] *= fade_in
            sources[..., : self.n_overlap] += self.tail
        if is_last:
            self.tail = None
            return sources
        length = sources.shape[-1] - self.n_overlap
        self.tail = sources[..., length:] * fade_in.flip(0)
        return sources[..., :length]


def chunk_places(n_samples, size, n_overlap):
    """Find where `overlap_add` cuts audio of known length.

    Args:
        n_samples (int): samples of the audio.
        size (int): samples of a chunk.
        n_overlap (int): samples that a chunk shares with the next.

    Returns:
        list of tuple of int: for each chunk its first sample, and the first whose output is used.
    """
    hop = size - n_overlap
    used = [i * hop for i in range(1 + max(0, -(-(n_samples - size) // hop)))]
    last = max(0, min(used[-1], n_samples - size))
    return list(zip([*used[:-1], last], used))


def _fade_in(n):
    """A quarter of zeros, a ramp, a quarter of ones; with its mirror image it sums to one."""
    ramp = (torch.arange(n) + 0.5 - n / 4) / (n / 2)
    return ramp.clamp(0, 1)


def _cut(blocks, size, hop, n_overlap, offset, context):
    """Cut a stream into chunks of `size`, after their context; yield each `_Chunk`."""
    held = None  # the audio from the next chunk on
    past = None  # the audio just before it
    step = hop - offset  # from the first chunk to the second
    for block in blocks:
        held = block if held is None else torch.cat([held, block], dim=-1)
        while held.shape[-1] > size:  # one sample more than a chunk: it is not the last
            before = held[..., :0] if past is None or not context else past[..., -context:]
            begin = before.shape[-1]
            audio = torch.cat([before, held[..., :size]], dim=-1) if begin else held[..., :size]
            yield _Chunk(audio, begin=begin, end=begin + step + n_overlap)
            past = torch.cat([before, held[..., :step]], dim=-1) if begin else held[..., :step]
            held = held[..., step:]
            step = hop
    if held is not None and held.shape[-1]:
        begin = 0 if past is None else min(size + context - held.shape[-1], past.shape[-1])
        if begin:
            held = torch.cat([past[..., -begin:], held], dim=-1)
        yield _Chunk(held, begin=begin, is_last=True)


def _batches(chunks, batch_size):
    """Group chunks into lists; the chunks of a list have the same length."""
    batch = []
    for chunk in chunks:
        if batch and chunk.audio.shape != batch[0].audio.shape:
            yield batch
            batch = []
        batch.append(chunk)
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch
