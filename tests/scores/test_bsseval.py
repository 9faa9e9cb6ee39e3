"""The fast scorer held against museval, and against itself where museval is noise."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import firwin, lfilter

from asteroid_tfswa.scores import bsseval, museval
from asteroid_tfswa.scores.bsseval import Signals
from tests.scores.songs import RATE, song

pytest.importorskip("museval", reason="scoring needs museval and ffmpeg", exc_type=Exception)
REAL = Path(__file__).resolve().parents[3] / "shared/data/realmusic"


def both(references, estimates, rate=RATE):
    """Values (n_src, n_frames, 4) of ours and of museval; whether ours are regularised."""
    args = Signals.of(references), [Signals.of(estimates)], rate
    ours = bsseval.score(*args)[0]
    return ours.values, museval.score(*args)[0].values, ours.regularised


def change(references, estimates, case):
    """A song and its estimates, made difficult."""
    if case == "a silence":
        references[1, :, RATE : 2 * RATE] = 0
    elif case == "channels that cancel for a second":
        estimates[0, 0, :RATE] = -estimates[0, -1, :RATE]
    elif case == "swapped":
        estimates = estimates[::-1].copy()
    elif case == "copies and empty channels":
        references[0] = references[0, :1]
        references[1, 1:] = 0
    elif case == "quiet":
        references[0] *= 1e-4
    elif case == "no highs":
        low = firwin(101, 0.5)
        references, estimates = (lfilter(low, 1, x) for x in (references, estimates))
        references += 1e-5 * np.random.default_rng(1).standard_normal(references.shape)
    return references.astype(np.float32), estimates.astype(np.float32)


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize(
    "case",
    ["plain", "a silence", "swapped", "copies and empty channels", "quiet", "no highs"],
)
def test_equal_to_museval(case, n_channels):
    references, estimates = change(*song(3.2, n_channels=n_channels), case)
    ours, theirs, regularised = both(references, estimates)
    assert ours.shape == theirs.shape == (2, 3, 4) and not regularised
    np.testing.assert_allclose(ours, theirs, atol=1e-3)  # NaN where museval has it
    sdr = bsseval.frame_sdr(references, estimates, RATE)
    np.testing.assert_allclose(sdr, theirs[..., 0], atol=1e-4)
    assert np.isnan(sdr[0]).tolist() == [False, case == "a silence", False]


def test_channels_that_cancel_are_silence():
    case = "channels that cancel for a second"
    references, estimates = change(*song(2.5, n_channels=2), case)
    ours, theirs, _ = both(references, estimates)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert np.isnan(ours[:, 0]).all() and not np.isnan(ours[:, 1]).any()


def test_perfect_estimates_have_a_high_score_that_is_finite():
    references, _ = song(2, n_channels=2)
    ours, theirs, _ = both(references, references)
    assert np.all(ours > 250) and np.all(theirs > 250) and np.all(np.isfinite(ours))
    assert bsseval.frame_sdr(references, references, RATE) == pytest.approx(ours[..., 0])


@pytest.mark.parametrize("seconds, n_frames", [(0.4, 1), (1.0, 1), (1.99, 1), (2.0, 2)])
def test_frames_are_musevals(seconds, n_frames):
    references, estimates = song(seconds)
    ours, theirs, _ = both(references, estimates)
    assert ours.shape[1] == n_frames
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_several_sets_at_once_are_each_alone_and_blocks_do_not_matter(monkeypatch):
    references, estimates = song(12, n_channels=2)
    sets = [Signals.of(estimates), Signals.of(references[::-1] + estimates)]
    args = Signals.of(references), sets, RATE
    together = bsseval.score(*args)
    for signals, found in zip(sets, together):
        alone = bsseval.score(args[0], [signals], RATE)[0]
        np.testing.assert_allclose(found.values, alone.values, atol=1e-6)
    monkeypatch.setattr(bsseval, "BLOCK", 2 * (bsseval.FFT_SIZE - 2 * bsseval.FILTER))
    monkeypatch.setattr(bsseval, "FRAMES", 5)
    in_pieces = bsseval.score(*args)
    np.testing.assert_allclose(in_pieces[1].values, together[1].values, atol=1e-6)


def test_lossy_references_that_rounding_does_not_decide_are_musevals(tmp_path):
    references, estimates = song(1.5 * 44100 / RATE)
    references *= np.hanning(references.shape[-1]) ** 0.6  # a condition of about 1e13
    for i, x in enumerate(references):
        soundfile.write(tmp_path / "x.ogg", x.T, 44100, format="OGG", subtype="VORBIS")
        references[i] = soundfile.read(tmp_path / "x.ogg", dtype="float32")[0]
    estimates = references + 0.3 * references[::-1] + 0.03 * estimates
    ours, theirs, regularised = both(references, estimates, 44100)
    assert not regularised
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_band_limited_references_are_flagged_and_stable():
    references, estimates = song(4, n_channels=2)
    low = firwin(1001, 0.6, window=("kaiser", 14))
    noise = 0.05 * estimates
    references = lfilter(low, 1, references)[..., 1000:].astype(np.float32)
    estimates = (references + 0.3 * references[::-1] + noise[..., 1000:]).astype(np.float32)
    ours, theirs, regularised = both(references, estimates)
    again, others, _ = both(references[::-1].copy(), estimates[::-1].copy())
    again, others = again[::-1], others[::-1]
    assert regularised
    assert np.abs(theirs - others)[..., 1].max() > 1e-2  # museval disagrees with itself
    np.testing.assert_allclose(ours, again, atol=1e-3)
    np.testing.assert_allclose(ours[..., 0], theirs[..., 0], atol=1e-4)
    assert np.median(ours[..., 1]) == pytest.approx(10.5, abs=0.5)  # 0.3 of the other stem


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/realmusic")
def test_real_song_is_flagged_and_its_sdr_is_musevals():
    stems = ("vocals", "drums")
    paths = [REAL / f"valid/eif_caesium/{stem}.ogg" for stem in stems]
    start = 170 * 44100
    read = [soundfile.read(p, 2 * 44100, start, dtype="float32", always_2d=True)[0] for p in paths]
    references = np.stack([x.T for x in read])
    estimates = np.tanh(8 * (references + 0.2 * references[::-1])) / 8
    ours, theirs, regularised = both(references, estimates, 44100)
    assert regularised
    np.testing.assert_allclose(ours[..., 0], theirs[..., 0], atol=1e-4)
