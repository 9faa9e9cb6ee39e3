"""Download the public archives: resume, verify, and unpack them safely."""

import hashlib
import lzma
import re
import stat
import struct
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import requests
from tqdm import tqdm

from asteroid_tfswa.data.git_tree import git_tree
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_folder, require_space
from asteroid_tfswa.locks import locked

BLOCK = 1 << 20  # bytes read from disk at a time
BLOCK_RECEIVED = 1 << 16  # small, because an incomplete block is lost
ATTEMPTS = 5  # in a row without a byte received
WAIT = 2.0  # seconds before the second attempt, doubled before each further one
TIMEOUT = (15, 60)  # seconds to connect, and without a byte
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
ENCRYPTED = 0x1  # the flag of a member of an archive
# What zipfile and its decompressors raise for damaged archives.
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, RuntimeError)
DAMAGE += (NotImplementedError, struct.error)


@dataclass(frozen=True)
class Archive:
    """A public archive.

    Attributes:
        url (str): its public address.
        checksum (str): "<algorithm>:<hexadecimal digits>" of the whole file, or
            "tree:<hexadecimal digits>", git's hash of the folder.
        folder (str, optional): the folder in it that is unpacked; "" for the folder around
            everything. Default: the folder that holds train/.
    """

    url: str
    checksum: str
    folder: str | None = None


# Checksums: MUSDB18-HQ from torchaudio.datasets.musdb_hq, the others from their Zenodo records
# (1117372, and 3270814, which holds the archive that the musdb package takes from GitHub).
ARCHIVES = {
    "musdb18hq": Archive(
        "https://zenodo.org/records/3338373/files/musdb18hq.zip",
        "sha256:baac80d0483c61d74b2e5f3be75fa557eec52898339e6aa45c1fa48833c5d21d",
    ),
    "musdb18": Archive(
        "https://zenodo.org/records/1117372/files/musdb18.zip",
        "md5:af06762477334799bfc5abf237648207",
    ),
    "sample": Archive(
        "https://github.com/sigsep/sigsep-mus-db/releases/download/v0.4.0/MUSDB18-7-STEMS.zip",
        "md5:dc2bdfac5b46ce742bd60009866758a5",
    ),
}


def download(which, folder, url=None):
    """Download and unpack a data set; return at once if that has been done before.

    If the transfer fails or is interrupted, the part that was received is kept, and the next call
    continues it. The archive is removed after unpacking.

    Args:
        which (str): "musdb18hq" (23 GB, WAV), "musdb18" (4.7 GB, stem.mp4) or "sample" (excerpts
            of 7 seconds, 0.15 GB, stem.mp4).
        folder (str or Path): the folder to put it in.
        url (str, optional): a mirror of the same archive. Default: its public address.

    Returns:
        Path: `<folder>/<which>`, which holds `train/` and `test/`.

    Raises:
        InputError: `which` is unknown, the network fails, the checksum differs, the disk is too
            small, the archive is damaged or unsafe, or another run is downloading to `folder`.
    """
    if which not in ARCHIVES:
        raise InputError(f"download: {which!r} is unknown; choose from {', '.join(ARCHIVES)}")
    root = Path(folder) / which
    if root.exists():  # reading needs no lock
        return root
    with locked(folder):
        if not root.exists():
            download_archive(ARCHIVES[which], root, url)
    return root


def download_archive(archive, root, url=None):
    """Download an archive, verify it, and unpack its folder.

    Args:
        archive (Archive): what to download.
        root (Path): the folder to create, in a folder that the caller has locked. The archive and
            what has been received of it lie beside it.
        url (str, optional): a mirror. Default: the archive's own address.

    Raises:
        InputError: see `download`.
    """
    path = root.with_name(f"{root.name}.zip")
    if not path.exists():
        part = root.with_name(f"{root.name}.zip.part")
        _fetch(url or archive.url, part)
        _verify(part, archive)
        part.rename(path)  # only a whole and verified archive ever has this name
        _validator_file(part).unlink(missing_ok=True)
    _unpack(path, root, archive.folder)
    path.unlink()


# ---- Receiving -----------------------------------------------------------------------------------


def _fetch(url, part):
    """Receive `url` into `part`, continuing a partial file; retry if the connection ends early."""
    attempt = 0
    while True:
        size_before = _size(part)
        try:
            if _receive(url, part):
                return
            reason = "the connection ended early"
        except requests.RequestException as error:
            status = getattr(error.response, "status_code", None)
            reason = f"HTTP status {status}" if status else type(error).__name__
            if status and status < 500 and status != 429:
                raise InputError(f"{url}: cannot be downloaded ({reason}); check the URL") from None
        attempt = 1 if _size(part) > size_before else attempt + 1
        if attempt >= ATTEMPTS:
            raise InputError(
                f"{url}: cannot be downloaded ({reason}); check the network and run again: the "
                f"{_size(part) / 1e6:.0f} MB received so far are kept"
            )
        time.sleep(WAIT * 2 ** (attempt - 1))


