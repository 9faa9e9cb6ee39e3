"""Separation in chunks: whole, seamless, at constant memory."""

import pytest
import torch

from asteroid_tfswa import separate
from asteroid_tfswa.separate import separate_blocks, separate_wav
from tests.stand_in import StandIn


class WrongAtEnds(StandIn):
    """Answers with a click over the first and last `n` samples, where context is missing."""

    def __init__(self, n):
        super().__init__()
        self.n = n

    def forward(self, wav):
        out = super().forward(wav)
        out[..., : self.n] += 100
        out[..., -self.n :] -= 100
        return out


class WrongLevels(StandIn):
    """Answers the first call right, then by turns 5 % too loud and 5 % too soft."""

    def forward(self, wav):
        gain = 1 if not self.seen else (0.95, 1.05)[len(self.seen) % 2]
        return gain * super().forward(wav)


# --- the whole input, once -----------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 9, 10, 11, 100, 101, 175, 176, 999, 1000])
@pytest.mark.parametrize("overlap", [0, 0.1, 0.25, 0.37, 0.5])
@pytest.mark.parametrize("segment", [0.01, 0.1, 0.333])
def test_fades_sum_to_one(segment, overlap, length):
    wav = torch.randn(2, length)
    before = wav.clone()
    for batch_size in (1, 3):
        out = separate_wav(StandIn(), wav, segment=segment, overlap=overlap, batch_size=batch_size)
        assert out.shape == (2, 2, length)
        assert (out - torch.stack([wav, 2 * wav])).abs().max() < 1e-5
    assert torch.equal(wav, before)


@pytest.mark.parametrize("sizes", [[1] * 300, [7] * 43, [300], [0, 250, 0, 51], [1000, 3]])
def test_blocks_of_any_length(sizes):
    wav = torch.randn(2, sum(sizes))
    parts = list(separate_blocks(StandIn(), wav.split(sizes, dim=-1), segment=0.1))
    assert (torch.cat(parts, dim=-1) - torch.stack([wav, 2 * wav])).abs().max() < 1e-5


def test_no_blocks_give_nothing():
    assert list(separate_blocks(StandIn(), [])) == []
    assert list(separate_blocks(StandIn(), [torch.zeros(2, 0)])) == []


def test_chunks_are_as_said():
    model = StandIn()
    separate_wav(model, torch.randn(2, 250), segment=0.1, overlap=0.25, batch_size=2)
    assert model.seen == [(2, 2, 100), (1, 2, 100)]  # start at 0 and 75; at 150, the last
    model = StandIn()
    separate_wav(model, torch.randn(2, 260), segment=0.1, overlap=0.25, batch_size=2)
    assert model.seen == [(2, 2, 100), (1, 2, 100), (1, 2, 35)]


def test_batching_changes_nothing(make_model):
    model = make_model()
    wav = torch.randn(2, 6000)
    expected = separate_wav(model, wav, segment=0.2)
    for batch_size in (2, 5, 100):
        out = separate_wav(model, wav, segment=0.2, batch_size=batch_size)
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)


def test_one_chunk_is_the_model_itself(make_model):
    model = make_model()
    wav = torch.randn(2, 2, 1000)
    with torch.no_grad():
        expected = model(wav)
    torch.testing.assert_close(model.separate(wav), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(model.separate(wav[0]), expected[0], rtol=0, atol=1e-5)
    assert model.separate(wav[0, 0]).shape == (2, 1000)


def test_training_mode_comes_back(make_model):
    model = make_model().train()
    out = separate_wav(model, torch.randn(2, 900), segment=0.05)
    assert model.training and not out.requires_grad
    with pytest.raises(ValueError):
        separate_wav(model, torch.randn(3, 900))
    assert model.training


@pytest.mark.parametrize("shape", [(3, 500), (2, 3, 500), (2, 0), (0,)])
def test_shapes_that_do_not_fit_are_refused(make_model, shape):
    with pytest.raises(ValueError, match="2 or 1 channels and at least 1 sample"):
        make_model().separate(torch.zeros(shape))


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"overlap": -0.1}, "overlap must be .* got -0.1"),
        ({"overlap": 0.6}, "overlap must be .* got 0.6"),
        ({"segment": 0}, "segment must be .* got 0 s"),
        ({"segment": -1}, "segment must be .* got -1 s"),
        ({"batch_size": 0}, "batch_size must be .* got 0"),
    ],
)
def test_wrong_options_are_named_with_their_value(kwargs, message):
    with pytest.raises(ValueError, match=message):
        separate_wav(StandIn(), torch.zeros(2, 50), **kwargs)


