"""What a model is made from: runs, checkpoints, bare weights, hubs; and forged or damaged files."""

import contextlib
import http.server
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
import yaml

from asteroid_tfswa import InputError, TFSWAUNet
from asteroid_tfswa.cli import main
from asteroid_tfswa.models.base import MusicModel
from asteroid_tfswa.models.loading import find_model_file
from tests.conftest import SMALL

CONF = {
    "data": {"sources": SMALL["sources"], "sample_rate": 8000},
    "filterbank": {key: SMALL[key] for key in ("n_filters", "kernel_size", "stride")},
    "masknet": {key: list(SMALL[key]) for key in ("widths", "depths", "n_heads", "window")}
    | {"n_bands": 2},
}


@pytest.fixture
def model(make_model):
    model = make_model()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.01 * torch.rand_like(weight))
    return model


def is_same(model, path):
    other = MusicModel.from_pretrained(path).eval()
    wav = torch.randn(2, 600)
    with torch.no_grad():
        return type(other) is TFSWAUNet and torch.equal(model(wav), other(wav))


def checkpoint(model, prefix="model.", **changes):
    """As Lightning saves it, with weights of the loss beside those of the model."""
    weights = {prefix + name: value for name, value in model.state_dict().items()}
    weights["loss_func.window"] = torch.ones(4)
    metrics = {"val_loss": 0.5, "val_usdr": 4.25}
    return {
        "state_dict": weights,
        "training_config": CONF,
        "metrics": metrics,
        "epoch": 6,
    } | changes


# --- what a training run leaves ------------------------------------------------------------------


def test_folder_of_a_run_gives_its_best_model(model, make_model, tmp_path):
    worse = make_model()
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    torch.save(checkpoint(worse), tmp_path / "run/checkpoints/last.ckpt")
    assert is_same(worse, tmp_path / "run")
    torch.save(checkpoint(model), tmp_path / "run/checkpoints/best.ckpt")
    assert is_same(model, tmp_path / "run") and is_same(model, tmp_path / "run/checkpoints")
    torch.save(worse.serialize(), tmp_path / "run/best_model.pth")
    assert is_same(worse, str(tmp_path / "run"))


@pytest.mark.parametrize("prefix", ["model.", "model._orig_mod."])
def test_checkpoint_alone_is_enough(model, tmp_path, capsys, prefix):
    torch.save(checkpoint(model, prefix), tmp_path / "last.ckpt")
    assert is_same(model, tmp_path / "last.ckpt")
    main(["info", str(tmp_path / "last.ckpt")])
    assert "val_usdr 4.25, epoch 7" in capsys.readouterr().out
    main(["export", str(tmp_path / "last.ckpt"), str(tmp_path / "half.pth")])
    assert MusicModel.from_pretrained(tmp_path / "half.pth").sources == ["vocals", "drums"]


@pytest.mark.parametrize("prefix", ["", "_orig_mod.", "module.", "module._orig_mod.", "model."])
def test_bare_weights_beside_their_configuration(model, tmp_path, prefix):
    weights = {prefix + name: value for name, value in model.state_dict().items()}
    torch.save(weights, tmp_path / "weights.pth")
    torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "others.pth")
    for name in ("weights.pth", "others.pth"):
        with pytest.raises(InputError, match=f"{name} holds weights but.*put the conf.yml"):
            MusicModel.from_pretrained(tmp_path / name)
    (tmp_path / "conf.yml").write_text(yaml.safe_dump(CONF))
    assert is_same(model, tmp_path / "weights.pth") and is_same(model, tmp_path / "others.pth")


def test_compiled_model_is_saved_and_loaded(model, tmp_path):
    compiled = torch.compile(model, backend="eager")
    torch.save(compiled.state_dict(), tmp_path / "weights.pth")
    assert all(name.startswith("_orig_mod.") for name in compiled.state_dict())
    (tmp_path / "conf.yml").write_text(yaml.safe_dump(CONF))
    assert is_same(model, tmp_path / "weights.pth")
    package = {**compiled.serialize(), "state_dict": compiled.state_dict()}
    torch.save(package, tmp_path / "model.pth")
    assert is_same(model, tmp_path / "model.pth")


