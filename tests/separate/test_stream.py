"""Separation in chunks: complete, seamless and streaming."""

from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
import torch

from asteroid_tfswa.devices import has_bfloat16
from asteroid_tfswa.machine import is_out_of_memory
from asteroid_tfswa.separate import chunks, separate_blocks, separate_wav
from asteroid_tfswa.separate.runner import channel_groups
from tests.stand_ins import OutOfMemory, StandIn, WrongAtEnds, WrongLevels

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
    assert model.seen == [(2, 2, 100), (2, 2, 100)]  # the last is as long: it starts at 160
    model = StandIn()
    separate_wav(model, torch.randn(2, 99), segment=0.1)
    assert model.seen == [(1, 2, 99)]


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


def test_training_mode_is_restored(make_model):
    model = make_model().train()
    out = separate_wav(model, torch.randn(2, 900), segment=0.05)
    assert model.training and not out.requires_grad
    with pytest.raises(ValueError):
        separate_wav(model, torch.randn(3, 900))
    assert model.training


def test_threads_share_a_model_in_training_mode(make_model):
    model = make_model().train()
    model.masker.eval()  # as in a partly frozen model
    before = [module.training for module in model.modules()]

    modes, wav = [], torch.randn(2, 4000)
    model.encoder.register_forward_pre_hook(
        lambda *args: modes.append(any(module.training for module in model.modules()))
    )
    with ThreadPoolExecutor(4) as pool:
        outs = list(pool.map(lambda n: separate_wav(model, wav[:, : 900 * n]), range(1, 5)))
    assert len(outs) == len(modes) == 4 and not any(modes)
    assert [module.training for module in model.modules()] == before


def test_a_stream_that_is_closed_early_restores_the_mode():
    model = StandIn().train()
    stream = separate_blocks(model, [torch.zeros(2, 500)], segment=0.1)
    assert model.training
    next(stream)
    assert not model.training
    stream.close()
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
        ({"overlap": float("nan")}, "overlap must be .* got nan"),
        *(({"segment": x}, f"segment must be .* got {x}") for x in (0, -1, 1e-9, 601, 1e9)),
        *(({"segment": float(x)}, f"segment must be .* got {x}") for x in ("nan", "inf")),
        *(({"batch_size": x}, f"batch_size must be .* got {x}") for x in (0, 257, 10**9, 1.5)),
        *(({"shifts": x}, f"shifts must be .* got {x}") for x in (0, -1, 101, 10**9)),
        *(({"latency": x}, f"latency must be .* got {x}") for x in (0, 6.5, float("nan"))),
        ({"latency": 2.0, "batch_size": 2}, "batch_size must be 1 with a bound .* got 2"),
        ({"precision": "8"}, "precision: '8' is unknown; use one of 32, bf16, auto"),
    ],
)
def test_wrong_options_are_named_with_their_value(kwargs, message):
    with pytest.raises(ValueError, match=message):
        separate_blocks(StandIn(), [], **kwargs)  # at once, not when the first block is drawn


# --- no seams ------------------------------------------------------------------------------------


def test_samples_without_context_are_not_used():
    # Overlap 40: a quarter of it, 10 samples, at each end of a chunk.
    wav = torch.randn(2, 1000)
    out = separate_wav(WrongAtEnds(10), wav, segment=0.16, overlap=0.25)
    assert (out - torch.stack([wav, 2 * wav]))[..., 10:-10].abs().max() < 1e-5
    out = separate_wav(WrongAtEnds(13), wav, segment=0.16, overlap=0.25)
    assert (out - torch.stack([wav, 2 * wav]))[..., 13:-13].abs().max() > 1  # it can be measured


def test_the_last_chunk_has_context_too():
    class Position(StandIn):  # the answer is the position in the chunk
        def forward(self, wav):
            return super().forward(wav) * 0 + torch.arange(wav.shape[-1])

    for length in (161, 170, 280, 400):
        out = separate_wav(Position(), torch.ones(2, length), segment=0.16, overlap=0.25)
        assert out[0, 0, -1] == 159
        assert (out[..., 130:] >= 9.9).all()  # 10 samples at a chunk's begin are not used


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
    monkeypatch.setattr(chunks, "_fade_in", broken)
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


# --- latency -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, latency",
    [
        ({"segment": 0.1}, 100),
        ({"segment": 0.1, "batch_size": 3}, 100 + 2 * 75),
        ({"segment": 0.1, "shifts": 3}, 100),
        ({"segment": 0.3, "latency": 0.05}, 50),
        ({"segment": 0.3, "latency": 0.05, "shifts": 2}, 50),
        ({"segment": 0.3, "latency": 0.3}, 300),
    ],
)
def test_the_latency_is_as_declared(options, latency):
    n_read, n_given, waits = 0, 0, []

    def samples():
        nonlocal n_read
        for sample in wav.split(1, dim=-1):
            n_read += 1
            yield sample

    wav, model, parts = torch.randn(2, 2000), StandIn(), []
    for sources in separate_blocks(model, samples(), **options):
        waits.append(n_read - 1 - n_given)  # samples after the first of these sources
        n_given += sources.shape[-1]
        parts.append(sources)
    assert max(waits) == latency
    assert (torch.cat(parts, dim=-1) - torch.stack([wav, 2 * wav])).abs().max() < 1e-5
    assert max(model.seen)[2] == round(options["segment"] * 1000)  # what the network sees


