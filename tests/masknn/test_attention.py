"""The attention branches: equal to the slow reference, and no position sees more than it must."""

import pytest
import torch
from torch.nn import functional as F

from asteroid_tfswa.masknn import attention
from asteroid_tfswa.masknn.attention import FSA, SWA, TSA, spans
from tests import reference

WINDOWS = [(8, 8), (5, 4), (4, 5), (3, 1), (1, 6), (32, 32)]
SIZES = [(13, 21), (16, 24), (4, 4), (1, 9), (7, 1), (1, 1)]


def layer_and_map(layer, n_frames, n_bins, batch=2):
    layer = reference.randomise_(layer).double().eval()
    return layer, torch.randn(batch, n_frames, n_bins, 8, dtype=torch.float64)


def changed_positions(layer, x, frame, bin_):
    """Where the output of a layer changes if its input changes at one position, (time, freq)."""
    other = x.clone()
    other[:, frame, bin_] += torch.randn(8, dtype=x.dtype)
    with torch.no_grad():
        return (layer(x) != layer(other)).any(dim=-1).all(dim=0)


@pytest.mark.parametrize("n_heads", [1, 2, 8])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("branch", ["tsa", "fsa"])
def test_sequence_attention_equals_reference(branch, size, n_heads):
    layer, x = layer_and_map({"tsa": TSA, "fsa": FSA}[branch](8, n_heads), *size)
    expected = getattr(reference, branch)(layer.state_dict(), x, n_heads)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("size", SIZES)
def test_window_attention_equals_masked_swin(size, window, shifted):
    layer, x = layer_and_map(SWA(8, 2, window, shifted), *size)
    expected = reference.swa(layer.state_dict(), x, 2, window, shifted)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("n_heads", [1, 4])
@pytest.mark.parametrize("batch", [1, 3])
def test_window_attention_heads_and_batches(batch, n_heads):
    layer, x = layer_and_map(SWA(8, n_heads, (5, 4), True), 13, 21, batch)
    expected = reference.swa(layer.state_dict(), x, n_heads, (5, 4), True)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("window", [(8, 8), (5, 4)])
