"""Checkpoints load safely and whole, or not at all."""

import os
import random
import zipfile

import pytest
import torch

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.torch_files import load_torch_file

CONTENT = {"weights": torch.arange(5000.0), "numbers": [1, 2.5, None], "text": "a name"}


@pytest.fixture
def path(tmp_path):
    torch.save(CONTENT, tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


def is_content(loaded):
    others = {key: value for key, value in CONTENT.items() if key != "weights"}
    return torch.equal(loaded.pop("weights"), CONTENT["weights"]) and loaded == others


def refused(path):
    with pytest.raises(InputError) as info:
        load_torch_file(path, "train again")
    message = str(info.value)
    assert "\n" not in message and message.startswith(str(path))
    return message


@pytest.mark.parametrize("as_archive", [True, False])
def test_intact_file(tmp_path, as_archive):
    torch.save(CONTENT, tmp_path / "a", _use_new_zipfile_serialization=as_archive)
    assert is_content(load_torch_file(tmp_path / "a"))
    assert is_content(load_torch_file(str(tmp_path / "a")))


def test_flipped_bit_is_found_wherever_it_changes_anything(path):
    data, rng, n_refused = path.read_bytes(), random.Random(0), 0
    for _ in range(200):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            assert is_content(load_torch_file(path))  # in padding or in a date
        except InputError as err:
            assert "damaged" in str(err) or "safely" in str(err)
            n_refused += 1
    assert n_refused > 150


def test_flipped_bit_in_the_weights_is_reported_with_the_remedy(path):
    data = bytearray(path.read_bytes())
    data[data.index(CONTENT["weights"].numpy().tobytes()) + 7777] ^= 4
    path.write_bytes(data)
    assert refused(path) == f"{path} is damaged or not a checkpoint; train again"


def test_cut_off_file(path):
    data = path.read_bytes()
    for size in (0, 1, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        refused(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_archive_that_torch_would_not_write(path, tmp_path, compression):
    packed = tmp_path / "packed.ckpt"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", compression) as new:
        for part in old.infolist():
            new.writestr(part.filename, old.read(part))
    assert "damaged or not a checkpoint" in refused(packed)


def test_encrypted_part_and_unknown_compression(path):
    data = path.read_bytes()
    for offset, value in ((8, 1), (10, 77)):  # of a directory entry: its flags, its compression
        damaged = bytearray(data)
        damaged[data.rindex(b"PK\x01\x02") + offset] = value
        path.write_bytes(damaged)
        assert "damaged or not a checkpoint" in refused(path)


def test_what_is_no_file(tmp_path):
    assert "not found" in refused(tmp_path / "missing")
    assert "a folder or a device" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # opened it would wait for a writer
    assert "a folder or a device" in refused(tmp_path / "pipe")
