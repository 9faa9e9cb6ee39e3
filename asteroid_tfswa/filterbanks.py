"""STFT filterbanks: Asteroid's, and the same computed by FFT.

Asteroid's own filterbanks are convolutions with the DFT matrix: tens of times slower than an FFT,
with filters that take 34 MB (n_fft 2048) in every checkpoint. `FFTSTFTFB` computes the numbers of
Asteroid's `TorchSTFTFB` (centred, reflect padding, square root of a Hann window) and has nothing to
save.
"""

import torch
from asteroid_filterbanks import STFTFB, Decoder, Encoder, Filterbank, TorchSTFTFB
from torch.nn import functional as F

from asteroid_tfswa.arguments import choice, integer, number, refusal
from asteroid_tfswa.errors import InputError

# Asteroid's filterbanks that the models take, by the names that it has for them.
ASTEROIDS = {
    "torch_stft": TorchSTFTFB,
    "TorchSTFTFB": TorchSTFTFB,
    "stft": STFTFB,
    "STFTFB": STFTFB,
}
LEARNT = ("free", "FreeFB", "analytic_free", "AnalyticFreeFB", "param_sinc", "ParamSincFB")


class FFTSTFTFB(Filterbank):
    """STFT filterbank by FFT, for `STFTEncoder` and `STFTDecoder`.

    Args:
        n_filters (int): FFT size in samples; must equal `kernel_size` and be even.
        kernel_size (int): window length in samples.
        stride (int, optional): hop size in samples. Defaults to ``kernel_size // 2``.
        sample_rate (float): sample rate of the expected audio in Hz. Defaults to 8000.

    Attributes:
        n_feats_out (int): ``n_filters + 2``: real, then imaginary parts on the frequency axis.
        center (bool): True, as in Asteroid's `TorchSTFTFB`.

    Raises:
        InputError: if the sizes cannot give a perfect reconstruction.
    """

    def __init__(self, n_filters, kernel_size, stride=None, sample_rate=8000.0):
        stride = check_sizes(n_filters, kernel_size, stride, most=2**17)
        sample_rate = number("sample_rate", sample_rate, above=0, most=1e6)
        super().__init__(n_filters, kernel_size, stride=stride, sample_rate=sample_rate)
        self.n_feats_out = n_filters + 2
        self.center = True
        window = torch.hann_window(kernel_size, periodic=True, dtype=torch.float64).sqrt()
        self.register_buffer("window", window.float(), persistent=False)

    def filters(self):
        """This filterbank has no filters to convolve with.

        Raises:
            NotImplementedError: always; `make_enc_dec` of this module gives the right encoder.
        """
        raise NotImplementedError(
            "FFTSTFTFB works by FFT: take its encoder and decoder from "
            "asteroid_tfswa.filterbanks.make_enc_dec, not from asteroid_filterbanks"
        )


class STFTEncoder(Encoder):
    """Encoder of a `FFTSTFTFB`: equal to ``torch.stft(center=True)`` in Asteroid's layout."""

    def forward(self, waveform):
        """Waveforms to spectrograms, in float32 under autocast too.

        Args:
            waveform (torch.Tensor): (..., time), more than ``kernel_size // 2`` samples long.

        Returns:
            torch.Tensor: (..., n_filters + 2, frames), real then imaginary parts, with
            ``frames = 1 + time // stride``.

        Raises:
            ValueError: if the waveform is too short to be reflected at its edges.
        """
        fb = self.filterbank
        pad = fb.kernel_size // 2
        if not torch.jit.is_tracing() and waveform.shape[-1] <= pad:
            raise ValueError(
                f"waveform must be longer than kernel_size // 2 = {pad} samples to be reflected "
                f"at its edges: got {waveform.shape[-1]}; pad it with zeros"
            )
        with torch.autocast(waveform.device.type, enabled=False):
            wav = waveform.float().reshape(-1, waveform.shape[-1])  # (batch * chan, time)
            frames = F.pad(wav, (pad, pad), mode="reflect").unfold(-1, fb.kernel_size, fb.stride)
            spec = torch.fft.rfft(frames * fb.window)  # (batch * chan, frames, freq), complex
            spec = torch.cat([spec.real, spec.imag], dim=-1).transpose(-1, -2)
        return spec.reshape(waveform.shape[:-1] + spec.shape[-2:])


class STFTDecoder(Decoder):
    """Decoder of a `FFTSTFTFB`: equal to ``torch.istft(center=True)`` in Asteroid's layout."""

    def forward(self, spec, length=None):
        """Spectrograms to waveforms, in float32 under autocast too.

        Args:
            spec (torch.Tensor): (..., n_filters + 2, frames), real then imaginary parts.
            length (int, optional): samples to return; by default all that the frames cover,
                ``(frames - 1) * stride``.

        Returns:
            torch.Tensor: (..., time).
        """
        fb = self.filterbank
        pad = fb.kernel_size // 2
        with torch.autocast(spec.device.type, enabled=False):
            re, im = spec.float().transpose(-1, -2).chunk(2, dim=-1)
            frames = torch.fft.irfft(torch.complex(re, im), n=fb.n_filters)
            frames = frames.reshape((-1,) + frames.shape[-2:])
            frames *= fb.window
            window_sq = (fb.window**2).expand(1, frames.shape[-2], -1)
            end = pad + (spec.shape[-1] - 1) * fb.stride
            wav = _overlap_add(frames, fb.stride)[..., pad:end]
            wav = wav * (1 / _overlap_add(window_sq, fb.stride)[..., pad:end])
        wav = wav.reshape(spec.shape[:-2] + wav.shape[-1:])
        return wav if length is None else wav[..., :length]


