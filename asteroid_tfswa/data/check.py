"""Whether a raw data set can be used: everything that can be known before anything is decoded."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from asteroid_tfswa.audio.read import open_audio
from asteroid_tfswa.data import decode
from asteroid_tfswa.errors import InputError

BYTES_PER_SAMPLE = 4  # of the 32-bit float WAV files that are written


@dataclass(frozen=True)
class CheckedSong:
    """What is known of a song whose files belong together.

    Attributes:
        path (Path): the song's folder or stem.mp4 file.
        sample_rate (int): of all its files, in Hz.
        n_channels (int): that its files have, mono files in a stereo song aside.
        n_samples (int): length that all its files get. Of a stem.mp4 file an estimate.
        n_files (int): files of the prepared song, at most.
        n_linked (int): how many of them can be linked, if the song keeps its channels.
        is_evened (bool): whether files differ a little in length.
        has_mono (bool): whether there are mono files in a song of more channels.
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
    """Check the arguments of `prepare` that need no file.

    Raises:
        InputError: `sources` is not a list of different stems, or another argument is out of its
            range.
    """
    if isinstance(sources, str) or not sources or len(set(sources)) < len(sources):
        raise InputError(f"sources: {sources!r} found; give a list of different stem names")
    if "mixture" in sources:
        raise InputError("sources: 'mixture' found; it is the model's input, name stems only")
    if not 0 < valid_share < 1:
        raise InputError(f"valid_share: {valid_share} found; give a share between 0 and 1")
    if mixture not in ("file", "sum"):
        raise InputError(f"mixture: {mixture!r} found; give file or sum")
    if missing_stems not in ("error", "silence"):
        raise InputError(f"missing_stems: {missing_stems!r} found; give error or silence")
    if not 0 <= tolerance < 60:
        raise InputError(f"tolerance: {tolerance} found; give seconds from 0 to below 60")


def check_enough(source_dir, splits):
    """Check that there are songs to train on, to validate on and to test on.

    Raises:
        InputError: there are none of one kind; the message counts all kinds.
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
        sources (list[str]): stems that it must have.
        sample_rate (int): that it must have, in Hz.
        missing_stems (str): "error" or "silence". Default: "error".
        tolerance (float): seconds by which files may differ in length. Default: 0.
        stop (threading.Event, optional): ends the decoding of files that do not state their length.

    Returns:
        CheckedSong: what is known then.

    Raises:
        InputError: a stem is missing, a file is unreadable, empty or cut off, or one differs from
            the others in sample rate, channels or length; the message names song and file.
    """
    missing = [stem for stem in sources if stem not in song.files]
    if missing and (missing_stems == "error" or not song.files):
        raise missing_stem(song.path, missing[0], song.files)
    if song.is_stem_mp4:
        infos = decode.probe_stem_mp4(song.path)
    else:
        infos = {stem: open_audio(path).measured(stop) for stem, path in song.files.items()}
    rates = {stem: info.sample_rate for stem, info in infos.items()}
    _check_alike(song, "sample_rate", rates, _usual(rates, sample_rate))
    if sample_rate not in rates.values():
        raise InputError(
            f"{song.path}: sample_rate is {rates.popitem()[1]}, {sample_rate} is asked for; "
            f"resample the song (ffmpeg -ar {sample_rate}) or set sample_rate"
        )
    channels = {stem: info.n_channels for stem, info in infos.items()}
    several = {stem: n for stem, n in channels.items() if n > 1}  # mono is spread to all channels
    n_channels = _usual(several) if several else 1
    _check_alike(song, "n_channels", several, n_channels)
    lengths = {stem: info.n_samples for stem, info in infos.items()}
    n_samples = _usual(lengths, lengths.get("mixture"))
    if not song.is_stem_mp4:  # decoding evens those
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
        n_files=len(infos) + len(missing) + ("mixture" not in infos),
        n_linked=len(linked),
        is_evened=not song.is_stem_mp4 and len(set(lengths.values())) > 1,
        has_mono=len(set(channels.values())) > 1,
        missing=missing,
    )


def _usual(values, preferred=None):
    """The value that most files have; of several such values `preferred`, or the largest."""
    counts = Counter(values.values())
    return max(counts, key=lambda value: (counts[value], value == preferred, value))


def _check_alike(song, aspect, values, usual, tolerance=0):
    """Name the file that differs most from what the others have."""
    odd = max(values, key=lambda stem: abs(values[stem] - usual), default=None)
    if odd is None or abs(values[odd] - usual) <= tolerance:
        return
    other = next(stem for stem, value in values.items() if value == usual)
    remedy = "make the stems of a song alike"
    if aspect == "n_samples":
        remedy += ", or raise --tolerance to have them cut or padded"
    raise InputError(
        f"{song.files[odd]}: {aspect} of {odd} is {values[odd]}, that of {other} in the same song "
        f"is {usual}; {remedy}"
    )


def check_channels(songs):
    """Check that all songs have as many channels as most of them, or one, which is spread.

    Args:
        songs (list[CheckedSong]): the songs of a set.

    Returns:
        int: channels that all songs get.

    Raises:
        InputError: naming the first song that differs.
    """
    usual = _usual({song.path: song.n_channels for song in songs})
    odd = [song for song in songs if song.n_channels not in (1, usual)]
    if odd:
        raise InputError(
            f"{odd[0].path}: n_channels is {odd[0].n_channels}, most songs of the set have "
            f"{usual}; convert it (ffmpeg -ac {usual}) or leave it out{and_more(odd)}"
        )
    return usual


def n_bytes(songs, n_channels):
    """About how many bytes preparing songs writes.

    Args:
        songs (list[CheckedSong]): the songs.
        n_channels (int): channels that they get.

    Returns:
        int: bytes of audio.
    """
    n_samples = 0
    for song in songs:
        n_linked = song.n_linked if song.n_channels == n_channels else 0
        n_samples += song.n_samples * (song.n_files - n_linked)
    return BYTES_PER_SAMPLE * n_channels * n_samples


def missing_stem(path, stem, found):
    """The error for a song without one of the stems asked for.

    Args:
        path (Path): the song's folder.
        stem (str): the stem that is missing.
        found (Iterable[str]): the stems that exist.

    Returns:
        InputError: to be raised.
    """
    names = ", ".join(name for name in found if name != "mixture") or "no audio files"
    return InputError(
        f"{path}: the stem {stem!r} is missing (found: {names}); add {stem}.wav, remove the song "
        "or leave the stem out of sources; --missing_stems silence takes it as silent"
    )


def and_more(problems):
    """How many problems there are besides the first, as the end of its line."""
    n_more = len(problems) - 1
    if n_more < 1:
        return ""
    return f" (and {n_more} more {'song has' if n_more == 1 else 'songs have'} problems)"
