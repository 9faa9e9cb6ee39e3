"""Scores of whole validation songs, gathered chunk by chunk on any number of processes."""

import torch
from torch.nn import functional

from asteroid_tfswa.devices import over_ranks

# The MDX challenge adds it to both energies: a perfect estimate has a finite score.
EPS = 1e-7


class SongScores:
    """Energies of every second of every song, from which SDRs follow.

    Args:
        songs (list of Song): the songs that are validated.
        n_src (int): number of stems.
        sample_rate (int): of the songs, in Hz.
        device (torch.device): where chunks arrive.
    """

    def __init__(self, songs, n_src, sample_rate, device):
        self.sample_rate = sample_rate
        # A last second that is not complete is a row of its own: only uSDR counts it.
        self.n_rows = [-(-song.n_samples // sample_rate) for song in songs]
        self.n_frames = [max(song.n_samples // sample_rate, 1) for song in songs]
        self.first_row = [sum(self.n_rows[:i]) for i in range(len(songs))]
        # Energies of the stem, of the error, and of the sums over channels of stem and estimate.
        shape = (sum(self.n_rows), n_src, 4)
        self.energies = torch.zeros(shape, dtype=torch.float64, device=device)

    def add(self, targets, estimates, songs, starts):
        """Add chunks.

        Args:
            targets (torch.Tensor): (batch, n_src, n_channels, time), zero beyond the song's end.
            estimates (torch.Tensor): same shape, zero there too.
            songs (list of int): index of each chunk's song.
            starts (list of int): sample of the song with which each chunk begins.
        """
        squares = torch.stack(
            [
                targets.square().sum(2),
                (targets - estimates).square().sum(2),
                targets.sum(2).square(),
                estimates.sum(2).square(),
            ],
            dim=2,
        )  # (batch, n_src, 4, time)
        for item, song, start in zip(squares, songs, starts):
            row, offset = divmod(start, self.sample_rate)
            length = offset + item.shape[-1]
            item = functional.pad(item, (offset, -length % self.sample_rate))
            sums = item.unflatten(-1, (-1, self.sample_rate)).sum(-1, dtype=torch.float64)
            sums = sums[..., : self.n_rows[song] - row].permute(2, 0, 1)  # (rows, n_src, 4)
            first = self.first_row[song] + row
            self.energies[first : first + len(sums)] += sums

    def results(self):
        """Compute the scores over all processes.

        Returns:
            dict: in dB; what is undefined in all songs is left out.

            - "val_usdr": SDR of whole songs (uSDR, the MDX challenge's), mean over songs and stems.
              A stem that is silent in a song does not count there.
            - "val_csdr": museval's SDR, median over a song's frames of one second, then over songs,
              mean over stems. A frame counts for no stem if one of them is silent in it.
        """
        energies = over_ranks(self.energies).cpu()
        usdr, csdr = [], [[] for _ in range(energies.shape[1])]
        for first, n_rows, n_frames in zip(self.first_row, self.n_rows, self.n_frames):
            rows = energies[first : first + n_rows]  # (rows, n_src, 4)
            signal, error, *sums = rows.sum(0).unbind(-1)
            ratios = 10 * torch.log10((signal + EPS) / (error + EPS))
            usdr += ratios[signal > 0].tolist()
            kept = torch.stack(sums).gt(0).all(0).nonzero().flatten()
            signal, error, *sums = rows[:n_frames, kept].unbind(-1)  # (frames, kept) each
            defined = torch.stack(sums).gt(0).all(0).all(-1)
            if len(kept) and defined.any():
                smallest = torch.finfo(error.dtype).eps ** 2 * signal
                sdr = 10 * torch.log10(signal / torch.maximum(error, smallest))
                for stem, median in zip(kept.tolist(), sdr[defined].quantile(0.5, dim=0).tolist()):
                    csdr[stem].append(median)
        medians = [_median(values) for values in csdr if values]
        results = {"val_usdr": sum(usdr) / len(usdr)} if usdr else {}
        return results | ({"val_csdr": sum(medians) / len(medians)} if medians else {})


def _median(values):
    return torch.tensor(values, dtype=torch.float64).quantile(0.5).item()
