"""TFSWA-UNet, the model: mixtures in, sources out."""

import torch
from asteroid_filterbanks.transforms import from_torch_complex, to_torch_complex

from asteroid_tfswa.arguments import choice, integer, is_file_name, number, refusal
from asteroid_tfswa.filterbanks import make_enc_dec
from asteroid_tfswa.masknn.tfswa_unet import TFSWAUNetMasker
from asteroid_tfswa.models.base import MusicModel

MAX_SOURCES = 100


class TFSWAUNet(MusicModel):
    """TFSWA-UNet for music source separation, as described in [1] and [2].

    An attention U-Net takes the magnitudes of the mixture's spectrogram to one mask for each source
    and audio channel. The defaults are the network of the report [2]: one source, stereo at
    44.1 kHz, 15,404,834 parameters.

    The magnitudes are divided by their mean over the whole input, so that scaling the input by g
    scales the output by g, and silence gives silence.

    Args:
        n_src (int, optional): number of sources. Defaults to the number of `sources`, or 1.
        sources (list of str, optional): a name for each source. Defaults to ``["vocals"]`` for one
            source and ``["source1", "source2", ...]`` for more.
        in_channels (int): audio channels. Default 2.
        n_bands (int): equal frequency bands stacked as input channels (K in [1], section 3.2).
            Default 1.
        widths (sequence of int): channels of each encoder stage, then of the bottleneck.
            Default (32, 64, 128, 256).
        depths (sequence of int): blocks of each encoder stage, then of the bottleneck.
            Default (2, 2, 6, 2).
        n_heads (int or sequence of int): attention heads, one number or one per stage. Default 8.
        window (int or (int, int)): attention window in frames and bins. Default 8.
        norm_type (str): a name of `asteroid.masknn.norms`. Default ``"bN"``.
        mask_act (str): a name of `asteroid.masknn.activations`. Default ``"sigmoid"``.
        gradient_checkpointing (bool): less memory, more time in training. Default False.
        mask_type (str): ``"magnitude"``: masks on magnitudes, with the mixture's phase;
            ``"complex"``: complex masks, from real and imaginary parts (use `mask_act`
            ``"linear"`` or ``"tanh"``). Default ``"magnitude"``.
        mag_power (float): exponent that compresses the input of the network; masks are applied to
            the spectrogram as it is. Default 1.0.
        fb_name (str): an STFT filterbank, ``"FFTSTFTFB"``, or Asteroid's ``"torch_stft"`` or
            ``"stft"``, see `asteroid_tfswa.filterbanks.make_enc_dec`. Default ``"FFTSTFTFB"``.
        n_filters (int): FFT size in samples. Default 2048.
        kernel_size (int): window length in samples; must equal `n_filters`. Default 2048.
        stride (int): hop size in samples. Default 512.
        sample_rate (float): sample rate in Hz. Default 44100.

    Raises:
        InputError: if an argument cannot be used; the message has its name, value and range.

    References
        - [1] Yao, Su, Yang, Zhang, Wu, "TFSWA-ResUNet: music source separation with time-frequency
          sequence and shifted window attention-based ResUNet", EURASIP Journal on Advances in
          Signal Processing 2025:39, https://doi.org/10.1186/s13634-025-01249-0
        - [2] "TFSWA-UNet, phase 1 implementation report", 2025, unpublished.

    Examples:
        >>> model = TFSWAUNet(sources=["vocals", "drums", "bass", "other"], n_bands=4)
        >>> model(torch.randn(1, 2, 44100)).shape
        torch.Size([1, 4, 2, 44100])
    """

    tensors_by_source = ("masker.head.3.weight", "masker.head.3.bias")  # a block of rows for each

    def __init__(
        self,
        n_src=None,
        sources=None,
        in_channels=2,
        n_bands=1,
        widths=(32, 64, 128, 256),
        depths=(2, 2, 6, 2),
        n_heads=8,
        window=8,
        norm_type="bN",
        mask_act="sigmoid",
        gradient_checkpointing=False,
        mask_type="magnitude",
        mag_power=1.0,
        fb_name="FFTSTFTFB",
        n_filters=2048,
        kernel_size=2048,
        stride=512,
        sample_rate=44100.0,
    ):
        sources = _source_names(n_src, sources)
        choice("mask_type", mask_type, ("magnitude", "complex"))
        integer("in_channels", in_channels, most=64)
        mag_power = number("mag_power", mag_power, above=0, most=1)
        encoder, decoder = make_enc_dec(
            fb_name, n_filters, kernel_size, stride=stride, sample_rate=sample_rate
        )
        masker = TFSWAUNetMasker(
            in_chan=in_channels * (2 if mask_type == "complex" else 1),
            n_src=len(sources),
            n_bands=n_bands,
            widths=widths,
            depths=depths,
            n_heads=n_heads,
            window=window,
            norm_type=norm_type,
            mask_act=mask_act,
            gradient_checkpointing=gradient_checkpointing,
        )
        super().__init__(encoder, masker, decoder, sources, in_channels)
        self.mask_type = mask_type
        self.mag_power = mag_power

    def forward_masker(self, tf_rep):
        """Estimate masks.

        Args:
            tf_rep (torch.Tensor): spectrogram, (batch, chan, freq, frames), real then imaginary
                parts on the frequency axis.

        Returns:
            torch.Tensor: (batch, n_src, chan, bins, frames), of real values for magnitude masks
            (bins is half of freq), of stacked real and imaginary parts for complex ones.
        """
        # Leave out the Nyquist bin: stages halve the power of two below it without padding.
        spec = to_torch_complex(tf_rep).transpose(-1, -2)  # (batch, chan, frames, bins)
        spec = spec[..., :-1]

        # Divide by the mean magnitude: the network does not depend on the level.
        level = spec.abs().mean(dim=(1, 2, 3), keepdim=True)
        tiny = torch.finfo(level.dtype).tiny  # whose inverse is finite
        spec = spec / torch.where(level > tiny, level, 1.0)

        # Compress: quiet bins count more.
        mag = spec.abs()
        compression = mag.clamp(min=tiny) ** (self.mag_power - 1)
        if self.mask_type == "magnitude":
            x = mag * compression
        else:
            x = spec * compression
            x = torch.cat([x.real, x.imag], dim=1)  # (batch, 2 * chan, frames, bins)

        # The Nyquist bin takes the mask of the bin below.
        masks = self.masker(x)  # (batch, n_src * (2 *) chan, frames, bins)
        masks = torch.cat([masks, masks[..., -1:]], dim=-1).transpose(-1, -2)
        masks = masks.unflatten(1, (self.n_src, -1))
        if self.mask_type == "complex":
            masks = torch.cat(masks.chunk(2, dim=2), dim=-2)  # (batch, n_src, chan, freq, frames)
        return masks.float()

    def apply_masks(self, tf_rep, est_masks):
        """Multiply the mixture's spectrogram by masks.

        Args:
            tf_rep (torch.Tensor): (batch, chan, freq, frames).
            est_masks (torch.Tensor): output of `forward_masker`.

        Returns:
            torch.Tensor: (batch, n_src, chan, freq, frames).
        """
        tf_rep = tf_rep.unsqueeze(1)
        if self.mask_type == "magnitude":
            parts = tf_rep.unflatten(-2, (2, -1))  # (batch, 1, chan, re and im, bins, frames)
            return (parts * est_masks.unsqueeze(-3)).flatten(-3, -2)
        return from_torch_complex(to_torch_complex(tf_rep) * to_torch_complex(est_masks))

    def get_model_args(self):
        """Arguments to re-instantiate the model, plain Python types."""
        masker_args = self.masker.get_config()
        del masker_args["in_chan"], masker_args["out_chan"]  # follow from the others
        return {
            **self.encoder.filterbank.get_config(),
            **masker_args,
            "sources": list(self.sources),
            "in_channels": self.in_channels,
            "mask_type": self.mask_type,
            "mag_power": self.mag_power,
        }


def _source_names(n_src, sources):
    """Names of the sources, which become names of files."""
    if sources is None:
        n_src = 1 if n_src is None else integer("n_src", n_src, most=MAX_SOURCES)
        sources = ["vocals"] if n_src == 1 else [f"source{i + 1}" for i in range(n_src)]
    is_list = isinstance(sources, (list, tuple)) and 1 <= len(sources) <= MAX_SOURCES
    if not is_list or not all(isinstance(name, str) for name in sources):
        raise refusal("sources", f"a list of 1 to {MAX_SOURCES} names", sources)
    for name in sources:
        if not is_file_name(name):
            wanted = (
                "names that files can have: 1 to 60 characters, no / and the like, no first dot"
            )
            raise refusal("sources", wanted, name)
    if len(set(sources)) != len(sources):
        raise refusal("sources", "a list of different names", sources)
    if n_src is not None:
        choice("n_src", n_src, [len(sources)])
    return list(sources)
