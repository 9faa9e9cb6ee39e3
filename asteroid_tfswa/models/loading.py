"""Find, read and check models: files, folders of training runs, names on hubs."""

import os
import re
from pathlib import Path

import torch

from asteroid_tfswa.config import read_yaml
from asteroid_tfswa.data.sources import trained_sources
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.models.shipped import names_hint, shipped_models
from asteroid_tfswa.torch_files import load_torch_file

KEYS = {"model_name": str, "state_dict": dict, "model_args": dict}  # of a model's dictionary
# Models in the folder of a training run or of its checkpoints, the best first.
IN_FOLDERS = (
    "best_model.pth",
    "model.pth",
    "checkpoints/best.ckpt",
    "checkpoints/last.ckpt",
    "best.ckpt",
    "last.ckpt",
)
HUB_NAME = re.compile(r"[\w-][^/\\\s]*/[\w-][^/\\\s@]*(@[\w./-]+)?")  # user/model, user/model@v1.0
MODEL_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".th", ".yml", ".yaml", ".pt2", ".onnx")


def load_model_file(path):
    """Read a model's dictionary.

    Args:
        path (str or Path): a model file; the name of a model that ships with the package; the
            folder of a training run; one of its checkpoints; a bare ``state_dict`` beside or below
            the run's ``conf.yml``, of a compiled model too; a URL; or a name on Asteroid's or the
            Hugging Face hub (``user/model@revision``).

    Returns:
        dict: what `serialize` returns, "model_name", "state_dict" and "model_args", not checked yet
        (see `check_package`); of a checkpoint also "training_config" and "metrics".

    Raises:
        InputError: if it is missing, damaged, carries code, or no model can be made from it.
    """
    file = find_model_file(path)
    content = load_torch_file(file, "copy it again, or save model.serialize() with torch.save")
    if not isinstance(content, dict):
        raise InputError(f"{file} is not a model: it holds a {type(content).__name__}")
    if KEYS.keys() & content.keys() <= {"state_dict"}:
        content = _from_weights(file, content)
    return content


def check_package(package, title):
    """Check the form of a model's dictionary, and that its weights are numbers.

    Args:
        package (dict): what `serialize` returns.
        title (str or Path): the file's name for messages.

    Raises:
        InputError: if a key is missing, a value has another type, or a weight is not finite.
    """
    missing = [key for key in KEYS if key not in package]
    if missing:
        raise InputError(f"{title} is not a model: it has no {', '.join(missing)}")
    for key, kind in KEYS.items():
        if not isinstance(package[key], kind):
            found = type(package[key]).__name__
            raise InputError(
                f"{title} is not a model: its {key} is a {found}, not a {kind.__name__}"
            )
    for key in ("state_dict", "model_args"):
        if not all(isinstance(name, str) for name in package[key]):
            raise InputError(f"{title} is not a model: its {key} has keys that are not text")
    for name, weight in package["state_dict"].items():
        if not _is_plain(weight):
            raise InputError(f"{title} is not a model: {name!r} is not a plain tensor")
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise InputError(
                f"{title} cannot be used: {name!r} holds values that are not finite numbers; the "
                "training run diverged or the file is damaged: use an earlier checkpoint"
            )


def network_weights(weights):
    """Weights of the network alone, by the names that they have without `torch.compile`.

    Args:
        weights (dict): a ``state_dict``.

    Returns:
        dict: without the filters of Asteroid's filterbanks, which follow from the arguments.
    """
    names = {name: name.replace("_orig_mod.", "") for name in weights}
    return {
        new: weights[old]
        for old, new in names.items()
        if not new.startswith(("encoder.", "decoder."))
    }


def check_weights(weights, expected):
    """Compare weights with those of a model, by name and shape.

    Args:
        weights (dict): a ``state_dict``.
        expected (dict): the ``state_dict`` of the model that will take them.

    Raises:
        InputError: for the first that differs.
    """
    for name in [*expected, *weights]:
        if name not in weights:
            raise InputError(f"it has no {name}")
        if name not in expected:
            raise InputError(f"it has {name!r}, which the model does not have")
        shapes = [tuple(w[name].shape) for w in (weights, expected)]
        if shapes[0] != shapes[1]:
            raise InputError(f"{name} has shape {shapes[0]}, the model's has {shapes[1]}")


