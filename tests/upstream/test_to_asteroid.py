"""The contribution to Asteroid: what the generator writes, and that the model is ours."""

import ast
import subprocess
import sys

import pytest
import torch

from asteroid_tfswa.data.musdb18 import VALIDATION_SONGS
from asteroid_tfswa.errors import InputError
from tests.conftest import KINDS, SMALL
from tests.upstream.conftest import ROOT, UPSTREAM, git, run_in

CODE = [
    "asteroid/masknn/_tfswa_attention.py",
    "asteroid/masknn/tfswa_unet.py",
    "asteroid/models/tfswa_unet.py",
]
RECIPE = "egs/musdb18/TFSWA-UNet"
NEW = [
    *CODE,
    *(f"{RECIPE}/{name}" for name in ("README.md", "eval.py", "local/conf.yml")),
    *(f"{RECIPE}/{name}" for name in ("local/validation_tracks.txt", "requirements.txt")),
    *(f"{RECIPE}/{name}" for name in ("run.sh", "train.py", "utils")),
]
EDITED = [
    "CHANGELOG.md",
    "README.md",
    "asteroid/masknn/__init__.py",
    "asteroid/models/__init__.py",
    "docs/source/package_reference/blocks.rst",
    "docs/source/package_reference/models.rst",
    "hubconf.py",
    "tests/jit/jit_models_test.py",
    "tests/models/models_test.py",
]


def write(checkout):
    from to_asteroid import write_contribution

    return write_contribution(checkout)


def python_files(checkout):
    """The contribution's own Python files."""
    return [checkout / path for path in NEW if path.endswith(".py")]


def test_changes_these_files_and_no_others_and_only_once(checkout):
    changed = write(checkout)
    status = git(checkout, "status", "--porcelain", "--untracked-files=all").splitlines()
    assert sorted(status) == sorted([f" M {path}" for path in EDITED] + [f"?? {p}" for p in NEW])
    assert changed == sorted(EDITED + NEW)
    counts = [line.split()[:2] for line in git(checkout, "diff", "--numstat").splitlines()]
    assert {removed for _, removed in counts} == {"0"}
    git(checkout, "add", ".")
    assert write(checkout) == []
    assert git(checkout, "diff") == ""


def test_is_short(contribution):
    def lines(paths):
        return sum(len(path.read_text().splitlines()) for path in paths)

    assert lines(contribution / path for path in CODE) < 750
    recipe = contribution / RECIPE
    assert lines(p for p in recipe.rglob("*") if p.is_file() and "utils" not in p.parts) < 400


def test_utils_is_the_link_that_other_recipes_have(contribution):
    link = contribution / RECIPE / "utils"
    assert link.is_symlink() and str(link.readlink()) == "../../wham/ConvTasNet/utils"


def test_is_python_3_8(contribution):
    for path in python_files(contribution):
        tree = ast.parse(path.read_text(), feature_version=(3, 8))
        generic = [
            n.value.id
            for n in ast.walk(tree)
            if isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name)
        ]
        assert not {"list", "tuple", "dict", "set"} & set(generic), path


def test_nothing_of_our_package_is_left(contribution):
    for path in NEW:
        if not path.endswith("utils"):
            text = (contribution / path).read_text()
            assert "asteroid_tfswa" not in text and "upstream" not in text, path


