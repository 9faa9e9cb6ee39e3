"""Batches of stems as they travel to the device, and what is done to them there."""

from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import get_worker_info

from asteroid_tfswa.data.augment import effects


class StemBatch(NamedTuple):
    """The stems of training items, not mixed yet.

    Attributes:
        stems (torch.Tensor): (batch, n_stems, time, n_channels) as the files have it, int16 if all
            files are, else float32. The stems to separate come first, in the order of the targets.
        gains (torch.Tensor): (batch, n_stems), float32; they bring int16 to full scale 1 too.
        swaps (torch.Tensor): (batch, n_stems), bool, whether channels are reversed.
        effects (list): for each item what `effects.apply` does to it.
    """

    stems: torch.Tensor
    gains: torch.Tensor
    swaps: torch.Tensor
    effects: list


def allocate(shape, dtype):
    """Allocate stems that are not initialised.

    Args:
        shape (tuple of int): of the tensor.
        dtype (torch.dtype): of the tensor.

    Returns:
        torch.Tensor: in a worker of a loader in shared memory, as `default_collate` does it, so
        that the batch is not copied on its way to the training process. Else in memory of numpy,
        which asks for huge pages: touching fresh small ones takes longer than reading the files.
    """
    if get_worker_info() is None:
        return torch.from_numpy(np.empty(shape, str(dtype).removeprefix("torch.")))
    n_bytes = torch.Size(shape).numel() * dtype.itemsize
    storage = torch.UntypedStorage._new_shared(n_bytes)
    return torch.empty(0, dtype=dtype).set_(storage, 0, shape)


def mix(batch, n_src, sample_rate):
    """Augment the stems of a batch and add them up, on the device where they are.

    Args:
        batch (StemBatch): the stems.
        n_src (int): number of stems to separate.
        sample_rate (int): in Hz.

    Returns:
        tuple of torch.Tensor: mixtures (batch, n_channels, time) and targets
        (batch, n_src, n_channels, time), float32.
    """
    read = batch.stems.transpose(-1, -2)  # (batch, n_stems, n_channels, time)
    stems = torch.empty(read.shape, device=read.device)
    # Channel by channel: each is swapped, converted and put in its place at once.
    for channel, other in enumerate(reversed(range(read.shape[2]))):
        swapped = torch.where(batch.swaps[..., None], read[:, :, other], read[:, :, channel])
        stems[:, :, channel] = swapped
    stems *= batch.gains[..., None, None]
    for item, drawn in zip(stems, batch.effects):
        effects.apply(item, sample_rate, drawn)
    mixtures = stems[:, 0].clone()
    for stem in stems[:, 1:].unbind(1):  # one after another, so that all devices round alike
        mixtures += stem
    return mixtures, stems[:, :n_src]
