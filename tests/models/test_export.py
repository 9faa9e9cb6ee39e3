"""Exported files: they agree with the model, say how to use them, or do not appear."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from asteroid.models import BaseModel

from asteroid_tfswa import InputError, TFSWAUNet
from asteroid_tfswa.models.card import describe
from asteroid_tfswa.models.export import describe_network, export_model
from tests.trained import make_best_model, make_scores


@pytest.fixture(scope="module")
def best_model(tmp_path_factory):
    return make_best_model(tmp_path_factory.mktemp("exp"))


def load(path):
    return TFSWAUNet.from_pretrained(path).eval()


def network_input(model, wav):
    """What `describe_network` says to do with a mixture, (chan, time), with torch.stft alone."""
    window = torch.hann_window(64).sqrt()
    spec = torch.stft(wav, 64, 16, window=window, return_complex=True)  # (chan, bins + 1, frames)
    spec = spec[:, :-1].transpose(1, 2) / spec[:, :-1].abs().mean()
    spec = spec * spec.abs() ** (model.mag_power - 1)
    parts = [spec.abs()] if model.mask_type == "magnitude" else [spec.real, spec.imag]
    return torch.cat(parts)[None]  # (1, in_chan, frames, bins)


# --- half ----------------------------------------------------------------------------------------


def test_half_is_half_the_size_and_sounds_the_same(tmp_path):
    path = make_best_model(tmp_path / "exp", widths=(64, 96))
    export_model(path, tmp_path / "half.pth")
    assert (tmp_path / "half.pth").stat().st_size < 0.6 * path.stat().st_size
    wav = torch.randn(2, 4000)
    for cls in (TFSWAUNet, BaseModel):
        half = cls.from_pretrained(str(tmp_path / "half.pth")).eval()
        assert {p.dtype for p in half.parameters()} == {torch.float32}
        with torch.no_grad():
            sources, error = load(path)(wav), load(path)(wav) - half(wav)
        assert 0 < error.norm() < 1e-3 * sources.norm()  # 60 dB


def test_half_tells_all_that_the_model_told_and_its_scores(tmp_path):
    path = make_best_model(tmp_path / "exp")
    make_scores(path)
    export_model(path, tmp_path / "elsewhere" / "half.pth")
    before, after = describe(path), describe(tmp_path / "elsewhere" / "half.pth")
    assert before["scores"]["stems"]["vocals"]["SDR"]["median"] == 1.5
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"file", "weights"} and "float16" in after["weights"]


@pytest.mark.parametrize("size, message", [(1e7, "half cannot hold.*stem"), (1e-8, "masks differ")])
def test_weights_that_float16_cannot_hold_are_refused(tmp_path, size, message):
    path = make_best_model(tmp_path / "exp")
    package = torch.load(path, weights_only=True)
    for name in ("0.weight", "0.bias", "1.running_mean"):
        package["state_dict"][f"masker.stem.{name}"] *= size
    package["state_dict"]["masker.stem.1.weight"] /= size  # of the norm: the model is the same
    torch.save(package, path)
    with pytest.raises(InputError, match=message):
        export_model(path, tmp_path / "half.pth")
    assert [p.name for p in tmp_path.iterdir()] == ["exp"]


def test_same_model_gives_the_same_file(best_model, tmp_path):
    for name in ("one.pth", "another.pth"):
        export_model(best_model, tmp_path / name)
    assert (tmp_path / "one.pth").read_bytes() == (tmp_path / "another.pth").read_bytes()


EXPORT = """
import sys
from asteroid_tfswa_cli import main
for format in ("half", "torchscript"):
    try:
        main(["export", sys.argv[1], "small.pth", "--format", format])
    except SystemExit as stop:
        print(stop.code)
