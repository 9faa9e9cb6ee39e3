"""One folder of songs to prepare: rendered ones and, beside them, the user's own."""

from pathlib import Path

from asteroid_tfswa.data.raw import find_raw_songs
from asteroid_tfswa.data.splits import describe, write_about
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import locked


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
        InputError: `songs_dir` has no songs, or one with the name of a rendered song.
    """
    folder, rendered = Path(folder), Path(rendered)
    wanted, (name, license) = {}, describe(rendered, {})
    for split, count in counts.items():
        for song in sorted((rendered / split).glob("song_*"))[:count]:
            wanted[folder / split / song.name] = song.resolve()
    others = find_raw_songs(songs_dir) if songs_dir else {}
    if others:
        other_name, terms = describe(Path(songs_dir), others)
        name, license = f"{name} and {other_name}", f"{license}; {other_name}: {terms}"
    for split, songs in others.items():
        for song in songs:
            link = folder / split / song.path.name
            if link in wanted:
                raise InputError(f"{song.path}: has the name of a rendered song; rename it")
            wanted[link] = song.path.resolve()
    with locked(folder):
        write_about(folder, name, license)
        for link in folder.glob("*/*"):
            if link.is_symlink() and (link not in wanted or link.resolve() != wanted[link]):
                link.unlink()
        for link, song in wanted.items():
            link.parent.mkdir(exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(song)
