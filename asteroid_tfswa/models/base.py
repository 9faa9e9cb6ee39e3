"""What all models share: multichannel waveforms in and out, safe saving, separation."""

import sys
from pathlib import Path

import asteroid.separate
import numpy as np
import torch
from asteroid import models
from asteroid.models.base_models import BaseEncoderMaskerDecoder, BaseModel
from asteroid.utils.torch_utils import script_if_tracing
from torch.nn import functional as F

from asteroid_tfswa import separate
from asteroid_tfswa.arguments import check_shape
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.filterbanks import is_centred
from asteroid_tfswa.models.loading import (
    check_package,
    check_weights,
    load_model_file,
    network_weights,
)
from asteroid_tfswa.separate.runner import evaluating


@script_if_tracing  # so that a traced model takes mixtures of any shape
def _to_batch(wav: torch.Tensor, in_channels: int) -> torch.Tensor:
    """Mixtures of any shape that a model takes, as (batch, in_channels, time)."""
    if wav.ndim == 1:
        wav = wav.unsqueeze(0).unsqueeze(0)
    elif wav.ndim == 2:
        wav = wav.unsqueeze(1 if in_channels == 1 else 0)
    return wav.expand(-1, in_channels, -1)


@script_if_tracing
def _from_batch(out: torch.Tensor, wav: torch.Tensor, in_channels: int) -> torch.Tensor:
    """Sources, (batch, n_src, in_channels, time), in the shape that the mixture `wav` asks for."""
    if in_channels == 1:
        out = out[:, :, 0]
    elif wav.ndim == 1:
        out = out.mean(dim=2)
    elif wav.shape[-2] == 1:
        out = out.mean(dim=2, keepdim=True)
    if wav.ndim == 1 or (wav.ndim == 2 and in_channels > 1):
        out = out[0]
    return out


class MusicModel(BaseEncoderMaskerDecoder):
    """Asteroid's encoder-masker-decoder for multichannel music and named sources.

    Args:
        encoder (Encoder): waveforms (batch, chan, time) to (batch, chan, freq, frames).
        masker (nn.Module): the network, with a `get_config` method.
        decoder (Decoder): (batch, n_src, chan, freq, frames) to (batch, n_src, chan, time).
        sources (list of str): a name for each source, in the order of the output.
        in_channels (int): audio channels of the mixture and of each source.
    """

    def __init__(self, encoder, masker, decoder, sources, in_channels):
        super().__init__(encoder, masker, decoder)
        self.sources = list(sources)
        self.in_channels = in_channels
        self.register_load_state_dict_pre_hook(_keep_filters)
        cli = sys.modules.get("asteroid.scripts.asteroid_cli")
        if cli is not None and _is_called_by(cli.infer):  # which leaves models in training mode
            self.eval()

    @property
    def n_src(self):
        """Number of sources (int)."""
        return len(self.sources)

    def forward(self, wav):
        """Separate mixtures.

        A model of one channel has the shapes of Asteroid's models:

            (time)            to (n_src, time)
            (batch, time)     to (batch, n_src, time)
            (batch, 1, time)  to (batch, n_src, time)

        A model of more channels:

            (time)               to (n_src, time)
            (chan, time)         to (n_src, chan, time)
            (batch, chan, time)  to (batch, n_src, chan, time)

        There chan is `in_channels`, or 1: a mono mixture is repeated on each channel, and sources
        are the mean of the output's channels.

        Args:
            wav (torch.Tensor): mixture of at least one sample.

        Returns:
            torch.Tensor: sources, as long as the input.

        Raises:
            InputError: if the shape cannot be read as a mixture for this model.
        """
        if not torch.jit.is_tracing():  # where shapes are unknown
            check_shape(wav, self.in_channels)
        out = self.forward_waveforms(_to_batch(wav, self.in_channels))
        return _from_batch(out, wav, self.in_channels)

    def forward_wav(self, wav):
        """Separate mixtures in evaluation mode for `asteroid.separate`; see `forward`.

        Raises:
            InputError: if they want to write the sources of several channels, which they cannot.
        """
        if self.in_channels > 1 and _is_called_by(asteroid.separate.file_separate):
            raise InputError(
                f"asteroid-infer and asteroid.separate write mono files, the model has "
                f"{self.in_channels} channels: use the command asteroid-tfswa infer, which takes "
                "the same arguments, or model.separate"
            )
        with evaluating(self):
            return self(wav)

    def forward_waveforms(self, wav):
        """Separate (batch, in_channels, time) into (batch, n_src, in_channels, time)."""
        length, window = wav.shape[-1], self.encoder.filterbank.kernel_size
        # A window of zeros at the end: the last sample is covered, and what is short can be
        # reflected. Frames that begin at the first sample need one before it too.
        start = 0 if is_centred(self.encoder.filterbank) else window
        wav = F.pad(wav, (start, window))
        tf_rep = self.forward_encoder(wav)  # (batch, chan, freq, frames)
        masks = self.forward_masker(tf_rep)  # (batch, n_src, ...)
        sources = [
            self.forward_decoder(self.apply_masks(tf_rep, mask))[..., start : start + length]
            for mask in masks.split(1, dim=1)  # one at a time takes less memory
        ]
        return torch.cat(sources, dim=1)  # (batch, n_src, chan, time)

    def separate(self, wav, output_dir=None, force_overwrite=False, resample=False, **kwargs):
        """Separate audio of any length in overlapping chunks; Asteroid's interface.

        Args:
            wav (torch.Tensor, numpy.ndarray, str or Path): mixture in one of the shapes that
                `forward` takes, or a file.
            output_dir, force_overwrite, resample: for a file, see `file_separate`.
            **kwargs: options of `asteroid_tfswa.separate.separate_blocks`.

        Returns:
            torch.Tensor or numpy.ndarray, like `wav`; for a file the list of written files.

        Raises:
            InputError: if `wav` is anything else.
        """
        if isinstance(wav, (str, Path)):
            return self.file_separate(wav, output_dir, force_overwrite, resample, **kwargs)
        if isinstance(wav, np.ndarray):
            return self.numpy_separate(wav, **kwargs)
        if not isinstance(wav, torch.Tensor):
            raise InputError(
                f"wav must be a tensor, an array or the path of a file: got a {type(wav).__name__}"
            )
        return self.torch_separate(wav, **kwargs)

    def torch_separate(self, wav, **kwargs):
        """Separate a tensor; see `asteroid_tfswa.separate.separate_wav`."""
        return separate.separate_wav(self, wav, **kwargs)

    def numpy_separate(self, wav, **kwargs):
        """Separate an array; see `asteroid_tfswa.separate.separate_wav`."""
        # torch takes no negative strides and no foreign byte order.
        wav = np.ascontiguousarray(wav, dtype=np.float32)
        return self.torch_separate(torch.from_numpy(wav), **kwargs).numpy()

    def file_separate(
        self, filename, output_dir=None, force_overwrite=False, resample=False, **kwargs
    ):
        """Separate a file; see `asteroid_tfswa.separate.file_separate`."""
        return separate.file_separate(
            self, filename, output_dir, force_overwrite, resample, **kwargs
        )

    def serialize(self):
        """Asteroid's model dictionary, of types that torch's safe loader reads.

        Returns:
            dict: ``model_name``, ``state_dict``, ``model_args`` and ``infos``.
        """
        conf = super().serialize()
        versions = conf["infos"]["software_versions"]
        # TorchVersion is refused by torch.load(weights_only=True).
        conf["infos"]["software_versions"] = {name: str(v) for name, v in versions.items()}
        return conf

    @classmethod
    def from_pretrained(cls, pretrained_model_conf_or_path, *args, **kwargs):
        """Instantiate a model from a file, a training run, a hub or a dictionary of `serialize`.

        Args:
            pretrained_model_conf_or_path (str, Path or dict): what to load, see
                `asteroid_tfswa.models.loading.load_model_file`. A dictionary is left as it is.
            *args, **kwargs: arguments of the model, which replace those in the file.

        Returns:
            MusicModel: an instance of the named class, or of `cls` where that is derived from it.

        Raises:
            InputError: if the file is missing, damaged, no model, or a model of another class.
        """
        source = pretrained_model_conf_or_path
        if isinstance(source, dict):
            return build_model(source, "the dictionary", cls, *args, **kwargs)
        return build_model(load_model_file(source), source, cls, *args, **kwargs)


