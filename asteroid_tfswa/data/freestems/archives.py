"""Download sources: public archives, pinned and verified, and an index of what is in them."""

import csv
from pathlib import Path

import yaml

from asteroid_tfswa.data.download import Archive, download_archive
from asteroid_tfswa.data.freestems.collect import rows_of
from asteroid_tfswa.data.freestems.sources import COLUMNS, INDEX
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write, locked

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
        InputError: an unknown name, or see `data.download.download`.
    """
    folder, known = Path(folder), list_archives()
    offered = [name for name, entry in known.items() if entry.get("optional")]
    for name in optional:
        if name not in offered:
            raise InputError(f"sources: {name!r} is unknown; choose from {', '.join(offered)}")
    names = [name for name in known if name not in offered or name in optional]
    rows = []
    with locked(folder):
        for name in names:
            entry = known[name]
            archive = Archive(entry["url"], entry["checksum"], entry.get("folder", ""))
            if not (folder / name).exists():
                download_archive(archive, folder / name, (urls or {}).get(name))
            rows += rows_of(entry, folder / name)
        with atomic_write(folder / INDEX) as tmp, open(tmp, "w", encoding="utf-8", newline="") as f:
            columns = [*COLUMNS, "licence", "source"]
            writer = csv.DictWriter(f, columns, delimiter="\t", restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return folder
