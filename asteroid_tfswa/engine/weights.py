"""Where a training run's first weights come from, and which of them it trains."""

import fnmatch
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from asteroid_tfswa.config import read_yaml
from asteroid_tfswa.data.musdb18 import license_notice
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.masknn.tfswa_unet import TFSWABlock
from asteroid_tfswa.models.card import are_licenses
from asteroid_tfswa.models.loading import check_package, load_model_file, network_weights

SHOWN = 3  # names in a message
# Arguments whose difference is reported otherwise, or changes no number.
UNRELATED = ("n_src", "sources", "widths", "depths", "gradient_checkpointing")
SIZES = ("n_bands", "widths", "depths", "n_heads")  # what tells networks apart at a glance
# Arguments of a model that are a run's own, whichever model it starts from.
OF_THE_RUN = ("sources", "sample_rate", "gradient_checkpointing")


def start_network(conf, exp_dir=None):
    """Find the network of the model that a run starts from.

    A run that continues has its network in its own `conf.yml`: the model may be gone by then.

    Args:
        conf (dict): keys and values of the run's configuration, without sections.
        exp_dir (str or Path, optional): folder of the run, which need not exist.

    Returns:
        dict: keys of the sections "filterbank" and "masknet" with the model's values; empty if
        `init_from` is "" or the model is no TFSWA-UNet.

    Raises:
        InputError: if `init_from` is no model.
    """
    source = conf["init_from"]
    if not source:
        return {}
    own = Path(exp_dir, "conf.yml") if exp_dir else None
    if own is not None and own.is_file():
        sections = read_yaml(own)
        if sections.get("optim", {}).get("init_from") == source:
            return {**sections.get("filterbank", {}), **sections.get("masknet", {})}
    package = load_model_file(source)
    check_package(package, source)
    if package["model_name"] != "TFSWAUNet":
        return {}
    args = package["model_args"].items()
    return {k: v for k, v in args if k in conf and k not in OF_THE_RUN}


def initialise(model, source):
    """Load what fits of another model's weights, by name and shape.

    The part of the last layer that belongs to a source is taken by the source's name. Blocks that
    only this model has change nothing at first, so that a deeper model starts where the other is.

    Args:
        model (torch.nn.Module): the model to train. What does not fit stays as it is.
        source (str or Path): the other model, see `load_model_file`.

    Returns:
        tuple[str, list[dict]]: a line that says how much was loaded, what was not, and which
        arguments differ; and the licence notices of the other model, see `license_notice`.

    Raises:
        InputError: if the source is no model, or none of its weights fits.
    """
    package = load_model_file(source)
    check_package(package, source)
    theirs, ours = (
        {name: w for name, w in network_weights(weights).items() if w.ndim}  # without counters
        for weights in (package["state_dict"], model.state_dict())
    )
    args = package["model_args"]
    new_sources = _order_by_source(theirs, ours, model, args.get("sources"))
    fits = [name for name in ours if name in theirs and ours[name].shape == theirs[name].shape]
    if not fits:
        raise InputError(
            f"init_from: none of the {len(theirs)} tensors of {source} fits a tensor of this model "
            f"by name and shape{_listed('; it has', list(theirs))}; choose another model, or leave "
            "the network's sizes (masknet, filterbank) to that one: name none"
        )
    with torch.no_grad():
        own = model.state_dict()
        for name in fits:
            own[name].copy_(theirs[name])
    for name, module in model.named_modules():
        if isinstance(module, TFSWABlock) and not any(key.startswith(f"{name}.") for key in theirs):
            for parameter in module.fusion[1].parameters():  # of the last normalisation
                nn.init.zeros_(parameter)
    differ = [name for name in ours if name in theirs and name not in fits]
    missing = [name for name in ours if name not in theirs]
    unused = [name for name in theirs if name not in ours]
    changes = [
        f"{key} {args[key]}, here {value}"
        for key, value in model.get_model_args().items()
        if key not in UNRELATED and key in args and args[key] != value
    ]
    sizes = ", ".join(f"{key} {args[key]}" for key in SIZES if key in args)
    line = (
        f"init_from: {len(fits)} of {len(ours)} tensors are those of {source}"
        + (f" ({sizes})" if sizes else "")
        + _listed(f"; {len(new_sources)} sources that it lacks start new", new_sources)
        + _listed(f"; {len(differ)} of another shape start new", differ)
        + _listed(f"; {len(missing)} that it lacks start new", missing)
        + _listed(f"; {len(unused)} of its tensors are not used", unused)
        + _listed("; its arguments differ", changes)
    )
    return line, _licenses_of(package, source)


def _licenses_of(package, source):
    """The terms under which a model was trained; "unknown" where it states none."""
    notices = package.get("licenses")
    if not isinstance(notices, list) or not notices or not are_licenses(notices):
        return [license_notice(str(source), "unknown")]
    return [{k: v for k, v in n.items() if isinstance(v, (str, bool))} for n in notices]


def _order_by_source(theirs, ours, model, sources):
    """Put what belongs to single sources in the model's order; return the sources that are new."""
    names = [name for name in getattr(model, "tensors_by_source", ()) if name in theirs]
    if not names or not isinstance(sources, list) or sources == list(model.sources):
        return []
    for name in names:
        mine = ours[name].clone().unflatten(0, (len(model.sources), -1))
        other = theirs[name].unflatten(0, (len(sources), -1))
        if mine.shape[1:] != other.shape[1:]:
            continue  # of another network
        for index, source in enumerate(model.sources):
            if source in sources:
                mine[index] = other[sources.index(source)]
        theirs[name] = mine.flatten(0, 1)
    return [source for source in model.sources if source not in sources]


def freeze(model, patterns):
    """Exclude parameters from training.

    A batch normalisation all of whose parameters are frozen keeps its running statistics and
    normalises by them.

    Args:
        model (torch.nn.Module): the model, which is put into training mode.
        patterns (list of str): of parameter names, as the shell has them: "masker.encoder.*".

    Raises:
        InputError: if a pattern matches nothing.
    """
    model.train()
    names = [name for name, _ in model.named_parameters()]
    frozen = set()
    for pattern in patterns:
        matches = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        if not matches:
            raise InputError(
                f"freeze: no parameter matches {pattern!r}{_listed('; they are called', names)}"
            )
        frozen |= set(matches)
    for name, param in model.named_parameters():
        param.requires_grad = param.requires_grad and name not in frozen
    for module in model.modules():
        params = list(module.parameters(recurse=False))
        if isinstance(module, _BatchNorm) and params and not any(p.requires_grad for p in params):
            module.eval()


def _listed(words, names):
    """The words and the first names; nothing if there are none."""
    if not names:
        return ""
    return f"{words} ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})"
