"""`asteroid-tfswa export`: a file and a line, or one line of error and no file."""

import pytest

from asteroid_tfswa import TFSWAUNet
from asteroid_tfswa.cli import main
from tests.trained import make_best_model


def test_half_is_the_default(tmp_path, capsys):
    out = tmp_path / "a name.pth"
    main(["export", str(make_best_model(tmp_path / "exp")), str(out)])
    assert f"{out}: written" in capsys.readouterr().out
    assert TFSWAUNet.from_pretrained(out).sources == ["vocals", "drums"]


def test_bad_model_leaves_no_file(tmp_path, capsys):
    (tmp_path / "bad.pth").write_text("no model at all")
    with pytest.raises(SystemExit) as stop:
        main(["export", str(tmp_path / "bad.pth"), str(tmp_path / "out.pth")])
    assert stop.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.pth"]


def test_unknown_format_is_told_with_those_there_are(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["export", "model.pth", "out", "--format", "flac"])
    assert stop.value.code == 2
    assert "torchscript" in capsys.readouterr().err
