"""Wrong arguments of the model: one line with name, value and range, and nothing is allocated."""

import tracemalloc

import numpy as np
import pytest

from asteroid_tfswa import InputError
from tests.conftest import SMALL

NAN, INF = float("nan"), float("inf")
NONSENSE = [NAN, INF, -INF, -1, -0.5, 10**9, 10**5000, "abc", "", [], [0], {}, b"a", object]
NOT_WHOLE = [0, 1.5, True, None, "2", [[2]], [NAN], [None], *NONSENSE]

WRONG = {
    "n_src": [value for value in NOT_WHOLE if value is not None],
    "in_channels": [65, [2], *NOT_WHOLE],
    "n_bands": [1025, [2], *NOT_WHOLE],
    "widths": [(4, -8), (), (4,) * 11, (10**9,), *NOT_WHOLE],
    "depths": [(1, 1), (1, 1, 1, 1), (1, 1, 10**9), 101, *NOT_WHOLE],
    "n_heads": [3, (1, 2), (1, 2, 3), (1, 2, 257), *NOT_WHOLE],
    "window": [(8, 8, 8), (0, 4), 1025, "ab", *NOT_WHOLE],
    "norm_type": [
        "no_such_norm",
        "_LayerNorm",
        "get",
        "torch",
        "EPS",
        "cgLN",
        "CumLN",
        1,
        None,
        *NONSENSE,
    ],
    "mask_act": ["no_such_act", "get", "torch", "nn", "partial", "softmax", 1, None, *NONSENSE],
    "gradient_checkpointing": [0, 1, "true", None, *NONSENSE],
    "mask_type": ["phase", 1, None, True, *NONSENSE],
    "mag_power": [0, 1.5, "half", True, None, *NONSENSE],
    "fb_name": ["no_such", 1, None, True, *NONSENSE],
    "n_filters": [2**17 + 2, *NOT_WHOLE],
    "kernel_size": [32, 128, *NOT_WHOLE],
    "stride": [33, 16.5, [16], *(value for value in NOT_WHOLE if value is not None)],
    "sample_rate": [0, True, None, [8000], 2e6, *NONSENSE],
    "sources": [
        "bass",
        (),
        None,
        {"bass": 1},
        ["bass", "bass"],
        ["bass", 2],
        ["bass", ""],
        ["bass", None],
        ["a"] * 101,
        [f"source {i}" for i in range(101)],
        *[
            ["bass", name]
            for name in ("..", ".", ".a", "-a", " a", "a ", "a.", "a/b", "../a", "a\\b")
        ],
        *[
            ["bass", name]
            for name in ("a\0b", "a\nb", "\x1b[31mred", "a\u202eb", "{stem}", "x" * 61)
        ],
    ],
}


@pytest.mark.parametrize("argument", WRONG)
def test_wrong_value_is_named_with_its_range(make_model, argument):
    for value in WRONG[argument]:
        if argument == "sources" and value is None:
            continue  # the default
        kwargs = {argument: value, **({"sources": None} if argument == "n_src" else {})}
        tracemalloc.start()
        with pytest.raises(InputError) as info:
            make_model(**kwargs)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        message = str(info.value)
        assert message.startswith(f"{argument} must be "), message
        assert ": got " in message and message.isprintable() and len(message) < 250
        assert peak < 2**20


def test_number_of_sources_must_be_that_of_the_names(make_model):
    with pytest.raises(InputError, match="n_src must be 2: got 3"):
        make_model(n_src=3)


@pytest.mark.parametrize(
    "changes",
    [
        {"widths": (8192,) * 10, "depths": 100, "n_heads": 1},
        {"n_bands": 1024, "in_channels": 64, "widths": (8192,), "depths": 1, "n_heads": 1},
    ],
)
def test_network_that_no_machine_holds(make_model, changes):
    with pytest.raises(InputError, match="at most 250,000,000 parameters: got [0-9]{10,}"):
        make_model(**changes)


def test_numbers_of_numpy_are_saved_as_plain_ones(make_model):
    plain = make_model(n_bands=2, widths=(4, 8), depths=1, n_heads=2, sample_rate=8000.0)
    model = make_model(
        n_bands=np.int64(2),
        widths=np.array([4, 8]),
        depths=np.int32(1),
        n_heads=2,
        sample_rate=np.float32(8000),
    )
    assert repr(model.get_model_args()) == repr(plain.get_model_args())


def test_names_of_sources_in_any_language(make_model):
    names = ["Gesang (süß)", "गीत", "ボーカル", "drums & bass", "lead_2.1+fx"]
    assert make_model(sources=names).sources == names


@pytest.mark.parametrize("stride, expected", [(None, 32), (32, 32), (1, 1)])
def test_stride_is_half_a_window_if_none_is_given(make_model, stride, expected):
    assert make_model(stride=stride).encoder.stride == expected
    assert SMALL["kernel_size"] == 64
