"""Averages of weights, first weights from other models, frozen weights."""

import argparse
import runpy
from pathlib import Path

import pytest
import torch
import yaml

from asteroid_tfswa.config import parse_command
from asteroid_tfswa.data.musdb18 import license_notice
from asteroid_tfswa.data.songs import read_prepared
from asteroid_tfswa.engine.train import train
from asteroid_tfswa.engine.weights import freeze, initialise
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.models.base import MusicModel
from tests.engine import tiny

RECIPE = Path(__file__).resolve().parents[2] / "egs/musdb18"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("data"))


def load(path):
    return torch.load(path, weights_only=True)


def test_the_average_is_validated_saved_continued_and_exported(data_dir, tmp_path, monkeypatch):
    """Against a plain average of what the model's weights were at every step."""
    seen, forward = {True: [], False: []}, tiny.TinyModel.forward

    def record(self, wave):
        seen[self.training].append(self.conv.weight.detach().clone())
        return forward(self, wave)

    monkeypatch.setattr(tiny.TinyModel, "forward", record)
    tiny.run(data_dir, tmp_path / "whole", ema_decay=0.5)
    last = load(tmp_path / "whole/checkpoints/last.ckpt")
    name = "model.conv.weight"
    steps = seen[True][1:] + [last["current_model_state"][name]]
    assert len(steps) == 6
    average, averages = steps[0], [steps[0]]
    for n, weight in enumerate(steps[1:], start=1):
        decay = min(0.5, (1 + n) / (10 + n))
        average = decay * average + (1 - decay) * weight
        averages.append(average)
    torch.testing.assert_close(last["state_dict"][name], averages[5])
    torch.testing.assert_close(seen[False][0], averages[2])  # after the first epoch
    torch.testing.assert_close(seen[False][-1], averages[5])
    assert not torch.allclose(averages[5], steps[5])
    mean = last["state_dict"]["model.norm.running_mean"]
    assert mean.all() and not torch.equal(
        mean, last["current_model_state"]["model.norm.running_mean"]
    )
    best = load(tmp_path / "whole/best_model.pth")
    assert torch.equal(
        best["state_dict"]["conv.weight"],
        load(tmp_path / "whole/checkpoints/best.ckpt")["state_dict"][name],
    )

    tiny.run(data_dir, tmp_path / "parts", ema_decay=0.5, epochs=1)
    tiny.run(data_dir, tmp_path / "parts", ema_decay=0.5)
    parts = load(tmp_path / "parts/checkpoints/last.ckpt")
    for key in ("state_dict", "current_model_state"):
        for name, weight in last[key].items():
            assert torch.equal(weight, parts[key][name]), (key, name)


def test_epochs_of_a_schedule_that_falls_to_zero_may_not_change(data_dir, tmp_path):
    tiny.run(data_dir, tmp_path, epochs=1, schedule="cosine", optimizer="adamw")
    with pytest.raises(InputError, match="^epochs: 2 differs from 1"):
        tiny.run(data_dir, tmp_path, schedule="cosine", optimizer="adamw")


@pytest.fixture
def saved(make_model, tmp_path):
    """A saved model, and its weights."""
    model = make_model()
    torch.save(model.serialize(), tmp_path / "model.pth")
    return tmp_path / "model.pth", model.state_dict()


