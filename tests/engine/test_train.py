"""Training as a user sees it: files, continuing, stopping, several processes, mistakes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch._inductor.config as inductor

from asteroid_tfswa import TFSWAUNet, devices
from asteroid_tfswa.data.songs import read_prepared
from asteroid_tfswa.devices import has_bfloat16
from asteroid_tfswa.engine.resume.position import random_states, set_random_states
from asteroid_tfswa.engine.train import make_system, train
from asteroid_tfswa.errors import InputError
from tests.engine import tiny

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data_dir, tmp_path_factory):
    """A training run of two epochs without a stop."""
    exp_dir = tmp_path_factory.mktemp("exp") / "whole"
    tiny.run(data_dir, exp_dir)
    return exp_dir


def load(path):
    return torch.load(path, weights_only=True)


def last(exp_dir):
    return load(exp_dir / "checkpoints" / "last.ckpt")


@pytest.fixture(scope="module", autouse=True)
def two_processes(data_dir, tmp_path_factory):
    """A command that trains in two processes without ffmpeg; starts while other tests run."""
    exp_dir = tmp_path_factory.mktemp("exp") / "two"
    changes = json.dumps({"batch_size": 2, "epoch_size": 8})
    command = [sys.executable, tiny.__file__, data_dir, exp_dir, "cpu:2", changes]
    env = {**os.environ, "PYTHONPATH": str(REPO), "PATH": "", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process, exp_dir
        process.terminate()


def test_continuing_is_the_same_as_never_stopping(data_dir, whole, tmp_path):
    tiny.run(data_dir, tmp_path, epochs=1)
    assert last(tmp_path)["global_step"] == 3
    tiny.run(data_dir, tmp_path, epochs=2, num_workers=2)
    a, b = last(whole), last(tmp_path)
    assert a["global_step"] == b["global_step"] == 6
    for key, weight in a["state_dict"].items():
        assert torch.equal(weight, b["state_dict"][key]), key
    lr_a, lr_b = (c["optimizer_states"][0]["param_groups"][0]["lr"] for c in (a, b))
    assert lr_a == lr_b < 0.01
    assert load(whole / "best_model.pth")["metrics"] == load(tmp_path / "best_model.pth")["metrics"]


def test_a_machine_where_auto_is_another_precision_is_told(data_dir, tmp_path, monkeypatch, capsys):
    for has, epochs in ((True, 1), (True, 2), (False, 3)):
        assert "auto" not in capsys.readouterr().err
        monkeypatch.setattr(devices, "has_bfloat16", lambda _, has=has: has)
        tiny.run(data_dir, tmp_path, epochs=epochs, precision="auto")
    line = "warning: precision: auto is 32-true here, and was bf16-mixed so far"
    assert line in capsys.readouterr().err.splitlines()


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on a CPU")
def test_a_training_run_continues_with_torch_compile(data_dir, whole, tmp_path, monkeypatch):
    # Trust the CPU's list of instructions, each of which takes seconds to try.
    monkeypatch.setattr(inductor.cpp, "vec_isa_ok", True)
    valid = {"valid_segment": 3.0}  # one batch to validate on: every shape compiles for seconds
    tiny.run(data_dir, tmp_path, epochs=1, **valid)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    tiny.run(data_dir, tmp_path, compile=True, **valid)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > graphs
    a, b = last(whole), last(tmp_path)
    assert a["state_dict"].keys() == b["state_dict"].keys()
    for key, weight in a["state_dict"].items():
        torch.testing.assert_close(weight, b["state_dict"][key], rtol=0, atol=1e-5)


def test_torch_compile_without_a_compiler_is_named(data_dir, tmp_path):
    command = [
        sys.executable,
        tiny.__file__,
        data_dir,
        tmp_path / "exp",
        "cpu",
        '{"compile": true}',
    ]
    env = {**os.environ, "PYTHONPATH": str(REPO), "PATH": "", "CXX": "", "OMP_NUM_THREADS": "1"}
    env["TORCHINDUCTOR_CACHE_DIR"] = str(tmp_path / "cache")
    process = subprocess.run(command, env=env, capture_output=True, text=True)
    assert process.returncode != 0
    *_, line = process.stderr.strip().splitlines()
    assert line.startswith("error: compile: torch.compile does not work here (")
    assert line.endswith("); set compile to false")


def test_what_is_written(whole):
    package = load(whole / "best_model.pth")
    assert package["dataset"] == "tiny"
    assert package["licenses"][0]["license"] == "CC0"
    assert package["training_config"] == tiny.make_conf()
    of_stems = {f"{kind}/{s}" for kind in ("val_usdr", "val_csdr") for s in tiny.SOURCES}
    assert set(package["metrics"]) == {"val_loss", "val_usdr", "val_csdr", "epoch"} | of_stems
    model = tiny.TinyModel.from_pretrained(str(whole / "best_model.pth"))
    best = load(whole / "checkpoints" / "best.ckpt")
    assert package["metrics"]["epoch"] == best["epoch"] + 1
    assert torch.equal(model.conv.weight, best["state_dict"]["model.conv.weight"])
    assert any((whole / "logs").glob("events.*"))
    assert (whole / "conf.yml").exists()
    assert not list(whole.rglob("*.tmp*"))


def test_a_complete_training_run_is_left_alone(data_dir, whole, tmp_path):
    exp_dir = shutil.copytree(whole, tmp_path / "copy")
    before = (exp_dir / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    (exp_dir / "best_model.pth").unlink()
    assert tiny.run(data_dir, exp_dir) == exp_dir / "best_model.pth"
    assert (exp_dir / "best_model.pth").exists()
    assert (exp_dir / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before


def test_two_ways_to_spend_memory_exclude_each_other(data_dir, tmp_path):
    model = TFSWAUNet(
        sources=tiny.SOURCES,
        sample_rate=tiny.RATE,
        widths=[4],
        depths=[1],
        n_heads=[1],
        gradient_checkpointing=True,
    )
    with pytest.raises(InputError, match="gradient_checkpointing: true .* compile: true"):
        train(model, read_prepared(data_dir), tiny.make_conf(compile=True), tmp_path, "cpu")


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"lr": 0.1}, "^lr: 0.1 differs from 0.01"),
        ({"loss": "mse"}, "^loss: .*mse.* differs from .*l1"),
        ({"epochs": 3, "gain_max": 0.9}, "^gain_max: 0.9 differs from 1.0"),
        ({"epochs": 3, "devices": "cpu:2"}, "devices"),
    ],
)
def test_another_configuration_is_refused(data_dir, whole, changes, named):
    with pytest.raises(InputError, match=named):
        tiny.run(data_dir, whole, **changes)


def test_a_damaged_checkpoint_is_named(data_dir, whole, tmp_path):
    exp_dir = shutil.copytree(whole, tmp_path / "copy")
    path = exp_dir / "checkpoints" / "last.ckpt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="last.ckpt"):
        tiny.run(data_dir, exp_dir, epochs=3)


def test_nan_stops_with_the_place(data_dir, tmp_path, monkeypatch):
    good = tiny.TinyModel.forward

    def breaks_in_second_epoch(self, wave):
        self.calls = getattr(self, "calls", 0) + self.training
        return good(self, wave) * (float("nan") if self.calls > 4 else 1)

    monkeypatch.setattr(tiny.TinyModel, "forward", breaks_in_second_epoch)
    with pytest.raises(InputError, match=r"not a finite number in 2 .* \(epoch 2, step 6\); lower"):
        tiny.run(data_dir, tmp_path)
    assert last(tmp_path)["epoch"] == 0
    assert load(tmp_path / "best_model.pth")["metrics"]["epoch"] == 1


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_damaged_song_gives_one_line(data_dir, tmp_path, num_workers):
    copy = shutil.copytree(data_dir, tmp_path / "data")
    for song in "abc":
        path = copy / "train" / song / "drums.wav"
        path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(InputError, match=r"drums.wav: has changed since it was prepared") as caught:
        tiny.run(copy, tmp_path / "exp", num_workers=num_workers)
    assert "\n" not in str(caught.value)


def test_a_moved_training_run_knows_its_best_epoch(data_dir, tmp_path):
    changes = {"lr": 1.0, "lr_decay": 1.0}  # diverges: the first epoch is the best
    tiny.run(data_dir, tmp_path / "here", epochs=1, **changes)
    (tmp_path / "here").rename(tmp_path / "there")
    tiny.run(data_dir, tmp_path / "there", epochs=2, **changes)
    assert load(tmp_path / "there" / "best_model.pth")["metrics"]["epoch"] == 1
    assert last(tmp_path / "there")["epoch"] == 1


def test_how_to_separate_may_change(data_dir, whole):
    data, conf = read_prepared(data_dir), tiny.make_conf()
    train(tiny.TinyModel(), data, {**conf, "separation": {"overlap": 0.5}}, whole, "cpu")


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"devices": "64"}, "devices: GPU 64 does not exist"),
        ({"devices": "1,1"}, "devices: '1,1' names a GPU twice"),
        ({"devices": "gpu"}, "devices: 'gpu'"),
        ({"precision": "16"}, "precision: '16'"),
        ({"precision": "16-mixed"}, "16-mixed needs a GPU"),
        ({"loss": "sdr"}, "loss: 'sdr' is unknown; choose from l1"),
        ({"epoch_size": 3}, "epoch_size: 3"),
        ({"segment": 2.2}, "segment: 2.2 s is longer than the song 'c'"),
        ({"sample_rate": 44100}, "sample_rate: 44100 and 8000"),
        ({"sources": ["drums", "vocals"]}, "sources"),
    ],
)
def test_mistakes_are_named(data_dir, tmp_path, changes, named):
    with pytest.raises(InputError, match=named):
        tiny.run(data_dir, tmp_path / "exp", **changes)
    assert not (tmp_path / "exp").exists()


def test_a_configuration_of_an_earlier_version_is_named(data_dir, tmp_path):
    conf = tiny.make_conf()
    del conf["optim"]["freeze"], conf["optim"]["ema_decay"]
    with pytest.raises(InputError, match="^optim: ema_decay, freeze is missing; this version's"):
        train(tiny.TinyModel(), read_prepared(data_dir), conf, tmp_path / "exp", "cpu")
    assert not (tmp_path / "exp").exists()


def test_a_step_is_the_mean_over_its_batches_also_if_the_last_one_has_fewer(data_dir, tmp_path):
    weights = []
    for accumulate in (3, 8):  # an epoch has 3 batches
        options = {"accumulate": accumulate, "optimizer": "sgd", "epochs": 1, "warmup_steps": 0}
        tiny.run(data_dir, tmp_path / str(accumulate), **options)
        weights.append(last(tmp_path / str(accumulate))["state_dict"]["model.conv.weight"])
    torch.testing.assert_close(*weights)


def test_a_new_run_needs_batches_of_which_something_can_be_left_out(data_dir, tmp_path):
    with pytest.raises(InputError, match="l1_trimmed needs batches of at least 10 stems: got 8; r"):
        tiny.run(data_dir, tmp_path, loss="l1_trimmed")


def test_a_run_on_the_cpu_leaves_a_gpu_alone(data_dir, monkeypatch):
    """Pinned memory and a GPU's random state would take memory there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", None)
    monkeypatch.setattr(torch.cuda, "set_rng_state", None)
    data, device = read_prepared(data_dir), torch.device("cpu")
    system = make_system(tiny.TinyModel(), data, tiny.make_conf(), 3, "")
    assert not system.train_loader.pin_memory and not system.val_loader.pin_memory
    states = random_states(device)
    set_random_states({**states, "cuda": None}, device)  # of an earlier version