@pytest.mark.parametrize(
    "change", [{"data": {}}, {"filterbank": None}, {"masknet": {1: 2}}, {"data": ["sources"]}]
)
def test_configuration_that_does_not_say_what_the_model_is(model, tmp_path, change):
    torch.save(checkpoint(model, training_config={**CONF, **change}), tmp_path / "last.ckpt")
    with pytest.raises(InputError, match="last.ckpt"):
        MusicModel.from_pretrained(tmp_path / "last.ckpt")


@pytest.mark.parametrize("content", [{}, [], {"state_dict": {}}, {"epoch": 1}, {"a": [1]}])
def test_checkpoint_without_weights(tmp_path, content):
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(InputError, match="last.ckpt is not a model: it h"):
        MusicModel.from_pretrained(tmp_path / "last.ckpt")


def test_folder_without_a_model_names_the_command(tmp_path):
    with pytest.raises(InputError, match="is a folder without a model.*run.sh --stage 1"):
        MusicModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("source", [None, 3, io.BytesIO(b"PK"), b"model.pth"])
def test_what_is_neither_a_path_nor_a_dictionary(source):
    kind = type(source).__name__
    with pytest.raises(InputError, match=f"^a model is a file, a folder.*: got a {kind}$"):
        MusicModel.from_pretrained(source)


def test_weights_that_no_filterbank_has_are_refused(model):
    weights = {**model.state_dict(), "encoder.gain": torch.ones(1)}
    with pytest.raises(RuntimeError, match='Unexpected key.*"encoder.gain"'):
        model.load_state_dict(weights)


# --- paths and hubs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["model", "exp/mistyped", "no/such/run", "user/model.pth", "../model", "~/model", "/model", ""]
    + ["user/a b", "C:\\model", "a\0b", "user/model\n"],
)
def test_mistyped_path_does_not_go_to_a_hub(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("exp").mkdir()
    with pytest.raises(InputError) as info:
        find_model_file(name)
    assert str(info.value).startswith(f"model file not found: {name!r}; check the path")


@contextlib.contextmanager
def hub(files, folder):
    """Serve files under their paths.

    Args:
        files (dict): bytes by path, "/user/model/resolve/main/pytorch_model.bin" for example.
        folder (Path): for caches.

    Yields:
        callable: runs a Python program with arguments that asks this hub, and returns what
        `subprocess.run` does.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):  # noqa: N802
            self.do_GET()

        def do_GET(self):  # noqa: N802
            data = files.get(self.path)
            self.send_response(200 if data else 404)
            if data:
                self.send_header("X-Repo-Commit", "0" * 40)
                self.send_header("ETag", f'"{len(data)}"')
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if data and self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "ASTEROID_CACHE": str(folder / "cache"),
        "HF_HOME": str(folder / "home"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "NO_PROXY": "127.0.0.1",
    }

    def run(program, *arguments):
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=120,
        )

    try:
        yield run
    finally:
        server.shutdown()
        server.server_close()


LOAD_EACH = """
import sys
from asteroid_tfswa.cli import main
for name in sys.argv[1:]:
    try:
        main(["info", name])
    except SystemExit as stop:
        print("status", stop.code)
"""


def test_names_on_a_hub_have_dots_and_revisions(model, tmp_path):
    torch.save(model.serialize(), tmp_path / "model.pth")
    data = (tmp_path / "model.pth").read_bytes()
    paths = [f"/user/model-v1.0/resolve/{rev}/pytorch_model.bin" for rev in ("main", "v2.1")]
    with hub(dict.fromkeys(paths, data), tmp_path) as run:
        done = run(LOAD_EACH, "user/model-v1.0", "user/model-v1.0@v2.1", "user/no")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("vocals, drums") == 2 and done.stdout.endswith("status 1\n")
    assert done.stderr.startswith("error: user/no is no file here, and cannot be downloaded")
    assert done.stderr.count("\n") == 1
