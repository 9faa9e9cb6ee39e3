"""Where training continues: damaged and missing checkpoints, other versions, other data."""

import shutil

import pytest
import soundfile
import torch

from asteroid_tfswa.data.songs import read_prepared
from asteroid_tfswa.engine.train import train
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.locks import locked
from tests.engine import tiny

DIVERGES = {"lr": 1.0, "lr_decay": 1.0}  # the first epoch is the best


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def done(data_dir, tmp_path_factory):
    """A run of two epochs, the first of which is the best."""
    exp_dir = tmp_path_factory.mktemp("exp") / "done"
    tiny.run(data_dir, exp_dir, **DIVERGES)
    return exp_dir


@pytest.fixture
def exp_dir(done, tmp_path):
    return shutil.copytree(done, tmp_path / "exp")


def load(path):
    return torch.load(path, weights_only=True)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit_of_the_weights(path):
    weights, data = load(path)["state_dict"]["model.conv.weight"], bytearray(path.read_bytes())
    data[data.index(weights.numpy().tobytes()) + 3] ^= 64
    path.write_bytes(data)


def change(**entries):
    """Function that replaces entries of a checkpoint; None removes one."""

    def damage(path):
        content = {**load(path), **entries}
        torch.save({key: value for key, value in content.items() if value is not None}, path)

    return damage