@pytest.mark.parametrize("position", [(0, 0), (3, 1), (4, 4), (12, 20), (0, 20), (12, 3), (6, 10)])
def test_a_position_is_seen_by_its_own_window_only(position, window, shifted):
    layer, x = layer_and_map(SWA(8, 2, window, shifted), 13, 21)
    changed = changed_positions(layer, x, *position)
    # A shifted window starts half a window after the border; what lies before is a window too.
    shift = [w // 2 if shifted else 0 for w in window]
    same_frame = torch.tensor(
        [(t - shift[0]) // window[0] == (position[0] - shift[0]) // window[0] for t in range(13)]
    )
    same_bin = torch.tensor(
        [(f - shift[1]) // window[1] == (position[1] - shift[1]) // window[1] for f in range(21)]
    )
    assert torch.equal(changed, same_frame[:, None] & same_bin[None, :])


def test_tsa_sees_one_frequency_bin_and_all_frames():
    layer, x = layer_and_map(TSA(8, 2), 13, 21)
    expected = torch.zeros(13, 21, dtype=torch.bool)
    expected[:, 5] = True
    assert torch.equal(changed_positions(layer, x, 3, 5), expected)


def test_fsa_sees_one_frame_and_all_bins():
    layer, x = layer_and_map(FSA(8, 2), 13, 21)
    expected = torch.zeros(13, 21, dtype=torch.bool)
    expected[3] = True
    assert torch.equal(changed_positions(layer, x, 3, 5), expected)


@pytest.mark.parametrize("batch", [0, 1])
def test_items_of_a_batch_do_not_see_each_other(batch):
    for layer in (TSA(8, 2), FSA(8, 2), SWA(8, 2, (5, 4), True)):
        layer, x = layer_and_map(layer, 6, 7)
        alone = layer(x[batch : batch + 1])[0]
        torch.testing.assert_close(layer(x)[batch], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shift", [0, 1, 2, 4, 7])
@pytest.mark.parametrize("window", [1, 3, 8])
@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 64])
def test_spans_cover_the_axis_once(length, window, shift):
    covered = 0
    for start, number, size in spans(length, window, shift):
        assert start == covered and number >= 1 and 1 <= size <= max(window, shift)
        covered += number * size
    assert covered == length


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
@pytest.mark.parametrize("window", [(13, 1), (1, 21), (13, 7), (1, 1), (13, 21)])
def test_fused_kernel_equals_the_cpu_s(window):
    qkv = torch.randn(3, 13, 21, 24, dtype=torch.float64)
    fused = torch.jit.script(attention.attention)  # scripts call no operator of ours
    expected = attention.attention(qkv, 4, window)
    torch.testing.assert_close(fused(qkv, 4, window), expected, rtol=0, atol=1e-12)


def test_batch_of_the_fused_kernel_has_the_rows_alone(monkeypatch):
    """CUDA takes 65,535; with the columns the recipe's batch of 63 items would have more."""
    shapes = []
    kernel = F.scaled_dot_product_attention

    def seen(q, k, v):
        shapes.append(tuple(q.shape))
        return kernel(q, k, v)

    monkeypatch.setattr(F, "scaled_dot_product_attention", seen)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)  # no operator of ours
    attention.attention(torch.randn(2, 16, 24, 24), 4, (8, 8))
    assert shapes == [(2 * 2, 3 * 4, 8 * 8, 2)]


def test_more_rows_than_a_kernel_takes_are_split(monkeypatch):
    """The rows of frequency attention are the frames of the whole batch."""
    qkv = torch.randn(3, 7, 5, 24, dtype=torch.float64)
    q, k, v = qkv.reshape(21, 5, 3, 4, 2).permute(2, 0, 3, 1, 4)
    whole = attention.fused_attention(q, k, v)
    monkeypatch.setattr(attention, "MAX_BATCH", 8)
    assert torch.equal(attention.fused_attention(q, k, v), whole)
    sizes, kernel = [], F.scaled_dot_product_attention

    def seen(q, k, v):
        sizes.append(len(q))
        return kernel(q, k, v)

    monkeypatch.setattr(F, "scaled_dot_product_attention", seen)
    out = attention.attention(qkv.to("meta"), 4, (1, 5))  # as on a GPU: no operator of ours
    assert sizes == [8, 8, 5] and out.shape == (3, 7, 5, 8)


def test_heads_must_divide_channels():
    with pytest.raises(ValueError, match="n_heads must be a divisor of the 8 channels.*: got 3"):
        TSA(8, 3)
    with pytest.raises(ValueError, match="n_heads.*: got 0"):
        SWA(8, 0, (8, 8), False)


def test_qkv_has_no_bias_and_mlp_is_four_times_as_wide():
    shapes = {name: tuple(p.shape) for name, p in TSA(8, 2).named_parameters()}
    assert shapes["qkv.weight"] == (24, 8) and "qkv.bias" not in shapes
    assert shapes["mlp.0.weight"] == (32, 8) and shapes["mlp.2.weight"] == (8, 32)


@pytest.mark.parametrize("size", [1, 40, 300])
@pytest.mark.parametrize("shifted", [False, True])
def test_slices_of_a_map_give_what_the_whole_map_gives(monkeypatch, size, shifted):
    layers = [attention.TSA(8, 2), attention.FSA(8, 2), attention.SWA(8, 2, (5, 4), shifted)]
    x = torch.randn(2, 23, 19, 8)
    monkeypatch.setattr(attention, "MAX_POSITIONS", size)
    for layer in layers:
        whole = layer(x)  # with gradients nothing is sliced
        with torch.no_grad():
            assert len(layer.slices(x)) > 1
            torch.testing.assert_close(layer(x), whole)
