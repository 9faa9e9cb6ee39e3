"""From any raw data set to the one layout that training and evaluation read.

    <data_dir>/{train,valid,test}/<song>/{mixture,vocals,drums,bass,other,<extra stems>}.wav
    <data_dir>/dataset.json

WAV files are linked, everything else is decoded to 32-bit float WAV, so nothing clips. Each song
appears with one rename, and dataset.json comes last: after an interruption, preparing again picks
up what is finished.
"""

import json
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.audio.write import write_wav
from asteroid_tfswa.data import check, decode, musdb18
from asteroid_tfswa.data.songs import DATASET_FILE, SPLITS, find_songs, read_prepared
from asteroid_tfswa.devices import usable_cores
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write, require_space

UNFINISHED = ".unfinished"  # in data_dir until dataset.json is written: options.json, half songs


def prepare(
    source_dir,
    data_dir,
    sources,
    valid_share=0.1,
    seed=0,
    sample_rate=44100,
    name=None,
    license=None,
    n_jobs=None,
):
    """Check a raw data set and bring it into the prepared layout.

    Validation songs are those of `valid/` if the source has such a folder, else the official
    MUSDB18 validation songs if all 14 are among the train songs, else a seeded share of the train
    songs. The mixture is the set's own if it has one, else the sum of all stems.

    Args:
        source_dir (str or Path): MUSDB18, MUSDB18-HQ or songs in that layout, see `find_songs`.
        data_dir (str or Path): where the prepared set goes.
        sources (list[str]): stems that every song must have; others are kept too.
        valid_share (float): share of the train songs, at least one song, that become validation
            songs where the set itself does not say. Default: 0.1.
        seed (int): of that choice. Default: 0.
        sample_rate (int): that all songs must have, in Hz. Default: 44100.
        name (str, optional): name of the set. Default: MUSDB18 or MUSDB18-HQ where it is that,
            else the name of `source_dir`.
        license (str, optional): terms of the audio. Default: those of MUSDB18, else "unknown".
        n_jobs (int, optional): songs worked on at a time. Default: one per usable CPU core.

    Returns:
        PreparedData: the prepared set. At once if it was complete already.

    Raises:
        InputError: no songs, too few, a song that cannot be used (named), no space, or `data_dir`
            holds something else.
        OSError: writing fails.
    """
    source_dir, data_dir = Path(source_dir).resolve(), Path(data_dir)
    options = {
        "source": str(source_dir),
        "sample_rate": sample_rate,
        "valid_share": valid_share,
        "seed": seed,
    }
    check.check_arguments(sources, valid_share)
    _check_data_dir(data_dir, options)
    if (data_dir / DATASET_FILE).exists():
        return _reuse(data_dir, source_dir, sources)

    splits, validation = choose_splits(find_songs(source_dir), valid_share, seed)
    check.check_enough(source_dir, splits)
    songs = [(song, data_dir / split / song.name) for split in SPLITS for song in splits[split]]
    stop, n_jobs = threading.Event(), n_jobs or usable_cores()
    jobs = [(song, sources, sample_rate) for song, _ in songs]
    checked = _in_parallel(check.check_song, jobs, "checking", n_jobs, stop)
    check.check_channels(checked)
    new = [song for song, (_, folder) in zip(checked, songs, strict=True) if not folder.exists()]
    require_space(data_dir, sum(song.n_bytes for song in new), "prepare the data")

    unfinished = data_dir / UNFINISHED
    with atomic_write(unfinished / "options.json") as path:
        path.write_text(json.dumps(options), encoding="utf-8")
    jobs = [(song, folder, unfinished, stop) for song, folder in songs]
    _in_parallel(_make_song, jobs, "preparing", n_jobs, stop)

    default_name, default_license = _describe(source_dir, splits)
    dataset = {
        "name": name or default_name,
        "license": license or default_license,
        "n_channels": checked[0].n_channels,
        "validation": validation,
        **options,
        "songs": {split: [] for split in SPLITS},
    }
    for _, folder in songs:
        dataset["songs"][folder.parent.name].append(_entry(folder))
    with atomic_write(data_dir / DATASET_FILE) as path:
        path.write_text(json.dumps(dataset, indent=1, ensure_ascii=False), encoding="utf-8")
    shutil.rmtree(unfinished)
    return read_prepared(data_dir)


