"""Configurations and commands: what a user can say, and what is refused in one line."""

import argparse
import re
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
import torch

from asteroid_tfswa import TFSWAUNet
from asteroid_tfswa.config import parse_command, read_yaml
from asteroid_tfswa.devices import PRECISIONS
from asteroid_tfswa.engine.losses import LOSSES
from asteroid_tfswa.engine.optimizers import make_optimizer
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.ranges import parse_range

RECIPE = Path(__file__).resolve().parents[1] / "egs/musdb18"
BASE = """\
data:
  sources: [vocals, drums]  # stems
  rate: 44100  # in Hz
optim:
  lr: 1e-3  # learning rate [>0..10]
  lr_max: 0.1  # its end [lr..10]
  nesterov: false  # or not
  optimizer: adam  # by name
"""


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "conf.yml"
    path.write_text(BASE)
    return path


def parse(base, *argv):
    return parse_command(argparse.ArgumentParser(allow_abbrev=False), base, argv)[1]


def test_file_and_options_change_the_base_in_that_order(base, tmp_path):
    user = tmp_path / "user.yml"
    user.write_text("optim:\n  lr: 2e-3\n  nesterov: true\n")
    conf = parse(base, "--conf", str(user), "--lr", "5e-4", "--sources", "bass")
    assert conf == {
        "data": {"sources": ["bass"], "rate": 44100},
        "optim": {"lr": 5e-4, "lr_max": 0.1, "nesterov": True, "optimizer": "adam"},
    }


def test_numbers_stay_numbers_and_false_is_false(base):
    assert parse(base)["optim"]["lr"] == 1e-3  # plain YAML 1.1 reads text
    conf = parse(base, "--lr_max", "1", "--nesterov", "false", "--optimizer", "3")
    assert conf["optim"] == {"lr": 1e-3, "lr_max": 1.0, "nesterov": False, "optimizer": "3"}
    assert isinstance(conf["optim"]["lr_max"], float)


@pytest.mark.parametrize(
    "words, sources",
    [
        (["bass", "lead vocals"], ["bass", "lead vocals"]),
        (["bass,drums"], ["bass", "drums"]),
        (["[bass,", "drums]"], ["bass", "drums"]),
        (["1", "no"], ["1", "no"]),
    ],
)
def test_lists_on_the_command_line(base, words, sources):
    assert parse(base, "--sources", *words)["data"]["sources"] == sources


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--lrr", "1"], r"unknown option --lrr \(did you mean --lr\?\)"),
        (["--lr", "fast"], "--lr must be a number above 0 and at most 10: got 'fast'"),
        (["--lr", "1:30"], "--lr must be a number above 0 and at most 10: got '1:30'"),
        (["--lr", ""], "--lr must be a number above 0 and at most 10: got None"),
        (["--lr", "0"], "--lr must be a number above 0 and at most 10: got 0"),
        (["--lr", "5"], r"lr_max must be a number from lr \(5\) to 10: got 0.1"),
        (["--rate", "44.1"], "--rate must be an integer: got 44.1"),
        (["--rate", "9" * 5000], "--rate must be an integer: got inf"),
        (["--nesterov", "2"], "--nesterov must be true or false: got 2"),
        (["--lr"], "argument --lr: expected one argument"),
        (["--conf", "missing.yml"], "missing.yml cannot be read: No such file"),
        (["--conf", "a\0b"], "cannot be read: embedded null byte"),
        (["--conf", "/"], "/ cannot be read: Is a directory"),
        (["--conf", "/dev/zero"], "/dev/zero is not a configuration: it is larger than 1000000"),
    ],
)
def test_options_that_cannot_be_used(base, argv, message):
    with pytest.raises(InputError, match=message) as error:
        parse(base, *argv)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


MAPPINGS = """\
data:
  sources: [vocals, drums]  # stems, or files that are summed [names: names; 1..4]
optim:
  loss: {l1: 1.0}  # losses [l1, mse, sisdr: >0..10; 1..2]
  freeze: []  # patterns [text; 0..3]
"""


