"""`asteroid-tfswa publish`: a folder that the hubs take, and that says whose the data are."""

import json
import shlex

import pytest
import torch
import yaml
from asteroid.models import BaseModel
from asteroid.models.publisher import _populate_publishable, make_metadata_from_model

from asteroid_tfswa import TFSWAUNet
from asteroid_tfswa.data import musdb18
from asteroid_tfswa.data.musdb18 import license_notice
from asteroid_tfswa.models.publish import write_draft_card
from asteroid_tfswa_cli import main
from tests.trained import make_best_model, make_scores

WHO = ["--uploader", "Ada Lovelace", "--username", "ada"]


@pytest.fixture
def run(tmp_path):
    """The folder of a training run on MUSDB18 with scores."""
    model = make_best_model(tmp_path / "run")
    package = torch.load(model)
    package["dataset"] = "MUSDB18-HQ"
    package["licenses"] = [license_notice("MUSDB18-HQ", musdb18.LICENSE)]
    torch.save(package, model)
    make_scores(model)
    return tmp_path / "run"


def front_and_text(folder):
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def test_folder_has_all_that_the_hubs_take(run, tmp_path, capsys):
    main(["publish", str(run), *WHO, "--affiliation", "London"])
    out = capsys.readouterr().out
    folder = run / "publish_dir"
    assert f"hf upload ada/TFSWAUNet_MUSDB18-HQ {folder}" in out and "asteroid-upload" in out
    names = {"model.pth", "pytorch_model.bin", "README.md", "final_metrics.json", "recipe_name.txt"}
    assert {path.name for path in folder.iterdir()} == names
    metrics = json.loads((folder / "final_metrics.json").read_text())
    assert metrics["SDR_vocals"] == metrics["uSDR_average"] == 1.5 and len(metrics) == 15
    assert (folder / "recipe_name.txt").read_text() == "musdb18/TFSWAUNet\n"
    front, text = front_and_text(folder)
    assert front["license"] == "cc-by-nc-sa-4.0" and "asteroid" in front["tags"]
    for part in ("| vocals | 1.50 |", "3 test songs", "stereo music at 8000 Hz", "lr: 0.001"):
        assert part in text
    assert "[MUSDB18-HQ](https://sigsep.github.io/datasets/musdb.html) by [Z. Rafii" in text
    assert "not known to permit commercial use" in text and "by Ada Lovelace (London)" in text

    wav = torch.randn(2, 700)
    with torch.no_grad():
        expected = TFSWAUNet.from_pretrained(run).eval()(wav)
        for name in ("model.pth", "pytorch_model.bin"):
            for cls in (TFSWAUNet, BaseModel):
                model = cls.from_pretrained(str(folder / name)).eval()
                assert torch.equal(model(wav), expected)


@pytest.mark.parametrize(
    "terms, restricted",
    [
        ("CC0", False),
        ("rendered from sounds under CC0-1.0, CC BY 3.0, MIT", False),
        ("rendered from sounds under CC0-1.0, Splice EULA", True),
        ("a: rendered from sounds under CC0-1.0, Splice EULA; b: MIT", True),
        ("CC0-1.0, unknown", True),
        ("CC_BY_NC_4.0", True),
        ("CC BY-ND 4.0", True),
        ("All rights reserved", True),
        ("ask me", True),
        ("Creative Commons Attribution 4.0", False),
        ("Creative Commons Attribution-NonCommercial 4.0", True),
        ("synthetic; played with the sound font TimGM6mb (GPL 2)", False),
        ("CC BY 4.0, commercial use allowed", False),
        ("not for commercial use", True),
        ("rendered from sounds under CC0-1.0; mine: all mine, no re-use", True),
        ("rendered from sounds under CC0-1.0; ours: CC BY 4.0", False),
    ],
)
def test_only_terms_that_are_known_to_permit_it_allow_commercial_use(terms, restricted):
    assert license_notice("songs", terms)["non_commercial"] is restricted


def test_terms_of_the_model_that_training_began_from_are_stated(run):
    package = torch.load(run / "best_model.pth")
    package["dataset"], began = "mine", package["licenses"]
    package["licenses"] = [license_notice("mine", "CC0"), *began]
    torch.save(package, run / "best_model.pth")
    make_scores(run / "best_model.pth")
    main(["publish", str(run), *WHO])
    front, text = front_and_text(run / "publish_dir")
    assert front["license"] == "cc-by-nc-sa-4.0"
    assert "derivative of mine, used under: CC0; through the model that its training began" in text
    assert "[MUSDB18-HQ](" in text and "(not known to permit commercial use)" in text
    published = torch.load(run / "publish_dir/model.pth")["licenses"]
    assert [notice["title"] for notice in published] == ["mine", "MUSDB18-HQ"]


