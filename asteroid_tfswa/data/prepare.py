"""Convert any raw data set to the one layout that training and evaluation read.

    <data_dir>/{train,valid,test}/<song>/{mixture,vocals,drums,bass,other,<extra stems>}.wav
    <data_dir>/{train,valid,test}/<song>/song.json
    <data_dir>/options.json
    <data_dir>/dataset.json

WAV files are linked, everything else is decoded to 32-bit float WAV, so nothing clips. Each song
appears with one rename, and dataset.json is written last: after an interruption, finished songs are
kept. Damaged songs are prepared again.
"""

import contextlib
import json
import threading
from pathlib import Path

from asteroid_tfswa.data.make import make_song, read_entry
from asteroid_tfswa.data.parallel import in_parallel
from asteroid_tfswa.data.raw import check
from asteroid_tfswa.data.raw.find import find_raw_songs
from asteroid_tfswa.data.raw.notes import changes_made
from asteroid_tfswa.data.raw.splits import ABOUT_FILE, choose_splits, describe
from asteroid_tfswa.data.songs import DATASET_FILE, SPLITS, read_prepared
from asteroid_tfswa.data.sources import sums_of
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write, remove_leftovers, require_space
from asteroid_tfswa.locks import locked
from asteroid_tfswa.machine import usable_cores

OPTIONS_FILE = "options.json"  # in data_dir, written before the first song
# With defaults.
LATER_OPTIONS = {"mixture": "file", "missing_stems": "error", "tolerance": 0.1, "sums": {}}


def prepare(
    source_dir,
    data_dir,
    sources,
    valid_share=0.1,
    seed=0,
    sample_rate=44100,
    mixture="file",
    missing_stems="error",
    tolerance=0.1,
    name=None,
    license=None,
    n_jobs=None,
):
    """Check a raw data set and convert it to the prepared layout.

    The validation songs are those of `valid/` if the source has such a folder, else the official
    MUSDB18 validation songs if all 14 are among the train songs, else a random share of the train
    songs. The mixture is the set's own if it has one, else the sum of all stems. All audio is read
    once, to check that the stems add up to the mixture and to find files that are not stems (see
    `sums`).

    Args:
        source_dir (str or Path): MUSDB18, MUSDB18-HQ or songs in that layout, see
            `find_raw_songs`.
        data_dir (str or Path): folder of the prepared set.
        sources (list[str] or dict[str, list[str]]): stems that every song must have; others are
            kept as well. A mapping names the files that are summed for each, see `sources`; they
            are not stems any more.
        valid_share (float): share of the train songs, at least one song, to validate on if the set
            itself does not say. Default: 0.1.
        seed (int): seed of that choice. Default: 0.
        sample_rate (int): required sample rate of all songs in Hz. Default: 44100.
        mixture (str): "file" for the set's own mixtures where they exist, "sum" to always sum the
            stems. Default: "file".
        missing_stems (str): "error" to refuse a song that lacks one of `sources`, "silence" to
            treat that stem as silent. Default: "error".
        tolerance (float): seconds by which the files of a song may differ in length; they are cut
            or padded to the length that most have. Default: 0.1.
        name (str, optional): name of the set. Default: what the set says, see `describe`.
        license (str, optional): terms of the audio. Default: likewise.
        n_jobs (int, optional): songs processed at the same time. Default: one per usable CPU core.

    Returns:
        PreparedData: the prepared set. If it was already complete, at most its name and licence
        change.

    Raises:
        InputError: no songs, too few, a song that cannot be used (named), not enough space,
            `data_dir` holds something else, or another run is writing to it.
        OSError: writing fails.
    """
    source_dir, data_dir = Path(source_dir).resolve(), Path(data_dir)
    options = {
        "source": str(source_dir),
        "sample_rate": sample_rate,
        "valid_share": valid_share,
        "seed": seed,
        "mixture": mixture,
        "missing_stems": missing_stems,
        "tolerance": tolerance,
    }
    check.check_arguments(sources, valid_share, mixture, missing_stems, tolerance)
    options["sums"] = sums_of(sources)
    if data_dir.resolve() == source_dir:
        raise InputError(f"data_dir: {data_dir} is the source itself; choose another folder")
    data = _complete(data_dir, options, source_dir, sources)  # reading needs no lock
    if data is not None:
        return _relabelled(data, data_dir, source_dir, (name, license))
    is_new = not data_dir.exists()
    try:
        with locked(data_dir):
            for split in SPLITS:
                if (data_dir / split).is_dir():
                    remove_leftovers(data_dir / split)
            data = _complete(data_dir, options, source_dir, sources)  # by another run meanwhile
            if data is None:
                _prepare(source_dir, data_dir, sources, options, (name, license), n_jobs)
    except BaseException:
        if is_new:
            _remove_empty(data_dir)
        raise
    return data or read_prepared(data_dir)


