"""Where a training run's first weights come from, and which of them it trains."""

import fnmatch

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.models.loading import check_package, load_model_file, network_weights

SHOWN = 3  # names in a message


def initialise(model, source):
    """Load what fits of another model's weights, by name and shape.

    Args:
        model (torch.nn.Module): the model to train. What does not fit stays as it is.
        source (str or Path): the other model, see `load_model_file`.

    Returns:
        str: a line that says how much was loaded and what was not.

    Raises:
        InputError: if the source is no model, or none of its weights fits.
    """
    package = load_model_file(source)
    check_package(package, source)
    theirs, ours = (
        {name: w for name, w in network_weights(weights).items() if w.ndim}  # without counters
        for weights in (package["state_dict"], model.state_dict())
    )
    fits = [name for name in ours if name in theirs and ours[name].shape == theirs[name].shape]
    if not fits:
        raise InputError(
            f"init_from: none of the {len(theirs)} tensors of {source} fits a tensor of this model "
            f"by name and shape{_listed('; it has', list(theirs))}; choose another model, or the "
            "network's sizes (masknet, filterbank) of that one"
        )
    with torch.no_grad():
        own = model.state_dict()
        for name in fits:
            own[name].copy_(theirs[name])
    differ = [name for name in ours if name in theirs and name not in fits]
    missing = [name for name in ours if name not in theirs]
    unused = [name for name in theirs if name not in ours]
    return (
        f"init_from: {len(fits)} of {len(ours)} tensors are those of {source}"
        + _listed(f"; {len(differ)} of another shape start new", differ)
        + _listed(f"; {len(missing)} that it lacks start new", missing)
        + _listed(f"; {len(unused)} of its tensors are not used", unused)
    )


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
