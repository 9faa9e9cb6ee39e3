"""Models for other users and programs: half the size, or as TorchScript, torch.export or ONNX.

All but the first hold the network without the STFT and its inverse, unless an ONNX file takes
waveforms. Each carries a text "model.json": what is saved with the model except its weights, and
how to use the network.
"""

import contextlib
import functools
import io
import json
import logging
import warnings
from pathlib import Path

import torch
from tqdm import tqdm

from asteroid_tfswa.arguments import refusal
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.models.base import build_model
from asteroid_tfswa.models.card import plain, read_test_scores
from asteroid_tfswa.models.loading import find_model_file, load_model_file, network_weights
from asteroid_tfswa.models.waveform import WaveformNetwork
from asteroid_tfswa.separate.stream import OVERLAP, SEGMENT, SEGMENTS

METADATA = "model.json"
# Units of `time_unit` that a network is traced with. With fewer, some stage has a single window,
# and torch.export specialises on it.
N_UNITS = 3


def export_model(model_file, out, format="half", waveform=False, segment=SEGMENT):
    """Write a model in another format, after a check that its output agrees with the model's.

    Args:
        model_file (str or Path): what `TFSWAUNet.from_pretrained` takes.
        out (str or Path): the file to write.
        format (str): ``"half"``: a model file like the other, its matrices and kernels in float16;
            `from_pretrained` gives a float32 model. ``"torchscript"``, ``"torch_export"``,
            ``"onnx"``: the network alone, in float32. TorchScript takes any number of maps of any
            length; the others one, of the lengths that `describe_network` gives.
            Default ``"half"``.
        waveform (bool): for ``"onnx"``: the whole model, with the STFT and its inverse, for
            mixtures of one length; see `describe_waveform`. Default False.
        segment (float): that length in seconds, 0.01 to 600. Default 6.

    Returns:
        float: by how much the masks of a noise differ, or with `waveform` its sources: for
        ``"half"`` the root mean square as a share of that of the masks, at most 1e-2; for the
        others the largest difference as a share of the largest value, at most 1e-4.

    Raises:
        InputError: if the model cannot be read, `out` is a folder, the model itself or has the
            suffix of another format, a package is missing, an option is out of range, or the
            outputs differ by more.
    """
    out = Path(out)
    _check_options(out, format, waveform, segment)
    convert, measure, tolerance = FORMATS[format]
    outputs = "sources" if waveform else "masks"
    steps = "{desc} {n_fmt}/{total_fmt} [{elapsed}]"
    with tqdm(total=3, desc="reading the model", bar_format=steps) as bar, torch.no_grad():
        file = find_model_file(model_file)
        if out.resolve() == file.resolve():
            raise InputError(f"OUT: {out} is the model itself; give the name of a file to write")
        package = load_model_file(file)
        model = build_model(package, file).eval()
        package = {"scores": read_test_scores(file), **package}
        bar.update()
        bar.set_description(f"converting to {format}")
        if waveform:
            length = max(round(segment * model.sample_rate), 2)
            inputs = [_noise_waveform(model, length, seed) for seed in (0, 1)]
            original = model.forward_waveforms
            convert = functools.partial(_onnx_waveform, length=length)
        else:
            inputs = [_noise(model, n_units) for n_units in (N_UNITS, N_UNITS + 1)]
            original = model.masker
        with _quiet_torch():
            data, network = convert(model, package)
        bar.update()
        bar.set_description(f"comparing its {outputs} with the model's")
        difference = max(measure(original(x), network(x)) for x in inputs)
        if not difference <= tolerance:  # NaN is refused as well
            raise InputError(
                f"{out} is not written: as {format} the {outputs} differ by {difference:.1g}, more "
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


def _check_options(out, format, waveform, segment):
    """Refuse what needs no look at the model."""
    if out.is_dir():
        raise InputError(f"OUT: {out} is a folder; give the name of a file to write")
    if format not in FORMATS:
        raise InputError(f"format: {format!r} is unknown; choose from {', '.join(FORMATS)}")
    implied = SUFFIXES.get(out.suffix.lower(), format)
    if implied != format:
        raise InputError(
            f"OUT: {out} is named as the format {implied}, not {format}; choose --format {implied} "
            "or another name"
        )
    if waveform and format != "onnx":
        raise InputError(f"waveform: only the format onnx holds the STFT, not {format}")
    if not SEGMENTS[0] <= segment <= SEGMENTS[1]:
        raise refusal("segment", f"{SEGMENTS[0]:g} to {SEGMENTS[1]:g} seconds", segment)


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


def describe_waveform(model, length):
    """Say what an exported model with its STFT takes and gives, and how to join its chunks.

    Args:
        model (TFSWAUNet): the model.
        length (int): samples of a chunk.

    Returns:
        dict: "chunk" and "overlap" in samples, "sample_rate" in Hz, "channels", "sources",
        "latency" in seconds (a sample's output is known when its chunk is full), and "join", a
        line.
    """
    return {
        "chunk": length,
        "overlap": round(length * OVERLAP),
        "sample_rate": model.sample_rate,
        "channels": model.in_channels,
        "sources": model.sources,
        "latency": length / model.sample_rate,
        "join": "chunks begin every chunk - overlap samples and fade into each other over the "
        "middle half of the overlap; the last one begins chunk samples before the end; shorter "
        "songs are repeated to fill a chunk",
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
    torch.jit.save(
        network, file, _extra_files={METADATA: _metadata(package, network=describe_network(model))}
    )
    return file.getvalue(), torch.jit.load(io.BytesIO(file.getvalue()))


def _torch_export(model, package):
    file = io.BytesIO()
    torch.export.save(
        _program(model),
        file,
        extra_files={METADATA: _metadata(package, network=describe_network(model))},
    )
    return file.getvalue(), torch.export.load(io.BytesIO(file.getvalue())).module()


def _onnx(model, package):
    return _write_onnx(
        lambda: _program(model), "map", "masks", _metadata(package, network=describe_network(model))
    )


def _onnx_waveform(model, package, length):
    network = WaveformNetwork(model, length).eval()
    about = _metadata(package, waveform=describe_waveform(model, length))
    wav = _noise_waveform(model, length, seed=0)
    return _write_onnx(lambda: torch.export.export(network, (wav,)), "mixture", "sources", about)


def _write_onnx(program, input_name, output_name, about):
    """Convert what `program` exports; return the file's bytes and a callable that runs them."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as err:
        raise InputError(
            f"format: onnx needs the package {err.name}: pip install 'asteroid-tfswa[onnx]'"
        ) from err
    onnx = torch.onnx.export(
        program(), input_names=[input_name], output_names=[output_name], dynamo=True, verbose=False
    )
    onnx.model.metadata_props[METADATA] = about
    data = onnx.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return data, lambda x: torch.from_numpy(session.run([output_name], {input_name: x.numpy()})[0])


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
# What a file of these names is taken for; ".pt" and ".pth" are used for all kinds.
SUFFIXES = {".ts": "torchscript", ".pt2": "torch_export", ".onnx": "onnx"}


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


def _noise_waveform(model, length, seed):
    """A white noise, (1, in_channels, length)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, model.in_channels, length, generator=generator) / 4


def _metadata(package, **uses):
    about = {key: value for key, value in package.items() if key != "state_dict"}
    try:
        about = plain(about)
    except RecursionError:
        raise InputError(
            "MODEL: what it says besides its weights is too long; it is damaged or was changed"
        ) from None
    return json.dumps({**about, **uses}, indent=1, allow_nan=False)
