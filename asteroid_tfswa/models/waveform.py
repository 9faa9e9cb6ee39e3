"""A model with its STFT and inverse as convolutions with the DFT matrix: a graph of real numbers.

Runtimes such as ONNX Runtime in a browser have convolutions everywhere, but not always FFTs and
complex numbers.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.filterbanks import is_centred


class WaveformNetwork(nn.Module):
    """What `TFSWAUNet.forward_waveforms` computes, for one mixture of a fixed length.

    Args:
        model (TFSWAUNet): the model; its network is shared.
        length (int): samples of the mixture.

    Raises:
        InputError: if the model's filterbank is not centred.
    """

    def __init__(self, model, length):
        super().__init__()
        fb = model.encoder.filterbank
        if not is_centred(fb):
            raise InputError(
                f"waveform: the filterbank {type(fb).__name__} of this model is not centred; load "
                "and save the model with fb_name='FFTSTFTFB', or export without --waveform"
            )
        self.masker, self.length = model.masker, length
        self.n_src, self.in_channels = model.n_src, model.in_channels
        self.complex_masks, self.mag_power = model.mask_type == "complex", model.mag_power
        self.size, self.stride = fb.kernel_size, fb.stride
        basis, synthesis, window_sq = _dft(self.size)
        # One matrix serves both ways: the largest constant of a small model.
        self.register_buffer("basis", basis)
        self.register_buffer("synthesis", synthesis)
        n_frames = 1 + (length + self.size) // self.stride
        total = F.conv_transpose1d(
            torch.ones(1, 1, n_frames, dtype=torch.float64),
            window_sq[None, None],
            stride=self.stride,
        )
        begin = self.size // 2
        self.register_buffer("scale", (1 / total[0, 0, begin : begin + length]).float())

    def forward(self, wav):
        """Separate (1, in_channels, length) into (1, n_src, in_channels, length)."""
        pad, n_bins = self.size // 2, self.size // 2 + 1
        wav = F.pad(F.pad(wav[0], (0, self.size)), (pad, pad), mode="reflect")
        spec = F.conv1d(wav[:, None], self.basis, stride=self.stride)  # (chan, freq, frames)
        re, im = spec[:, :n_bins], spec[:, n_bins:]
        re, im = self._sources(re, im, self._masks(re, im))  # (n_src * chan, bins, frames)
        spec = torch.cat([re, im], dim=1) * self.synthesis
        out = F.conv_transpose1d(spec, self.basis, stride=self.stride)
        out = out[:, 0, pad : pad + self.length] * self.scale
        return out.reshape(1, self.n_src, self.in_channels, self.length)

    def _masks(self, re, im):
        """Masks (n_src, (2 *) chan, bins, frames); see `TFSWAUNet.forward_masker`."""
        re, im = re[:, :-1].transpose(1, 2), im[:, :-1].transpose(1, 2)  # (chan, frames, bins)
        mag = (re.square() + im.square()).sqrt()
        level, tiny = mag.mean(), torch.finfo(mag.dtype).tiny
        level = torch.where(level > tiny, level, torch.ones_like(level))
        mag = mag / level
        compression = 1.0 if self.mag_power == 1 else mag.clamp(min=tiny) ** (self.mag_power - 1)
        x = torch.cat([re / level, im / level]) if self.complex_masks else mag
        if self.complex_masks and self.mag_power != 1:
            compression = torch.cat([compression, compression])
        masks = self.masker((x * compression)[None])
        masks = torch.cat([masks, masks[..., -1:]], dim=-1).transpose(-1, -2)
        return masks.reshape(self.n_src, -1, *masks.shape[-2:])

    def _sources(self, re, im, masks):
        """Spectrograms of the sources, real and imaginary parts, (n_src * chan, bins, frames)."""
        if self.complex_masks:
            a, b = masks[:, : self.in_channels], masks[:, self.in_channels :]
            re, im = re * a - im * b, re * b + im * a
        else:
            re, im = re * masks, im * masks
        return re.flatten(0, 1), im.flatten(0, 1)


def _dft(size):
    """The windowed DFT as filters, what synthesis multiplies bins by, and the squared window."""
    n_bins = size // 2 + 1
    window = torch.hann_window(size, periodic=True, dtype=torch.float64).sqrt()
    # Whole turns are taken off before the cosine, which keeps its argument exact.
    turns = torch.arange(n_bins)[:, None] * torch.arange(size) % size
    angle = turns.double() * (2 * math.pi / size)
    basis = torch.cat([angle.cos(), -angle.sin()]) * window  # (2 * bins, size)
    synthesis = torch.full((n_bins,), 2 / size, dtype=torch.float64)
    synthesis[[0, -1]] = 1 / size
    return basis[:, None].float(), synthesis.repeat(2)[:, None].float(), window.square()
