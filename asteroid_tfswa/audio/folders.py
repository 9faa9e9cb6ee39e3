"""What is a user's in a folder, and what systems put there."""

import os

# What network storage, archives and file systems add, in lower case.
SYSTEM_FOLDERS = frozenset(
    (
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "@sharebin",
        "@tmp",
        "#recycle",
        "#snapshot",
        "~snapshot",
        "__macosx",
        "lost+found",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "network trash folder",
        "temporary items",
    )
)


def visible_entries(folder):
    """Find what a user has in a folder (Path), files and folders: a sorted list of paths."""
    names = sorted(os.listdir(folder))
    return [
        folder / name for name in names if name[0] != "." and name.lower() not in SYSTEM_FOLDERS
    ]