def _is_plain(weight):
    """Whether its values lie in memory, each in its own place (bool)."""
    return (
        isinstance(weight, torch.Tensor)
        and weight.layout == torch.strided
        and not (weight.is_meta or weight.is_quantized)
        and weight.untyped_storage().nbytes() >= weight.numel() * weight.element_size()
    )


def find_model_file(path):
    """Find the file that a path or a name stands for, and download it if need be.

    Args:
        path (str or Path): see `load_model_file`.

    Returns:
        Path: an existing file.

    Raises:
        InputError: if there is none, or it is neither a path nor a name.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(
            f"a model is a file, a folder, a name or what serialize() returned: got a "
            f"{type(path).__name__}"
        )
    if os.path.isfile(path):
        return Path(path)
    found = find_in_folder(path) if os.path.isdir(path) else None
    if found is not None:
        return found
    name = str(path)
    if name in (shipped := shipped_models()):
        return shipped[name]
    if os.path.isdir(path):
        raise InputError(
            f"{path} is a folder without a model (best_model.pth or checkpoints): train one with "
            "egs/musdb18/run.sh --stage 1, or name a file"
        )
    if not name.startswith(("http://", "https://")):
        is_local = name.lower().endswith(MODEL_SUFFIXES) or os.path.isdir(os.path.dirname(name))
        if is_local or not HUB_NAME.fullmatch(name):
            raise InputError(f"model file not found: {name!r}; {names_hint()}")
    return _download(name)


def find_in_folder(path):
    """Find the model in the folder of a training run or of its checkpoints.

    Args:
        path (str or Path): a folder.

    Returns:
        Path or None: the best there is.
    """
    return next((Path(path, name) for name in IN_FOLDERS if Path(path, name).is_file()), None)


def _download(name):
    from asteroid.utils.hub_utils import cached_download

    try:
        return Path(cached_download(name))
    except Exception as err:  # of requests, httpx, urllib, huggingface_hub
        reason = " ".join(str(err).split())[:200]
        raise InputError(
            f"{name} is no file here, and cannot be downloaded ({type(err).__name__}: {reason}); "
            "check the name and the connection"
        ) from err


def _from_weights(file, content):
    """A model's dictionary from a checkpoint of Lightning's or from bare weights."""
    weights = content.get("state_dict", content)
    if not isinstance(weights, dict) or not weights:
        raise InputError(f"{file} is not a model: it has no model_name, state_dict, model_args")
    if not all(isinstance(w, torch.Tensor) for w in weights.values()):
        raise InputError(
            f"{file} is not a model: it has no {', '.join(KEYS.keys() - content.keys())}"
        )
    weights = {str(name).replace("_orig_mod.", ""): weight for name, weight in weights.items()}
    for prefix in ("module.", "model."):  # of DataParallel, of Lightning's modules
        inside = {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}
        weights = inside or weights  # without a loss's
    conf = content.get("training_config") or _conf_beside(file)
    if conf is None:
        raise InputError(
            f"{file} holds weights but not the network's sizes: put the conf.yml of its training "
            "run beside it, or make the model in Python, model.load_state_dict(torch.load(file)), "
            "and torch.save(model.serialize(), 'model.pth')"
        )
    package = {"model_name": "TFSWAUNet", "state_dict": weights, "training_config": conf}
    package["model_args"] = model_args(conf, file)
    if isinstance(content.get("metrics"), dict) and isinstance(content.get("epoch"), int):
        package["metrics"] = {**content["metrics"], "epoch": content["epoch"] + 1}
    return package


def model_args(conf, title="the configuration"):
    """Arguments of the model that a configuration of the recipe describes.

    Args:
        conf (dict): with the sections "data" (sources, sample_rate), "filterbank" and "masknet".
        title (str or Path): where it comes from, for messages.

    Returns:
        dict: keywords of `TFSWAUNet`.

    Raises:
        InputError: if a section is missing.
    """
    try:
        data = {"sources": trained_sources(conf["data"])}
        data["sample_rate"] = conf["data"]["sample_rate"]
        return {**conf["filterbank"], **conf["masknet"], **data}
    except (KeyError, TypeError) as err:
        raise InputError(
            f"{title} does not say what the model is: its configuration needs data (sources, "
            "sample_rate), filterbank and masknet"
        ) from err


def _conf_beside(file):
    """The configuration of the run that a file lies in, or None."""
    folder = file.absolute().parent
    found = [path / "conf.yml" for path in (folder, folder.parent) if (path / "conf.yml").is_file()]
    return read_yaml(found[0]) if found else None