def choose_splits(found, valid_share=0.1, seed=0):
    """Decide which songs validate.

    Args:
        found (dict[str, list[RawSong]]): as `find_songs` gives it.
        valid_share (float): share of the train songs where the set itself does not say.
        seed (int): of that choice.

    Returns:
        tuple[dict[str, list[RawSong]], str]: songs of "train", "valid" and "test", sorted by name,
        and the sentence that says how the validation songs were chosen.
    """
    if found["valid"]:
        return found, "The validation songs are those of the set's own folder valid/."
    train = found["train"]
    names = [song.name for song in train]
    if musdb18.VALIDATION_SONGS.issubset(names):
        chosen = musdb18.VALIDATION_SONGS
        validation = f"The {len(chosen)} official MUSDB18 validation songs of {len(names)}."
    else:
        n_valid = min(len(names), max(1, round(valid_share * len(names))))
        chosen = set(random.Random(seed).sample(names, n_valid))
        validation = (
            f"{n_valid} of the {len(names)} train songs (a share of {valid_share}), "
            f"drawn at random with seed {seed}."
        )
    splits = {
        "train": [song for song in train if song.name not in chosen],
        "valid": [song for song in train if song.name in chosen],
        "test": found["test"],
    }
    return splits, validation


def _check_data_dir(data_dir, options):
    """Refuse a folder that holds other data, or this data prepared with other options."""
    if data_dir.resolve() == Path(options["source"]):
        raise InputError(f"data_dir: {data_dir} is the source itself; choose another folder")
    for path in (data_dir / DATASET_FILE, data_dir / UNFINISHED / "options.json"):
        if path.exists():
            break
    else:
        if any((data_dir / split).exists() for split in SPLITS):
            raise InputError(
                f"data_dir: {data_dir} holds songs but no {DATASET_FILE}; choose another folder"
            )
        return
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        before = {key: stored[key] for key in options}
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: damaged; remove {data_dir} or choose another data_dir") from None
    for key, value in options.items():
        if before[key] != value:
            raise InputError(
                f"data_dir: {data_dir} was prepared with {key} {before[key]}, now it is {value}; "
                "choose another data_dir or remove that one"
            )


def _reuse(data_dir, source_dir, sources):
    """Read the set that is there, if it still is what the source and the sources ask for."""
    data = read_prepared(data_dir)
    for song in (song for songs in data.splits.values() for song in songs):
        for stem in sources:
            if stem not in song.stems:
                raise check.missing_stem(song.folder, stem, song.stems)
    if source_dir.is_dir():  # it may be gone by now, where all was decoded
        found = find_songs(source_dir)
        now = sorted(song.name for songs in found.values() for song in songs)
        before = sorted(song.name for songs in data.splits.values() for song in songs)
        if now != before:
            raise InputError(
                f"{source_dir}: its songs have changed ({len(before)} were prepared, {len(now)} "
                f"are there now); choose another data_dir or remove {data_dir}"
            )
    return data


def _make_song(song, folder, unfinished, stop):
    """Link or decode the files of one song; `folder` appears when all are there."""
    if folder.exists():
        return
    work = unfinished / folder.parent.name / song.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        if song.is_stem_mp4:
            decode.decode_stem_mp4(song.path, work, stop)
        else:
            _make_stems(song, work, stop)
        folder.parent.mkdir(exist_ok=True)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _make_stems(song, work, stop):
    for stem, path in song.files.items():
        audio = open_audio(path)
        spec = (audio.sample_rate, audio.n_channels, audio.n_samples)
        if audio.is_plain_wav:
            (work / f"{stem}.wav").symlink_to(path.resolve())
        else:
            write_wav(work / f"{stem}.wav", audio.blocks(stop), *spec)
    if "mixture" not in song.files:
        blocks = decode.sum_blocks(list(map(open_audio, sorted(work.iterdir()))), stop)
        write_wav(work / "mixture.wav", blocks, *spec)


def _entry(folder):
    stems = sorted(path.stem for path in folder.glob("*.wav") if path.stem != "mixture")
    n_samples = open_audio(folder / "mixture.wav").n_samples
    return {"name": folder.name, "n_samples": n_samples, "stems": stems}


def _describe(source_dir, splits):
    train = splits["train"] + splits["valid"]
    if not musdb18.VALIDATION_SONGS.issubset(song.name for song in train):
        return source_dir.name, "unknown"
    name = "MUSDB18" if train[0].is_stem_mp4 else "MUSDB18-HQ"
    return name, musdb18.LICENSE


def _in_parallel(function, jobs, description, n_jobs, stop):
    """Call `function(*job)` for all jobs in threads, under a progress bar.

    Threads are enough: libsndfile and ffmpeg do the work outside Python's lock. A song that
    cannot be used does not keep the others from being finished; anything else, Ctrl-C and a full
    disk among it, sets `stop` and ends the work.
    """
    results, problems = [], []
    with ThreadPoolExecutor(n_jobs) as pool:
        futures = [pool.submit(function, *job) for job in jobs]
        try:
            for future in tqdm(futures, desc=description, unit="song"):
                try:
                    results.append(future.result())
                except InputError as problem:
                    problems.append(problem)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if problems:
        raise InputError(f"{problems[0]}{check.and_more(problems)}")
    return results
