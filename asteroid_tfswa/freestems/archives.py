"""Download sources: public archives, pinned and verified, and an index of what is in them."""

import csv
import io
from pathlib import Path

import yaml

from asteroid_tfswa.data.download import Archive, download_archive
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.freestems.collect import rows_of
from asteroid_tfswa.freestems.sources import COLUMNS, FORMAT, INDEX
from asteroid_tfswa.locks import locked

LIST = Path(__file__).with_name("archives.yml")


def list_archives():
    """Read the list of archives.

    Returns:
        dict[str, dict]: name -> entry of archives.yml.
    """
    return {entry["name"]: entry for entry in yaml.safe_load(LIST.read_text(encoding="utf-8"))}


def download_sources(folder, optional=(), urls=None):
    """Download sources to render songs from, about 2 GB, and write their index.

    Archives that have been downloaded are kept, so an interrupted run continues.

    Args:
        folder (str or Path): where they go; created if missing.
        optional (list[str]): archives of archives.yml that are optional, and wanted. Default: none.
        urls (dict, optional): mirrors, by name.

    Returns:
        Path: `folder`, which `Sources` reads.

    Raises:
        InputError: an unknown name, an index that somebody has changed, or see
            `data.download.download`.
    """
    folder, known = Path(folder), list_archives()
    offered = [name for name, entry in known.items() if entry.get("optional")]
    for name in optional:
        if name not in offered:
            raise InputError(f"sources: {name!r} is unknown; choose from {', '.join(offered)}")
    names = [name for name in known if name not in offered or name in optional]
    with locked(folder):
        _check_index(folder, known)
        for name in names:
            entry = known[name]
            archive = Archive(entry["url"], entry["checksum"], entry.get("folder", ""))
            if not (folder / name).exists():
                download_archive(archive, folder / name, (urls or {}).get(name))
        index = _index(folder, [known[name] for name in names])
        with atomic_write(folder / INDEX) as tmp:
            tmp.write_text(index, encoding="utf-8")
    return folder


def _index(folder, entries):
    """The text of the index of unpacked archives."""
    text, columns = io.StringIO(), [*COLUMNS, "licence", "source"]
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n", **FORMAT)
    writer.writeheader()
    for entry in entries:
        writer.writerows(rows_of(entry, folder / entry["name"]))
    return text.getvalue()


def _check_index(folder, known):
    """Refuse to replace an index that is not, for the archives it lists, what was written."""
    path = folder / INDEX
    if not path.exists():
        return
    gone = tuple(f"{name}/" for name in known if not (folder / name).exists())
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    lines = [line for line in lines if not line.startswith(gone)]
    listed = {line.split("/")[0] for line in lines}
    if "".join(lines) != _index(folder, [known[name] for name in known if name in listed]):
        raise InputError(
            f"{path}: has been changed since the download; name its folder with --sources_dir to "
            "use it as it is, or remove the file"
        )
