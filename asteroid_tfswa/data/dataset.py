"""Draw the items of training and validation from prepared songs.

Everything random about a training item follows from its number and the seed, whichever process or
worker draws it. So no two of them draw the same mixes, and a run that stops continues with exactly
the items that it has not seen.
"""

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from asteroid_tfswa.data.augment import Augment, StemBatch, allocate, mix
from asteroid_tfswa.data.augment.tempo import change, n_samples_read
from asteroid_tfswa.data.reading import is_int16, read_into
from asteroid_tfswa.devices import rank_and_world
from asteroid_tfswa.errors import InputError


class TrainSegments(Dataset):
    """Random segments of songs for new mixtures: item number `n` is drawn from `(seed, n)` alone.

    With random mixing each stem comes from its own song and position; without it, all stems come
    from the same song and position. Stems that the drawn song lacks are silent. The stems are read
    straight into a batch, in the format of their files; `mix` augments them on the device, see
    `Augment`, and makes the mixture, which is the sum of all stems of the set, including those that
    are not among `sources`.

    Args:
        songs (list of Song): the songs to draw from, each with all of `sources`.
        sources (list of str): the stems to separate, in the order of the targets.
        segment (float): length of an item in seconds. Default 6.0.
        epoch_size (int): number of items of one epoch, the length of the data set. Items beyond it
            exist: epoch e consists of those from `e * epoch_size` on (see `EpochSampler`).
            Default 1000.
        sample_rate (int): of the songs, in Hz. Default 44100.
        seed (int): non-negative. Default 0.
        augment (Augment): what is done to the items. Default `Augment()`.

    Raises:
        InputError: if there are no songs, or a song lacks a source or is shorter than the segment.
    """

    def __init__(
        self,
        songs,
        sources,
        segment=6.0,
        epoch_size=1000,
        sample_rate=44100,
        seed=0,
        augment=Augment(),
    ):
        check_songs(songs, sources)
        self.n_samples = n_samples_of(segment, sample_rate)
        for song in songs:
            if song.n_samples < self.n_samples:
                raise InputError(
                    f"segment: {segment} s is longer than the song '{song.name}' "
                    f"({song.n_samples / sample_rate:.2f} s); use a shorter segment or remove the "
                    "song"
                )
        self.songs = list(songs)
        self.sources = list(sources)
        extras = {name for song in songs for name in song.stems} - set(sources)
        self.stems = self.sources + sorted(extras)
        self.epoch_size = epoch_size
        self.sample_rate = sample_rate
        self.seed = seed
        self.augment = augment
        paths = [path for song in songs for path in song.stems.values()]
        is_compact = not augment.changes_waves and all(map(is_int16, paths))
        self.dtype = torch.int16 if is_compact else torch.float32

    def __len__(self):
        return self.epoch_size

    def __getitem__(self, number):
        """Draw item `number`.

        Returns:
            tuple of torch.Tensor: mixture (n_channels, time) and targets
            (n_src, n_channels, time), float32.
        """
        mixtures, targets = self.mix(self.__getitems__([number]))
        return mixtures[0], targets[0]

    def __getitems__(self, numbers):
        """Draw the items of a batch; loaders call this, whose `collate_fn` is `default_convert`.

        Args:
            numbers (list of int): their numbers.

        Returns:
            StemBatch: all of them.
        """
        shape = (len(numbers), len(self.stems), self.n_samples, self.songs[0].n_channels)
        stems = allocate(shape, self.dtype)
        scale = 2.0**-15 if self.dtype == torch.int16 else 1.0
        gains = torch.full(shape[:2], scale)
        swaps = torch.zeros(shape[:2], dtype=torch.bool)
        for number, *arrays in zip(numbers, stems.numpy(), gains.numpy(), swaps.numpy()):
            self._draw((self.seed, number), *arrays)
        effects = [
            self.augment.draw_effects((self.seed, number), len(self.stems)) for number in numbers
        ]
        return StemBatch(stems, gains, swaps, effects)

    def mix(self, batch):
        """Make mixtures and targets of a batch, see `augment.mix`."""
        return mix(batch, len(self.sources), self.sample_rate)

    def _draw(self, item, stems, gains, swaps):
        """Draw an item and read it into its place in the batch."""
        augment, rng = self.augment, np.random.default_rng(item)
        gains *= augment.draw_factors(item, len(self.stems))
        doubled, second_rng = augment.draw_doubled(item, len(self.stems))
        tempo = augment.draw_tempo(item)
        mixing = rng.random() < augment.random_mix
        for index, name in enumerate(self.stems):
            if mixing or index == 0:
                song, start = self._draw_place(rng)
            gains[index] *= np.float32(rng.uniform(augment.gain_min, augment.gain_max))
            swaps[index] = rng.random() < augment.channel_swap
            self._read(stems[index], name, song, start, tempo)
            if doubled[index]:
                second = np.empty_like(stems[index])
                self._read(second, name, *self._draw_place(second_rng), tempo)
                stems[index] += second

    def _draw_place(self, rng):
        song = self.songs[rng.integers(len(self.songs))]
        return song, int(rng.integers(song.n_samples - self.n_samples + 1))

    def _read(self, out, name, song, start, tempo):
        if name not in song.stems:
            out[:] = 0
        elif not tempo:
            read_into(out, song.stems[name], start, song)
        else:
            length = min(n_samples_read(self.n_samples, **tempo), song.n_samples)
            wave = np.empty((length, song.n_channels), dtype=np.float32)
            read_into(wave, song.stems[name], min(start, song.n_samples - length), song)
            out[:] = change(wave, self.n_samples, **tempo)


