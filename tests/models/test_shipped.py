"""Models that ship with the package: by name, by default, listed, and missing."""

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa import InputError, TFSWAUNet
from asteroid_tfswa.cli import main
from asteroid_tfswa.data.decode import decode_stem_mp4
from asteroid_tfswa.models import shipped
from asteroid_tfswa.models.card import describe
from asteroid_tfswa.models.export import export_model
from asteroid_tfswa.scores.bsseval import frame_sdr

LICENCES = [{"title": "Songs", "license": "CC0 1.0"}]


@pytest.fixture
def folder(tmp_path, monkeypatch, make_model):
    """Where models ship in this test, with "small", of vocals and drums."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = make_model()
    package = model.serialize() | {"dataset": "freestems", "licenses": LICENCES}
    package["scores"] = {"n_songs": 1, "stems": {"vocals": {"SDR": {"median": 3.25, "mean": 3}}}}
    torch.save(package, "model.pth")
    Path("package").mkdir()
    torch.save(package, "package/small.pth")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "package")
    Path("song.wav").unlink(missing_ok=True)
    soundfile.write("song.wav", 0.1 * np.random.default_rng(0).standard_normal((8000, 2)), 8000)
    return tmp_path


def separate(*args):
    try:
        main(["separate", *args])
    except SystemExit as err:
        return err.code
    return 0


def test_names_stand_for_models(folder):
    Path("small").mkdir()  # a folder of that name is no model
    by_name = TFSWAUNet.from_pretrained("small").state_dict()
    by_file = TFSWAUNet.from_pretrained("model.pth").state_dict()
    assert all(torch.equal(by_name[key], by_file[key]) for key in by_file)
    with pytest.raises(InputError, match="not found: 'big'; .* ship with the package: small$"):
        TFSWAUNet.from_pretrained("big")


def test_a_run_named_as_a_shipped_model_is_the_run(folder, make_model):
    Path("small").mkdir()
    torch.save(make_model(sources=["alpha"]).serialize(), "small/best_model.pth")
    assert separate("small", "song.wav") == 0
    assert [path.name for path in Path("separated/song").iterdir()] == ["alpha.wav"]


def test_separate_takes_the_small_model_unless_told_otherwise(folder):
    Path("small").mkdir()
    assert separate("song.wav", "-o", "default") == 0
    assert separate("model.pth", "song.wav", "-o", "before") == 0
    assert separate("song.wav", "--model", "model.pth", "-o", "named") == 0
    Path("run").mkdir()
    Path("model.pth").rename("run/best_model.pth")
    assert separate("run", "-o", "run_before", "song.wav") == 0
    stems = [
        soundfile.read(f"{out}/song/vocals.wav")[0]
        for out in ("default", "before", "named", "run_before")
    ]
    assert all(np.array_equal(stem, stems[0]) for stem in stems)


@pytest.mark.parametrize(
    "args, line",
    [
        (["model.pth"], "error: FILES: model.pth is a model; name what to separate after it"),
        (["user/model", "song.wav"], "--model user/model"),
        (["https://example.org/m", "song.wav"], "--model https://example.org/m"),
        (["song.wav", "--model", "big"], "model file not found: 'big'"),
    ],
)
def test_models_in_the_wrong_place_are_named(folder, capsys, args, line):
    assert separate(*args) == 1
    assert line in capsys.readouterr().err
    assert not Path("separated").exists()


def test_options_may_stand_between_files(folder, capsys):
    Path("song.wav").rename("-song.wav")
    assert separate("--segment", "2", "--", "-song.wav") == 0
    assert Path("separated/-song/vocals.wav").exists()
    assert separate("--page", "--nothing", "song.wav") == 2
    assert separate("--page") == 2
    errors = capsys.readouterr().err
    assert "unrecognized arguments: --nothing" in errors and "required: FILES" in errors


def test_a_broken_installation_says_so(folder, capsys):
    Path("package/small.pth").unlink()
    assert separate("song.wav") == 1
    assert "small.pth is missing from this installation; install" in capsys.readouterr().err
    main(["models"])
    assert capsys.readouterr().out == "No model ships with this installation.\n"


def test_the_list_says_what_each_is(folder, capsys):
    main(["models"])
    listed = capsys.readouterr().out
    for part in ("small\n", "vocals, drums", "freestems", "CC0 1.0", "vocals 3.25"):
        assert part in listed
    main(["models", "--json"])
    about = json.loads(capsys.readouterr().out)["small"]
    n_parameters = sum(p.numel() for p in TFSWAUNet.from_pretrained("small").parameters())
    assert about["n_parameters"] == n_parameters and about["SDR"] == {"vocals": 3.25}


def test_a_run_is_made_a_shipped_model_by_export(folder):
    export_model("model.pth", "package/other.pth")
    assert set(shipped.shipped_models()) == {"other", "small"}
    half, full = Path("package/other.pth").stat().st_size, Path("model.pth").stat().st_size
    assert half < 0.8 * full  # few weights; the rest is text
    model = TFSWAUNet.from_pretrained("other")
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_notice_names_everybody():
    notice = (Path(shipped.__file__).parents[1] / "pretrained" / "NOTICE").read_text()
    for name in ("Muldjord", "Groove MIDI", "Nagoya", "Pompeu Fabra", "Greg Sullivan", "Holm"):
        assert name in notice
    for name in ("Frank Wen", "Viola Iborra", "Chromium", "Producer Space", "Karoryfer"):
        assert name in notice


def test_the_small_model_is_what_its_card_says():
    card = (shipped.FOLDER / "small.md").read_text(encoding="utf-8")
    model = TFSWAUNet.from_pretrained("small")
    assert f"{sum(p.numel() for p in model.parameters()):,} parameters" in card
    assert model.sources == ["vocals", "drums", "bass", "other"] and model.sample_rate == 44100
    assert shipped.default_model().stat().st_size < 12e6
    about = describe("small")
    assert about["weights"] == ["float16", "float32"]
    row = next(line for line in card.splitlines() if line.startswith("| three test songs"))
    scores = about["scores"]["stems"]
    assert about["scores"]["n_songs"] == 3
    assert row.endswith("".join(f" {scores[s]['SDR']['mean']:.2f} |" for s in model.sources))
    (notice,) = about["licenses"]
    assert notice["attribution"] == (shipped.FOLDER / "NOTICE").read_text(encoding="utf-8")
    # Its stems add up to about the song: it was trained to.
    wav = torch.from_numpy(0.1 * np.random.default_rng(0).standard_normal((2, 44100))).float()
    with torch.no_grad():
        rest = model.eval()(wav).sum(dim=0) - wav
    assert rest.norm() < wav.norm()


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_the_card_s_scores_of_a_rock_song_are_measured(tmp_path):
    stempeg = pytest.importorskip("stempeg", reason="needs stempeg's sample", exc_type=Exception)
    decode_stem_mp4(Path(stempeg.example_stem_path()), tmp_path, threading.Event())
    model = TFSWAUNet.from_pretrained("small")
    read = [soundfile.read(tmp_path / f"{s}.wav", dtype="float32")[0].T for s in model.sources]
    true = np.stack(read)
    mixture = true.sum(axis=0)
    gains = (true * mixture).sum(axis=(1, 2)) / (mixture**2).sum()
    found = model.separate(mixture)
    card = (shipped.FOLDER / "small.md").read_text(encoding="utf-8")
    rows = card[card.index("| excerpt of 6 s") :].splitlines()[:2]
    for estimates, row in zip((found, gains[:, None, None] * mixture), rows):
        told = [float(cell) for cell in row.split("|")[3:7]]
        medians = np.nanmedian(frame_sdr(true, estimates, 44100), axis=1)
        assert medians == pytest.approx(told, abs=0.02)
