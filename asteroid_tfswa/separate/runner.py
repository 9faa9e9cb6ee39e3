"""Run chunks through a model, fewer or shorter ones when memory runs out."""

import contextlib
import threading
import warnings

import torch

from asteroid_tfswa.devices import has_bfloat16, return_memory
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.machine import is_out_of_memory
from asteroid_tfswa.separate.chunks import overlap_add

PRECISIONS = ("32", "bf16", "auto")
SHORTEST = 1.0  # seconds; shorter chunks give the network too little context
TRIM_EVERY = 4  # chunks on the CPU; trimming costs time, so not after every chunk

_modes = {}  # models in use: by how many, and the former modes of their modules
_modes_guard = threading.Lock()
_exact = []  # blocks that compute in full float32, each with the switches that it found
_exact_guard = threading.Lock()


@contextlib.contextmanager
def evaluating(model):
    """Keep a model in evaluation mode, for any number of threads at once.

    Args:
        model (nn.Module): the model. When the last block ends, each of its modules returns to the
            mode that it had before the first block.
    """
    with _modes_guard:
        n_users, before = _modes.get(model) or (0, {m: m.training for m in model.modules()})
        _modes[model] = n_users + 1, before
        if not n_users:
            model.eval()
    try:
        yield
    finally:
        with _modes_guard:
            n_users, before = _modes.pop(model)
            if n_users > 1:
                _modes[model] = n_users - 1, before
            else:
                for module, training in before.items():
                    module.training = training


@contextlib.contextmanager
def full_float32():
    """Compute without TF32 on a GPU, for any number of threads at once.

    TF32 rounds the factors of matrix products and convolutions to 10 bits. Convolutions use it
    unless told otherwise, and training allows it for matrix products. The switches are the whole
    process's; they return to what they were when the last block ends. Where a program has set
    torch's newer switches (`fp32_precision`), which do not mix with these, nothing is changed.
    """
    with _exact_guard:
        _exact.append(_switches())
        _switch("highest", False)
    try:
        yield
    finally:
        with _exact_guard:
            before = _exact.pop()  # of the last block it is what the first one found
            if not _exact:
                _switch(*before)


def _switches():
    """What matrix products and convolutions may do; None where the newer switches are set."""
    try:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:
        return None, None


def _switch(products, convolutions):
    if None not in (products, *_switches()):
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


class ChunkRunner:
    """Run chunks through a model on its device.

    When memory runs out, first the batch and then the chunks are halved, with a warning each time,
    and what failed is run again.

    Args:
        model (MusicModel): the model, in evaluation mode.
        overlap (float): share of a chunk that overlaps the next, for chunks that are halved.
        precision (str): "32", see `full_float32`, "bf16", or "auto": bf16 on a GPU or CPU that has
            it in hardware, else 32.

    Raises:
        InputError: if `precision` is unknown.
    """

    def __init__(self, model, overlap, precision):
        if precision not in PRECISIONS:
            raise InputError(
                f"precision: '{precision}' is unknown; use one of {', '.join(PRECISIONS)}"
            )
        self.model, self.overlap = model, overlap
        self.device = next(model.parameters()).device
        if precision == "auto":
            precision = "bf16" if has_bfloat16(self.device) else "32"
        self.is_bf16 = precision == "bf16"
        self.max_batch = self.max_size = float("inf")  # until memory runs out
        self._n_runs = 0

    def __call__(self, chunks):
        """Separate chunks.

        Args:
            chunks (torch.Tensor): (batch, chan, time); channels beyond the model's are separated in
                groups, see `channel_groups`.

        Returns:
            torch.Tensor: (batch, n_src, chan, time), float32, on the CPU.

        Raises:
            InputError: if memory runs out even for the shortest chunk.
        """
        batch, size = len(chunks), chunks.shape[-1]
        if batch > self.max_batch:
            return torch.cat([self(part) for part in chunks.split(self.max_batch)])
        if size > self.max_size:
            n_overlap = round(self.max_size * self.overlap)
            # The batch is a single chunk by now: a stream of one block.
            parts = overlap_add(self, chunks, self.max_size, n_overlap, batch_size=1)
            return torch.cat(list(parts), dim=-1)[None]
        try:
            return self._forward(chunks)
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            self._take_less(batch, size, err)
        return_memory(self.device)
        return self(chunks)

    def _forward(self, chunks):
        if self.device.type == "cpu" and self._n_runs % TRIM_EVERY == 0:
            return_memory()
        self._n_runs += 1
        exact = contextlib.nullcontext() if self.is_bf16 else full_float32()
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_bf16)
        with torch.no_grad(), autocast, exact:
            groups = channel_groups(chunks.shape[1], self.model.in_channels)
            parts = [self.model(g) for g in chunks.to(self.device).split(groups, dim=1)]
            if self.model.in_channels == 1:  # sources have no axis for channels
                parts = [part.unsqueeze(2) for part in parts]
            return torch.cat(parts, dim=2).float().cpu()

    def _take_less(self, batch, size, err):
        seconds, reason = size / self.model.sample_rate, str(err).partition("\n")[0][:200]
        if batch > 1:
            self.max_batch = batch // 2
        elif seconds / 2 >= SHORTEST:
            self.max_batch, self.max_size = 1, (size + 1) // 2
        else:
            raise InputError(
                f"segment: not enough memory on {self.device} even for chunks of {seconds:.1f} s "
                f"({reason}); close other programs or use another device"
            ) from err
        warnings.warn(
            f"out of memory on {self.device}: continuing with smaller batches or shorter chunks; "
            "set a smaller batch or segment to avoid this",
            stacklevel=2,
        )


def channel_groups(n_channels, in_channels):
    """Group the channels of a file for a model with fewer: 3 channels for a stereo model as [2, 1].

    Neighbouring channels form groups of the model's size (front left and right, then the next two).
    The remaining channels go one by one, as mono. No channel is mixed into another.

    Args:
        n_channels (int): channels of the file.
        in_channels (int): channels of the model.

    Returns:
        list[int]: channels of each group, in order.
    """
    return [in_channels] * (n_channels // in_channels) + [1] * (n_channels % in_channels)