@pytest.mark.parametrize(
    "text, words, key, value",
    [
        ("loss: mse", ["mse"], "loss", {"mse": 1.0}),
        ("loss: [l1, mse]", ["l1", "mse"], "loss", {"l1": 1.0, "mse": 1.0}),
        ("loss: {l1: 2, mse: 1e-1}", ["l1=2", "mse=1e-1"], "loss", {"l1": 2.0, "mse": 0.1}),
        ("loss: {l1: 1, mse: .5}", ["l1,mse=.5"], "loss", {"l1": 1.0, "mse": 0.5}),
        ("loss: {mse: 3}", ["{mse: 3}"], "loss", {"mse": 3.0}),
        ("loss: multisrc_neg_sisdr", ["multisrc_sisdr"], "loss", {"sisdr": 1.0}),
        ("sources: [a, b]", ["a,b"], "sources", ["a", "b"]),
        ("sources: {a: [b, c], d: d}", ["a=b,c", "d"], "sources", {"a": ["b", "c"], "d": ["d"]}),
        ("sources: {a: 1}", ["{a:", "1}"], "sources", None),  # a number in YAML
        ("freeze: []", ["[]"], "freeze", []),
        ("freeze: ['a.*', b]", ["a.*", "b"], "freeze", ["a.*", "b"]),
        ("freeze: ['[ms]*.a', b]", ["[ms]*.a", "b"], "freeze", ["[ms]*.a", "b"]),
    ],
)
def test_mappings_in_files_and_on_the_command_line(tmp_path, text, words, key, value):
    base, user = tmp_path / "base.yml", tmp_path / "user.yml"
    base.write_text(MAPPINGS)
    section = "data" if key == "sources" else "optim"
    user.write_text(f"{section}:\n  {text}\n")
    for argv in (["--conf", str(user)], [f"--{key}", *words]):
        if value is None:
            with pytest.raises(InputError, match="sources must be 1 to 4 values, each a different"):
                parse(base, *argv)
        else:
            assert parse(base, *argv)[section][key] == value


@pytest.mark.parametrize(
    "argv, message",
    [
        ("--loss l1=0", "--loss must be 1 to 2 of l1 or mse or sisdr, each with a number above 0"),
        ("--loss l1=a", "got {'l1': 'a'}"),
        ("--loss l1=", "got {'l1': None}"),
        ("--loss =1", "got {'': 1}"),
        ("--loss sdr=1", "got {'sdr': 1}"),
        ("--loss l1=1,2", "got {'l1': '1,2'}"),
        ("--loss l1=1 mse=1 sisdr=1", "got {'l1': 1, 'mse': 1, 'sisdr': 1}"),
        ("--loss l1=1 l1=2", "--loss: l1 is given twice"),
        ("--loss {l1:1", "--loss is not YAML: line 1: "),
        ("--sources a=b,b", "or a mapping to such lists: got {'a': "),
        ("--sources a=", "or a mapping to such lists: got {'a': "),
        ("--sources ../a=b", "or a mapping to such lists: got {'../a': "),
        ("--freeze a b c d", "--freeze must be 0 to 3 values, each text: got "),
    ],
)
def test_mappings_that_cannot_be_used(tmp_path, argv, message):
    base = tmp_path / "base.yml"
    base.write_text(MAPPINGS)
    with pytest.raises(InputError) as error:
        parse(base, *argv.split())
    assert message in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


