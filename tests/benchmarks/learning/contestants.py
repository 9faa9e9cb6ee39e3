"""Separators that race, each as a module: mixtures (batch, 2, time) to (batch, 4, 2, time)."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.benchmarks.work import SAMPLE_RATE


class OpenUnmix(nn.Module):
    """Open-Unmix as umxhq has it: one network a stem; separation ends in its Wiener filter.

    In training the estimated magnitudes have the mixture's phase. As its own training does, the
    network standardises its input by the statistics of training mixtures, see `look_at`.
    """

    def __init__(self, sources, hidden=512):
        super().__init__()
        from openunmix.model import OpenUnmix as Network
        from openunmix.model import Separator
        from openunmix.utils import bandwidth_to_max_bin

        max_bin = bandwidth_to_max_bin(SAMPLE_RATE, 4096, 16000)
        networks = {
            name: Network(nb_bins=2049, hidden_size=hidden, max_bin=max_bin) for name in sources
        }
        self.separator = Separator(
            networks, niter=1, n_fft=4096, n_hop=1024, sample_rate=SAMPLE_RATE
        )
        for parameter in self.separator.parameters():
            parameter.requires_grad_(True)

    def look_at(self, mixtures):
        """Take the statistics of training mixtures, (batch, 2, time)."""
        mags = self.separator.complexnorm(self.separator.stft(mixtures))  # (..., bins, frames)
        mean = mags.mean(dim=(0, 1, 3))
        std = mags.std(dim=(0, 1, 3)).clamp(min=1e-4 * mags.std())
        for network in self.separator.target_models.values():
            n = len(network.input_mean)
            network.input_mean.data = -mean[:n]
            network.input_scale.data = 1 / std[:n]

    def train(self, mode=True):
        """Separator freezes itself otherwise."""
        super().train(mode)
        self.separator.niter = 0 if mode else 1
        return self

    def forward(self, wav):
        if not self.training:
            return self.separator(wav)
        spec = torch.view_as_complex(self.separator.stft(wav))  # (batch, 2, bins, frames)
        mag, out = spec.abs(), []
        phase = spec / mag.clamp(min=1e-8)
        for network in self.separator.target_models.values():
            estimate = network(mag.detach().clone()) * phase
            out.append(self.separator.istft(torch.view_as_real(estimate), length=wav.shape[-1]))
        return torch.stack(out, dim=1)


class MonoAsteroid(nn.Module):
    """A model of Asteroid, mono, on the channels one by one."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, wav):
        out = self.model(wav.flatten(0, 1))  # (batch * chan, n_src, time)
        return out.unflatten(0, wav.shape[:2]).transpose(1, 2)


class Padded(nn.Module):
    """A model that cuts the end of its output off."""

    def __init__(self, model, n=4096):
        super().__init__()
        self.model, self.n = model, n

    def forward(self, wav):
        return self.model(F.pad(wav, (0, self.n)))[..., : wav.shape[-1]]


def htdemucs(sources):
    from demucs.htdemucs import HTDemucs

    return HTDemucs(sources, samplerate=SAMPLE_RATE, use_train_segment=False)


def bs_roformer(sources):
    from bs_roformer import BSRoformer

    # A step on 8 segments of 2 s fits into 24 GiB; with dim 64 and depth 4 it does not.
    sizes = {"dim": 48, "depth": 2, "mask_estimator_depth": 1, "stft_hop_length": 1024}
    return Padded(BSRoformer(**sizes, stereo=True, num_stems=len(sources)))


def conv_tasnet(sources):
    from asteroid.models import ConvTasNet

    return MonoAsteroid(
        ConvTasNet(
            len(sources), n_filters=256, kernel_size=64, stride=32, n_blocks=6, n_repeats=2,
            bn_chan=96, hid_chan=192, sample_rate=SAMPLE_RATE,
        )
    )  # fmt: skip


def dprnn(sources):
    from asteroid.models import DPRNNTasNet

    return MonoAsteroid(
        DPRNNTasNet(
            len(sources), n_filters=64, kernel_size=64, stride=32, hid_size=96, n_repeats=3,
            sample_rate=SAMPLE_RATE,
        )
    )  # fmt: skip


PEERS = {
    "openunmix": OpenUnmix,
    "htdemucs": htdemucs,
    "bs_roformer": bs_roformer,
    "conv_tasnet": conv_tasnet,
    "dprnn": dprnn,
}


def make(name, conf):
    """Make a contestant: a name of `PEERS`, or else the network of a configuration."""
    sources = conf["data"]["sources"]
    if name in PEERS:
        return PEERS[name](sources)
    from asteroid_tfswa import TFSWAUNet

    rate = conf["data"]["sample_rate"]
    return TFSWAUNet(sources=sources, sample_rate=rate, **conf["filterbank"], **conf["masknet"])
