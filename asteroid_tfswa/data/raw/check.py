"""Check a raw data set, as far as possible before anything is decoded."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.data import decode
from asteroid_tfswa.data.raw.sums import is_mixture_name
from asteroid_tfswa.data.sources import REST, named_files, parts_of, sums_of
from asteroid_tfswa.errors import InputError

BYTES_PER_SAMPLE = 4  # of the 32-bit float WAV files that are written


@dataclass(frozen=True)
class CheckedSong:
    """A song whose files belong together.

    Attributes:
        path (Path): the song's folder or stem.mp4 file.
        sample_rate (int): of all its files, in Hz.
        n_channels (int): of its files, apart from mono files in a stereo song.
        n_samples (int): length that all its files will get; an estimate for a stem.mp4 file.
        n_files (int): files of the prepared song, at most.
        n_linked (int): how many of them can be linked, if the song keeps its channels.
        is_evened (bool): whether files differ a little in length.
        has_mono (bool): whether a song of several channels has mono files.
        missing (list[str]): sources without a file, which will be silent.
    """

    path: Path
    sample_rate: int
    n_channels: int
    n_samples: int
    n_files: int
    n_linked: int
    is_evened: bool = False
    has_mono: bool = False
    missing: list[str] = field(default_factory=list)


def check_arguments(sources, valid_share, mixture, missing_stems, tolerance):
    """Check those arguments of `prepare` that need no file.

    Raises:
        InputError: `sources` cannot be used, see `parts_of`, or another argument is out of range.
    """
    parts_of(sources)
    if not 0 < valid_share < 1:
        raise InputError(f"valid_share: {valid_share} found; give a share between 0 and 1")
    if mixture not in ("file", "sum"):
        raise InputError(f"mixture: {mixture!r} found; give file or sum")
    if missing_stems not in ("error", "silence"):
        raise InputError(f"missing_stems: {missing_stems!r} found; give error or silence")
    if not 0 <= tolerance < 60:
        raise InputError(f"tolerance: {tolerance} found; give seconds from 0 to below 60")


def check_enough(source_dir, splits):
    """Check that every split has songs.

    Raises:
        InputError: a split is empty; the message counts the songs of each.
    """
    if all(splits.values()):
        return
    counts = ", ".join(f"{len(songs)} {split}" for split, songs in splits.items())
    raise InputError(
        f"{source_dir}: too few songs ({counts}); at least two in train/ (or one there and one in "
        "valid/) and one in test/ are needed"
    )


def check_song(song, sources, sample_rate, missing_stems="error", tolerance=0.0, stop=None):
    """Check by their headers that the files of a song belong together.

    Args:
        song (RawSong): the song.
        sources (list[str] or dict[str, list[str]]): required stems, see `parts_of`.
        sample_rate (int): required sample rate in Hz.
        missing_stems (str): "error" or "silence". Default: "error".
        tolerance (float): seconds by which files may differ in length. Default: 0.
        stop (threading.Event, optional): cancels the decoding of files that do not state their
            length.

    Returns:
        CheckedSong: the song.

    Raises:
        InputError: a stem is missing, a file is unreadable, empty or cut off, or one differs from
            the others in sample rate, channels or length; the message names song and file.
    """
    missing = _missing(song, sources)
    if missing and (missing_stems == "error" or not song.files):
        raise missing_stem(song.path, missing[0], song.files, sources)
    if song.is_stem_mp4:
        infos = decode.probe_stem_mp4(song.path)
    else:
        infos = {stem: open_audio(path).measured(stop) for stem, path in song.files.items()}
    rates = {stem: info.sample_rate for stem, info in infos.items()}
    _check_alike(song, "sample_rate", rates, usual(rates.values(), sample_rate))
    if sample_rate not in rates.values():
        raise InputError(
            f"{song.path}: sample_rate is {rates.popitem()[1]}, but {sample_rate} is required; "
            f"resample the song (ffmpeg -ar {sample_rate}) or set sample_rate"
        )
    channels = {stem: info.n_channels for stem, info in infos.items()}
    several = {stem: n for stem, n in channels.items() if n > 1}  # mono is copied to all channels
    n_channels = usual(several.values()) if several else 1
    _check_alike(song, "n_channels", several, n_channels)
    lengths = {stem: info.n_samples for stem, info in infos.items()}
    n_samples = usual(lengths.values(), lengths.get("mixture"))
    if not song.is_stem_mp4:  # those are cut to the same length after decoding
        _check_alike(song, "n_samples", lengths, n_samples, tolerance * sample_rate)
    linked = [
        stem
        for stem, info in infos.items()
        if not song.is_stem_mp4
        and info.is_plain_wav
        and (info.n_channels, info.n_samples) == (n_channels, n_samples)
    ]
    return CheckedSong(
        path=song.path,
        sample_rate=sample_rate,
        n_channels=n_channels,
        n_samples=n_samples,
        n_files=len(infos) + len(missing) + ("mixture" not in infos) + len(sums_of(sources)),
        n_linked=len(linked),
        is_evened=not song.is_stem_mp4 and len(set(lengths.values())) > 1,
        has_mono=len(set(channels.values())) > 1,
        missing=missing,
    )


def _missing(song, sources):
    """List the files that the sources need and the song does not have.

    A source that is to be the rest of the song stands for itself.
    """
    named = named_files(sources)
    missing = [file for file in named if file not in song.files]
    if all(name in named or is_mixture_name(name) for name in song.files):
        missing += [source for source, parts in sums_of(sources).items() if parts == [REST]]
    return missing


def usual(values, preferred=None):
    """Find the most frequent value; of equally frequent ones `preferred`, or else the largest."""
    counts = Counter(values)
    return max(counts, key=lambda value: (counts[value], value == preferred, value))


def _check_alike(song, aspect, values, wanted, tolerance=0):
    """Raise InputError if a value differs from the usual one; name the one that differs most."""
    odd = max(values, key=lambda stem: abs(values[stem] - wanted), default=None)
    if odd is None or abs(values[odd] - wanted) <= tolerance:
        return
    other = next(stem for stem, value in values.items() if value == wanted)
    remedy = "make the stems of a song alike"
    if aspect == "n_samples":
        remedy += ", or raise --tolerance to have them cut or padded"
    raise InputError(
        f"{song.files[odd]}: {aspect} of {odd} is {values[odd]}, that of {other} in the same song "
        f"is {wanted}; {remedy}"
    )


def check_channels(songs):
    """Check that all songs are mono or have the number of channels that most songs have.

    Args:
        songs (list[CheckedSong]): the songs of a set.

    Returns:
        int: channels that all songs will get.

    Raises:
        InputError: if not; the message names the first song that differs.
    """
    most = usual([song.n_channels for song in songs])
    odd = [song for song in songs if song.n_channels not in (1, most)]
    if odd:
        raise InputError(
            f"{odd[0].path}: n_channels is {odd[0].n_channels}, most songs of the set have "
            f"{most}; convert it (ffmpeg -ac {most}) or leave it out{and_more(odd)}"
        )
    return most


def n_bytes(songs, n_channels):
    """Estimate how many bytes preparing songs writes.

    Args:
        songs (list[CheckedSong]): the songs.
        n_channels (int): channels that they will get.

    Returns:
        int: bytes of audio.
    """
    n_samples = 0
    for song in songs:
        n_linked = song.n_linked if song.n_channels == n_channels else 0
        n_samples += song.n_samples * (song.n_files - n_linked)
    return BYTES_PER_SAMPLE * n_channels * n_samples


def missing_stem(path, stem, found, sources):
    """Make the error for a song without a required stem.

    Args:
        path (Path): the song's folder.
        stem (str): the missing stem, or the source that is to be the rest of the song.
        found (Iterable[str]): the stems that exist.
        sources (list[str] or dict[str, list[str]]): see `parts_of`.

    Returns:
        InputError: the error.
    """
    names = ", ".join(name for name in found if name != "mixture") or "no audio files"
    if sums_of(sources).get(stem) == [REST]:
        return InputError(
            f"{path}: no stem is left for {stem}={REST} (found: {names}); add one, remove the song "
            f"or leave {stem} out of sources; --missing_stems silence treats it as silent"
        )
    return InputError(
        f"{path}: the stem {stem!r} is missing (found: {names}); add {stem}.wav, remove the song "
        "or leave the stem out of sources; --missing_stems silence treats it as silent"
    )


def and_more(problems):
    """Say how many further songs have problems, to end the message for the first one with."""
    n_more = len(problems) - 1
    if n_more < 1:
        return ""
    return f" (and {n_more} more {'song has' if n_more == 1 else 'songs have'} problems)"
