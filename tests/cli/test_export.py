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


@pytest.mark.parametrize("name, reason", [("a\0b", "NUL"), ("", "folder"), ("x" * 300, "too long")])
def test_a_name_that_no_file_can_have_is_refused_before_the_model_is_read(
    tmp_path, capsys, name, reason
):
    with pytest.raises(SystemExit) as stop:
        main(["export", str(tmp_path / "none.pth"), f"{tmp_path}/{name}"])
    error = capsys.readouterr().err
    assert stop.value.code == 1 and error.startswith("error: ") and error.count("\n") == 1
    assert reason in error


def test_bad_model_leaves_no_file(tmp_path, capsys):
    (tmp_path / "bad.pth").write_text("no model at all")
    with pytest.raises(SystemExit) as stop:
        main(["export", str(tmp_path / "bad.pth"), str(tmp_path / "out.pth")])
    assert stop.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.pth"]


def test_unknown_format_is_refused_with_the_known_ones(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["export", "model.pth", "out", "--format", "flac"])
    assert stop.value.code == 2
    assert "torchscript" in capsys.readouterr().err