BILLION = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    "text, message",
    [
        ("optim:\n  lrate: 1\n", "unknown key 'lrate' in section 'optim'"),
        ("optm:\n  lr: 1\n", r"unknown section 'optm' \(did you mean optim\?\)"),
        ("optim:\n  lr: fast\n", "lr must be a number above 0 and at most 10: got 'fast'"),
        ("data:\n  sources: []\n", "sources must be 1 to 1000 values, each text: got "),
        ("data:\n  sources: [1]\n", "sources must be 1 to 1000 values, each text: got "),
        ("optim:\n  lr: 1\n  lr: 2\n", "line 3: the key lr is given twice"),
        ("optim: {lr: 1}\noptim: {lr: 2}", "line 2: the key optim is given twice"),
        ("optim: [", "is not YAML: line 1: "),
        ("lr: 1\n", "must have sections"),
        ("", "must have sections"),
        ("hello", "must have sections"),
        ("- 1", "must have sections"),
        ("a: !!python/object/apply:os.system ['touch PWNED']\n", "line 1: tags are not supported"),
        ("optim: {lr: !!binary aGk=}", "line 1: tags are not supported"),
        ("optim: !!set {lr}", "line 1: tags are not supported"),
        ("optim: !!omap [lr: 1]", "line 1: tags are not supported"),
        (f"{BILLION}optim: {{lr: *a8}}\n", "line 1: anchors are not supported"),
        ("optim:\n  lr:\n" + re.sub("(?m)^", "    ", BILLION), "anchors are not supported"),
        ("? &a [x]\n: 1", "anchors are not supported"),
        ("optim: &a {lr: *a}", "anchors are not supported"),
        ("optim: {lr: *a}", "anchors are not supported"),
        ("5: {lr: 1}", "unknown section '5'"),
        ("optim: {5: 1}", "unknown key '5'"),
        ("optim: {~: 1}", "unknown key '~'"),
        ("optim: {null: 1}", "unknown key 'null'"),
        ("optim: {? [a] : 1}", "line 1: a key must be one word"),
        ("? {a: 1}\n: {b: 1}", "line 1: a key must be one word"),
        ("optim: {<<: {lr: 0.1}}", "unknown key '<<'"),
        ("optim: {<<: 5}", "unknown key '<<'"),
        ("a: " + "[" * 100_000, "line 1: nested too deeply"),
        ("{a: " * 1000, "line 1: nested too deeply"),
        ("optim:\n\tlr: 1", "line 2: "),
        ("optim: {lr: 1}\n---\noptim: {lr: 2}", "line 2: but found another document"),
        ("optim: {lr: 2020-01-01}", "got '2020-01-01'"),
        ("optim: {lr: 2020-99-99}", "got '2020-99-99'"),
        ("optim: {lr: 1:30}", "got '1:30'"),
        ("optim: {lr: 1_0}", "got '1_0'"),
        ("optim: {lr: 0x1}", "got '0x1'"),
        ("data: {rate: 1" + "0" * 5000 + "}", "rate must be an integer: got inf"),
        ("optim: {lr: 1e999}", "got inf"),
        ("optim: {lr: '1'}", "got '1'"),
        ("optim: {lr: \0}", "special characters are not allowed"),
        ("? " + "a" * 100_000 + "\n: {}", "unknown section 'aaa"),
        (b"optim: {lr: \xe9}", "can't decode byte 0xe9"),
        ("optim: {lr: 1}".encode("utf-16"), "can't decode byte 0xff"),
    ],
)
def test_files_that_cannot_be_used(base, tmp_path, text, message):
    user = tmp_path / "user.yml"
    user.write_bytes(text if isinstance(text, bytes) else text.encode())
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(InputError, match=message) as error:
        parse(base, "--conf", str(user))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(user) in str(error.value) and "\n" not in str(error.value)
    assert len(str(error.value)) < 400 and peak < 30e6 and time.process_time() - begin < 10


def test_numbers_of_a_file_are_decimal(base, tmp_path):
    user = tmp_path / "user.yml"
    user.write_text("\ufeffdata: {rate: 010, sources: [no, 'null', \"é\"]}", encoding="utf-8")
    conf = parse(base, "--conf", str(user))
    assert conf["data"] == {"rate": 10, "sources": ["no", "null", "é"]}


SECTIONS = read_yaml(RECIPE / "local/conf.yml")
COMMENTS = dict(re.findall(r"(?m)^  (\w+):.*?  # (.*)$", (RECIPE / "local/conf.yml").read_text()))
DEFAULTS = {key: value for section in SECTIONS.values() for key, value in section.items()}
RANGES = {key: parse_range(COMMENTS[key], default) for key, default in DEFAULTS.items()}
NAN, INF = float("nan"), float("inf")
NONSENSE = [-1, -INF, INF, NAN, 10**20, 10**400, 1e9, 0.5e-9, None, "", "../x", [], [[]], {}]
NONSENSE += [{"a": 1}, [-1], [0], [NAN], [None], [[1]], [10**9], ["a", "a"], ["../x"], False, 1j]
# Values that make sense somewhere, and where.
SENSIBLE = [
    (0, "split_seed random_mix channel_swap num_workers weight_decay warmup_steps"),
    (0, "polarity silence mix_audio speed stretch pitch lowpass band_mask time_mask limiter"),
    (0, "eq eq_min eq_max width width_min width_max pan pan_min pan_max"),
    (0, "pitch_min pitch_max time_mask_min limiter_min"),
    (-1, "pitch_min pitch_max eq_min eq_max pan_min"),
    (0, "gradient_clipping seed sep_overlap score_jobs tolerance ema_decay"),
    (0, "save_every_minutes save_every_steps valid_overlap valid_seconds log_audio_every"),
    ("", "init_from freeze monitor"),
    ("../x", "init_from freeze monitor"),
    (["../x"], "freeze"),
    ([], "freeze"),
    (10**9, "split_seed seed"),
    (True, "compile gradient_checkpointing"),
    ("abc", "sources init_from freeze monitor target"),
    ("../x", "target"),
    ("", "target"),
    (["abc"], "sources freeze"),
    ([1, 1, 1], "widths depths n_heads"),
]


