"""Losses and scores of validation songs, gathered chunk by chunk on any number of processes."""

import torch
from torch.nn import functional

from asteroid_tfswa.devices import over_ranks
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.separate.chunks import Joiner

# The MDX challenge adds it to both energies: a perfect estimate has a finite score.
EPS = 1e-7


def monitors(sources):
    """Name the numbers that can choose the best epoch (list of str), by the stems' names."""
    kinds = ("val_usdr", "val_csdr")
    return [*kinds, "val_loss", *(f"{kind}/{stem}" for kind in kinds for stem in sources)]


def check_validation(validation, sources, epochs):
    """Check the section "validation" of a configuration.

    Args:
        validation (dict): the section.
        sources (iterable of str): the stems.
        epochs (int): of the training run.

    Raises:
        InputError: if a value cannot be used.
    """
    known = monitors(sources)
    if validation["monitor"] not in known:
        raise InputError(
            f"monitor: {validation['monitor']!r} is unknown; choose from {', '.join(known)}"
        )
    if validation["valid_every"] > epochs:
        raise InputError(
            f"valid_every: {validation['valid_every']} epochs, but there are {epochs}, so that no "
            "model would be chosen; lower it"
        )


def check_defined(monitor, metrics, sources):
    """Check that the number that chooses the best epoch exists.

    Args:
        monitor (str): its name.
        metrics (container of str): names of the numbers that are defined.
        sources (list of str): the stems.

    Raises:
        InputError: if every stem is silent, or `monitor` is not defined.
    """
    if "val_usdr" not in metrics:
        raise InputError(
            f"sources: {', '.join(sources)} silent in every validation song; validate on songs "
            "that have them"
        )
    if monitor not in metrics:
        raise InputError(
            f"monitor: {monitor} is undefined, as the stem is silent in every validation song or "
            "sounds in no second with the others; choose val_usdr, or validate on other songs"
        )


def better(monitor):
    """Say which values of a monitored number are better.

    Args:
        monitor (str): its name.

    Returns:
        str: "min" for a loss, else "max".
    """
    return "min" if monitor == "val_loss" else "max"


class Validation:
    """One validation: joins the chunks of this process as separation does, and scores the songs.

    Args:
        data (ValidChunks): what is validated on.
        device (torch.device): where chunks arrive.
        n_preview (int): samples of the first song to keep. Default 0.

    Attributes:
        preview (list of torch.Tensor): targets and estimates of the first song, in pieces of
            (2, n_src, n_channels, time), on the CPU, in the process that has them.
    """

    def __init__(self, data, device, n_preview=0):
        self.data, self.n_preview = data, n_preview
        self.scores = SongScores(data.lengths, data.sources, data.sample_rate, device)
        self.loss_and_samples = torch.zeros(2, dtype=torch.float64, device=device)
        self.preview = []
        self._join = Joiner(data.n_overlap)
        self._share = data.share()

    def add(self, numbers, targets, estimates, loss_func):
        """Add a batch of chunks.

        Args:
            numbers (list of int): of the chunks, see `ChunkBatches`.
            targets (torch.Tensor): (batch, n_src, n_channels, time).
            estimates (torch.Tensor): same shape.
            loss_func (callable): of estimates and targets, a mean over chunks.
        """
        if numbers[0] == len(self.data):
            return  # silence
        # Another process counts a chunk that is here only to fade into the next.
        n_context = int(numbers[0] < self._share[0])
        n_counted = len(numbers) - n_context
        if n_counted:
            n_samples = n_counted * targets.shape[-1]
            loss = loss_func(estimates[n_context:], targets[n_context:]).double() * n_samples
            self.loss_and_samples += torch.stack([loss, torch.full_like(loss, n_samples)])
        for index, number in enumerate(numbers):
            chunk = self.data.chunks[number]
            begin = chunk.used - chunk.start
            # A copy, since joining changes it and what is inferred may not be.
            estimate = self._join(estimates[index, ..., begin:].clone(), chunk.is_last)
            if index >= n_context:
                target = targets[index, ..., begin : begin + estimate.shape[-1]]
                self.scores.add(target, estimate, chunk.song, chunk.used)
                self._keep(target, estimate, chunk)

    def _keep(self, target, estimate, chunk):
        length = min(self.n_preview - chunk.used, estimate.shape[-1])
        if chunk.song == 0 and length > 0:
            pieces = [target[..., :length], estimate[..., :length]]
            self.preview.append(torch.stack(pieces).float().cpu())

    def results(self):
        """Compute the numbers over all processes.

        Returns:
            dict: "val_loss", the mean training loss over all samples of all chunks, and the
            scores, see `SongScores.results`.
        """
        loss, n_samples = over_ranks(self.loss_and_samples).tolist()
        return {"val_loss": loss / n_samples, **self.scores.results()}


