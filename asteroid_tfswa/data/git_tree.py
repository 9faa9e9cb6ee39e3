"""Git's hash of a folder: a checksum of names and contents, however an archive is packed."""

import hashlib
import stat

BLOCK = 1 << 20


def git_tree(archive, prefix):
    """Compute the hash that git gives to a folder.

    Args:
        archive (zipfile.ZipFile): an archive as GitHub makes it.
        prefix (str): the folder in it, with a slash at its end.

    Returns:
        str: 40 hexadecimal digits, as of `git rev-parse COMMIT:FOLDER`.
    """
    root = {}
    for member in archive.infolist():
        if not member.filename.startswith(prefix) or member.is_dir():
            continue
        *folders, name = member.filename.removeprefix(prefix).split("/")
        tree = root
        for folder in folders:
            tree = tree.setdefault(folder, {})
        tree[name] = (_mode(member.external_attr >> 16), _blob(archive, member))
    return _tree(root).hex()


def _mode(attributes):
    if stat.S_ISLNK(attributes):
        return b"120000"
    return b"100755" if attributes & stat.S_IXUSR else b"100644"


def _blob(archive, member):
    digest = hashlib.sha1(b"blob %d\0" % member.file_size, usedforsecurity=False)
    with archive.open(member) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.digest()


def _tree(entries):
    """Hash of a tree: its entries sorted by name, folders as if a slash followed."""
    rows = []
    for name, entry in entries.items():
        name = name.encode()
        if isinstance(entry, dict):
            rows.append((name + b"/", b"40000 " + name + b"\0" + _tree(entry)))
        else:
            mode, digest = entry
            rows.append((name, mode + b" " + name + b"\0" + digest))
    content = b"".join(row for _, row in sorted(rows))
    return hashlib.sha1(b"tree %d\0" % len(content) + content, usedforsecurity=False).digest()