@pytest.mark.parametrize("length", [1, 49, 50, 51, 88, 301, 777])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
def test_a_bound_on_the_latency_keeps_the_whole_input(length, overlap):
    wav = torch.randn(2, length)
    out = separate_wav(StandIn(), wav, segment=0.3, overlap=overlap, latency=0.05)
    assert (out - torch.stack([wav, 2 * wav])).abs().max() < 1e-5


# --- averaged passes -----------------------------------------------------------------------------


@pytest.mark.parametrize("shifts", [2, 3, 5])
@pytest.mark.parametrize("length", [1, 99, 100, 101, 130, 999])
def test_shifts_keep_the_whole_input(shifts, length):
    wav = torch.randn(2, length)
    out = separate_wav(StandIn(), wav, segment=0.1, shifts=shifts, batch_size=2)
    assert out.shape == (2, 2, length)
    assert (out - torch.stack([wav, 2 * wav])).abs().max() < 1e-5


def test_shifts_move_the_joins(make_model):
    model, wav = make_model(), torch.randn(2, 12000)
    whole = separate_wav(model, wav, segment=1.5)
    one, two = (separate_wav(model, wav, segment=0.3, shifts=n) for n in (1, 2))
    assert (two - whole).square().mean() < (one - whole).square().mean()
    assert torch.equal(two, separate_wav(model, wav, segment=0.3, shifts=2))  # nothing is random


# --- progress ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shifts", [1, 3])
def test_progress_counts_seconds(shifts):
    done = []
    wav = torch.randn(2, 1234)
    separate_wav(StandIn(), wav, segment=0.1, shifts=shifts, progress=done.append)
    assert len(done) > 10
    assert sum(done) == pytest.approx(1.234)


def test_progress_can_cancel():
    model = StandIn()
    with pytest.raises(CancelledError):
        separate_wav(model, torch.randn(2, 1234), segment=0.1, progress=lambda n: False)
    assert len(model.seen) == 1


# --- memory, precision, channels -----------------------------------------------------------------


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
@pytest.mark.parametrize("limit", [8000, 3000, 1999, 1000])
def test_out_of_memory_continues_with_less(recwarn, limit, error):
    model, wav = OutOfMemory(limit, error), torch.randn(2, 20_000)
    out = separate_wav(model, wav, segment=4, batch_size=4)
    assert (out - torch.stack([wav, 2 * wav])).abs().max() < 1e-5
    assert max(shape[0] * shape[2] for shape in model.seen) > limit / 2  # no less than must be
    assert len({str(w.message) for w in recwarn if "out of memory on cpu" in str(w.message)}) == 1


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuFFT error: CUFFT_ALLOC_FAILED",
        "MPS backend out of memory (MPS allocated: 9.06 GB)",
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory",
        "GET was unable to find an engine to execute this computation",  # cuDNN's convolutions
    ],
)
def test_memory_that_runs_out_inside_a_library_is_recognised(message):
    assert is_out_of_memory(RuntimeError(message))
    assert not is_out_of_memory(ValueError(message))
    assert not is_out_of_memory(RuntimeError("CUDNN_STATUS_BAD_PARAM"))


def test_out_of_memory_for_good_is_said():
    message = r"not enough memory on cpu even for chunks of 1.0 s \(CUDA out of memory. Tried"
    with pytest.raises(ValueError, match=message):
        separate_wav(OutOfMemory(900), torch.randn(2, 20_000), segment=4, batch_size=4)


def test_other_errors_are_not_taken_for_memory():
    class Broken(StandIn):
        def forward(self, wav):
            raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="multiplied"):
        separate_wav(Broken(), torch.randn(2, 500))


def test_half_precision_stays_close(make_model):
    model, wav = make_model(), torch.randn(2, 4000)
    exact, auto, half = (separate_wav(model, wav, precision=p) for p in ("32", "auto", "bf16"))
    assert torch.equal(auto, half if has_bfloat16("cpu") else exact)
    assert half.dtype == torch.float32
    assert 0 < (half - exact).square().mean() < 1e-3 * exact.square().mean()


def test_channels_are_grouped_but_not_mixed():
    assert channel_groups(2, 2) == [2]
    assert channel_groups(1, 2) == [1]
    assert channel_groups(5, 2) == [2, 2, 1]
    model, wav = StandIn(), torch.randn(5, 250)
    out = torch.cat(list(separate_blocks(model, [wav], segment=0.1)), dim=-1)
    assert (out - torch.stack([wav, 2 * wav])).abs().max() < 1e-5
    assert {shape[1] for shape in model.seen} == {2, 1}
