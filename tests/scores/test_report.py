"""The page of a run: of the model and the data that were scored, or a line that says why not."""

import json

import pytest

from asteroid_tfswa import InputError
from asteroid_tfswa.data.songs import PreparedData
from asteroid_tfswa.provenance import model_digest
from asteroid_tfswa.scores.report import write_report

DATA = PreparedData("set", "none", 8000, 2, "", {"test": []})


@pytest.fixture
def run(tmp_path):
    """A run after stage 2, without songs."""
    (tmp_path / "best_model.pth").write_bytes(b"one")
    card = {"format": "asteroid-tfswa score card", "version": 1, "songs": [], "failed": []}
    card |= {"data": {"fingerprint": DATA.fingerprint}}
    card |= {"model": {"sha256": model_digest(tmp_path / "best_model.pth")}}
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores/score_card.json").write_text(json.dumps(card))
    return tmp_path


def test_a_configuration_that_is_not_utf_8_is_shown(run):
    (run / "conf.yml").write_bytes(b"data: {sources: [caf\xe9]}")
    index, failed = write_report(run, DATA)
    assert "sources: [caf\N{REPLACEMENT CHARACTER}]" in index.read_text("utf-8") and failed == []


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model": {"sha256": "0"}}, "was scored with an earlier model; run stage 2 again"),
        ({"model": None}, "score_card.json: is damaged; run stage 2 again"),
        ({"data": {"fingerprint": "0"}}, "was scored on other data than set; run stage 2 again"),
        ({"data": {}}, "score_card.json: is damaged; run stage 2 again"),
        ({"songs": [3]}, "score_card.json: is damaged; run stage 2 again"),
        ({"songs": [{"song": "a"}]}, "score_card.json: is damaged; run stage 2 again"),
        ({"failed": None}, "score_card.json: is damaged; run stage 2 again"),
    ],
)
def test_scores_of_others_or_damaged_are_one_line(run, change, message):
    file = run / "scores/score_card.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=message):
        write_report(run, DATA)
    assert not (run / "report").exists()
