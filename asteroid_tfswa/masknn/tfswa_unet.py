"""TFSWA-UNet, the network: spectrogram maps in, masks out."""

import contextlib

import torch
from asteroid.masknn import activations, norms
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from asteroid_tfswa.arguments import choice, integer, integers, refusal
from asteroid_tfswa.devices import return_memory
from asteroid_tfswa.masknn.attention import FSA, SWA, TSA, check_heads

MAX_PARAMETERS = 250_000_000  # 16 times those of the report


class TFSWAUNetMasker(nn.Module):
    """U-Net of time, frequency and shifted window attention blocks.

    The defaults are the network of the TFSWA-UNet report: 15,404,834 parameters.

    Args:
        in_chan (int): channels of the input map, one magnitude for each audio channel. Default 2.
        n_src (int): sources to give masks for. Default 1.
        out_chan (int, optional): mask channels for each source. Defaults to `in_chan`.
        n_bands (int): equal frequency bands that are stacked as input channels, K of the paper
            (section 3.2); masks are merged the same way. Default 1.
        widths (sequence of int): channels of each encoder stage, then of the bottleneck.
            Default (32, 64, 128, 256).
        depths (sequence of int): blocks of each encoder stage, then of the bottleneck; the decoder
            mirrors the encoder. Default (2, 2, 6, 2).
        n_heads (int or sequence of int): attention heads, one number or one per entry of `widths`.
            Default 8.
        window (int or (int, int)): window of the shifted window attention in frames and bins, of
            each stage's own resolution. Default 8.
        norm_type (str): normalisation after convolutions, a name of `asteroid.masknn.norms`.
            Default ``"bN"``.
        mask_act (str): activation of the masks, a name of `asteroid.masknn.activations`.
            Default ``"sigmoid"``.
        gradient_checkpointing (bool): in training keep only the maps between blocks, and recompute
            each block for its gradient: less memory, more time. Default False.

    Raises:
        InputError: if an argument cannot be used; the message has its name, value and range.

    References
        - [1] Yao, Su, Yang, Zhang, Wu, "TFSWA-ResUNet: music source separation with time-frequency
          sequence and shifted window attention-based ResUNet", EURASIP Journal on Advances in
          Signal Processing 2025:39, https://doi.org/10.1186/s13634-025-01249-0
        - [2] "TFSWA-UNet, phase 1 implementation report", 2025, unpublished: the U-Net, its sizes
          and defaults.
    """

    def __init__(
        self,
        in_chan=2,
        n_src=1,
        out_chan=None,
        n_bands=1,
        widths=(32, 64, 128, 256),
        depths=(2, 2, 6, 2),
        n_heads=8,
        window=8,
        norm_type="bN",
        mask_act="sigmoid",
        gradient_checkpointing=False,
    ):
        super().__init__()
        self.in_chan = integer("in_chan", in_chan, most=1024)
        self.n_src = integer("n_src", n_src, most=100)
        self.out_chan = integer("out_chan", in_chan if out_chan is None else out_chan, most=1024)
        self.n_bands = integer("n_bands", n_bands, most=1024)
        self.widths = integers("widths", widths, most=8192, lengths=(1, 10))
        self.depths = integers("depths", depths, most=100, lengths=len(self.widths))
        self.n_heads = integers("n_heads", n_heads, most=256, lengths=len(self.widths))
        self.window = integers("window", window, most=1024, lengths=2)
        self.norm_type, self.mask_act = norm_type, mask_act
        self.gradient_checkpointing = choice(
            "gradient_checkpointing", gradient_checkpointing, (False, True)
        )
        norm, activation = _norm(norm_type), _activation(mask_act)
        _check_size(self)
        self._make_layers(norm, activation)

    def _make_layers(self, norm, activation):
        stages = [
            (chan, depth, heads, self.window, norm, self.gradient_checkpointing)
            for chan, depth, heads in zip(self.widths, self.depths, self.n_heads)
        ]
        first = self.widths[0]
        pairs = list(zip(self.widths[:-1], self.widths[1:]))
        self.stem = nn.Sequential(
            nn.Conv2d(self.in_chan * self.n_bands, first, 7, padding=3), norm(first), nn.GELU()
        )
        self.encoder = nn.ModuleList(Stage(*stage) for stage in stages[:-1])
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inp, out, 4, stride=2, padding=1), norm(out), nn.GELU())
            for inp, out in pairs
        )
        self.bottleneck = Stage(*stages[-1])
        self.ups = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(inp, out, 4, stride=2, padding=1), norm(out), nn.GELU()
            )
            for out, inp in reversed(pairs)
        )
        self.decoder = nn.ModuleList(Stage(*stage) for stage in reversed(stages[:-1]))
        self.head = nn.Sequential(
            nn.Conv2d(first, first, 3, padding=1),
            norm(first),
            nn.GELU(),
            nn.Conv2d(first, self.n_src * self.out_chan * self.n_bands, 1),
        )
        self.mask_activation = activation
        self.apply(_init_weights)

    def forward(self, x):
        """Masks for a map of any size.

        Args:
            x (torch.Tensor): (batch, in_chan, time, freq), time and freq at least 1.

        Returns:
            torch.Tensor: masks, (batch, n_src * out_chan, time, freq).
        """
        # Pad the map, so that it splits into bands and every stage halves it exactly.
        n_frames, n_bins = x.shape[-2:]
        multiple = 2 ** len(self.downs)
        x = functional.pad(x, (0, -n_bins % (multiple * self.n_bands), 0, -n_frames % multiple))

        # Stack the bands as channels: one convolution sees the same place of each.
        x = split_bands(x, self.n_bands).contiguous(memory_format=torch.channels_last)
        x = self.stem(x)  # (batch, widths[0], time, freq / n_bands)

        # Go down: blocks of attention at each resolution, then half of it with more channels.
        skips = []
        for stage, down in zip(self.encoder, self.downs):
            x = stage(x)
            skips.append(x)
            x = down(x)  # (batch, next width, time / 2, freq / 2)
        x = self.bottleneck(x)

        # Come up again: twice the resolution, plus what the encoder saw there.
        for up, stage in zip(self.ups, self.decoder):
            x = up(x)  # (batch, previous width, 2 * time, 2 * freq)
            x = stage(x, skips.pop())
        # upstream: skip
        if self.gradient_checkpointing and x.requires_grad and x.is_cpu:
            # At the start of the backward pass, before blocks are recomputed, return the memory
            # between the checkpointed maps.
            x.register_hook(lambda grad: return_memory())
        # upstream: end

        # Make a mask for each source and channel, and cut the padding off.
        x = merge_bands(self.head(x), self.n_bands)  # (batch, n_src * out_chan, time, freq)
        x = x[..., :n_frames, :n_bins]
        return self.mask_activation(x)  # upstream: return self._activate(x)

    def get_config(self):
        """Arguments to re-instantiate the network, plain Python types.

        Returns:
            dict
        """
        return {
            "in_chan": self.in_chan,
            "n_src": self.n_src,
            "out_chan": self.out_chan,
            "n_bands": self.n_bands,
            "widths": self.widths,
            "depths": self.depths,
            "n_heads": self.n_heads,
            "window": self.window,
            "norm_type": self.norm_type,
            "mask_act": self.mask_act,
            "gradient_checkpointing": self.gradient_checkpointing,
        }