def test_code_has_the_style_of_asteroid(contribution):
    """Asteroid's configuration of black and flake8, by the black and ruff that we have."""
    files = [str(p) for p in python_files(contribution)]
    options = ["--line-length", "100", "--target-version", "py38", "--check", "--diff"]
    done = subprocess.run(
        [sys.executable, "-m", "black", "-q", *options, *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    rules = [
        "--isolated",
        "--line-length",
        "119",
        "--select",
        "E,W,F",
        "--ignore",
        "E731,W605,E203",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *rules, *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_validation_songs_are_those_of_musdb18():
    path = UPSTREAM / "templates" / RECIPE / "local/validation_tracks.txt.in"
    assert set(path.read_text().splitlines()) == VALIDATION_SONGS


COMPARE = """
import sys, torch
from asteroid.models import BaseModel, TFSWAUNet, get
assert get("tfswaunet") is TFSWAUNet
for folder in sys.argv[1:]:
    model = BaseModel.from_pretrained(folder + "/theirs.pth").eval()
    assert type(model) is TFSWAUNet and isinstance(model.sources, list)
    for wav, ours in torch.load(folder + "/ours.pth"):
        with torch.no_grad():
            theirs = model(wav)
        assert theirs.shape == ours.shape, (theirs.shape, ours.shape)
        error, peak = (theirs - ours).abs().max().item(), ours.abs().max().item()
        assert error < 1e-5 * max(peak, 1) and peak > 0.01, (error, peak)
"""


@torch.no_grad()
def test_converted_models_give_our_numbers(contribution, tmp_path, make_model):
    from convert import convert_model

    folders = []
    kinds = [*KINDS, {"in_channels": 1}, {"fb_name": "torch_stft", "gradient_checkpointing": True}]
    for i, kind in enumerate(kinds):
        model = make_model(**kind)
        for module in model.modules():  # norms that have seen data
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
                torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
        shapes = [(2, model.in_channels, 3001), (2, 901)] + [(801,)] * (model.in_channels == 1)
        wavs = [torch.randn(shape) for shape in shapes]
        folder = tmp_path / f"kind{i}"
        folder.mkdir()
        torch.save(model.serialize(), folder / "model.pth")
        torch.save([(wav, model(wav)) for wav in wavs], folder / "ours.pth")
        convert_model(folder / "model.pth", folder / "theirs.pth")
        folders.append(str(folder))
    run_in(contribution, "-c", COMPARE, *folders)


BOTH = """
import sys
from asteroid_tfswa import TFSWAUNet
from asteroid_tfswa.models.base import MusicModel
from asteroid.models import TFSWAUNet as Theirs, get
assert get("TFSWAUNet") is Theirs is not TFSWAUNet
assert type(TFSWAUNet.from_pretrained(sys.argv[1])) is TFSWAUNet
assert type(MusicModel.from_pretrained(sys.argv[1])) is TFSWAUNet
"""


def test_our_package_works_beside_the_contribution(contribution, tmp_path, make_model):
    torch.save(make_model().serialize(), tmp_path / "model.pth")
    run_in(f"{contribution}:{ROOT}", "-c", BOTH, tmp_path / "model.pth", cwd="/")


def test_conversion_keeps_what_else_a_model_file_holds(tmp_path, make_model):
    from convert import convert_model

    conf = {**make_model().serialize(), "dataset": "Nine songs", "licenses": [{"license": "CC0"}]}
    torch.save(conf, tmp_path / "model.pth")
    convert_model(tmp_path / "model.pth", tmp_path / "theirs.pth")
    converted = torch.load(tmp_path / "theirs.pth")
    assert (converted["dataset"], converted["licenses"]) == ("Nine songs", [{"license": "CC0"}])
    assert converted["model_args"]["fb_name"] == "TorchSTFTFB"
    assert converted["model_args"]["sources"] == SMALL["sources"]


def test_a_model_of_another_filterbank_is_not_converted(tmp_path, make_model):
    from convert import convert_model

    torch.save(make_model(fb_name="stft").serialize(), tmp_path / "model.pth")
    with pytest.raises(InputError, match="model.pth has the filterbank .*have the numbers of"):
        convert_model(tmp_path / "model.pth", tmp_path / "theirs.pth")
    assert not (tmp_path / "theirs.pth").exists()


def test_command_writes_and_converts(checkout, tmp_path, make_model, capsys):
    from to_asteroid import main

    torch.save(make_model().serialize(), tmp_path / "model.pth")
    converted = str(tmp_path / "theirs.pth")
    main([str(checkout), "--convert", str(tmp_path / "model.pth"), converted])
    printed = capsys.readouterr().out.splitlines()
    assert printed == [str(checkout / path) for path in sorted(EDITED + NEW)] + [converted]
    assert torch.load(converted)["model_name"] == "TFSWAUNet"


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    from to_asteroid import main

    with pytest.raises(InputError, match="is no checkout of Asteroid: asteroid/models is missing"):
        main([str(tmp_path)])


def test_command_needs_something_to_do(capsys):
    from to_asteroid import main

    with pytest.raises(SystemExit):
        main([])
    assert "give a checkout of Asteroid, --convert MODEL FILE, or both" in capsys.readouterr().err


def test_an_earlier_version_of_the_change_is_not_written_over(checkout):
    write(checkout)
    path = checkout / "hubconf.py"
    path.write_text(path.read_text().replace("(pretrained) TFSWA-UNet", "TFSWA-UNet"))
    with pytest.raises(InputError, match="hubconf.py has an earlier version of this change"):
        write(checkout)


def test_what_somebody_has_written_since_is_kept(checkout):
    write(checkout)
    path = checkout / RECIPE / "README.md"
    path.write_text(path.read_text().replace("|     |", "| 6.1 |"))
    git(checkout, "checkout", "-q", ".")
    status = git(checkout, "status", "--porcelain")
    with pytest.raises(InputError, match="README.md has other content, .*: move it away first"):
        write(checkout)
    assert "6.1" in path.read_text() and git(checkout, "status", "--porcelain") == status


def test_a_file_that_is_not_asteroids_stops_all_others(checkout):
    path = checkout / "CHANGELOG.md"
    path.write_text("# Another history\n")
    with pytest.raises(InputError, match="CHANGELOG.md has .* 0 times, where once is expected"):
        write(checkout)
    assert git(checkout, "status", "--porcelain").splitlines() == [" M CHANGELOG.md"]


def test_asteroids_own_tests_pass_with_it(real_checkout, contribution):
    files = ["tests/models/models_test.py", "tests/jit/jit_models_test.py"]
    done = run_in(
        contribution, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "tfswa", *files
    )
    assert "27 passed" in done.stdout, done.stdout