def _receive(url, part):
    """Make one request; return whether `part` is complete afterwards."""
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}  # byte positions must be those of the file
    validator = _validator_file(part).read_text() if have and _validator_file(part).exists() else ""
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator  # gives the whole file if it has changed
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # nothing after `have`: complete, or another file
            if response.headers.get("Content-Range", "").endswith(f"/{have}"):
                return True
            part.unlink()
            return False
        response.raise_for_status()
        resumed = response.status_code == 206
        if resumed and validator and _validator(response) != validator:
            part.unlink()
            return False
        if not resumed:
            have = 0
            _validator_file(part).write_text(_validator(response))
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        require_space(part.parent, (total or have) - have, f"download {part.stem}")
        _store(response, part, have, total)
    return total is None or _size(part) == total


def _store(response, part, have, total):
    progress = tqdm(
        desc=part.stem, initial=have, total=total, unit="B", unit_scale=True, unit_divisor=1024
    )
    with progress, open(part, "ab" if have else "wb") as file:
        for block in response.iter_content(BLOCK_RECEIVED):
            file.write(block)
            progress.update(len(block))


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _validator_file(part):
    return part.with_name(f"{part.name}.version")


def _validator(response):
    """The validator to send as If-Range: a strong ETag, or the date."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _verify(part, archive):
    algorithm, expected = archive.checksum.split(":")
    found = _tree(part, archive.folder) if algorithm == "tree" else _digest(part, algorithm)
    if found != expected:
        part.unlink()
        raise InputError(
            f"{part}: {algorithm} checksum is {found}, not {expected}; the file was "
            "damaged in transit and has been removed; run again to download it again"
        )


def _digest(part, algorithm):
    digest = hashlib.new(algorithm)
    progress = tqdm(desc="checksum", total=_size(part), unit="B", unit_scale=True)
    with progress, open(part, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            progress.update(len(block))
    return digest.hexdigest()


def _tree(part, folder):
    try:
        with zipfile.ZipFile(part) as file:
            return git_tree(file, _prefix(part, file.infolist(), folder))
    except DAMAGE as error:
        return str(error) or type(error).__name__


# ---- Unpacking -----------------------------------------------------------------------------------


def _unpack(archive, root, folder):
    """Unpack a folder of `archive`, see `Archive`; `root` appears when it is complete."""
    try:
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            for member in members:
                _check_member(archive, member)
            prefix = _prefix(archive, members, folder)
            members = [member for member in members if member.filename.startswith(prefix)]
            n_bytes = sum(member.file_size for member in members)
            require_space(root.parent, n_bytes, f"unpack {archive.name}")
            with atomic_folder(root) as work:
                _extract(file, members, prefix, work, n_bytes)
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(
            f"{archive}: damaged ({error or type(error).__name__}); remove it and run again to "
            "download it again"
        ) from None


def _check_member(archive, member):
    """Refuse names that leave the folder, links, which could, and members that cannot be read."""
    path = PureWindowsPath(member.filename)  # understands both kinds of slashes, and drives
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if path.anchor or ".." in path.parts or is_link:
        raise InputError(
            f"{archive}: holds {member.filename!r}, which could write outside of its folder; "
            "nothing was unpacked, remove the archive"
        )
    if member.flag_bits & ENCRYPTED or member.compress_type not in METHODS:
        problem = "encrypted" if member.flag_bits & ENCRYPTED else "compressed in an unknown way"
        raise InputError(
            f"{archive}: {member.filename!r} in it is {problem}, which the public archive is not; "
            "nothing was unpacked, remove the archive"
        )


def _prefix(archive, members, folder):
    """How the names of the members begin that are unpacked, see `Archive`."""
    name = "train" if folder is None else folder
    inner = re.escape(f"{name}/") if name else ""
    pattern = re.compile(rf"([^/]+/)?{inner}" if inner else "([^/]+/)")  # one folder around all
    for member in members:
        found = pattern.match(member.filename)
        if found:
            return (found[1] or "") if folder is None else found[0]
    raise InputError(
        f"{archive}: has no folder {name}/, so it is not a data set of this kind; remove it"
    )


def _extract(file, members, prefix, work, n_bytes):
    progress = tqdm(desc="unpacking", total=n_bytes, unit="B", unit_scale=True, unit_divisor=1024)
    with progress:
        for member in members:
            path = work / member.filename.removeprefix(prefix)
            if member.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with file.open(member) as source, open(path, "wb") as target:
                while block := source.read(BLOCK):
                    target.write(block)
                    progress.update(len(block))
