import numpy as np
import pytest
import soundfile
import torch
from torch import distributed
from torch.utils.data import DataLoader, default_convert

from asteroid_tfswa.data.augment import Augment
from asteroid_tfswa.data.dataset import EpochSampler, TrainSegments
from asteroid_tfswa.data.reading import read_segment
from asteroid_tfswa.data.songs import Song
from asteroid_tfswa.errors import InputError

RATE = 1000
SOURCES = ["vocals", "bass"]
STEMS = ["bass", "drums", "vocals"]


def make_song(folder, number, n_samples=3000, stems=STEMS, subtype="FLOAT"):
    """A song whose samples tell where they are from: song, stem and channel, then the time.

    Integer formats have a thousandth of them.
    """
    folder = folder / f"song{number}"
    folder.mkdir(parents=True)
    waves = {}
    for stem in stems:
        start = 100 * number + 10 * STEMS.index(stem)
        wave = np.stack([start + c + np.arange(n_samples) / 1e4 for c in (1, 2)], axis=1)
        waves[stem] = (wave if subtype == "FLOAT" else wave / 1000).astype(np.float32)
    waves["mixture"] = sum(waves.values())
    paths = {name: folder / f"{name}.wav" for name in waves}
    for name, wave in waves.items():
        soundfile.write(paths[name], wave, RATE, subtype=subtype)
    mixture = paths.pop("mixture")
    return Song(folder.name, folder, dict(sorted(paths.items())), mixture, n_samples, RATE, 2)


@pytest.fixture
def songs(tmp_path):
    return [make_song(tmp_path, number) for number in (1, 2, 3, 4)]


def train_set(songs, **changes):
    """Items of half a second without augmentation but random mixing; keywords change that."""
    plain = {"gain_min": 1.0, "gain_max": 1.0, "channel_swap": 0.0}
    settings = {field: changes.pop(field) for field in Augment.__annotations__ if field in changes}
    options = {"segment": 0.5, "sample_rate": RATE, **changes}
    return TrainSegments(songs, SOURCES, augment=Augment(**{**plain, **settings}), **options)