class Stage(nn.Module):
    """TFSWA blocks at one resolution; every second one shifts its windows.

    Args:
        chan (int): channels of the map.
        depth (int): number of blocks.
        n_heads (int): attention heads.
        window (sequence of int): window size, in frames and bins.
        norm (callable): makes the normalisation of so many channels.
        gradient_checkpointing (bool): recompute each block for its gradient.
    """

    def __init__(self, chan, depth, n_heads, window, norm, gradient_checkpointing):
        super().__init__()
        self.gradient_checkpointing = gradient_checkpointing
        self.blocks = nn.ModuleList(
            TFSWABlock(chan, n_heads, window, shifted=i % 2 == 1, norm=norm) for i in range(depth)
        )

    def forward(self, x, skip=None):
        """Map to map, (batch, chan, time, freq); `skip` is added after the first block."""
        for i, block in enumerate(self.blocks):
            x = self._run(block, x)  # upstream: x = block(x)
            if i == 0 and skip is not None:
                x = x + skip
        return x

    def _run(self, block, x):
        if not (self.gradient_checkpointing and torch.is_grad_enabled()):
            return block(x)
        return checkpoint(
            block,
            x,
            use_reentrant=False,
            preserve_rng_state=False,  # nothing in a block is random
            context_fn=lambda: (contextlib.nullcontext(), _frozen_statistics(block)),
        )


