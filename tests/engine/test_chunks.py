"""How validation songs are cut and shared between processes."""

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa.data.songs import read_prepared
from asteroid_tfswa.engine.chunks import ChunkBatches, ValidChunks
from asteroid_tfswa.engine.validation import Validation
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.separate.chunks import overlap_add
from tests.engine import tiny


@pytest.fixture
def songs(tmp_path):
    return read_prepared(tiny.make_data(tmp_path / "data")).splits["train"]


def make_chunks(songs, segment=0.6, overlap=0.25, seconds=0.0):
    return ValidChunks(songs, tiny.SOURCES, segment, overlap, seconds, tiny.RATE)


@pytest.mark.parametrize("segment", [0.11, 0.6, 1.0, 2.5, 3.0, 4.0])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_chunks_are_those_of_separation(songs, segment, overlap):
    chunks, found = make_chunks(songs, segment, overlap), []
    for song in songs:
        mixture = torch.from_numpy(soundfile.read(song.mixture, dtype="float32")[0].T)
        size = round(segment * tiny.RATE)
        for _ in overlap_add(
            lambda batch: found.append(batch[0]) or batch[:, None].clone(),
            mixture.split(5000, dim=1),
            size,
            round(size * overlap),
            batch_size=1,
        ):
            pass
    assert len(chunks) == len(found)
    for (mixture, _, _), separated in zip(chunks, found):
        assert torch.equal(mixture, separated)


def test_targets_are_read_in_the_order_of_the_sources(songs):
    mixture, targets, number = make_chunks(songs)[1]
    assert number == 1 and targets.shape == (2, 2, 4800)
    for target, stem in zip(targets, tiny.SOURCES):
        wave, _ = soundfile.read(songs[0].stems[stem], dtype="float32")
        assert np.array_equal(target.T.numpy(), wave[3600:8400])


def test_the_middle_of_each_song_from_a_whole_second_on(songs):
    chunks = make_chunks(songs, seconds=1.0)
    assert chunks.lengths == [8000] * 3 and chunks.first == [8000, 0, 0]
    wave, _ = soundfile.read(songs[0].mixture, dtype="float32")
    assert np.array_equal(chunks[0][0].T.numpy(), wave[8000:12800])
    assert make_chunks(songs, seconds=2.2).lengths == [17600, 17600, 16000]


def test_no_songs_are_named():
    with pytest.raises(InputError, match="none to train or validate on"):
        make_chunks([])


@pytest.mark.parametrize("world", [1, 2, 3, 5, 40])
def test_processes_together_score_as_one(songs, monkeypatch, world):
    """Estimates differ from chunk to chunk, so that joins matter; the shortest song is a chunk."""
    data = make_chunks(songs, segment=2.2, overlap=0.3)
    total, loss, pieces, n_batches = 0.0, 0.0, [], set()
    for rank in range(world):
        monkeypatch.setattr("asteroid_tfswa.engine.chunks.rank_and_world", lambda: (rank, world))
        batches = ChunkBatches(data, batch_size=2)
        validation = Validation(data, torch.device("cpu"), n_preview=20000)
        assert len(list(batches)) == len(batches) > 0
        n_batches.add(len(batches))
        for numbers in batches:
            items = [data[number] for number in numbers]
            targets = torch.stack([item[1] for item in items])
            gains = torch.tensor(numbers)[:, None, None, None] / 10
            validation.add(numbers, targets, gains * targets, torch.nn.functional.l1_loss)
        total, loss = total + validation.scores.energies, loss + validation.loss_and_samples
        pieces += validation.preview
    assert len(n_batches) == 1  # a sharded network needs all processes at each
    monkeypatch.undo()
    expected = Validation(data, torch.device("cpu"))
    for first in range(len(data)):
        targets = data[first][1][None]
        expected.add([first], targets, first / 10 * targets, torch.nn.functional.l1_loss)
    torch.testing.assert_close(total, expected.scores.energies, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(loss, expected.loss_and_samples, rtol=1e-5, atol=0)
    vocals, _ = soundfile.read(songs[0].stems["vocals"], dtype="float32")
    assert np.array_equal(torch.cat(pieces, dim=-1)[0, 0].T.numpy(), vocals[:20000])


def test_a_process_without_chunks_gets_one_of_silence(songs, monkeypatch):
    data = make_chunks(songs[:1], segment=3.0)
    monkeypatch.setattr("asteroid_tfswa.engine.chunks.rank_and_world", lambda: (0, 3))
    assert list(ChunkBatches(data, 2)) == [[1]]
    mixture, targets, number = data[1]
    assert mixture.shape == (2, 24000) and targets.shape == (2, 2, 24000) and number == 1
    assert not mixture.any() and not targets.any()
