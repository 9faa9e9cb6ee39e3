"""Look through a data set before training: what it has, and what is wrong with it."""

import threading
from collections import Counter
from itertools import combinations

import numpy as np

from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.data import fingerprints, musdb18
from asteroid_tfswa.data.make import LOSSLESS
from asteroid_tfswa.data.parallel import in_parallel
from asteroid_tfswa.data.raw import sums
from asteroid_tfswa.data.raw.check import usual
from asteroid_tfswa.data.raw.find import find_raw_songs
from asteroid_tfswa.data.raw.products import inner_products
from asteroid_tfswa.data.raw.taps import Mono, Tap
from asteroid_tfswa.data.songs import DATASET_FILE, SPLITS, read_prepared
from asteroid_tfswa.errors import InputError, one_line
from asteroid_tfswa.machine import usable_cores

KINDS = {
    "unreadable": "a file that cannot be read",
    "missing": "a song without a stem that the others have",
    "format": "files of a song that differ in sample rate, channels or length",
    "sample_rate": "songs of another sample rate than most",
    "channels": "songs of several channels, but not as many as most",
    "sum": "a mixture that is not the sum of the stems",
    "silent": "a stem that is silent throughout",
    "clipped": "a file with clipped samples",
    "duplicate": "a stem that is a copy of another",
    "leak": "one recording in two splits",
    "repeated": "one recording twice in a split",
    "prepared": "a prepared set that has changed",
}
CLIP_SHARE = 1e-5  # of a file's samples: less is not reported
TOLERANCE = 0.1  # seconds by which files of a song may differ, as in `prepare`


def survey(folder, sources=None, n_jobs=None):
    """Look through a raw or prepared data set.

    Args:
        folder (Path): has `train/`, `test/` and, optionally, `valid/`.
        sources (list of str, optional): stems that every song must have. Default: those that more
            than half of the songs have.
        n_jobs (int, optional): songs read at the same time. Default: one per usable CPU core.

    Returns:
        dict: of plain values.

        - "folder" (str)
        - "sources" (list of str)
        - "splits": for each split "songs", "hours" and "stem_hours" (`{stem: hours}`, without
          silent stems).
        - "sample_rates": `{Hz: songs}`.
        - "songs": for each "split", "name", "seconds", "sample_rate", "n_channels", "difference"
          (share of the mixture's energy that the stems lack, None without a mixture) and "files":
          for each "seconds", "peak_db", "rms_db" (None if silent) and "clipped" (share of samples).
        - "problems": for each "kind" (see KINDS), "split", "song" and "message".

    Raises:
        InputError: if no songs are found.
    """
    found = find_raw_songs(folder)
    songs = [(split, song) for split in SPLITS for song in found[split]]
    if sources is None:
        counts = Counter(name for _, song in songs for name in song.files)
        usual = [name for name, n in counts.items() if 2 * n > len(songs)]
        sources = sorted(name for name in usual if not sums.is_sum_name(name))
    stop = threading.Event()
    jobs = [(split, song, sources, stop) for split, song in songs]
    looked = in_parallel(_look_at, jobs, "checking", n_jobs or usable_cores(), stop)
    problems = [problem for song in looked for problem in song.problems]
    problems += _between_songs(looked)
    if (folder / DATASET_FILE).exists():
        try:
            read_prepared(folder)
        except InputError as error:
            problems.append(_problem("prepared", None, None, str(error)))
    abouts = [song.about for song in looked]
    return {
        "folder": str(folder),
        "sources": sources,
        "splits": {split: _summary([a for a in abouts if a["split"] == split]) for split in SPLITS},
        "sample_rates": dict(Counter(a["sample_rate"] for a in abouts if a["sample_rate"])),
        "songs": abouts,
        "problems": problems,
    }


class _Looked:
    """What was found in one song: `about`, `problems`, `print` (its fingerprint), `digests`."""

    def __init__(self, split, song):
        self.split, self.name = split, song.name
        self.problems, self.digests = [], {}
        self.print = fingerprints.fingerprint(np.zeros(0, dtype=np.float32))
        self.about = {"split": split, "name": song.name, "seconds": 0.0, "sample_rate": None}
        self.about |= {"n_channels": None, "difference": None, "files": {}}

    def problem(self, kind, message):
        self.problems.append(_problem(kind, self.split, self.name, message))


def _problem(kind, split, song, message):
    return {"kind": kind, "split": split, "song": song, "message": message}


def _look_at(split, song, sources, stop):
    looked = _Looked(split, song)
    for stem in sorted(set(sources) - set(song.files)):
        looked.problem("missing", f"{song.path}: has no {stem}")
    files = _open_files(song, looked, stop)
    while files:
        taps, same_form = _fit(song, files, looked)
        is_coded = any(path.suffix.lower() not in LOSSLESS for path in song.files.values())
        try:
            products = inner_products(taps, is_coded, stop)
            break
        except InputError as error:  # a damaged file; look at the others
            bad = next((tap for tap in taps if one_line(tap.file.path) in str(error)), taps[0])
            looked.problems = [p for p in looked.problems if p["kind"] != "format"]
            looked.problem("unreadable", str(error))
            del files[bad.name]
    if files:
        _judge(song, looked, taps, products, sources, same_form and len(files) == len(song.files))
    return looked


def _open_files(song, looked, stop):
    files = {}
    tracks = list(musdb18.STEM_MP4_STREAMS)
    for name, path in song.files.items():
        try:
            track = tracks.index(name) + 1 if song.is_stem_mp4 else None
            files[name] = open_audio(path, track).measured(stop)
        except InputError as error:
            looked.problem("unreadable", str(error))
            if song.is_stem_mp4:
                return {}
    return files


