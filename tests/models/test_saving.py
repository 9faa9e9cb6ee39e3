"""Models travel: round trips, subclasses, and files that are no models or bear ill will."""

import os
import pickle
import random
from pathlib import Path

import pytest
import torch
from asteroid.models import BaseModel, ConvTasNet

from asteroid_tfswa import InputError, TFSWAUNet
from asteroid_tfswa.models.base import MusicModel


class Derived(TFSWAUNet):
    """A user's own model, which Asteroid does not know by name."""


class RunsCode:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def saved(make_model, tmp_path):
    """A model with weights of its own, and the file it is saved to."""
    model = make_model(mag_power=0.5, stride=20)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.add_(0.01 * torch.rand_like(value))
    path = tmp_path / "model.pth"
    torch.save(model.serialize(), path)
    return model, path


def same_output(model, other):
    wav = torch.randn(2, 600)
    with torch.no_grad():
        return torch.equal(model.eval()(wav), other.eval()(wav))


def resaved(path, **changes):
    """The saved dictionary with other values; a value of None removes the key."""
    conf = {**torch.load(path, weights_only=True), **changes}
    torch.save({key: value for key, value in conf.items() if value is not None}, path)
    return path


# --- round trips ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_gives_the_same_model(saved, kind):
    model, path = saved
    other = TFSWAUNet.from_pretrained(kind(path))
    assert type(other) is TFSWAUNet
    assert other.get_model_args() == model.get_model_args()
    assert (other.sources, other.sample_rate) == (["vocals", "drums"], 8000.0)
    assert same_output(model, other)


def test_a_dictionary_gives_the_same_model_and_stays_as_it_is(saved):
    model, _ = saved
    conf = model.serialize()
    before = pickle.dumps((conf["model_args"], list(conf), list(conf["state_dict"])))
    assert same_output(model, TFSWAUNet.from_pretrained(conf))
    TFSWAUNet.from_pretrained(conf, sources=["a", "b"])
    assert pickle.dumps((conf["model_args"], list(conf), list(conf["state_dict"]))) == before


def test_keywords_go_over_what_is_saved(saved):
    assert TFSWAUNet.from_pretrained(saved[1], sources=["a", "b"]).sources == ["a", "b"]


def test_file_holds_plain_values_that_the_safe_loader_reads(saved):
    conf = torch.load(saved[1], weights_only=True)
    assert conf["model_name"] == "TFSWAUNet"
    assert conf["model_args"]["sources"] == ["vocals", "drums"]
    assert type(conf["infos"]["software_versions"]["torch_version"]) is str


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"mask_type": "complex", "mask_act": "tanh", "in_channels": 1, "n_heads": 2, "window": 4},
        {"norm_type": "gLN", "n_bands": 4, "mag_power": 0.3, "stride": None},
    ],
)
def test_model_args_rebuild_the_model(make_model, kwargs):
    model = make_model(**kwargs)
    args = model.get_model_args()
    other = TFSWAUNet(**args)
    assert other.get_model_args() == args
    other.load_state_dict(model.state_dict())
    wav = torch.randn(model.in_channels, 600)
    assert torch.equal(other.eval()(wav), model(wav))


def test_model_args_do_not_share_with_the_model(make_model):
    model = make_model()
    model.get_model_args()["sources"].append("bass")
    assert model.n_src == 2


# --- classes -------------------------------------------------------------------------------------


def test_subclass_that_asteroid_does_not_know(saved, tmp_path):
    model, path = saved
    derived = Derived.from_pretrained(path)
    assert type(derived) is Derived and same_output(model, derived)
    torch.save(derived.serialize(), tmp_path / "derived.pth")
    again = Derived.from_pretrained(tmp_path / "derived.pth")
    assert type(again) is Derived and same_output(model, again)


def test_registered_name_is_found_from_the_base_classes(saved):
    model, path = saved
    for base in (MusicModel, BaseModel):
        other = base.from_pretrained(str(path))
        assert type(other) is TFSWAUNet and same_output(model, other)


def test_model_of_another_class_is_refused(tmp_path):
    other = ConvTasNet(2, n_filters=8, n_blocks=1, n_repeats=1, bn_chan=4, hid_chan=4)
    torch.save(other.serialize(), tmp_path / "other.pth")
    with pytest.raises(InputError, match="other.pth is a ConvTasNet, not a TFSWAUNet"):
        TFSWAUNet.from_pretrained(tmp_path / "other.pth")


# --- files that cannot be loaded -----------------------------------------------------------------

PICKLE_PROTOCOL = "ignore:Detected pickle protocol:UserWarning"  # what torch says of such files


def refused(path):
    """The one-line message that loading the file raises."""
    with pytest.raises(InputError) as info:
        TFSWAUNet.from_pretrained(path)
    message = str(info.value)
    assert "\n" not in message and os.path.basename(path) in message
    return message


@pytest.mark.parametrize("key", ["model_name", "state_dict", "model_args"])
def test_missing_key_is_named(saved, key):
    assert f"no {key}" in refused(resaved(saved[1], **{key: None}))


def test_weights_or_arguments_that_do_not_fit(saved):
    model, path = saved
    state = model.state_dict()
    assert "stem.0.bias" in refused(
        resaved(path, state_dict={**state, "masker.stem.0.bias": torch.ones(3)})
    )
    assert "no_such_thing" in refused(resaved(path, model_args={"no_such_thing": 1}))
    refused(resaved(path, model_args=["list"]))
    refused(resaved(path, model_args={}, state_dict=[]))


@pytest.mark.parametrize("value", [[1, 2], 3, torch.ones(2)])
def test_other_things_in_a_checkpoint(tmp_path, value):
    torch.save(value, tmp_path / "other.pth")
    assert "is not a model" in refused(tmp_path / "other.pth")


def test_file_cut_off_anywhere(saved):
    _, path = saved
    data = path.read_bytes()
    places = random.Random(0).sample(range(len(data)), 40)
    for n in [0, 1, 2, 10, 100, len(data) // 2, len(data) - 1, *places]:
        path.write_bytes(data[:n])
        refused(path)


@pytest.mark.filterwarnings(PICKLE_PROTOCOL)
def test_file_of_another_kind(tmp_path):
    path = tmp_path / "model.pth"
    # Pickle takes the first byte for an instruction, and stumbles in a different way over each.
    for first in range(256):
        path.write_bytes(bytes([first]) + b"his is a text\nof two lines\n")
        refused(path)


@pytest.mark.filterwarnings(PICKLE_PROTOCOL)
@pytest.mark.parametrize("as_plain_pickle", [False, True])
def test_file_that_carries_code_is_refused_and_not_run(saved, tmp_path, as_plain_pickle):
    trace = tmp_path / "code_has_run"
    path = tmp_path / "evil.pth"
    conf = {**torch.load(saved[1], weights_only=True), "infos": RunsCode(trace)}
    if as_plain_pickle:
        path.write_bytes(pickle.dumps(conf))
    else:
        torch.save(conf, path)
    assert "safely" in refused(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(conf["infos"])).close()
    assert trace.exists()  # it would have run


@pytest.mark.parametrize("name", ["missing.pth", "no/such/folder/best_model.pth", "missing"])
def test_missing_file_is_said_without_asking_the_network(tmp_path, name):
    with pytest.raises(InputError, match="not found.*check the path"):
        TFSWAUNet.from_pretrained(tmp_path / name)
