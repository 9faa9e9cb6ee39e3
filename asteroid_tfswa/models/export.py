"""Models for other users and programs: half the size, or as TorchScript, torch.export or ONNX.

All but the first hold the network without the STFT and its inverse. Each carries a text
"model.json": what is saved with the model except its weights, and how to use the network.
"""

import contextlib
import io
import json
import logging
import warnings
from pathlib import Path

import torch
from tqdm import tqdm

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.models.base import build_model
from asteroid_tfswa.models.card import read_test_scores
from asteroid_tfswa.models.loading import find_model_file, load_model_file, network_weights

METADATA = "model.json"
# Units of `time_unit` that a network is traced with. With fewer, some stage has a single window,
# and torch.export specialises on it.
N_UNITS = 3


def export_model(model_file, out, format="half"):
    """Write a model in another format, after a check that its masks agree with the model's.

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
    convert, measure, tolerance = FORMATS[format]
    steps = "{desc} {n_fmt}/{total_fmt} [{elapsed}]"
    with tqdm(total=3, desc="reading the model", bar_format=steps) as bar, torch.no_grad():
        file = find_model_file(model_file)
        if out.is_dir() or out.resolve() == file.resolve():
            kind = "a folder" if out.is_dir() else "the model itself"
            raise InputError(f"OUT: {out} is {kind}; give the name of a file to write")
        package = load_model_file(file)
        model = build_model(package, file).eval()
        package = {"scores": read_test_scores(file), **package}
        bar.update()
        bar.set_description(f"converting to {format}")
        with _quiet_torch():
            data, network = convert(model, package)
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
        try:
            with atomic_write(out) as tmp:
                tmp.write_bytes(data)
        except OSError as err:
            raise InputError(
                f"{out} is not written: {err.strerror}; {len(data) / 1e6:.1f} MB are needed there"
            ) from err
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


def _half(model, package):
    weights = network_weights(package["state_dict"])
    # Biases and statistics of norms are few, and may be too large or too small for float16.
    halves = {name: w.half() if w.ndim > 1 else w for name, w in weights.items()}
    for name, weight in halves.items():
        if weight.is_floating_point() and not weight.isfinite().all():
            raise InputError(
                f"format: half cannot hold the weights {name}, of up to "
                f"{weights[name].abs().max():.1g}; use another format"
            )
    package = {**package, "state_dict": halves}
    file = io.BytesIO()
    torch.save(package, file)
    return file.getvalue(), build_model(package, "the half model").eval().masker


def _torchscript(model, package):
    network = torch.jit.trace(model.masker, _noise(model, N_UNITS), check_trace=False)
    file = io.BytesIO()
    torch.jit.save(network, file, _extra_files={METADATA: _metadata(model, package)})
    return file.getvalue(), torch.jit.load(io.BytesIO(file.getvalue()))


def _torch_export(model, package):
    file = io.BytesIO()
    torch.export.save(_program(model), file, extra_files={METADATA: _metadata(model, package)})
    return file.getvalue(), torch.export.load(io.BytesIO(file.getvalue())).module()


def _onnx(model, package):
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
    data = onnx.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return data, lambda x: torch.from_numpy(session.run(["masks"], {"map": x.numpy()})[0])


def _rms(masks, others):
    return ((masks - others).norm() / masks.norm()).item()


def _largest(masks, others):
    return ((masks - others).abs().max() / masks.abs().max()).item()


# For each format: what makes the file's bytes and a callable that runs them; the distance of masks;
# the tolerance. Float16 moves a few undecided masks, inaudibly.
FORMATS = {
    "half": (_half, _rms, 1e-2),
    "torchscript": (_torchscript, _largest, 1e-4),
    "torch_export": (_torch_export, _largest, 1e-4),
    "onnx": (_onnx, _largest, 1e-4),
}


def _program(model):
    """The network as a graph whose time axis is open."""
    frames = time_unit(model) * torch.export.Dim("units", min=N_UNITS)
    return torch.export.export(
        model.masker, (_noise(model, N_UNITS),), dynamic_shapes=({2: frames},)
    )


@contextlib.contextmanager
def _quiet_torch():
    """Suppress what torch's exporters say about their own code and optional packages."""
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