def test_accumulated_bfloat16_with_each_loss(data_dir, tmp_path):
    for loss in ("mse", "multi_scale_spectral"):
        changes = {"loss": loss, "accumulate": 2, "precision": "bf16-mixed", "epochs": 1}
        tiny.run(data_dir, tmp_path / loss, **changes)
        assert last(tmp_path / loss)["global_step"] == 2  # of 3 batches


def test_auto_trains_in_the_precision_that_the_device_has(data_dir, tmp_path):
    weights = {}
    for precision in ("auto", "bf16-mixed", "32-true"):
        tiny.run(data_dir, tmp_path / precision, precision=precision, epochs=1)
        weights[precision] = last(tmp_path / precision)["state_dict"]["model.conv.weight"]
    assert not torch.equal(weights["bf16-mixed"], weights["32-true"])
    own = "bf16-mixed" if has_bfloat16("cpu") else "32-true"
    assert torch.equal(weights["auto"], weights[own])


def test_two_processes_train_and_score_as_one(data_dir, two_processes, tmp_path):
    """Their batches together are the batch of one: no item drawn twice, none left out."""
    tiny.run(data_dir, tmp_path, batch_size=4, epoch_size=8)
    process, exp_dir = two_processes
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.count("val_usdr") == 2  # one line for each epoch, from one process
    assert "Warning" not in err
    one, two = last(tmp_path), last(exp_dir)
    del one["state_dict"]["model.norm.running_var"]  # within halves of a batch it is another one
    for key, weight in one["state_dict"].items():
        torch.testing.assert_close(weight, two["state_dict"][key], atol=1e-6, rtol=1e-5)
    assert one["metrics"] == pytest.approx(two["metrics"], rel=1e-5)
