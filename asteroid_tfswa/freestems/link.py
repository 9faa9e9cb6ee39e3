"""One folder of songs to prepare: rendered ones and, beside them, the user's own."""

import os
from pathlib import Path

from asteroid_tfswa.audio.folders import visible_entries
from asteroid_tfswa.data.raw.find import find_raw_songs
from asteroid_tfswa.data.raw.splits import describe, write_about
from asteroid_tfswa.data.songs import SPLITS
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.freestems.songs import name_songs
from asteroid_tfswa.locks import locked

MARK = "freestems.txt"  # marks a folder as ours
NOTE = (
    "Every run of egs/freestems makes the links in this folder anew. Keep songs of your own in a "
    "folder of their own, and name it with --songs_dir.\n"
)


def link_songs(folder, rendered, counts, songs_dir=None):
    """Fill a folder with links to songs, in the layout that `find_raw_songs` reads.

    Links to songs that are no longer wanted are removed. The folder states the names and
    licences of both.

    Args:
        folder (str or Path): holds train/, valid/ and test/ afterwards; created if missing.
        rendered (str or Path): songs of `make_songs`.
        counts (dict): "train" and "test": how many of these to use.
        songs_dir (str or Path, optional): other songs, each of which stays in its split.

    Raises:
        InputError: see `plan_links`.
    """
    folder, rendered = Path(folder), Path(rendered)
    wanted, others = plan_links(folder, rendered, counts, songs_dir)
    name, license = describe(rendered, {})
    for other_name, terms in others:
        name, license = f"{name} and {other_name}", f"{license}; {other_name}: {terms}"
    with locked(folder):
        (folder / MARK).write_text(NOTE, encoding="utf-8")
        write_about(folder, name, license)
        for link in _entries(folder):
            if link not in wanted or link.resolve() != wanted[link]:
                link.unlink()
        for link, song in wanted.items():
            link.parent.mkdir(exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(song)


def plan_links(folder, rendered, counts, songs_dir=None):
    """Find the songs that `link_songs` will link, of which the rendered ones need not exist yet.

    Args:
        folder, rendered, counts, songs_dir: see `link_songs`.

    Returns:
        tuple[dict[Path, Path], list[tuple[str, str]]]: link -> song, and the name and licence of
        the other songs, if there are any.

    Raises:
        InputError: `songs_dir` has no songs, or one with the name of a rendered song; or `folder`
            holds what is not ours.
    """
    folder, rendered = Path(folder), Path(rendered)
    _check_ours(folder, rendered)
    wanted = {
        folder / split / name: (rendered / split / name).resolve()
        for split, names in name_songs(counts["train"], counts["test"]).items()
        for name in names.values()
    }
    others = find_raw_songs(songs_dir) if songs_dir else {}
    for split, songs in others.items():
        for song in songs:
            link = folder / split / song.path.name
            if link in wanted:
                raise InputError(f"{song.path}: has the name of a rendered song; rename it")
            wanted[link] = song.path.resolve()
    return wanted, [describe(Path(songs_dir), others)] if others else []


def _check_ours(folder, rendered):
    """Refuse what somebody else put there: it would be removed, or pass for rendered songs."""
    entries = _entries(folder)
    foreign = [path for path in entries if not path.is_symlink()]
    if not ((folder / MARK).is_file() or any(_is_rendered(path, rendered) for path in entries)):
        foreign += _entries_of(folder)
    if foreign:
        raise InputError(
            f"{folder}: holds something else ({foreign[0].relative_to(folder)}); choose another "
            "--render_dir, and name songs of your own with --songs_dir"
        )


def _is_rendered(path, rendered):
    """Whether it links to a song of `rendered`, maybe moved since: what earlier versions left."""
    parts = (rendered.name, *path.parts[-2:])
    return path.is_symlink() and Path(os.readlink(path)).parts[-3:] == parts


def _entries(folder):
    return [path for split in SPLITS for path in _entries_of(folder / split)]


def _entries_of(folder):
    return visible_entries(folder) if folder.is_dir() else []