def test_printed_commands_can_be_pasted(run, tmp_path, capsys):
    validate_repo_id = pytest.importorskip("huggingface_hub.utils").validate_repo_id
    package = torch.load(run / "best_model.pth")
    package["dataset"] = "My songs - " + "a long name " * 10
    torch.save(package, run / "best_model.pth")
    make_scores(run / "best_model.pth")
    out = tmp_path / "my model"
    main(["publish", str(run), "--uploader", "Ada O'L", "--username", "ada", "--output", str(out)])
    printed = capsys.readouterr().out.splitlines()[1:]
    hub, zenodo = (shlex.split(line.partition(":")[2]) for line in printed)
    assert hub[:2] == ["hf", "upload"] and hub[3:] == [str(out)]
    validate_repo_id(hub[2])
    assert zenodo == ["asteroid-upload", str(out), "--uploader", "Ada O'L"]


def test_the_draft_in_a_run_is_the_card_without_names(run):
    write_draft_card(run)
    main(["publish", str(run), *WHO])
    draft = (run / "model_card.md").read_text()
    card = (run / "publish_dir/README.md").read_text()
    assert draft.replace("YOUR_ACCOUNT", "ada").replace("YOUR NAME", "Ada Lovelace") == card


def test_what_asteroid_upload_would_send(run):
    main(["publish", str(run), *WHO])
    package = torch.load(run / "publish_dir/model.pth")
    metadata = make_metadata_from_model(
        _populate_publishable(package, "Ada Lovelace", "London", git_username="ada")
    )
    assert metadata["title"] == "ada/TFSWAUNet_MUSDB18-HQ_musicseparation"
    assert metadata["creators"] == [{"name": "Ada Lovelace", "affiliation": "London"}]
    assert {"music_separation", "MUSDB18-HQ", "TFSWAUNet"} <= set(metadata["keywords"])
    for part in ("musdb18/TFSWAUNet", "SDR_vocals: 1.5", "lr: 0.001", "(Research only)"):
        assert part in metadata["description"]


def test_published_model_says_what_the_run_said(run, capsys):
    main(["publish", str(run), *WHO])
    main(["info", str(run / "publish_dir/pytorch_model.bin")])
    out = capsys.readouterr().out
    for part in ("musdb18/TFSWAUNet", "non-commercial", "average    1.50", "SDR_vocals 1.5"):
        assert part in out


def test_terms_of_other_data_and_licence_are_options(tmp_path):
    make_scores(make_best_model(tmp_path / "run"))  # CC BY 4.0, which nobody else knows
    terms = ["--author", "The Nine", "--author_link", "https://nine.example"]
    main(["publish", str(tmp_path / "run"), *WHO, *terms])
    front, text = front_and_text(tmp_path / "run/publish_dir")
    assert front["license"] == "cc-by-sa-4.0" and "commercial" not in text
    assert "Nine songs by [The Nine](https://nine.example), used under: CC BY 4.0" in text
    main(
        [
            "publish",
            str(tmp_path / "run"),
            *WHO,
            "--output",
            str(tmp_path / "o"),
            "--license",
            "mit",
        ]
    )
    assert front_and_text(tmp_path / "o")[0]["license"] == "mit"


@pytest.mark.parametrize(
    "terms, restricted",
    [
        (musdb18.LICENSE, True),
        ("CC BY-NC-SA 4.0", True),
        ("for research only", True),
        ("unknown", True),
        ("CC BY 4.0", False),
        ("CC0", False),
        ("public domain", False),
    ],
)
def test_commercial_use_is_what_the_terms_say(terms, restricted):
    notice = license_notice("a set", terms)
    assert notice["non_commercial"] is restricted and notice["title"] == "a set"
    assert bool(notice["author"]) is (terms == musdb18.LICENSE)


def test_authors_that_a_notice_names_go_along(run):
    package = torch.load(run / "best_model.pth")
    earlier = license_notice("free sounds", "CC BY 4.0", attribution="Drums: Ada Lovelace\n")
    package["dataset"] = "mine"
    package["licenses"] = [license_notice("mine", "CC0"), earlier, earlier]
    torch.save(package, run / "best_model.pth")
    make_scores(run / "best_model.pth")
    main(["publish", str(run), *WHO])
    assert (run / "publish_dir/NOTICE").read_text() == "Drums: Ada Lovelace\n"
    assert "NOTICE names the authors" in (run / "publish_dir/README.md").read_text()
    published = torch.load(run / "publish_dir/model.pth")["licenses"]
    assert published[1]["attribution"] == "Drums: Ada Lovelace\n"
    write_draft_card(run)
    assert (run / "NOTICE").read_text() == "Drums: Ada Lovelace\n"


def test_what_cannot_be_published_is_one_line(run, tmp_path, capsys):
    def refused(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["publish", *map(str, arguments)])
        _, err = capsys.readouterr()
        assert stop.value.code == 1 and err.count("\n") == 1
        return err

    unscored = make_best_model(tmp_path / "unscored").parent
    assert "no test scores: run stage 2" in refused(unscored, *WHO)
    assert not (unscored / "publish_dir").exists()
    assert "--uploader is empty" in refused(run, "--uploader", " ", "--username", "ada")
    assert "username must be" in refused(run, "--uploader", "Ada", "--username", "a/b")
    assert "model file not found" in refused(tmp_path / "missing", *WHO)
    main(["publish", str(run), *WHO])
    assert "publish_dir exists; remove it" in refused(run, *WHO)