DAMAGE = {
    "truncated": truncate,
    "a bit flipped": flip_a_bit_of_the_weights,
    "a list": lambda path: torch.save([1, 2], path),
    "an empty dict": lambda path: torch.save({}, path),
    "text": lambda path: path.write_text("nothing"),
    "a foreign one": change(training_config=None),
    "another network": change(state_dict={"model.conv.weight": torch.zeros(2, 2, 9)}),
    "another version": change(optimizer_states=[{"state": 5}]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_last_epoch_is_one_line_whose_remedy_works(data_dir, exp_dir, damage):
    last = exp_dir / "checkpoints/last.ckpt"
    weights = load(last)["state_dict"]["model.conv.weight"]
    DAMAGE[damage](last)
    message = r"^\S*last\.ckpt.*; remove it to continue after epoch 1, from best\.ckpt$"
    with pytest.raises(InputError, match=message):
        tiny.run(data_dir, exp_dir, epochs=3, **DIVERGES)
    assert load(exp_dir / "best_model.pth")["metrics"]["epoch"] == 1
    last.unlink()
    tiny.run(data_dir, exp_dir, **DIVERGES)
    assert torch.equal(load(last)["state_dict"]["model.conv.weight"], weights)


def test_both_checkpoints_damaged(data_dir, exp_dir):
    for path in (exp_dir / "checkpoints").iterdir():
        truncate(path)
    with pytest.raises(InputError, match=r"last\.ckpt.*; choose another exp_dir, or remove"):
        tiny.run(data_dir, exp_dir, epochs=3, **DIVERGES)
    assert load(exp_dir / "best_model.pth")["metrics"]["epoch"] == 1


@pytest.mark.parametrize("damage", ["truncated", "a bit flipped", "a foreign one", "missing"])
@pytest.mark.parametrize("has_model", [True, False])
def test_a_damaged_best_epoch_does_not_stop_the_run(data_dir, exp_dir, capsys, damage, has_model):
    best, best_model = exp_dir / "checkpoints/best.ckpt", exp_dir / "best_model.pth"
    {**DAMAGE, "missing": lambda path: path.unlink()}[damage](best)
    if not has_model:
        best_model.unlink()
    tiny.run(data_dir, exp_dir, epochs=3, **DIVERGES)
    lines = capsys.readouterr().err.splitlines()
    found = "best_model.pth has the best epoch" if has_model else "the last epoch takes its place"
    assert len(lines) == 1 and str(best) in lines[0] and found in lines[0]
    assert load(exp_dir / "checkpoints/last.ckpt")["epoch"] == 2
    epoch = load(best_model)["metrics"]["epoch"]
    assert epoch == 1 if has_model else epoch in (2, 3)
    tiny.run(data_dir, exp_dir, epochs=4, **DIVERGES)
    assert load(best_model)["metrics"]["epoch"] == epoch or not has_model


def test_a_model_without_checkpoints_is_not_trained_over(data_dir, exp_dir):
    best_model = exp_dir / "best_model.pth"
    shutil.rmtree(exp_dir / "checkpoints")
    before = best_model.read_bytes()
    message = r"best_model\.pth is from a run of 2 epochs, not 3; choose another exp_dir"
    with pytest.raises(InputError, match=message):
        tiny.run(data_dir, exp_dir, epochs=3, **DIVERGES)
    with pytest.raises(InputError, match="^lr: 0.5 differs from 1.0"):
        tiny.run(data_dir, exp_dir, **{**DIVERGES, "lr": 0.5})
    model = tiny.TinyModel()
    data, conf = read_prepared(data_dir), tiny.make_conf(**DIVERGES)
    assert train(model, data, conf, exp_dir, "cpu") == best_model  # complete: as it was
    assert best_model.read_bytes() == before
    assert torch.equal(model.conv.weight, load(best_model)["state_dict"]["conv.weight"])
    best_model.write_bytes(before[:1000])
    with pytest.raises(InputError, match=r"best_model\.pth is damaged .*; choose another exp_dir"):
        tiny.run(data_dir, exp_dir, **DIVERGES)


def test_keys_of_other_versions(data_dir, exp_dir):
    """A key that the run did not have counts as its default; a removed one is ignored. A loss was
    one name."""
    for path in (exp_dir / "checkpoints").iterdir():
        config = load(path)["training_config"]
        config["optim"]["gone"] = 5
        assert config["training"]["loss"] == "l1"
        change(training_config=config, data_fingerprint=None)(path)
    data, conf = read_prepared(data_dir), tiny.make_conf(epochs=3, **DIVERGES)
    conf["training"]["ema"] = 0.0
    defaults = {"training": {"ema": 0.0}}
    with pytest.raises(InputError, match="^ema: 0.9 differs from 0.0"):
        other = {**conf, "training": {**conf["training"], "ema": 0.9}}
        train(tiny.TinyModel(), data, other, exp_dir, "cpu", defaults)
    del conf["training"]["ema"]
    conf["training"]["loss"] = {"l1": 1.0}
    train(tiny.TinyModel(), data, conf, exp_dir, "cpu", defaults)
    assert load(exp_dir / "checkpoints/last.ckpt")["epoch"] == 2


def test_a_run_of_an_earlier_version_continues(data_dir, tmp_path):
    """Versions before 0.2 saved Lightning's state after an epoch; here a new one is stripped to
    that. Some of their keys were in another section, and some that exist now were not there."""
    tiny.run(data_dir, tmp_path / "whole")
    tiny.run(data_dir, tmp_path / "old", epochs=1)
    for path in (tmp_path / "old/checkpoints").iterdir():
        config = load(path)["training_config"]
        config["data"]["lr"] = config["optim"].pop("lr")
        for key in ("strategy", "num_nodes", "save_every_minutes", "keep_checkpoints"):
            del config["training"][key]
        change(training_config=config, position=None, processes=None)(path)
    data, conf = read_prepared(data_dir), tiny.make_conf()
    train(tiny.TinyModel(), data, conf, tmp_path / "old", "cpu", defaults=conf)
    a, b = (load(tmp_path / name / "best_model.pth") for name in ("whole", "old"))
    assert a["metrics"] == b["metrics"]
    for key, weight in a["state_dict"].items():
        assert torch.equal(weight, b["state_dict"][key]), key


def test_the_newest_states_are_kept_and_the_one_before_the_last_is_enough(data_dir, tmp_path):
    changes = {"save_every_steps": 1, "keep_checkpoints": 3}  # 3 steps an epoch
    whole = tiny.run(data_dir, tmp_path / "whole", **changes)
    folder = tmp_path / "whole/checkpoints"
    assert sorted(p.name for p in folder.iterdir()) == [
        "best.ckpt",
        "last-1.ckpt",
        "last-2.ckpt",
        "last.ckpt",
    ]
    positions = [load(folder / f"last{n}.ckpt")["position"] for n in ("-2", "-1", "")]
    assert [(p["epochs"], p["batches"]) for p in positions] == [(1, 2), (1, 3), (2, 0)]
    weights = load(whole)["state_dict"]
    truncate(folder / "last.ckpt")
    with pytest.raises(InputError, match=r"remove it to continue in epoch 2, from last-1\.ckpt$"):
        tiny.run(data_dir, tmp_path / "whole", **changes)
    for path in (whole, folder / "last.ckpt", folder / "last-1.ckpt", folder / "best.ckpt"):
        path.unlink()  # the best epoch is the last one
    assert tiny.run(data_dir, tmp_path / "whole", **changes) == whole
    assert all(torch.equal(weight, load(whole)["state_dict"][k]) for k, weight in weights.items())


def test_sources_in_another_order_are_refused(data_dir, tmp_path):
    data, sources = read_prepared(data_dir), {"vocals": ["vocals"], "drums": ["drums"]}
    train(tiny.TinyModel(), data, tiny.make_conf(sources=sources), tmp_path, "cpu")
    turned = dict(reversed(sources.items()))
    with pytest.raises(InputError, match="^sources: .* differs from"):
        train(tiny.TinyModel(list(turned)), data, tiny.make_conf(sources=turned), tmp_path, "cpu")


def test_other_data_is_refused(data_dir, exp_dir, tmp_path):
    copy = shutil.copytree(data_dir, tmp_path / "data")
    tiny.run(copy, exp_dir, **DIVERGES)  # the same songs elsewhere
    path = copy / "train/a/drums.wav"
    wave, rate = soundfile.read(path)
    soundfile.write(path, 0.5 * wave, rate, subtype="FLOAT")
    with pytest.raises(InputError, match="^data_dir: its songs are not those"):
        tiny.run(copy, exp_dir, epochs=3, **DIVERGES)


def test_a_folder_in_use_is_refused(data_dir, exp_dir):
    leftover = exp_dir / "checkpoints" / ".0123abcd.tmp.ckpt"
    leftover.write_text("of a killed run")
    with locked(exp_dir), pytest.raises(InputError, match="another run is writing to it"):
        tiny.run(data_dir, exp_dir, epochs=3, **DIVERGES)
    assert leftover.exists()
    tiny.run(data_dir, exp_dir, **DIVERGES)
    assert not leftover.exists()
