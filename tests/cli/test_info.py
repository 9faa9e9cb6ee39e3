"""`asteroid-tfswa info`: what it shows of our models and published ones, and of bad files."""

import json
import pickle

import pytest
import torch
from asteroid.models import BaseModel, ConvTasNet
from asteroid.models.publisher import _populate_publishable, save_publishable

from asteroid_tfswa import TFSWAUNet
from asteroid_tfswa.cli import main
from asteroid_tfswa.scores.evaluate import _drop_outdated
from tests.trained import make_best_model, make_scores


@pytest.fixture
def best_model(tmp_path):
    return make_best_model(tmp_path / "exp")


def about(path, capsys):
    main(["info", "--json", str(path)])
    return json.loads(capsys.readouterr().out)


def test_text_names_what_a_user_asks_for(best_model, capsys):
    make_scores(best_model)
    main(["info", str(best_model)])
    text = capsys.readouterr().out
    model = TFSWAUNet.from_pretrained(best_model)
    n_parameters = sum(p.numel() for p in model.parameters())
    for part in ("TFSWAUNet", "vocals, drums", "2 channels at 8000 Hz", f"{n_parameters:,}"):
        assert part in text
    for part in ("Nine songs", "CC BY 4.0", "val_usdr 4.5", "epoch 7", "3 songs", "widths: [4, 8]"):
        assert part in text
    assert "average    1.50" in text


def test_json_has_the_arguments_and_the_configuration(best_model, capsys):
    told = about(best_model, capsys)
    model = TFSWAUNet(**told["model_args"])
    model.load_state_dict(TFSWAUNet.from_pretrained(best_model).state_dict())
    assert told["training_config"] == {"optim": {"lr": 0.001}}
    assert told["metrics"] == {"val_loss": 0.25, "val_usdr": 4.5, "epoch": 7}
    assert (told["sources"], told["sample_rate"]) == (["vocals", "drums"], 8000.0)


def test_scores_of_another_model_are_not_shown(best_model, capsys):
    assert about(best_model, capsys)["scores"] is None
    make_scores(best_model)
    assert about(best_model, capsys)["scores"]["n_songs"] == 3
    package = torch.load(best_model, weights_only=True)
    package["state_dict"]["masker.stem.0.bias"] += 1  # the training went on
    torch.save(package, best_model)
    assert about(best_model, capsys)["scores"] is None
    _drop_outdated(best_model.parent, best_model, [], segment=6.0)  # stage 2 has only begun
    assert about(best_model, capsys)["scores"] is None


def test_model_that_says_nothing_of_its_training(make_model, tmp_path, capsys):
    torch.save(make_model().serialize(), tmp_path / "model.pth")
    main(["info", str(tmp_path / "model.pth")])
    assert "does not say what the model was trained on" in capsys.readouterr().out


def test_model_published_with_asteroid(best_model, tmp_path, capsys):
    package = torch.load(best_model, weights_only=True)
    conf = {"optim": {"lr": 0.002}}
    save_publishable(str(tmp_path / "pub"), package, {"sdr": 6.5}, conf, recipe="musdb18")
    published = tmp_path / "pub" / "model.pth"
    # What asteroid-upload does with that file.
    package = _populate_publishable(torch.load(published), "Ada", git_username="ada")
    torch.save(package, published)
    capsys.readouterr()
    told = about(published, capsys)
    assert (told["metrics"], told["training_config"]) == ({"sdr": 6.5}, conf)
    assert "Nine songs" in told["license_note"] and "CC BY 4.0" in told["license_note"]
    main(["info", str(published)])
    assert "sdr 6.5" in capsys.readouterr().out
    wav = torch.randn(2, 700)
    with torch.no_grad():
        expected = TFSWAUNet.from_pretrained(best_model).eval()(wav)
        for cls in (TFSWAUNet, BaseModel):
            assert torch.equal(cls.from_pretrained(str(published)).eval()(wav), expected)


class RunsCode:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("kind", ["damaged", "code", "class", "text", "missing", "folder"])
def test_bad_model_is_one_line(kind, best_model, tmp_path, capsys):
    path = tmp_path / "bad.pth"
    if kind == "damaged":
        path.write_bytes(best_model.read_bytes()[:-5000])
    elif kind == "code":
        path.write_bytes(pickle.dumps({"model_name": RunsCode(tmp_path / "has_run")}, protocol=2))
    elif kind == "class":
        other = ConvTasNet(2, n_filters=8, n_blocks=1, n_repeats=1, bn_chan=4, hid_chan=4)
        torch.save({**other.serialize(), "infos": {}}, path)
    elif kind == "text":
        path.write_text("no model at all")
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(SystemExit) as stop:
        main(["info", str(path)])
    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (1, "")
    assert err.count("\n") == 1 and err.startswith("error: ") and "bad.pth" in err
    assert not (tmp_path / "has_run").exists()