class EpochSampler(Sampler):
    """The numbers of the items that this process draws in this epoch.

    Epoch e consists of the items `e * epoch_size` to `(e + 1) * epoch_size - 1`, dealt to the
    processes in turn. All get the same number of items; up to `world_size - 1` items are dropped.
    Rank and number of processes are those of `torch.distributed` at the time of iterating.

    Args:
        epoch_size (int): number of items of one epoch, over all processes.
    """

    def __init__(self, epoch_size):
        self.epoch_size = epoch_size
        self.epoch = 0
        self._start = (0, 0)

    def start_at(self, epoch, n_items):
        """Start in the middle of an epoch; the epochs after it are whole.

        Args:
            epoch (int): counted from 0.
            n_items (int): how many of its items each process has drawn already.
        """
        self.epoch, self._start = epoch, (epoch, n_items)

    def set_epoch(self, epoch):
        """Set the epoch, counted from 0; Lightning calls this at the start of each."""
        self.epoch = epoch

    def __len__(self):
        return self.epoch_size // rank_and_world()[1]

    def __iter__(self):
        rank, world = rank_and_world()
        start = self.epoch * self.epoch_size
        n_done = self._start[1] if self.epoch == self._start[0] else 0
        return iter(range(start + rank, start + len(self) * world, world)[n_done:])


def check_songs(songs, sources):
    """Check that songs exist and that all have the stems to separate.

    Args:
        songs (list of Song): the songs.
        sources (list of str): the stems.

    Raises:
        InputError: if not.
    """
    if not songs:
        raise InputError("songs: none to train or validate on; prepare the data again (stage 0)")
    for song in songs:
        for name in sources:
            if name not in song.stems:
                raise InputError(
                    f"sources: '{name}' is not among the stems of the song '{song.name}' "
                    f"({', '.join(song.stems)}); prepare the data with it or leave it out"
                )


def n_samples_of(segment, sample_rate):
    """Length of a segment in samples.

    Args:
        segment (float): seconds.
        sample_rate (int): Hz.

    Returns:
        int: at least 1.

    Raises:
        InputError: if the segment is shorter than one sample.
    """
    n_samples = round(segment * sample_rate)
    if n_samples < 1:
        raise InputError(f"segment: {segment} s is less than one sample; give seconds above 0")
    return n_samples