"""


def test_full_disk_is_one_line_and_leaves_no_file(best_model, tmp_path):
    # A limit on the size of files fails as a full disk does, in the middle of a file.
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 8 && exec "$@"', "-", sys.executable, "-c", EXPORT, best_model],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "1\n1\n"
    assert done.stderr.count("error: small.pth is not written: File too large; ") == 2
    assert "Traceback" not in done.stderr and list(tmp_path.iterdir()) == []


# --- the network ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes", [{"mag_power": 0.5}, {"mask_type": "complex", "mask_act": "tanh", "mag_power": 0.3}]
)
def test_torchscript_gives_the_masks_of_the_model_at_any_length(tmp_path, changes):
    path = make_best_model(tmp_path / "exp", **changes)
    package = torch.load(path, weights_only=True)
    package["metrics"]["val_loss"] = float("nan")
    torch.save(package, path)
    model = load(path)
    export_model(path, tmp_path / "network.pt", "torchscript")
    extra = {"model.json": ""}
    network = torch.jit.load(tmp_path / "network.pt", _extra_files=extra)
    said = json.loads(extra["model.json"], parse_constant=pytest.fail)  # NaN is no JSON
    assert said["network"] == describe_network(model) and said["dataset"] == "Nine songs"
    assert said["metrics"] == {"val_loss": None, "val_usdr": 4.5, "epoch": 7}
    for length in (400, 1300):
        wav = torch.randn(2, length)
        with torch.no_grad():
            masks = network(network_input(model, wav))  # (1, n_src * out_chan, frames, bins)
            expected = model.forward_masker(model.forward_encoder(wav[None]))
        expected = expected[:, :, :, :32].transpose(-1, -2).flatten(1, 2)
        if changes.get("mask_type") == "complex":
            masks = masks.unflatten(1, (2, 4))[:, :, :2].flatten(1, 2)  # the real parts
        assert masks.shape == expected.shape
        assert torch.allclose(masks, expected, atol=1e-4)


def test_torch_export_takes_multiples_of_its_unit(best_model, tmp_path):
    model = load(best_model)
    assert export_model(best_model, tmp_path / "network.pt2", "torch_export") <= 1e-4
    extra = {"model.json": ""}
    network = torch.export.load(tmp_path / "network.pt2", extra_files=extra).module()
    assert json.loads(extra["model.json"])["network"]["frames"] == "a multiple of 8, at least 24"
    for frames in (24, 88):
        x = torch.rand(1, 2, frames, 32)
        with torch.no_grad():
            assert torch.allclose(network(x), model.masker(x), atol=1e-4)


def test_onnx_takes_multiples_of_its_unit(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="of asteroid-tfswa[onnx]")
    pytest.importorskip("onnxscript", reason="of asteroid-tfswa[onnx]")
    path = make_best_model(tmp_path / "exp", widths=(4,), depths=(1,))
    model = load(path)
    assert export_model(path, tmp_path / "network.onnx", "onnx") <= 1e-4
    assert {p.name for p in tmp_path.iterdir()} == {"exp", "network.onnx"}  # weights are in it
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    said = json.loads(session.get_modelmeta().custom_metadata_map["model.json"])
    assert said["network"]["frames"] == "a multiple of 4, at least 12"
    assert said["licenses"][0]["license"] == "CC BY 4.0"
    for frames in (12, 40):
        x = torch.rand(1, 2, frames, 32)
        (masks,) = session.run(["masks"], {"map": x.numpy()})
        with torch.no_grad():
            assert torch.allclose(torch.from_numpy(masks), model.masker(x), atol=1e-4)


# --- what cannot be ------------------------------------------------------------------------------


def test_the_model_itself_is_never_written_over(best_model, tmp_path):
    before = best_model.read_bytes()
    (tmp_path / "link.pth").symlink_to(best_model)
    for out in (best_model, tmp_path / "link.pth"):
        with pytest.raises(InputError, match="is the model itself"):
            export_model(best_model, out)
    with pytest.raises(InputError, match="is a folder"):
        export_model(best_model, tmp_path)
    assert best_model.read_bytes() == before


def test_unknown_format_and_missing_package_are_named(best_model, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="'flac' is unknown; choose from half, torchscript"):
        export_model(best_model, tmp_path / "out", "flac")
    for name, kind in (("a.ONNX", "onnx"), ("a.pt2", "torch_export"), ("a.ts", "torchscript")):
        with pytest.raises(InputError, match=f"{name} is named as the format {kind}, not half"):
            export_model(best_model, tmp_path / name)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"onnxruntime: pip install 'asteroid-tfswa\[onnx\]'"):
        export_model(best_model, tmp_path / "out.onnx", "onnx")
    assert not list(tmp_path.iterdir())