def _keep_filters(model, weights, prefix, *_):
    """Load weights of models with other STFT filterbanks: filters follow from the arguments."""
    own = {prefix + name: value for name, value in model.state_dict().items()}
    for name in own.keys() | weights.keys():
        if name.startswith((f"{prefix}encoder.filterbank.", f"{prefix}decoder.filterbank.")):
            weights.pop(name, None)
            if name in own:
                weights[name] = own[name]


def build_model(package, title, cls=MusicModel, *args, **kwargs):
    """Make the model of a dictionary.

    Args:
        package (dict): what `serialize` returns, from anywhere; it is left as it is.
        title (str or Path): the file's name for messages.
        cls (type): the class whose `from_pretrained` was called. Default `MusicModel`.
        *args, **kwargs: arguments of the model, which replace those of the dictionary.

    Returns:
        MusicModel: see `MusicModel.from_pretrained`.

    Raises:
        InputError: if it is no model's, or of another class.
    """
    check_package(package, title)
    cls = _class_named(package["model_name"], cls, title)
    weights = network_weights(package["state_dict"])
    try:
        model = cls(*args, **{**package["model_args"], **kwargs})
        check_weights(weights, network_weights(model.state_dict()))
        model.load_state_dict(weights)
    except (TypeError, RuntimeError, ValueError, MemoryError) as err:
        reason = " ".join(str(err).split())[:300]
        raise InputError(f"{title} does not fit {cls.__name__}: {reason}") from err
    return model


def _is_called_by(function):
    """Whether a function is running further up in this thread (bool)."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return frame is not None


def _class_named(name, cls, title):
    """The class that Asteroid has registered under a name, or `cls` where that is derived from it.

    `cls` too where Asteroid has none: models of users need no registration.
    """
    try:
        named = models.get(name)
    except ValueError:
        if cls is MusicModel:
            raise InputError(
                f"{title} is a {name!r}, which Asteroid does not know: import the package that "
                "registers it first"
            ) from None
        return cls
    # An Asteroid that has a model of the same name, such as upstream's TFSWAUNet.
    named = {ours.__name__: ours for ours in MusicModel.__subclasses__()}.get(name, named)
    if not isinstance(named, type) or not issubclass(named, BaseModel):
        raise InputError(f"{title} is not a model: {name!r} is not the name of one")
    if issubclass(named, cls):
        return named
    if not issubclass(cls, named):
        raise InputError(
            f"{title} is a {named.__name__}, not a {cls.__name__}: load it with "
            f"{named.__name__}.from_pretrained"
        )
    return cls
