"""Validation songs in overlapping chunks, as separation cuts them, dealt to the processes."""

from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from asteroid_tfswa.data.dataset import check_songs, n_samples_of
from asteroid_tfswa.data.reading import read_into
from asteroid_tfswa.devices import rank_and_world
from asteroid_tfswa.separate.chunks import chunk_places


class Chunk(NamedTuple):
    """A chunk of a validation song; samples count from where the song is validated.

    Attributes:
        song (int): index of the song.
        start (int): its first sample.
        used (int): the first sample whose output is used; after `start` in the last chunk, which
            begins early enough to be as long as the others.
        n_samples (int): its length.
        is_last (bool): whether the song ends with it.
    """

    song: int
    start: int
    used: int
    n_samples: int
    is_last: bool


class ValidChunks(Dataset):
    """Songs, or the middle of each, cut into the chunks that separation would cut them into.

    Args:
        songs (list of Song): each with a mixture and all of `sources`.
        sources (list of str): the stems to separate, in the order of the targets.
        segment (float): length of a chunk in seconds. Default 6.0.
        overlap (float): share of a chunk that overlaps the next, 0 to 0.5. Default 0.25.
        seconds (float): how much of each song is used; 0 is all. Default 0.
        sample_rate (int): of the songs, in Hz. Default 44100.

    Attributes:
        chunks (list of Chunk): all of them, in order.
        lengths (list of int): samples of each song that are used.
        n_overlap (int): samples that a chunk shares with the next.

    Raises:
        InputError: if there are no songs, or a song lacks a source.
    """

    def __init__(self, songs, sources, segment=6.0, overlap=0.25, seconds=0.0, sample_rate=44100):
        check_songs(songs, sources)
        self.songs = list(songs)
        self.sources = list(sources)
        self.sample_rate = sample_rate
        size = max(n_samples_of(segment, sample_rate), 2)
        self.n_overlap = round(size * overlap)
        most = max(round(seconds * sample_rate), 1) if seconds else float("inf")
        self.lengths = [min(song.n_samples, most) for song in self.songs]
        # From a whole second on, as the frames of museval's SDR.
        self.first = [
            (song.n_samples - length) // 2 // sample_rate * sample_rate
            for song, length in zip(self.songs, self.lengths)
        ]
        self.chunks = []
        for index, length in enumerate(self.lengths):
            places = chunk_places(length, size, self.n_overlap)
            for start, used in places:
                is_last = used == places[-1][1]
                self.chunks.append(Chunk(index, start, used, min(size, length), is_last))

    def __len__(self):
        return len(self.chunks)

    def heard(self):
        """Find the stems that are not silent in all songs; reads until it knows.

        Returns:
            list of str: in the order of `sources`.
        """
        silent = list(self.sources)
        for chunk in self.chunks:
            song = self.songs[chunk.song]
            wave = np.zeros((chunk.n_samples, song.n_channels), dtype=np.float32)
            for stem in list(silent):
                read_into(wave, song.stems[stem], self.first[chunk.song] + chunk.start, song)
                if wave.any():
                    silent.remove(stem)
            if not silent:
                break
        return [stem for stem in self.sources if stem not in silent]

    def share(self, rank=None):
        """Find the chunks that a process counts; all processes together count each once.

        Args:
            rank (int, optional): the process, of those of `torch.distributed` at the time of the
                call. Default: this one.

        Returns:
            range: their numbers.
        """
        this, world = rank_and_world()
        rank = this if rank is None else rank
        return range(*(len(self) * r // world for r in (rank, rank + 1)))

    def __getitem__(self, number):
        """Read chunk `number`.

        Returns:
            tuple: mixture (n_channels, time) and targets (n_src, n_channels, time) as float32
            tensors, and `number`. Numbers beyond the last chunk give silence, see `ChunkBatches`.
        """
        chunk = self.chunks[min(number, len(self) - 1)]
        song = self.songs[chunk.song]
        paths = [song.mixture] + [song.stems[name] for name in self.sources]
        waves = np.zeros((len(paths), chunk.n_samples, song.n_channels), dtype=np.float32)
        for wave, path in zip(waves, paths if number < len(self) else ()):
            start = self.first[chunk.song] + chunk.start
            read_into(wave, path, start, song)
        waves = torch.from_numpy(waves).transpose(1, 2)  # (1 + n_src, n_channels, time)
        return waves[0], waves[1:], number


class ChunkBatches(Sampler):
    """Batches of consecutive chunks, of one length each: the share of this process.

    If its share begins in the middle of a song, the chunk before comes first, which fades into it.
    All processes get equally many batches, since the network may have collective operations: the
    last ones can be of the number after the last chunk, which is silence (see `ValidChunks`).

    Args:
        data (ValidChunks): the chunks.
        batch_size (int): chunks in a batch.
    """

    def __init__(self, data, batch_size):
        self.data, self.batch_size = data, batch_size

    def __len__(self):
        return len(self._batches())

    def __iter__(self):
        return iter(self._batches())

    def _batches(self):
        rank, world = rank_and_world()
        batches = [self._batches_of(r) for r in range(world)]
        missing = max(map(len, batches)) - len(batches[rank])
        return batches[rank] + missing * [[len(self.data)]]

    def _batches_of(self, rank):
        share, chunks, batches = self.data.share(rank), self.data.chunks, []
        if share and chunks[share[0]].used:
            share = range(share[0] - 1, share.stop)
        for _, numbers in groupby(share, lambda number: chunks[number].n_samples):
            numbers = list(numbers)
            batches += [
                numbers[i : i + self.batch_size] for i in range(0, len(numbers), self.batch_size)
            ]
        return batches