@pytest.mark.parametrize("key", DEFAULTS)
def test_every_key_of_the_recipe_refuses_nonsense(key):
    sensible = [value for value, keys in SENSIBLE if key in keys.split()]
    for value in NONSENSE + [value for value, _ in SENSIBLE]:
        if value is False and isinstance(DEFAULTS[key], bool):
            continue
        if isinstance(value, float) and 0 < value < 1 and RANGES[key].above:
            continue  # tiny, and above 0
        low = DEFAULTS.get(RANGES[key].low, RANGES[key].low)
        if isinstance(value, float) and 0 < value < 1 and low != "" and float(low) <= 0:
            continue
        if any(type(value) is type(v) and value == v for v in sensible):
            RANGES[key].check(key, value, DEFAULTS)
            continue
        with pytest.raises(InputError, match=f"^{key} must be .*: got ") as error:
            RANGES[key].check(key, value, DEFAULTS)
        assert "\n" not in str(error.value) and len(str(error.value)) < 300
        entries = RANGES[key].entries
        ends = [RANGES[key].low, RANGES[key].high, *(entries or RANGES[key]).choices]
        assert all(end in str(error.value) for end in ends)


@pytest.mark.parametrize("key", DEFAULTS)
def test_every_key_of_the_recipe_has_a_range_and_takes_its_ends(key):
    found = RANGES[key]
    if isinstance(DEFAULTS[key], bool):
        return
    if key in ("init_from", "freeze", "monitor", "target"):  # any text
        return
    assert found.names or found.choices or (found.low and found.high)
    if found.low and not found.count:
        low, high = (type(DEFAULTS[key])(DEFAULTS.get(end, end)) for end in (found.low, found.high))
        found.check(key, high, DEFAULTS)
        if found.above:
            with pytest.raises(InputError):
                found.check(key, low, DEFAULTS)
        else:
            found.check(key, low, DEFAULTS)
    for choice in found.choices:
        found.check(key, choice, DEFAULTS)


def test_gain_max_is_at_least_gain_min():
    with pytest.raises(
        InputError, match=r"^gain_max must be .* from gain_min \(2\) to 100: got 1.25"
    ):
        parse(RECIPE / "local/conf.yml", "--gain_min", "2")


def test_choices_of_the_recipe_are_those_that_work(make_model):
    assert set(RANGES["precision"].choices) == set(PRECISIONS)
    assert set(RANGES["loss"].entries.choices) == set(LOSSES)
    wav = torch.randn(1, 2, 500)
    for key in ("norm_type", "mask_act", "mask_type"):
        for choice in RANGES[key].choices:
            assert make_model(**{key: choice})(wav).isfinite().all()
    weight = torch.nn.Parameter(torch.ones(3, 3))
    for choice in RANGES["optimizer"].choices:
        optimizer = make_optimizer([weight], optimizer=choice, lr=0.1, weight_decay=0.1)
        before = weight.detach().clone()
        weight.square().sum().backward()
        optimizer.step()
        assert weight.isfinite().all() and not torch.equal(weight, before)


@pytest.mark.parametrize("name", ["demo.yml", "small.yml", "conf.yml"])
def test_configurations_of_the_recipe_build_a_model(name):
    conf = parse(RECIPE / "local/conf.yml", "--conf", str(RECIPE / "local" / name))
    model = TFSWAUNet(sources=conf["data"]["sources"], **conf["filterbank"], **conf["masknet"])
    assert model.sources == ["vocals", "drums", "bass", "other"]


def test_every_key_of_the_recipe_is_unique_and_explained():
    conf = read_yaml(RECIPE / "local/conf.yml")
    keys = [key for section in conf.values() for key in section]
    assert len(keys) == len(set(keys))
    text = subprocess.run(
        [sys.executable, RECIPE / "train.py", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert all(f"--{key} " in text for key in keys)
    assert "(default: none)" not in text
    assert "learning rate [>0..10] (default: 0.001)" in text


def test_a_command_ends_with_one_line_and_no_traceback():
    command = [sys.executable, RECIPE / "train.py", "--data_dir", "nowhere", "--exp_dir", "exp"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and "nowhere" in lines[0]


def test_help_of_the_recipe_from_the_top_of_the_checkout():
    command = ["bash", "egs/musdb18/run.sh", "--help"]
    done = subprocess.run(
        command, cwd=RECIPE.parents[1], capture_output=True, text=True, check=True
    )
    assert "--stage N " in done.stdout and "--compile " in done.stdout
    assert done.stderr == ""


def test_files_with_keys_in_their_earlier_sections_are_read(tmp_path):
    path = tmp_path / "old.yml"
    path.write_text("data: {gain_min: 0.5, random_mix: 0.25}\ntraining: {valid_segment: 2.0}\n")
    conf = parse(RECIPE / "local/conf.yml", "--conf", str(path))
    assert conf["augment"]["gain_min"] == 0.5 and conf["augment"]["random_mix"] == 0.25
    assert conf["validation"]["valid_segment"] == 2.0
    assert "gain_min" not in conf["data"] and "valid_segment" not in conf["training"]