def test_sources_are_taken_by_name(make_model, saved):
    path, weights = saved  # of vocals and drums
    model = make_model(sources=["bass", "drums", "b"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    line, _ = initialise(model, path)
    own = [name for name, w in before.items() if w.ndim and name.startswith("masker")]
    assert line == (
        f"init_from: {len(own)} of {len(own)} tensors are those of {path} (n_bands 2, widths "
        "[4, 8, 16], depths [2, 1, 1], n_heads [1, 2, 4]); 2 sources that it lacks start new "
        "(bass, b)"
    )
    head = ("masker.head.3.weight", "masker.head.3.bias")
    for name, value in model.state_dict().items():
        if name not in head:
            assert torch.equal(value, weights[name]), name
            continue
        found, new, theirs = value.chunk(3), before[name].chunk(3), weights[name].chunk(2)
        for row, expected in zip(found, (new[0], theirs[1], new[2])):
            assert torch.equal(row, expected), name

    wave = torch.randn(1, 2, 4000)
    swapped = make_model(sources=["drums", "vocals"])
    assert "; " not in initialise(swapped, path)[0]
    vocals = make_model(sources=["vocals"])
    initialise(vocals, path)
    with torch.no_grad():
        expected = MusicModel.from_pretrained(path).eval()(wave)
        torch.testing.assert_close(swapped.eval()(wave).flip(1), expected)
        torch.testing.assert_close(vocals.eval()(wave), expected[:, :1])


def test_arguments_that_change_what_weights_mean_are_named(make_model, saved):
    line, _ = initialise(make_model(mag_power=0.5, sample_rate=16000), saved[0])
    differ = "sample_rate 8000.0, here 16000.0, mag_power 1.0, here 0.5"
    assert line.endswith(f"; its arguments differ ({differ})")


def test_a_deeper_model_starts_where_the_other_is_and_learns_with_all_its_blocks(make_model, saved):
    path, _ = saved
    deeper = make_model(depths=(3, 2, 2))
    wave = torch.randn(1, 2, 4000)
    assert not torch.allclose(deeper.eval()(wave), MusicModel.from_pretrained(path).eval()(wave))
    initialise(deeper, path)
    with torch.no_grad():
        expected = MusicModel.from_pretrained(path).eval()(wave)
        assert torch.equal(deeper.eval()(wave), expected)
    optimizer = torch.optim.SGD(deeper.parameters(), lr=1e-2)
    for _ in range(2):  # the first step opens the new blocks
        optimizer.zero_grad()
        deeper.train()(wave).square().mean().backward()
        optimizer.step()
    assert all(p.grad.abs().max() > 0 for p in deeper.masker.bottleneck.blocks[-1].parameters())


def test_other_depths_and_a_model_that_does_not_fit(make_model, saved):
    path, weights = saved
    line, _ = initialise(make_model(depths=(1, 1, 1)), path)
    assert "of its tensors are not used (masker.encoder.0.blocks.1." in line
    line, _ = initialise(make_model(depths=(3, 1, 1)), path)
    assert "that it lacks start new (masker.encoder.0.blocks.2." in line
    with pytest.raises(InputError, match="^init_from: none of the 9 tensors of .*conv.weight"):
        tiny_model = path.with_name("tiny.pth")
        package = tiny.TinyModel().serialize()
        package["state_dict"] |= {f"x{i}": torch.zeros(1) for i in range(5)}
        torch.save(package, tiny_model)
        initialise(make_model(), tiny_model)
    with pytest.raises(InputError, match="model file not found"):
        initialise(make_model(), "nowhere.pth")


def train_conf(exp_dir, *words):
    """What train.py makes of a user's words."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--exp_dir", default=exp_dir)
    derive = runpy.run_path(str(RECIPE / "train.py"))["_start_network"]
    return parse_command(parser, RECIPE / "local/conf.yml", list(map(str, words)), derive)[1]


def test_the_network_is_that_of_the_first_model_unless_the_user_names_it(make_model, tmp_path):
    path, exp_dir = tmp_path / "model.pth", tmp_path / "exp"
    model = make_model(mag_power=0.25, gradient_checkpointing=True)
    torch.save(model.serialize(), path)
    plain = train_conf(exp_dir)
    conf = train_conf(exp_dir, "--init_from", path, "--depths", "3,1,1")
    args = model.get_model_args() | {"depths": [3, 1, 1], "gradient_checkpointing": False}
    network = conf["filterbank"] | conf["masknet"]
    assert network == {key: args[key] for key in network} != plain["filterbank"] | plain["masknet"]
    assert conf["data"] == plain["data"] and conf["training"] == plain["training"]
    assert args.keys() - network == {"n_src", "sources", "sample_rate", "fb_name"}

    user = tmp_path / "user.yml"
    user.write_text("masknet: {n_bands: 4, mag_power: 0.5}")
    named = train_conf(exp_dir, "--init_from", path, "--conf", user)["masknet"]
    assert named == conf["masknet"] | {"n_bands": 4, "mag_power": 0.5, "depths": [2, 1, 1]}

    with pytest.raises(InputError, match="model file not found: 'nosuch.pth'"):
        train_conf(exp_dir, "--init_from", "nosuch.pth")
    torch.save(model.serialize() | {"model_args": args | {"n_bands": "many"}}, path)
    with pytest.raises(InputError, match="^n_bands must be an integer .*got 'many'"):
        train_conf(exp_dir, "--init_from", path)
    torch.save(tiny.TinyModel().serialize(), path)  # a model of another kind
    assert train_conf(exp_dir, "--init_from", path)["masknet"] == plain["masknet"]


def test_a_run_that_continues_has_its_own_network(make_model, tmp_path):
    """Its first model may be gone, or a run of an earlier version may have another network."""
    conf = train_conf(tmp_path, "--n_bands", "8")
    conf["optim"]["init_from"] = "gone.pth"
    (tmp_path / "conf.yml").write_text(yaml.safe_dump(conf))
    assert train_conf(tmp_path, "--init_from", "gone.pth") == conf
    with pytest.raises(InputError, match="model file not found: 'other.pth'"):
        train_conf(tmp_path, "--init_from", "other.pth")


def test_a_run_starts_from_another_and_does_not_train_what_is_frozen(
    data_dir, tmp_path, make_model, capsys
):
    torch.manual_seed(1)
    first = make_model()
    terms = [license_notice("first songs", "CC BY 4.0")]
    torch.save({**first.serialize(), "licenses": terms}, tmp_path / "first.pth")
    data = read_prepared(data_dir)
    conf = tiny.make_conf(
        init_from=str(tmp_path / "first.pth"),
        freeze=["masker.encoder.*", "masker.stem.*", "masker.downs.0.1.*"],
    )
    torch.manual_seed(2)
    train(make_model(), data, conf, tmp_path / "exp", "cpu")
    line, *epochs = capsys.readouterr().out.splitlines()
    assert line.startswith("init_from: ") and "; " not in line and len(epochs) == 2
    trained = load(tmp_path / "exp/checkpoints/last.ckpt")["state_dict"]
    for name, value in first.state_dict().items():
        frozen = name.startswith(("masker.encoder.", "masker.stem.", "masker.downs.0.1."))
        same = torch.equal(trained[f"model.{name}"], value)
        assert same == (frozen or name.startswith(("encoder.", "decoder."))), name
    (tmp_path / "first.pth").unlink()  # a run that continues does not read it
    conf["training"]["epochs"] = 3
    train(make_model(), data, conf, tmp_path / "exp", "cpu")
    licenses = load(tmp_path / "exp/best_model.pth")["licenses"]
    assert [notice["title"] for notice in licenses] == ["tiny", "first songs"]
    assert "init_from" not in capsys.readouterr().out
    conf["optim"]["init_from"] = "another.pth"
    with pytest.raises(InputError, match="^init_from: another.pth differs from"):
        train(make_model(), data, conf, tmp_path / "exp", "cpu")


def test_a_pattern_that_matches_nothing_is_named(make_model):
    model = make_model()
    freeze(model, [])
    assert all(param.requires_grad for param in model.parameters())
    with pytest.raises(InputError, match=r"^freeze: no parameter matches 'encoder.*'; they are"):
        freeze(model, ["masker.*", "encoder.*"])