class TFSWABlock(nn.Module):
    """Time, frequency and window attention in parallel, fused, with a residual connection.

    Args:
        chan (int): channels of the map.
        n_heads (int): attention heads of each branch.
        window (sequence of int): window size, in frames and bins.
        shifted (bool): shift the windows by half their size.
        norm (callable): makes the normalisation of so many channels.
    """

    def __init__(self, chan, n_heads, window, shifted, norm):
        super().__init__()
        self.input_proj = nn.Sequential(nn.Conv2d(chan, chan, 1), norm(chan))
        self.tsa = TSA(chan, n_heads)
        self.fsa = FSA(chan, n_heads)
        self.swa = SWA(chan, n_heads, window, shifted)
        self.fusion = nn.Sequential(nn.Conv2d(3 * chan, chan, 1), norm(chan), nn.GELU())

    def forward(self, x):
        """Map to map, (batch, chan, time, freq)."""
        tokens = self.input_proj(x).permute(0, 2, 3, 1)  # (batch, time, freq, chan)
        conv, norm, activation = self.fusion
        # The 1x1 convolution over the concatenated branches, as a sum of one linear map per branch:
        # nothing is concatenated.
        parts = conv.weight[..., 0, 0].chunk(3, dim=1)
        fused = functional.linear(self.tsa(tokens), parts[0], conv.bias)
        fused += functional.linear(self.fsa(tokens), parts[1])
        fused += functional.linear(self.swa(tokens), parts[2])
        del tokens  # free the map early: maps dominate memory
        fused = norm(fused.permute(0, 3, 1, 2))
        return x + activation(fused)


@contextlib.contextmanager
def _frozen_statistics(block):
    """Recompute a block without counting its batch twice in the running statistics."""
    batch_norms = [m for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [m.momentum for m in batch_norms]
    for m in batch_norms:
        m.momentum = 0.0
    try:
        yield
    finally:
        for m, momentum in zip(batch_norms, momenta):
            m.momentum = momentum
            m.num_batches_tracked -= int(m.training)


def split_bands(x, n_bands):
    """Stack equal frequency bands as channels.

    Args:
        x (torch.Tensor): (batch, chan, time, freq), freq a multiple of `n_bands`.
        n_bands (int): number of bands.

    Returns:
        torch.Tensor: (batch, chan * n_bands, time, freq / n_bands).
    """
    bands = x.unflatten(-1, (n_bands, x.shape[-1] // n_bands))  # (batch, chan, time, bands, freq/K)
    return bands.transpose(2, 3).flatten(1, 2)


def merge_bands(x, n_bands):
    """Inverse of `split_bands`."""
    return x.unflatten(1, (x.shape[1] // n_bands, n_bands)).transpose(2, 3).flatten(3)


def _init_weights(module):
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _norm(name):
    """Find the class of a normalisation by Asteroid's name."""
    is_public = isinstance(name, str) and not name.startswith("_")
    found = vars(norms).get(name) if is_public else None
    # Cumulative normalisation is for (batch, chan, time) alone.
    is_norm = isinstance(found, type) and issubclass(found, nn.Module) and found != norms.CumLN
    if not is_norm:
        raise refusal("norm_type", "the name of a norm, 'bN', 'gLN', 'fgLN' or 'cLN'", name)
    return found


def _activation(name):
    """Make an activation by Asteroid's name."""
    made = None
    if isinstance(name, str) and name != "softmax":  # of which axis?
        with contextlib.suppress(TypeError):  # other things of that module cannot be called so
            made = vars(activations).get(name)()
    if not isinstance(made, nn.Module):
        wanted = "the name of an activation, 'sigmoid', 'relu', 'tanh' or 'linear' for example"
        raise refusal("mask_act", wanted, name)
    return made


def _check_size(masker):
    """Refuse widths that do not fit their heads, and networks that no machine could hold."""
    for chan, n_heads in zip(masker.widths, masker.n_heads):
        check_heads(chan, n_heads)
    n_maps = (masker.in_chan + masker.n_src * masker.out_chan) * masker.n_bands
    blocks = sum(2 * depth * chan**2 for chan, depth in zip(masker.widths, masker.depths))
    n_parameters = 40 * blocks + 25 * masker.widths[0] * n_maps  # about
    if n_parameters > MAX_PARAMETERS:
        raise refusal(
            "widths, depths and n_bands",
            f"a network of at most {MAX_PARAMETERS:,} parameters",
            n_parameters,
        )