def origin(wave):
    """Song and first sample of a stem made by `make_song`."""
    value = float(wave.min())
    return int(value // 100), round((value % 1) * 1e4)


def test_random_mixing_draws_each_stem_anew(songs):
    data = train_set(songs)
    pairs = set()
    for number in range(40):
        mixture, targets = data[number]
        assert mixture.shape == (2, 500) and targets.shape == (2, 2, 500)
        assert mixture.dtype == targets.dtype == torch.float32
        for target, stem in zip(targets, SOURCES):  # in the order of the sources
            assert (target[0] % 100 // 10 == STEMS.index(stem)).all()
        extra = mixture - targets.sum(0)  # what is not among the sources is in the mixture
        assert (extra[0] % 100 // 10 == STEMS.index("drums")).all()
        pairs.add((origin(targets[0])[0], origin(targets[1])[0]))
    assert len(pairs) > 8  # of the 16 pairs of songs


def test_without_mixing_all_stems_are_of_one_place(songs):
    data = train_set(songs, random_mix=0)
    for number in range(10):
        mixture, (vocals, bass) = data[number]
        assert origin(vocals) == origin(bass)
        torch.testing.assert_close(mixture[0], 3 * vocals[0] - 30, atol=1e-3, rtol=0)


def test_items_depend_on_seed_and_number_alone(songs):
    a, b, other = train_set(songs), train_set(songs), train_set(songs, seed=1)
    for number in (7, 3, 10**9):
        assert torch.equal(a[number][0], b[number][0])
        assert not torch.equal(a[number][0], other[number][0])
    starts = {float(a[number][0].min()) for number in range(50)}
    assert len(starts) == 50


EVERYTHING = {
    name: 0.5
    for name in (
        "random_mix channel_swap polarity silence mix_audio speed stretch pitch lowpass band_mask "
        "time_mask limiter"
    ).split()
} | {"gain_min": 0.5, "gain_max": 1.5, "lowpass_min": 100.0, "lowpass_max": 400.0}


@pytest.mark.parametrize("settings", [{}, EVERYTHING])
def test_workers_and_batches_change_nothing(songs, settings):
    data = train_set(songs, epoch_size=8, **settings)
    alone, helped = (
        [
            data.mix(batch)
            for batch in DataLoader(
                data, 2, sampler=EpochSampler(8), num_workers=n, collate_fn=default_convert
            )
        ]
        for n in (0, 2)
    )
    singles = [data[number] for number in range(8)]
    for place in (0, 1):  # mixtures, targets
        expected = torch.stack([item[place] for item in singles])
        assert torch.equal(torch.cat([batch[place] for batch in alone]), expected)
        assert torch.equal(torch.cat([batch[place] for batch in helped]), expected)
    assert len(alone) == 4 and expected.isfinite().all()


def plain_item(data, number):
    """An item with the default augmentations, by their definition."""
    rng = np.random.default_rng((data.seed, number))
    mixing = rng.random() < data.augment.random_mix
    stems = []
    for name in data.stems:
        if mixing or not stems:
            song = data.songs[rng.integers(len(data.songs))]
            start = rng.integers(song.n_samples - data.n_samples + 1)
        gain = np.float32(rng.uniform(data.augment.gain_min, data.augment.gain_max))
        swap = rng.random() < data.augment.channel_swap
        wave = np.zeros((data.n_samples, 2), dtype="float32")
        if name in song.stems:
            wave, _ = soundfile.read(song.stems[name], dtype="float32")
            wave = wave[start : start + data.n_samples]
        stems.append(gain * (wave[:, ::-1] if swap else wave).T)
    return sum(stems[1:], start=stems[0]), np.stack(stems[: len(data.sources)])


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_items_are_exactly_what_their_definition_says(tmp_path, subtype):
    songs = [make_song(tmp_path, 1, subtype=subtype), make_song(tmp_path, 2, subtype=subtype)]
    songs.append(make_song(tmp_path, 3, stems=["bass", "vocals"], subtype=subtype))
    data = TrainSegments(songs, SOURCES, 0.5, sample_rate=RATE, augment=Augment(random_mix=0.5))
    stems = data.__getitems__([0]).stems
    assert stems.dtype == (torch.int16 if subtype == "PCM_16" else torch.float32)
    for number in range(12):
        mixture, targets = plain_item(data, number)
        assert np.array_equal(data[number][0], mixture)
        assert np.array_equal(data[number][1], targets)


def test_songs_of_which_one_file_is_not_int16(tmp_path):
    songs = [make_song(tmp_path, n, subtype=s) for n, s in ((1, "PCM_16"), (2, "PCM_24"))]
    data = train_set(songs)
    assert data.dtype == torch.float32
    for number in range(4):
        assert np.array_equal(data[number][0], plain_item(data, number)[0])


def test_an_int16_file_that_became_float_is_named(tmp_path):
    songs = [make_song(tmp_path, 1, subtype="PCM_16")]
    data = train_set(songs)
    path = songs[0].stems["bass"]
    soundfile.write(path, soundfile.read(path)[0], RATE, subtype="FLOAT")
    with pytest.raises(InputError, match="bass.wav: FLOAT samples, expected PCM_16.*stage 0"):
        data[0]


def test_gain_and_channel_swap(songs):
    plain, changed = train_set(songs), train_set(
        songs, gain_min=0.25, gain_max=1.25, channel_swap=0.5
    )
    gains, swaps = [], []
    for number in range(60):
        for before, after in zip(plain[number][1], changed[number][1]):
            swaps.append(bool(after[0, 0] > after[1, 0]))
            ratio = after / (before.flip(0) if swaps[-1] else before)
            torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))
            gains.append(ratio[0, 0].item())
    assert 0.25 <= min(gains) < 0.35 and 1.15 < max(gains) <= 1.25
    assert 40 < sum(swaps) < 80


def test_a_song_as_long_as_the_segment_and_one_shorter(tmp_path):
    song = make_song(tmp_path, 1, n_samples=500)
    assert train_set([song])[0][0].shape == (2, 500)
    with pytest.raises(InputError, match=r"segment: 0.501 s.*'song1' \(0.50 s\)"):
        train_set([song], segment=0.501)


def test_an_extra_stem_that_a_song_lacks_is_silent(tmp_path):
    songs = [make_song(tmp_path, 1), make_song(tmp_path, 2, stems=["bass", "vocals"])]
    data = train_set(songs)
    silent = [bool((m - t.sum(0)).abs().max() < 1e-3) for m, t in (data[n] for n in range(40))]
    assert 8 < sum(silent) < 32


def test_problems_name_the_song_or_file(songs):
    with pytest.raises(InputError, match="'piano' is not among the stems of the song 'song1'"):
        TrainSegments(songs, ["piano"], sample_rate=RATE)
    with pytest.raises(InputError, match="none to train or validate on"):
        TrainSegments([], SOURCES, sample_rate=RATE)


def shares(rank, world, port, queue):
    store = distributed.TCPStore("127.0.0.1", port, is_master=False)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)
    sampler = EpochSampler(10)
    epochs = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
    queue.put((rank, len(sampler), epochs))
    distributed.barrier()