# --- no seams ------------------------------------------------------------------------------------


def test_samples_without_context_are_not_used():
    # Overlap 40: a quarter of it, 10 samples, at each end of a chunk.
    wav = torch.randn(2, 1000)
    out = separate_wav(WrongAtEnds(10), wav, segment=0.16, overlap=0.25)
    assert (out - torch.stack([wav, 2 * wav]))[..., 10:-10].abs().max() < 1e-5
    out = separate_wav(WrongAtEnds(13), wav, segment=0.16, overlap=0.25)
    assert (out - torch.stack([wav, 2 * wav]))[..., 13:-13].abs().max() > 1  # the test can see it


def joins_against_elsewhere(model, wav, segment, overlap):
    """Energy of chunked minus whole output, joins over elsewhere: its level and its jumps."""
    size = round(segment * model.sample_rate)
    n_overlap = round(size * overlap)
    hop = size - n_overlap
    whole = separate_wav(model, wav, segment=wav.shape[-1] / model.sample_rate)
    diff = separate_wav(model, wav, segment=segment, overlap=overlap) - whole
    position = torch.arange(wav.shape[-1])
    at_join = (position >= hop) & (position % hop < n_overlap) & (position < len(position) - size)

    def ratio(x):
        energy = x.square().mean(dim=(0, 1))
        return (energy[at_join].mean() / energy[~at_join].mean()).item()

    jumps = diff.diff(dim=-1, prepend=diff[..., :1])
    return ratio(diff), ratio(jumps)


@pytest.fixture
def smooth_wav():
    """Noise below 20 Hz at 1000 Hz, so that every jump comes from a seam."""
    spec = torch.fft.rfft(torch.randn(2, 20000))
    spec[:, 400:] = 0
    return torch.fft.irfft(spec)


@pytest.mark.parametrize("overlap", [0.2, 0.25, 0.4])
def test_joins_are_no_worse_than_elsewhere(smooth_wav, overlap):
    level, jumps = joins_against_elsewhere(WrongLevels(), smooth_wav, 0.4, overlap)
    assert 0 < level <= 1
    assert jumps <= 1


def test_joins_of_the_network_are_no_worse_than_elsewhere(make_model):
    level, jumps = joins_against_elsewhere(make_model(), torch.randn(2, 32000), 0.2, 0.25)
    assert 0 < level <= 1
    assert jumps <= 1


@pytest.mark.parametrize(
    "broken",
    [
        torch.ones,
        torch.zeros,
        lambda n: (torch.arange(n) >= n // 2).float(),  # a hard cut: sums to one, and clicks
        lambda n: torch.linspace(0, 1, n).sqrt(),  # keeps power instead of amplitude
        lambda n: torch.linspace(0, 0.9, n),
    ],
)
def test_a_broken_fade_is_noticed(smooth_wav, monkeypatch, broken):
    monkeypatch.setattr(separate, "_fade_in", broken)
    level, jumps = joins_against_elsewhere(WrongLevels(), smooth_wav, 0.4, 0.25)
    assert level > 1 or jumps > 1


# --- constant memory -----------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 4])
def test_output_follows_the_input_however_long_it_is(batch_size):
    n_read = 0

    def blocks():
        nonlocal n_read
        while n_read < 100_000:
            n_read += 30
            yield torch.randn(2, 30)

    n_given = 0
    model = StandIn()
    for sources in separate_blocks(model, blocks(), segment=0.1, batch_size=batch_size):
        n_given += sources.shape[-1]
        assert sources.shape[-1] <= 100
        # What is held: the chunks of a batch, the one that is being filled, and a block.
        assert n_read - n_given <= 75 * batch_size + 100 + 30
    assert n_given == n_read
    assert max(model.seen) <= (batch_size, 2, 100)
