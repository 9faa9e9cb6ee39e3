"""One song: museval's own numbers, silent stems, and what cannot be scored."""

import json

import numpy as np
import pytest

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.scores.names import FRAME_METRICS, SONG_METRICS
from asteroid_tfswa.scores.song import score_song
from tests.scores.songs import RATE, STEMS, metric, score, song

museval = pytest.importorskip(
    "museval", reason="scoring needs museval and ffmpeg", exc_type=Exception
)


@pytest.mark.parametrize("scorer", ["fast", "museval"])
def test_values_are_musevals(scorer):
    references, estimates = song(n_channels=2)
    references[1, :, RATE : 2 * RATE] = 0  # museval has NaN for all stems there
    scores = score(references, estimates, scorer=scorer)
    sdr, isr, sir, sar = museval.evaluate(
        references.transpose(0, 2, 1).astype(float),
        estimates.transpose(0, 2, 1).astype(float),
        win=RATE,
        hop=RATE,
    )
    for name, values in zip(FRAME_METRICS, (sdr, sir, isr, sar)):
        for stem, expected in zip(STEMS, values):
            found = np.array(metric(scores, stem, name), dtype=float)
            np.testing.assert_allclose(found, expected, atol=2e-5)
            assert np.isnan(found).tolist() == [False, True, False]
    assert scores["targets"][0]["frames"][2]["time"] == 2.0
    reason = "the reference is silent there, which leaves all stems out"
    assert scores["left_out"] == [
        {"stem": "drums", "metrics": list(FRAME_METRICS), "frames": [1], "reason": reason}
    ]
    assert not scores["regularised"]


def test_form_is_musevals_own():
    class Audio:
        def __init__(self, audio):
            self.audio = audio

    class Track:
        name, rate = "song", RATE

    references, estimates = song()
    track = Track()
    track.targets = dict(zip(STEMS, (Audio(x.T.astype(float)) for x in references)))
    expected = museval.eval_mus_track(
        track, dict(zip(STEMS, (x.T.astype(float) for x in estimates)))
    )
    found = score(references, estimates, scorer="museval")
    assert found["targets"] == json.loads(expected.json)["targets"]


def test_perfect_and_scaled_estimates():
    references, _ = song()
    perfect = score(references, references)
    assert all(v is None or v > 200 for v in metric(perfect, "vocals", "SDR"))
    assert perfect["uSDR"]["vocals"] > 80
    halved = score(references, references / 2)  # error: half the amplitude
    assert halved["uSDR"]["drums"] == pytest.approx(6.02, abs=0.01)
    assert metric(halved, "drums", "SDR") == pytest.approx([6.02] * 3, abs=0.01)


def test_usdr_is_the_energy_ratio_of_the_whole_song():
    references, estimates = song(n_channels=2)
    references[0, :, :RATE] *= 10  # a loud second, which a median over frames does not see
    scores = score(references, estimates)
    error = np.sum((references[0] - estimates[0]) ** 2.0)
    expected = 10 * np.log10(np.sum(references[0] ** 2.0) / error)
    assert scores["uSDR"]["vocals"] == pytest.approx(expected, abs=1e-3)
    assert abs(np.median(metric(scores, "vocals", "SDR")) - expected) > 2


def test_silent_stems_are_left_out_and_the_others_scored():
    references, estimates = song(n_src=3)
    references[0] = 0
    scores = score(references, estimates, ["a", "b", "c"])
    alone = score(references[1:], estimates[1:], ["b", "c"])
    assert scores["targets"] == alone["targets"]
    assert scores["left_out"] == [
        {
            "stem": "a",
            "metrics": [*FRAME_METRICS, *SONG_METRICS],
            "reason": "the reference is silent",
        }
    ]
    assert scores["uSDR"]["a"] is None and scores["uSDR"]["b"] == alone["uSDR"]["b"]

    estimates[1] = 0  # one stem remains: nothing can interfere, so no SIR
    scores = score(references, estimates, ["a", "b", "c"])
    undefined = [*FRAME_METRICS, "SI-SDR"]
    silent_b = {"stem": "b", "metrics": undefined, "reason": "the estimate is silent"}
    assert scores["left_out"][1] == silent_b
    assert scores["uSDR"]["b"] == pytest.approx(0, abs=1e-3)
    assert metric(scores, "c", "SIR") == [None] * 3
    assert None not in metric(scores, "c", "SDR")

    references[2] = 0
    scores = score(references, estimates, ["a", "b", "c"])
    assert scores["targets"] == [] and len(scores["left_out"]) == 3


@pytest.mark.parametrize("name, index", [("reference", 0), ("estimate", 1)])
def test_channels_that_cancel_are_silent_to_museval_alone(name, index):
    signals = song(n_channels=2)
    signals[index][0, 1] = -signals[index][0, 0]
    references, estimates = signals
    scores = score(references, estimates)
    reason = f"the channels of the {name} add up to zero: silence to museval"
    assert scores["left_out"] == [
        {"stem": "vocals", "metrics": list(FRAME_METRICS), "reason": reason}
    ]
    assert [target["name"] for target in scores["targets"]] == ["drums"]
    error = np.sum((references[0] - estimates[0]) ** 2.0)
    expected = 10 * np.log10(np.sum(references[0] ** 2.0) / error)
    assert scores["uSDR"]["vocals"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("scorer", ["fast", "museval"])
def test_stems_that_are_the_same_do_not_crash(scorer):
    references = np.zeros((2, 1, 2 * RATE), dtype=np.float32)
    references[:, :, ::RATE] = 2  # makes museval's equations exactly singular
    estimates = references + song(2)[0]
    assert None not in metric(score(references, estimates, scorer=scorer), "drums", "SDR")


def test_si_sdr_is_usdr_after_scaling():
    references, estimates = song(n_channels=2)
    scores = score(references, 0.3 * estimates)
    for i, stem in enumerate(STEMS):
        s, e = references[i].astype(float), 0.3 * estimates[i].astype(float)
        gain = np.sum(e * s) / np.sum(s * s)
        expected = 10 * np.log10(np.sum((gain * s) ** 2) / np.sum((e - gain * s) ** 2))
        assert scores["SI-SDR"][stem] == pytest.approx(expected, abs=1e-3)
        unscaled = score(references, estimates)["SI-SDR"][stem]
        assert scores["SI-SDR"][stem] == pytest.approx(unscaled, abs=1e-3)
    assert score(references, references)["SI-SDR"]["drums"] > 200


def test_a_method_with_a_silent_stem_leaves_the_others_whole():
    references, estimates = song(2, n_src=2)
    silent = estimates.copy()
    silent[0] = 0
    sets = {"whole": estimates, "silent": silent}
    found = score_song(references, sets, STEMS, RATE)
    assert list(found) == ["whole", "silent"]
    assert found["whole"] == score(references, estimates)
    assert [target["name"] for target in found["silent"]["targets"]] == ["drums"]


def test_song_shorter_than_a_frame_has_one():
    references, estimates = song(seconds=0.4)
    assert len(metric(score(references, estimates), "vocals", "SDR")) == 1


def test_shapes_that_differ_are_refused():
    references, estimates = song()
    with pytest.raises(InputError, match="references .* estimates"):
        score(references, estimates[..., :-1])
    with pytest.raises(InputError, match="sources"):
        score(references, estimates, ["vocals"])