def test_processes_share_without_overlap():
    sampler = EpochSampler(10)
    sampler.set_epoch(2)
    assert list(sampler) == list(range(20, 30)) and len(sampler) == 10

    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = torch.multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    processes = [
        context.Process(target=shares, args=(rank, 3, store.port, queue)) for rank in range(3)
    ]
    for process in processes:
        process.start()
    results = sorted(queue.get() for _ in processes)
    for process in processes:
        process.join(30)
    assert [length for _, length, _ in results] == [3, 3, 3]
    for epoch in (0, 1):
        drawn = sorted(n for _, _, epochs in results for n in epochs[epoch])
        assert drawn == list(range(10 * epoch, 10 * epoch + 9))


def test_a_sampler_starts_in_the_middle_of_an_epoch_once():
    sampler = EpochSampler(5)
    sampler.start_at(1, 3)
    sampler.set_epoch(1)  # Lightning does so at the start of each epoch
    assert list(sampler) == [8, 9] and len(sampler) == 5
    sampler.set_epoch(2)
    assert list(sampler) == [10, 11, 12, 13, 14]


@pytest.mark.parametrize(
    "change, named",
    [
        (lambda wave: (wave[:1200], RATE), "ends before sample 2000"),
        (lambda wave: (wave[:500], RATE), "ends before sample 2000"),
        (lambda wave: (wave, 2 * RATE), "2000 Hz and 2 channels, expected 1000 Hz and 2"),
        (lambda wave: (wave[:, :1], RATE), "1000 Hz and 1 channels"),
        (lambda wave: (wave * np.nan, RATE), "samples from 1000 on are not finite numbers"),
    ],
)
def test_a_file_replaced_after_preparation_is_named(songs, change, named):
    path = songs[0].stems["bass"]
    wave, rate = change(soundfile.read(path)[0])
    soundfile.write(path, wave, rate, subtype="FLOAT")
    with pytest.raises(InputError, match=f"bass.wav: .*{named}.* stage 0 again"):
        read_segment(path, 1000, 1000, songs[0])


def test_samples_may_be_large(songs):
    """Their energy is not a float32."""
    path = songs[0].stems["bass"]
    wave = np.full((3000, 2), 1e30, dtype=np.float32)
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read_segment(path, 1000, 1000, songs[0]), wave[:1000].T)
    wave[1500, 1] = -np.inf
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    with pytest.raises(InputError, match="not finite"):
        read_segment(path, 1000, 1000, songs[0])
