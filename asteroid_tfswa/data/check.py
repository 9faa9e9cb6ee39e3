"""Whether a raw data set can be used: everything that can be known before anything is decoded."""

from collections import Counter
from dataclasses import dataclass
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
        n_channels (int): 1 is mono, 2 is stereo.
        n_bytes (int): that preparing the song writes, about; linked files do not count.
    """

    path: Path
    n_channels: int
    n_bytes: int


def check_arguments(sources, valid_share):
    """Check the arguments of `prepare` that need no file.

    Raises:
        InputError: `sources` is not a list of different stems, or `valid_share` not in (0, 1).
    """
    if isinstance(sources, str) or not sources or len(set(sources)) < len(sources):
        raise InputError(f"sources: {sources!r} found; give a list of different stem names")
    if "mixture" in sources:
        raise InputError("sources: 'mixture' found; it is the model's input, name stems only")
    if not 0 < valid_share < 1:
        raise InputError(f"valid_share: {valid_share} found; give a share between 0 and 1")


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


def check_song(song, sources, sample_rate):
    """Check by their headers that the files of a song belong together.

    Args:
        song (RawSong): the song.
        sources (list[str]): stems that it must have.
        sample_rate (int): that it must have, in Hz.

    Returns:
        CheckedSong: what is known then.

    Raises:
        InputError: a stem is missing, a file is unreadable, empty or cut off, or stems differ in
            sample rate, channels or length; the message names song and file.
    """
    for stem in sources:
        if stem not in song.files:
            raise missing_stem(song.path, stem, song.files)
    if song.is_stem_mp4:
        infos = decode.probe_stem_mp4(song.path)
        aspects = ("sample_rate", "n_channels")  # decoding makes the lengths equal
    else:
        infos = {stem: open_audio(path).measured() for stem, path in song.files.items()}
        aspects = ("sample_rate", "n_channels", "n_samples")
    first = next(iter(infos))
    for stem, info in infos.items():
        for aspect in aspects:
            here, there = getattr(info, aspect), getattr(infos[first], aspect)
            if here != there:
                raise InputError(
                    f"{song.files[stem]}: {aspect} of {stem} is {here}, that of {first} in the "
                    f"same song is {there}; make the stems of a song alike"
                )
    info = infos[first]
    if info.sample_rate != sample_rate:
        raise InputError(
            f"{song.path}: sample_rate is {info.sample_rate}, {sample_rate} is asked for; resample "
            f"the song (ffmpeg -ar {sample_rate}) or set sample_rate"
        )
    linked = sum(not song.is_stem_mp4 and info.is_plain_wav for info in infos.values())
    n_files = len(infos) - linked + ("mixture" not in infos)
    n_bytes = BYTES_PER_SAMPLE * n_files * info.n_samples * info.n_channels
    return CheckedSong(song.path, info.n_channels, n_bytes)


def check_channels(songs):
    """Check that all songs have as many channels as most of them.

    Args:
        songs (list[CheckedSong]): the songs of a set.

    Raises:
        InputError: naming the first song that differs.
    """
    usual = Counter(song.n_channels for song in songs).most_common(1)[0][0]
    odd = [song for song in songs if song.n_channels != usual]
    if odd:
        raise InputError(
            f"{odd[0].path}: n_channels is {odd[0].n_channels}, most songs of the set have "
            f"{usual}; convert it (ffmpeg -ac {usual}) or leave it out{and_more(odd)}"
        )


def missing_stem(path, stem, found):
    """The error for a song without one of the stems asked for.

    Args:
        path (Path): the song's folder.
        stem (str): the stem that is missing.
        found (Iterable[str]): the stems that are there.

    Returns:
        InputError: to be raised.
    """
    names = ", ".join(name for name in found if name != "mixture") or "no audio files"
    return InputError(
        f"{path}: the stem {stem!r} is missing (found: {names}); add {stem}.wav, remove the song "
        "or leave the stem out of sources"
    )


def and_more(problems):
    """How many problems there are besides the first, as the end of its line."""
    n_more = len(problems) - 1
    if n_more < 1:
        return ""
    return f" (and {n_more} more {'song has' if n_more == 1 else 'songs have'} problems)"