def _overlap_add(frames, stride):
    """Sum frames that start `stride` samples apart.

    Unlike `torch.istft` this needs no value from the device and no fold: a frame is cut into pieces
    one stride long, and each piece number is one shifted sum over all frames.

    Args:
        frames (torch.Tensor): (batch, frames, kernel_size).
        stride (int): hop size in samples.

    Returns:
        torch.Tensor: (batch, time), at least ``(frames - 1) * stride + kernel_size`` long.
    """
    batch, n_frames, kernel_size = frames.shape
    n_pieces = -(-kernel_size // stride)
    if kernel_size % stride:  # else `pad` would copy all the frames
        frames = F.pad(frames, (0, n_pieces * stride - kernel_size))
    pieces = frames.reshape(batch, n_frames, n_pieces, stride)
    out = F.pad(pieces[:, :, 0], (0, 0, 0, n_pieces - 1))  # (batch, frames + n_pieces - 1, stride)
    for i in range(1, n_pieces):
        out[:, i : i + n_frames] += pieces[:, :, i]
    return out.flatten(1)


def check_sizes(n_filters, kernel_size, stride, most):
    """Check the sizes of an STFT.

    Args:
        n_filters (int): FFT size in samples.
        kernel_size (int): window length in samples.
        stride (int or None): hop size in samples.
        most (int): the largest FFT allowed.

    Returns:
        int: the stride, half a window where it is None.

    Raises:
        InputError: if they cannot give a perfect reconstruction.
    """
    if integer("n_filters", n_filters, most, least=2) % 2:
        raise refusal("n_filters", "even", n_filters)
    choice("kernel_size", kernel_size, [n_filters])
    return integer("stride", kernel_size // 2 if stride is None else stride, kernel_size // 2)


class Float32Encoder(Encoder):
    """Asteroid's encoder, in float32 under autocast too."""

    def forward(self, waveform):
        """Waveforms to spectrograms, (batch, chan, time) to (batch, chan, freq, frames)."""
        with torch.autocast(waveform.device.type, enabled=False):
            return super().forward(waveform.float())


class Float32Decoder(Decoder):
    """Asteroid's decoder, in float32 under autocast too."""

    def forward(self, spec, length=None):
        """Spectrograms to waveforms, (..., freq, frames) to (..., time)."""
        with torch.autocast(spec.device.type, enabled=False):
            return super().forward(spec.float(), length)


def make_enc_dec(fb_name, n_filters, kernel_size, stride=None, sample_rate=8000.0):
    """Create an encoder and its decoder, like `asteroid_filterbanks.make_enc_dec`.

    Args:
        fb_name (str): ``"FFTSTFTFB"``, or of Asteroid's filterbanks ``"torch_stft"``, which gives
            the same numbers more slowly, or ``"stft"``; their class names will do as well.
        n_filters (int): FFT size in samples.
        kernel_size (int): window length in samples; must equal `n_filters`.
        stride (int, optional): hop size in samples. Defaults to ``kernel_size // 2``.
        sample_rate (float): sample rate in Hz. Defaults to 8000.

    Returns:
        tuple[Encoder, Decoder]: they share the filterbank, which has no parameters. They map
        (batch, chan, time) to (batch, chan, n_filters + 2, frames), and back with any leading axes.

    Raises:
        InputError: for another filterbank, or sizes that it cannot take.
    """
    if fb_name == FFTSTFTFB.__name__:
        fb = FFTSTFTFB(n_filters, kernel_size, stride=stride, sample_rate=sample_rate)
        return STFTEncoder(fb, as_conv1d=False), STFTDecoder(fb)
    if fb_name in LEARNT:
        raise InputError(
            f"fb_name must be an STFT, 'FFTSTFTFB', 'torch_stft' or 'stft': got {fb_name!r}, whose "
            "filters are learnt: it has no frequencies, magnitudes or exact inverse for masks"
        )
    choice("fb_name", fb_name, ["FFTSTFTFB", *ASTEROIDS])
    # Asteroid's filters are matrices: 134 MB for 4096.
    stride = check_sizes(n_filters, kernel_size, stride, most=4096)
    sample_rate = number("sample_rate", sample_rate, above=0, most=1e6)
    fb = ASTEROIDS[fb_name](n_filters, kernel_size, stride=stride, sample_rate=sample_rate)
    if not is_centred(fb) and kernel_size % stride:
        raise refusal("stride", f"a divisor of the window, {kernel_size}, for {fb_name!r}", stride)
    return Float32Encoder(fb, as_conv1d=False), Float32Decoder(fb)


def is_centred(filterbank):
    """Whether the first frame is centred on the first sample; else it begins there (bool)."""
    return getattr(filterbank, "center", False)