class SongScores:
    """Energies of every second of every song, from which SDRs follow.

    Args:
        lengths (list of int): samples of each song.
        sources (list of str): names of the stems.
        sample_rate (int): of the songs, in Hz.
        device (torch.device): where the audio arrives.
    """

    def __init__(self, lengths, sources, sample_rate, device):
        self.sources, self.sample_rate = sources, sample_rate
        # A last second that is not complete is a row of its own: only uSDR counts it.
        self.n_rows = [-(-length // sample_rate) for length in lengths]
        self.n_frames = [max(length // sample_rate, 1) for length in lengths]
        self.first_row = [sum(self.n_rows[:i]) for i in range(len(lengths))]
        # Energies of the stem, of the error, and of the sums over channels of stem and estimate.
        shape = (sum(self.n_rows), len(sources), 4)
        self.energies = torch.zeros(shape, dtype=torch.float64, device=device)

    def add(self, target, estimate, song, start):
        """Add a piece of a song.

        Args:
            target (torch.Tensor): (n_src, n_channels, time).
            estimate (torch.Tensor): same shape.
            song (int): index of the song.
            start (int): sample of the song with which the piece begins.
        """
        squares = torch.stack(
            [
                target.square().sum(1),
                (target - estimate).square().sum(1),
                target.sum(1).square(),
                estimate.sum(1).square(),
            ],
            dim=1,
        )  # (n_src, 4, time)
        row, offset = divmod(start, self.sample_rate)
        length = offset + squares.shape[-1]
        squares = functional.pad(squares, (offset, -length % self.sample_rate))
        sums = squares.unflatten(-1, (-1, self.sample_rate)).sum(-1, dtype=torch.float64)
        first = self.first_row[song] + row
        self.energies[first : first + sums.shape[-1]] += sums.permute(2, 0, 1)  # (rows, n_src, 4)

    def results(self):
        """Compute the scores over all processes.

        Returns:
            dict: in dB; what is undefined in all songs is left out.

            - "val_usdr": SDR of whole songs (uSDR, the MDX challenge's), mean over songs and stems.
              A stem that is silent in a song does not count there.
            - "val_csdr": museval's SDR, median over a song's frames of one second, then over songs,
              mean over stems. A frame counts for no stem if one of them is silent in it.
            - "val_usdr/<stem>", "val_csdr/<stem>": the same of one stem.
        """
        energies = over_ranks(self.energies).cpu()
        usdr, csdr = ({stem: [] for stem in self.sources} for _ in range(2))
        for first, n_rows, n_frames in zip(self.first_row, self.n_rows, self.n_frames):
            rows = energies[first : first + n_rows]  # (rows, n_src, 4)
            for values, ratio in ((usdr, _usdr(rows)), (csdr, _csdr(rows[:n_frames], rows))):
                for stem, value in ratio.items():
                    values[self.sources[stem]].append(value)
        results = {}
        every = [value for values in usdr.values() for value in values]
        if every:
            results["val_usdr"] = sum(every) / len(every)
        medians = {stem: _median(values) for stem, values in csdr.items() if values}
        if medians:
            results["val_csdr"] = sum(medians.values()) / len(medians)
        results |= {f"val_usdr/{stem}": sum(v) / len(v) for stem, v in usdr.items() if v}
        return results | {f"val_csdr/{stem}": value for stem, value in medians.items()}


def _usdr(rows):
    """SDR of each stem over a whole song, unless it is silent."""
    signal, error = rows.sum(0).unbind(-1)[:2]
    ratios = 10 * torch.log10((signal + EPS) / (error + EPS))
    return {stem: ratios[stem].item() for stem in signal.nonzero().flatten().tolist()}


def _csdr(frames, rows):
    """Median over frames of each stem's SDR, where museval defines it."""
    kept = rows.sum(0)[:, 2:].gt(0).all(-1).nonzero().flatten()
    signal, error, *sums = frames[:, kept].unbind(-1)  # (frames, kept) each
    defined = torch.stack(sums).gt(0).all(0).all(-1)
    if not len(kept) or not defined.any():
        return {}
    smallest = torch.finfo(error.dtype).eps ** 2 * signal
    sdr = 10 * torch.log10(signal / torch.maximum(error, smallest))
    return dict(zip(kept.tolist(), sdr[defined].quantile(0.5, dim=0).tolist()))


def _median(values):
    return torch.tensor(values, dtype=torch.float64).quantile(0.5).item()
