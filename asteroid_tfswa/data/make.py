"""Prepare one song: link or decode its files, choose its stems, make its mixture."""

import json
import os
import shutil

import numpy as np

from asteroid_tfswa.audio.read import BLOCK, open_audio
from asteroid_tfswa.audio.write import write_wav
from asteroid_tfswa.data import decode, musdb18
from asteroid_tfswa.data.raw import sums
from asteroid_tfswa.data.raw.products import inner_products
from asteroid_tfswa.data.songs import check_files, song_of_entry
from asteroid_tfswa.data.sources import REST, named_files, sums_of
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_folder

SONG_FILE = "song.json"  # in the folder of a prepared song: its entry of dataset.json
LOSSLESS = (".wav", ".flac")


def make_song(song, folder, checked, n_channels, sources, mixture, stop):
    """Link or decode the files of one song; `folder` appears when it is complete.

    Args:
        song (RawSong): the song.
        folder (Path): its prepared folder. If it already holds the whole song, nothing is done.
        checked (CheckedSong): the result of `check_song`.
        n_channels (int): channels that its files will have.
        sources (list[str] or dict[str, list[str]]): its stems, see `sources.parts_of`; those
            without a file are silent.
        mixture (str): "file" for the song's own mixture if it has one, "sum" for the sum of stems.
        stop (threading.Event): cancels the work when set.

    Raises:
        InputError: a file cannot be decoded, or the stems do not add up; the message names it.
        OSError: writing fails.
        concurrent.futures.CancelledError: `stop` is set.
    """
    if read_entry(song, folder, n_channels, checked.sample_rate, sources) is not None:
        return
    before = _stamps(song)
    if folder.exists():
        shutil.rmtree(folder)  # some of its files, or of its source's, are missing or have changed
    with atomic_folder(folder) as work:
        files = _bring(song, work, checked.n_samples, n_channels, stop)
        sample_rate, n_samples = files[0].sample_rate, files[0].n_samples
        spec = (sample_rate, n_channels, n_samples)
        is_coded = any(path.suffix.lower() not in LOSSLESS for path in song.files.values())
        selection = _select(song, files, named_files(sources), mixture, is_coded, stop)
        for name in selection.left_out:
            (work / f"{name}.wav").unlink()
        if selection.mixture is None:
            stems = [open_audio(work / f"{name}.wav") for name in selection.stems]
            write_wav(work / "mixture.wav", decode.sum_blocks(stems, stop), *spec)
        else:
            os.rename(work / f"{selection.mixture}.wav", work / "mixture.wav")
        stems = _summed(song, work, selection.stems, sources, checked.missing, spec, stop)
        silent = sorted(set(sources) - set(stems))
        for name in silent:
            write_wav(work / f"{name}.wav", _fitted([], n_samples, n_channels), *spec)
        entry = {
            "name": song.name,
            "n_samples": n_samples,
            "stems": sorted([*stems, *silent]),
            "left_out": selection.left_out,
            "equal": selection.equal,
            "difference": 0.0 if is_coded else float(selection.difference),
            "files": before,
        }
        (work / SONG_FILE).write_text(json.dumps(entry), encoding="utf-8")


def read_entry(song, folder, n_channels, sample_rate, sources):
    """Read the entry that `make_song` wrote for a song.

    Args:
        song (RawSong): the song.
        folder (Path): its prepared folder.
        n_channels (int): required channels.
        sample_rate (int): required sample rate in Hz.
        sources (list[str]): required stems.

    Returns:
        dict or None: None if the song is not prepared, incomplete, or its source has changed since.
    """
    try:
        entry = json.loads((folder / SONG_FILE).read_text(encoding="utf-8"))
        prepared = song_of_entry(entry, folder.parent, sample_rate, n_channels)
        check_files(prepared)
        lists = (entry["left_out"], entry["equal"])
        whole = all(isinstance(name, str) for names in lists for name in names)
        whole = whole and prepared.name == folder.name and set(sources) <= set(prepared.stems)
        return entry if whole and entry["files"] == _stamps(song) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _stamps(song):
    """Size in bytes and time of change in ns of every file, as lists: JSON has no tuples."""
    stats = {path.name: path.stat() for path in song.files.values()}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in sorted(stats.items())}


def _bring(song, work, n_samples, n_channels, stop):
    """Link or decode every file of a song to `<work>/<name>.wav`; return these as `AudioFile`s."""
    sources = song.files
    streams = work / "streams"
    if song.is_stem_mp4:
        streams.mkdir()
        decode.decode_stem_mp4(song.path, streams, stop)
        sources = {name: streams / f"{name}.wav" for name in song.files}
        # The streams may differ a little: cut them to the shortest, as stempeg and musdb do.
        n_samples = min(open_audio(path).n_samples for path in sources.values())
    files = []
    for name, path in sources.items():
        audio, target = open_audio(path), work / f"{name}.wav"
        fits = (audio.n_channels, audio.n_samples) == (n_channels, n_samples)
        if not (fits and audio.is_plain_wav):
            blocks = _fitted(audio.blocks(stop), n_samples, n_channels)
            write_wav(target, blocks, audio.sample_rate, n_channels, n_samples)
        elif song.is_stem_mp4:
            path.rename(target)
        else:
            target.symlink_to(path.resolve())
        files.append(open_audio(target))
    shutil.rmtree(streams, ignore_errors=True)
    return files


def _fitted(blocks, n_samples, n_channels):
    """Cut or pad the blocks of a file to a length, and copy mono to all channels."""
    left = n_samples
    for block in blocks:
        block = block[:left]
        left -= len(block)
        yield np.repeat(block, n_channels // block.shape[1], axis=1)
    while left > 0:
        yield np.zeros((min(left, BLOCK), n_channels), dtype=np.float32)
        left -= BLOCK


def _summed(song, work, stems, sources, missing, spec, stop):
    """Replace stems by the sums that `sources` asks for; return the names of all stems then."""
    sums = sums_of(sources)
    named = named_files(sources)
    rest = [stem for stem in stems if stem not in named]
    parts_by_source = {
        source: rest if parts == [REST] else [part for part in parts if part in stems]
        for source, parts in sums.items()
    }
    used = {part for parts in parts_by_source.values() for part in parts}
    for source, parts in parts_by_source.items():
        if sums[source] == [REST] and not parts and source not in missing:
            raise InputError(
                f"{song.path}: no stem is left for {source}={REST}, all other files are sums or "
                f"copies; leave {source} out of sources"
            )
        if source in stems and source not in used:
            raise InputError(
                f"{song.path}: {source} is a file beside {', '.join(parts)}, which are to be "
                f"summed to {source}; name it in sources as well, or remove it"
            )
        if parts:
            files = [open_audio(work / f"{part}.wav") for part in parts]
            write_wav(work / f"{source}.sum", decode.sum_blocks(files, stop), *spec)
    for part in used:
        (work / f"{part}.wav").unlink()
    made = [source for source, parts in parts_by_source.items() if parts]
    for source in made:
        (work / f"{source}.sum").rename(work / f"{source}.wav")
    return [stem for stem in stems if stem not in used] + made


def _select(song, files, sources, mixture, is_coded, stop):
    products = inner_products(files, is_coded, stop)
    may_differ = song.name in musdb18.MIXTURES_THAT_DIFFER
    try:
        return sums.select(list(song.files), products, sources, mixture == "file", not may_differ)
    except InputError as problem:
        raise InputError(f"{song.path}: {problem}") from None