def _fit(song, files, looked):
    """Give the files one form, that of most; say which differ too much for a sum."""
    same = True
    values = {
        "sample_rate": {name: file.sample_rate for name, file in files.items()},
        "n_channels": {n: f.n_channels for n, f in files.items() if f.n_channels > 1},
        "n_samples": {name: file.n_samples for name, file in files.items()},
    }
    usual = {}
    for aspect, found in values.items():
        counts = Counter(found.values())
        usual[aspect] = max(counts, key=lambda v: (counts[v], v), default=1)
        allowed = TOLERANCE * usual["sample_rate"] if aspect == "n_samples" else 0
        odd = [name for name, value in found.items() if abs(value - usual[aspect]) > allowed]
        if odd:
            same = False
            looked.problem(
                "format",
                f"{song.files[odd[0]]}: {aspect} of {odd[0]} is {found[odd[0]]}, that of most "
                f"files of the song {usual[aspect]}",
            )
    taps = [
        Tap(n, f, usual["n_samples"], usual["n_channels"] if same else f.n_channels)
        for n, f in files.items()
    ]
    if not same:  # compared as they are: only measured
        taps = [Tap(tap.name, Mono(tap.file), usual["n_samples"], 1) for tap in taps]
    looked.about |= {
        "seconds": round(usual["n_samples"] / usual["sample_rate"], 3),
        "sample_rate": usual["sample_rate"],
        "n_channels": usual["n_channels"],
    }
    return taps, same


def _judge(song, looked, taps, products, sources, can_add_up):
    names = [tap.name for tap in taps]
    for tap in taps:
        about = looked.about["files"][tap.name] = tap.about()
        path = song.files[tap.name]
        what = f"{path} ({tap.name})" if song.is_stem_mp4 else str(path)
        looked.digests[tap.name] = tap.digest.digest()
        if about["rms_db"] is None:
            looked.problem("silent", f"{what}: is silent")
            del looked.digests[tap.name]
        if about["clipped"] > CLIP_SHARE:
            share = 100 * about["clipped"]
            looked.problem("clipped", f"{what}: {share:.2g} % of the samples are clipped")
    stems = [name for name in names if not sums.is_sum_name(name)]
    mixture = None
    if can_add_up:
        try:
            may_differ = song.name in musdb18.MIXTURES_THAT_DIFFER
            wanted = [name for name in sources if name in names]
            choice = sums.select(names, products, wanted, must_add_up=not may_differ)
            stems, mixture = choice.stems, choice.mixture
            if choice.equal:
                listed = ", ".join(choice.equal)
                looked.problem("duplicate", f"{song.path}: {listed} are equal")
        except InputError as error:
            looked.problem("sum", f"{song.path}: {error}")
            mixture = next((name for name in names if sums.is_mixture_name(name)), None)
    if mixture is not None:
        signs = np.array([1 if n == mixture else -1 if n in stems else 0 for n in names])
        energy = products[names.index(mixture), names.index(mixture)]
        difference = max(float(signs @ products @ signs), 0.0)
        looked.about["difference"] = round(difference / energy, 6) if energy > 0 else None
    monos = [
        np.concatenate(tap.mono)
        for tap in taps
        if (tap.name == mixture if mixture else tap.name in stems)
    ]
    if monos:
        length = min(map(len, monos))
        looked.print = fingerprints.fingerprint(sum(mono[:length] for mono in monos))


def _between_songs(looked):
    problems = []
    rates = Counter(song.about["sample_rate"] for song in looked if song.about["sample_rate"])
    counts = [song.about["n_channels"] for song in looked if song.about["n_channels"]]
    n_usual = usual(counts) if counts else 1
    for song in looked:
        rate, n_channels = song.about["sample_rate"], song.about["n_channels"]
        if rate and rate != rates.most_common(1)[0][0]:
            text = f"{song.split}/{song.name}: {rate} Hz, most songs {rates.most_common(1)[0][0]}"
            problems.append(_problem("sample_rate", song.split, song.name, text))
        if n_channels and n_channels not in (1, n_usual):
            text = f"{song.split}/{song.name}: {n_channels} channels, most songs {n_usual}"
            problems.append(_problem("channels", song.split, song.name, text))
    same = fingerprints.find_same([song.print for song in looked])
    for i, j, score, offset in same:
        one, other = looked[i], looked[j]
        kind = "repeated" if one.split == other.split else "leak"
        later = f", {abs(offset):.1f} s apart" if abs(offset) > 0.2 else ""
        text = f"{one.split}/{one.name} and {other.split}/{other.name} are one recording"
        text += f" (similarity {score:.2f}{later})"
        problems.append(_problem(kind, other.split, other.name, text))
    pairs = {(i, j) for i, j, *_ in same}
    for (i, one), (j, other) in combinations(enumerate(looked), 2):
        common = set(one.digests.values()) & set(other.digests.values())
        names = sorted(name for name, digest in one.digests.items() if digest in common)
        if names and (i, j) not in pairs:
            text = f"{one.split}/{one.name} and {other.split}/{other.name} share "
            text += f"{', '.join(names)}"
            problems.append(_problem("duplicate", other.split, other.name, text))
    return problems


def _summary(abouts):
    hours = Counter()
    for about in abouts:
        for name, file in about["files"].items():
            if file["rms_db"] is not None:
                hours[name] += file["seconds"] / 3600
    return {
        "songs": len(abouts),
        "hours": round(sum(about["seconds"] for about in abouts) / 3600, 4),
        "stem_hours": {name: round(value, 4) for name, value in sorted(hours.items())},
    }
