"""Models for others: at half the size, or as TorchScript, torch.export or ONNX.

All but the first hold the network without what is around it, the STFT and its inverse. Each carries
a text "model.json": what is saved with the model except its weights, and how to use the network.
"""

import contextlib
import json
import logging
import warnings
from pathlib import Path

import torch
from tqdm import tqdm

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.models.base import MusicModel, load_model_file
from asteroid_tfswa.models.card import read_test_scores

METADATA = "model.json"
# Units of `time_unit` that a network is traced with. With fewer, some stage has one window alone,
# and torch.export takes that for a rule.
N_UNITS = 3


def export_model(model_file, out, format="half"):
    """Write a model in another form, once its masks are found to agree with the model's.

    Args:
        model_file (str or Path): what `TFSWAUNet.from_pretrained` takes.
        out (str or Path): the file to write.
        format (str): ``"half"``: a model file like the other, its matrices and kernels in float16;
            `from_pretrained` gives a float32 model. ``"torchscript"``, ``"torch_export"``,
            ``"onnx"``: the network alone, in float32. TorchScript takes any number of maps of any
            length; the others one, of the lengths that `describe_network` gives.
            Default ``"half"``.

    Returns:
        float: by how much the masks of a noise differ: for ``"half"`` the root mean square as a
        share of that of the masks, at most 1e-2; for the others the largest difference as a share
        of the largest mask, at most 1e-4.

    Raises:
        InputError: if the model cannot be read, `out` is a folder or the model itself, a package is
            missing, or the masks differ by more.
    """
    out = Path(out)
    if format not in FORMATS:
        raise InputError(f"format: {format!r} is unknown; choose from {', '.join(FORMATS)}")
    write, measure, tolerance = FORMATS[format]
    steps = "{desc} {n_fmt}/{total_fmt} [{elapsed}]"
    with tqdm(total=3, desc="reading the model", bar_format=steps) as bar:
        model = MusicModel.from_pretrained(model_file).eval()
        if out.is_dir() or out.resolve() == Path(model_file).resolve():
            kind = "a folder" if out.is_dir() else "the model itself"
            raise InputError(f"OUT: {out} is {kind}; give the name of a file to write")
        package = load_model_file(model_file)
        package.setdefault("scores", read_test_scores(model_file))
        bar.update()
        with atomic_write(out) as tmp, torch.no_grad():
            bar.set_description(f"writing {format}")
            with _quiet_torch():
                network = write(model, package, tmp)
            bar.update()
            bar.set_description("comparing its masks with the model's")
            difference = max(
                measure(model.masker(x), network(x))
                for x in (_noise(model, N_UNITS), _noise(model, N_UNITS + 1))
            )
            if not difference <= tolerance:  # NaN is refused as well
                raise InputError(
                    f"{out} is not written: as {format} the masks differ by {difference:.1g}, more "
                    f"than {tolerance:g}; train the model (untrained ones are that sensitive) or "
                    "use another format"
                )
            bar.update()
    return difference


def time_unit(model):
    """Frames that fill a whole number of windows at every stage (int)."""
    return model.masker.window[0] * 2 ** len(model.masker.downs)


def describe_network(model):
    """Say what an exported network takes and gives, and what to do around it.

    Args:
        model (TFSWAUNet): the model.

    Returns:
        dict: "stft", "input", "frames" (of torch.export and ONNX) and "output", a line each.
    """
    kind = "its magnitudes"
    if model.mask_type == "complex":
        kind = "the real parts of all channels, then their imaginary parts"
    fb, unit = model.encoder.filterbank, time_unit(model)
    n_bins = fb.n_filters // 2
    return {
        "stft": f"of {fb.n_filters} samples, every {fb.stride}, centred with reflected edges, with "
        "the square root of a periodic Hann window",
        "input": f"map (1, {model.masker.in_chan}, frames, {n_bins}): the STFT of the mixture "
        "without its last bin, divided by the mean of its magnitudes over all channels, frames and "
        f"bins; of this {kind}, the magnitude raised to the power of {model.mag_power:g}",
        "frames": f"a multiple of {unit}, at least {N_UNITS * unit}",
        "output": f"masks (1, {model.n_src} * {model.masker.out_chan}, frames, {n_bins}) to "
        "multiply the STFT of the mixture with, for each source its channels; the last bin takes "
        "the mask of the bin below",
    }


def _write_half(model, package, path):
    weights = package["state_dict"]
    # Biases and statistics of norms are few, and may be too large or too small for float16.
    halves = {name: w.half() if w.ndim > 1 else w for name, w in weights.items()}
    torch.save({**package, "state_dict": halves}, path)
    return type(model).from_pretrained(path).eval().masker


def _write_torchscript(model, package, path):
    network = torch.jit.trace(model.masker, _noise(model, N_UNITS), check_trace=False)
    network.save(path, _extra_files={METADATA: _metadata(model, package)})
    return torch.jit.load(path)


def _write_torch_export(model, package, path):
    with open(path, "wb") as file:
        extra_files = {METADATA: _metadata(model, package)}
        torch.export.save(_program(model), file, extra_files=extra_files)
    with open(path, "rb") as file:  # by name it would have to end in .pt2
        return torch.export.load(file).module()


def _write_onnx(model, package, path):
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as err:
        raise InputError(
            f"format: onnx needs the package {err.name}: pip install 'asteroid-tfswa[onnx]'"
        ) from err
    onnx = torch.onnx.export(
        _program(model), input_names=["map"], output_names=["masks"], dynamo=True, verbose=False
    )
    onnx.model.metadata_props[METADATA] = _metadata(model, package)
    onnx.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(["masks"], {"map": x.numpy()})[0])


def _rms(masks, others):
    return ((masks - others).norm() / masks.norm()).item()


def _largest(masks, others):
    return ((masks - others).abs().max() / masks.abs().max()).item()


# What writes a format and gives back what runs the file; how masks are compared; how far they may
# differ. Float16 moves single masks that hang in the balance, but not what is heard.
FORMATS = {
    "half": (_write_half, _rms, 1e-2),
    "torchscript": (_write_torchscript, _largest, 1e-4),
    "torch_export": (_write_torch_export, _largest, 1e-4),
    "onnx": (_write_onnx, _largest, 1e-4),
}


def _program(model):
    """The network as a graph whose time axis is open."""
    frames = time_unit(model) * torch.export.Dim("units", min=N_UNITS)
    return torch.export.export(
        model.masker, (_noise(model, N_UNITS),), dynamic_shapes=({2: frames},)
    )


@contextlib.contextmanager
def _quiet_torch():
    """Keep back what torch's exporters tell of their own code and of packages they might use."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _noise(model, n_units):
    """A map like that of a noise, (1, in_chan, time, freq)."""
    shape = (1, model.masker.in_chan, n_units * time_unit(model))
    shape += (model.encoder.filterbank.n_filters // 2,)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(n_units))
    return noise.abs() if model.mask_type == "magnitude" else noise


def _metadata(model, package):
    about = {key: value for key, value in package.items() if key != "state_dict"}
    return json.dumps({**about, "network": describe_network(model)}, indent=1, default=str)
