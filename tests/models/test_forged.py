"""Model files that anybody may have written: a description, or one line; never more than that."""

import json

import pytest
import torch

from asteroid_tfswa import InputError, TFSWAUNet
from asteroid_tfswa.cli import main
from tests.trained import make_best_model

NAN = float("nan")
ENDLESS = []
ENDLESS.append(ENDLESS)
LAUGHS = ["ha"]
for _ in range(40):
    LAUGHS = [LAUGHS] * 10  # 10**40 values in a few hundred bytes


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return torch.load(make_best_model(tmp_path_factory.mktemp("exp")), weights_only=True)


def refused(path, capsys):
    """The line that `info` ends with."""
    lines = set()
    for options in ([], ["--json"]):
        with pytest.raises(SystemExit) as stop:
            main(["info", str(path), *options])
        out, err = capsys.readouterr()
        assert (stop.value.code, out) == (1, "")
        lines.add(err)
    (line,) = lines
    assert line.startswith("error: ") and line.count("\n") == 1 and line[:-1].isprintable()
    assert path.name in line and len(line) < 500
    return line


def changed_weights(package, name, change):
    return {**package["state_dict"], name: change(package["state_dict"][name].clone())}


@pytest.mark.parametrize(
    "key, values",
    {
        "model_name": [
            "get",
            "register_model",
            "torch",
            "BaseModel",
            "TFSWAUnet2",
            "\x1b[31m",
            "",
            3,
        ]
        + [None, [], ["TFSWAUNet"], {}],
        "state_dict": [
            [],
            None,
            3,
            "text",
            {},
            {1: torch.ones(2)},
            {"a": 1},
            {None: torch.ones(1)},
        ],
        "model_args": [[], None, 3, "text", {1: 2}, {"no_such\x1b": 1}, {"sources": ["..", "a"]}]
        + [{"widths": [10**9, 8]}, {"widths": [8192, 8192], "n_heads": 1}, {"depths": [10**9, 1]}]
        + [{"n_filters": 2**40, "kernel_size": 2**40}, {"sources": ENDLESS}, {"sources": LAUGHS}]
        + [{"sample_rate": NAN}, {"in_channels": 10**5000}, {"sources": ["a\x1b[2J", "b"]}]
        + [{"sources": [LAUGHS, "a"]}, {"norm_type": LAUGHS}, {"window": ENDLESS}],
        "infos": [[], 3, "text", {"final_metrics": 3}, {"final_metrics": LAUGHS}]
        + [{"recipe_name": ["a"]}, {"license_note": {}}, {"training_config": "a"}]
        + [{"software_versions": "2.11"}],
        "dataset": [3, ["a"], {}, ENDLESS],
        "licenses": ["MIT", {"license": "MIT"}, ["MIT"], [{"license": "MIT"}], [[]], LAUGHS, [None]]
        + [[{"license": 3, "title": "a"}]],
        "metrics": [3, "good", [1], {"a": ENDLESS}, {"a": LAUGHS}],
        "scores": [3, "good", {}, {"n_songs": 3}, {"n_songs": 3, "stems": []}, {"stems": {}}]
        + [{"n_songs": 3, "stems": {}}, {"n_songs": "3", "stems": {"a": {"SDR": {"median": 1}}}}]
        + [{"n_songs": 3, "stems": {"a": {"SDR": {"median": "x"}}}}]
        + [{"n_songs": 3, "stems": {"a": {"SDR": 1}}}],
        "training_config": [3, "text", [1], LAUGHS],
    }.items(),
)
def test_value_of_the_wrong_form_is_one_line(package, tmp_path, capsys, key, values):
    for value in values:
        forged = {**package, key: value}
        if key == "model_args" and isinstance(value, dict):
            forged[key] = {**package[key], **value}
        torch.save(forged, tmp_path / "forged.pth")
        try:
            refused(tmp_path / "forged.pth", capsys)
        except pytest.fail.Exception:
            pytest.fail(f"{key} {value!r:.80} is taken")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda w: w * NAN, "not finite numbers"),
        (lambda w: w.fill_(float("inf")), "not finite numbers"),
        (lambda w: w.to("meta"), "not a plain tensor"),
        (lambda w: w.to_sparse(), "not a plain tensor"),
        (lambda w: torch.ones(1).expand(2**40), "not a plain tensor"),  # four bytes, four terabytes
        (lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8), "not a plain tensor"),
        (lambda w: w[:2], r"bias has shape \(2,\), the model's has \(4,\)"),
        (lambda w: w.tolist(), "not a plain tensor"),
    ],
)
def test_weights_that_are_none(package, tmp_path, change, message):
    weights = changed_weights(package, "masker.stem.0.bias", change)
    with pytest.raises(InputError, match=message):
        TFSWAUNet.from_pretrained({**package, "state_dict": weights})
    torch.save({**package, "state_dict": weights}, tmp_path / "forged.pth")
    with pytest.raises(InputError, match="forged.pth"):
        TFSWAUNet.from_pretrained(tmp_path / "forged.pth")


def test_missing_and_unknown_weights_are_named(package):
    weights = dict(package["state_dict"])
    weights["masker.no_such"] = weights.pop("masker.stem.0.bias")
    with pytest.raises(InputError, match="it has no masker.stem.0.bias"):
        TFSWAUNet.from_pretrained({**package, "state_dict": weights})
    weights["masker.stem.0.bias"] = weights["masker.no_such"]
    with pytest.raises(InputError, match="it has 'masker.no_such', which the model does not have"):
        TFSWAUNet.from_pretrained({**package, "state_dict": weights})


def test_what_a_file_says_moves_no_cursor(package, tmp_path, capsys):
    evil = "\x1b]0;owned\x07\x1b[2J\r\n\u202egpj" + "long" * 10_000
    forged = {
        **package,
        "dataset": evil,
        "metrics": {evil: NAN, "nested": {1: [evil, NAN]}, "val_usdr": 4.5},
        "licenses": [{"license": evil, "title": "a"}],
        "infos": {"recipe_name": evil, "license_note": evil, "software_versions": {"torch": evil}},
    }
    torch.save(forged, tmp_path / "forged.pth")
    main(["info", str(tmp_path / "forged.pth")])
    out = capsys.readouterr().out
    assert all(line.isprintable() and len(line) < 2100 for line in out.splitlines())
    assert "\\x1b]0;owned\\x07\\x1b[2J\\r\\n\\u202egpj" in out and "vocals, drums" in out
    main(["info", "--json", str(tmp_path / "forged.pth")])
    told = json.loads(capsys.readouterr().out)
    assert told["dataset"] == evil and told["metrics"]["val_usdr"] == 4.5
    assert told["metrics"]["nested"]["1"][1] is None


def test_damaged_scores_beside_a_model_are_left_out(tmp_path, capsys):
    path = make_best_model(tmp_path)
    (tmp_path / "scores").mkdir()
    for card in ("{}", "[]", "{", "3", '{"summary": 3}', '{"summary": []}', "[" * 100_000):
        (tmp_path / "scores/score_card.json").write_text(card)
        main(["info", "--json", str(path)])
        assert json.loads(capsys.readouterr().out)["scores"] is None