def _prepare(source_dir, data_dir, sources, options, labels, n_jobs):
    splits, validation = choose_splits(
        find_raw_songs(source_dir), options["valid_share"], options["seed"]
    )
    check.check_enough(source_dir, splits)
    default_name, default_license = describe(source_dir, splits)
    songs = [(song, data_dir / split / song.name) for split in SPLITS for song in splits[split]]
    stop, n_jobs = threading.Event(), n_jobs or usable_cores()
    rules = (options["sample_rate"], options["missing_stems"], options["tolerance"], stop)
    jobs = [(song, sources, *rules) for song, _ in songs]
    checked = in_parallel(check.check_song, jobs, "checking", n_jobs, stop)
    n_channels = check.check_channels(checked)
    new = [song for song, (_, folder) in zip(checked, songs, strict=True) if not folder.exists()]
    require_space(data_dir, check.n_bytes(new, n_channels), "prepare the data")

    _write_json(data_dir / OPTIONS_FILE, options)
    (data_dir / DATASET_FILE).unlink(missing_ok=True)  # exists if something was damaged
    jobs = [
        (song, folder, known, n_channels, sources, options["mixture"], stop)
        for (song, folder), known in zip(songs, checked, strict=True)
    ]
    in_parallel(make_song, jobs, "preparing", n_jobs, stop)

    entries = {split: [] for split in SPLITS}
    for song, folder in songs:
        entry = read_entry(song, folder, n_channels, options["sample_rate"], sources)
        if entry is None:
            raise InputError(f"{song.path}: changed while it was prepared; run stage 0 again")
        entries[folder.parent.name].append(entry)
    dataset = {
        "name": labels[0] or default_name,
        "license": labels[1] or default_license,
        "n_channels": n_channels,
        "validation": validation,
        "notes": changes_made(checked, entries, n_channels, options["tolerance"]),
        **options,
        "songs": entries,
    }
    _write_json(data_dir / DATASET_FILE, dataset)


def _relabelled(data, data_dir, source_dir, labels):
    """Give a prepared set the name and licence that are given, or that the set states now."""
    stated = data.name, data.license
    if (source_dir / ABOUT_FILE).exists():
        stated = describe(source_dir, data.splits)
    labels = tuple(label or other for label, other in zip(labels, stated))
    if labels == (data.name, data.license):
        return data
    with locked(data_dir):
        dataset = json.loads((data_dir / DATASET_FILE).read_text(encoding="utf-8"))
        _write_json(data_dir / DATASET_FILE, dataset | dict(zip(("name", "license"), labels)))
    return read_prepared(data_dir)


def _write_json(path, content):
    with atomic_write(path) as tmp:
        tmp.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _remove_empty(data_dir):
    """Remove the folder if it is empty."""
    with contextlib.suppress(OSError):
        data_dir.rmdir()


def _complete(data_dir, options, source_dir, sources):
    """Read a set that was prepared before; None if it is incomplete or damaged.

    Raises:
        InputError: `data_dir` holds different data, or this data prepared with different options.
    """
    before = _stored_options(data_dir)
    if before is None:
        return None
    _check_options(data_dir, before, options)
    if not (data_dir / DATASET_FILE).exists():
        return None
    try:
        data = read_prepared(data_dir)
    except InputError:
        if source_dir.is_dir():  # it can be prepared again
            return None
        raise
    for song in (song for songs in data.splits.values() for song in songs):
        for stem in sources:
            if stem not in song.stems:
                raise InputError(
                    f"{song.folder}: was prepared without the stem {stem!r} (found: "
                    f"{', '.join(song.stems)}); choose another data_dir or remove {data_dir}"
                )
    # If everything was decoded, the source may have been removed since.
    if source_dir.is_dir() and not _is_current(data, data_dir, options, sources):
        return None
    return data


def check_source(data_dir, source_dir):
    """Check that a prepared set was made of certain songs.

    Args:
        data_dir (str or Path): folder of the prepared set; one that does not exist passes.
        source_dir (str or Path): the raw data set.

    Raises:
        InputError: it was made of another one.
    """
    before = _stored_options(Path(data_dir))
    if before is not None:
        _check_options(data_dir, before, {"source": str(Path(source_dir).resolve())})


def _check_options(data_dir, before, options):
    for key, value in options.items():
        if before[key] != value:
            raise InputError(
                f"data_dir: {data_dir} was prepared with {key} {before[key]}, now it is {value}; "
                "choose another data_dir or remove that one"
            )


def _stored_options(data_dir):
    """Read the options that a folder was prepared with, from the first file that has them."""
    found = [path for name in (OPTIONS_FILE, DATASET_FILE) if (path := data_dir / name).exists()]
    for path in found:
        try:
            stored = {**LATER_OPTIONS, **json.loads(path.read_text(encoding="utf-8"))}
            return {
                key: stored[key] for key in ("source", "sample_rate", "valid_share", "seed")
            } | {key: stored[key] for key in LATER_OPTIONS}
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    if found or any((data_dir / split).exists() for split in SPLITS):
        problem = f"{found[0]} is damaged" if found else f"it holds songs but no {OPTIONS_FILE}"
        raise InputError(
            f"data_dir: {data_dir} cannot be used, {problem}; remove it or choose another folder"
        )
    return None


def _is_current(data, data_dir, options, sources):
    """Whether no file of the source has changed since it was prepared.

    Raises:
        InputError: songs have been added or removed.
    """
    found = find_raw_songs(options["source"])
    splits, _ = choose_splits(found, options["valid_share"], options["seed"])
    now = [(split, song.name) for split in SPLITS for song in splits[split]]
    before = [(split, song.name) for split in SPLITS for song in data.splits[split]]
    if now != before:
        raise InputError(
            f"{options['source']}: its songs have changed ({len(before)} were prepared, {len(now)} "
            f"are in it now); choose another data_dir or remove {data_dir}"
        )
    rules = (data.n_channels, data.sample_rate, sources)
    return all(
        read_entry(song, data_dir / split / song.name, *rules) is not None
        for split in SPLITS
        for song in splits[split]
    )
