"""Downloads from a real server on loopback: resumed, verified, and unpacked safely."""

import hashlib
import http.server
import io
import re
import shutil
import stat
import threading
import zipfile

import numpy as np
import pytest

from asteroid_tfswa import files, locks
from asteroid_tfswa.data import download as module
from asteroid_tfswa.data.download import ARCHIVES, Archive, download
from asteroid_tfswa.errors import InputError

NOISE = np.random.default_rng(0).bytes(600_000)  # does not compress, so the archive has its size


def make_zip(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for member, content in members.items():
            file.writestr(member, content)
    return buffer.getvalue()


GOOD = make_zip({"train/a/vocals.wav": NOISE, "test/t/vocals.wav": b"x", "README.md": b"hello"})


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` at any address; records the headers of requests."""

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.with_ranges = True  # whether Range is supported
        self.breaks = []  # bytes after which the connection of each further request ends
        self.status = 200
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}/data.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(dict(self.headers))
        if server.status != 200:
            self.send_error(server.status)
            return
        content, status = server.content, 200
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = 0
        if span and server.with_ranges and self.headers.get("If-Range", etag) == etag:
            start, status = int(span[1]), 206
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(status)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = server.breaks.pop(0) if server.breaks else None
        self.wfile.write(content[start:][:stop])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    server = Server(GOOD)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(module, "WAIT", 0)
    expect(server, monkeypatch)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def expect(server, monkeypatch):
    """Make the "sample" archive the one that the server has."""
    checksum = f"md5:{hashlib.md5(server.content).hexdigest()}"
    monkeypatch.setitem(ARCHIVES, "sample", Archive(server.url, checksum))


def check_whole(root):
    assert (root / "train" / "a" / "vocals.wav").read_bytes() == NOISE
    assert (root / "test" / "t" / "vocals.wav").read_bytes() == b"x"
    assert [path.name for path in root.parent.iterdir()] == [root.name]  # nothing left beside it


def test_download_unpacks_once(server, tmp_path):
    root = download("sample", tmp_path / "new" / "folder")
    assert root == tmp_path / "new" / "folder" / "sample"
    check_whole(root)
    assert download("sample", tmp_path / "new" / "folder") == root
    assert len(server.asked) == 1


def test_archive_with_one_folder_around_everything(server, tmp_path, monkeypatch):
    server.content = make_zip(
        {"__MACOSX/x": b"", "set/train/a/vocals.wav": NOISE, "set/test/t/vocals.wav": b"x"}
    )
    expect(server, monkeypatch)
    check_whole(download("sample", tmp_path))


def test_broken_connection_is_continued_where_it_ended(server, tmp_path):
    server.breaks = [200_000, 200_000]
    check_whole(download("sample", tmp_path))
    starts = [int(asked.get("Range", "bytes=0-")[6:-1]) for asked in server.asked]
    assert starts[0] == 0 < starts[1] < starts[2] <= 400_000


def give_up_at(server, tmp_path, n_bytes):
    """A first run that ends with the network."""
    server.breaks = [n_bytes] + [0] * 10
    with pytest.raises(InputError, match="check the network and run again.*are kept"):
        download("sample", tmp_path)
    server.breaks = []
    assert (tmp_path / "sample.zip.part").stat().st_size > 0.5 * n_bytes
    server.asked.clear()


def test_a_later_run_continues_what_an_earlier_one_received(server, tmp_path):
    give_up_at(server, tmp_path, 300_000)
    check_whole(download("sample", tmp_path))
    (asked,) = server.asked
    assert asked["Range"] != "bytes=0-" and asked["If-Range"].startswith('"')


def test_server_without_ranges_starts_again(server, tmp_path):
    give_up_at(server, tmp_path, 300_000)
    server.with_ranges = False
    check_whole(download("sample", tmp_path))
    assert len(server.asked) == 1


def test_file_that_changed_meanwhile_starts_again(server, tmp_path, monkeypatch):
    give_up_at(server, tmp_path, 300_000)
    server.content = make_zip({"train/a/vocals.wav": NOISE[::-1], "test/t/vocals.wav": b"x"})
    expect(server, monkeypatch)
    root = download("sample", tmp_path)
    assert (root / "train" / "a" / "vocals.wav").read_bytes() == NOISE[::-1]


def test_part_that_was_already_complete(server, tmp_path):
    (tmp_path / "sample.zip.part").write_bytes(GOOD)
    check_whole(download("sample", tmp_path))


def test_ctrl_c_keeps_what_was_received(server, tmp_path, monkeypatch):
    calls = []

    class Interrupted(module.tqdm):
        def update(self, n=1):
            calls.append(n)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return super().update(n)

    monkeypatch.setattr(module, "tqdm", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        download("sample", tmp_path)
    received = (tmp_path / "sample.zip.part").read_bytes()
    assert 0 < len(received) < len(GOOD) and GOOD.startswith(received)
    check_whole(download("sample", tmp_path))
    assert server.asked[1]["Range"] == f"bytes={len(received)}-"


def test_interrupted_unpacking_needs_no_second_download(server, tmp_path, monkeypatch):
    def interrupted(file, members, prefix, work, n_bytes):
        (work / "train").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_extract", interrupted)
        with pytest.raises(KeyboardInterrupt):
            download("sample", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sample.zip"]
    check_whole(download("sample", tmp_path))
    assert len(server.asked) == 1


def test_wrong_checksum_is_refused_and_not_continued(server, tmp_path, monkeypatch):
    monkeypatch.setitem(ARCHIVES, "sample", Archive(server.url, "md5:" + 32 * "0"))
    with pytest.raises(InputError, match="md5 checksum is .*, not 0000.*run again"):
        download("sample", tmp_path)
    assert not (tmp_path / "sample").exists() and not (tmp_path / "sample.zip.part").exists()


def test_addresses_that_do_not_work(server, tmp_path):
    server.status = 404
    with pytest.raises(InputError, match=f"{server.url}: .*HTTP status 404"):
        download("sample", tmp_path)
    assert len(server.asked) == 1  # asking again would not help
    server.status = 503
    with pytest.raises(InputError, match="HTTP status 503.*check the network"):
        download("sample", tmp_path)
    assert len(server.asked) == 1 + module.ATTEMPTS
    with pytest.raises(InputError, match="ConnectionError.*check the network") as caught:
        download("sample", tmp_path, url="http://127.0.0.1:9/x.zip")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="'musdb' is unknown; choose from musdb18hq, musdb18"):
        download("musdb", tmp_path)


@pytest.mark.parametrize("free", [1000, 650_000])  # too little to receive, and only to unpack
def test_full_disk_is_said_beforehand(server, tmp_path, monkeypatch, free):
    if free > len(GOOD):
        (tmp_path / "sample.zip").write_bytes(GOOD)
        free = 1000
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="0.6 MB is needed to (download|unpack) sample.zip"):
        download("sample", tmp_path)
    assert not (tmp_path / "sample").exists()


def link_member():
    member = zipfile.ZipInfo("train/link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


@pytest.mark.parametrize(
    "member",
    ["../evil", "train/../../evil", "/evil", "..\\evil", "C:\\evil", link_member()],
    ids=["up", "deep", "root", "backslash", "drive", "link"],
)
def test_unsafe_members_are_refused_before_anything_is_unpacked(
    server, tmp_path, monkeypatch, member
):
    server.content = make_zip({"train/a/vocals.wav": b"x", member: b"/etc"})
    expect(server, monkeypatch)
    folder = tmp_path / "in" / "here"
    with pytest.raises(InputError, match="could write outside of its folder"):
        download("sample", folder)
    assert [path.name for path in folder.iterdir()] == ["sample.zip"]
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "here", "sample.zip"]


@pytest.mark.parametrize("damage", ["no zip", "bad member", "no train"])
def test_damaged_archives_leave_nothing_unpacked(server, tmp_path, monkeypatch, damage):
    if damage == "no zip":
        server.content = b"<html>please log in</html>"
    elif damage == "bad member":
        position = GOOD.index(NOISE[1000:1010]) if NOISE[1000:1010] in GOOD else 2000
        server.content = GOOD[:position] + b"wrong" + GOOD[position + 5 :]
    else:
        server.content = make_zip({"songs/a.wav": b"x"})
    expect(server, monkeypatch)
    with pytest.raises(InputError, match="sample.zip: (damaged|has no folder train/)") as caught:
        download("sample", tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["sample.zip"]


@pytest.mark.parametrize(
    ("position", "value", "reason"),
    [
        (8, 1, "'train/a/vocals.wav' in it is encrypted"),
        (10, 96, "'train/a/vocals.wav' in it is compressed in an unknown way"),
        (10, zipfile.ZIP_LZMA, "damaged"),
        (10, zipfile.ZIP_STORED, "damaged"),
        (24, 7, "damaged"),  # states a wrong size
    ],
)
def test_members_that_cannot_be_unpacked(server, tmp_path, monkeypatch, position, value, reason):
    whole = bytearray(GOOD)
    whole[whole.index(b"PK\x01\x02") + position] = value  # in the list of members
    server.content = bytes(whole)
    expect(server, monkeypatch)
    with pytest.raises(InputError, match=f"sample.zip: {reason}.* remove") as caught:
        download("sample", tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["sample.zip"]


def test_second_download_to_the_folder_is_refused_and_leftovers_are_removed(server, tmp_path):
    half = tmp_path / ".0123abcd.tmp"  # of a run that was killed while unpacking
    (half / "train").mkdir(parents=True)
    with locks.locked(tmp_path), pytest.raises(InputError, match=f"{tmp_path}: another run"):
        download("sample", tmp_path)
    check_whole(download("sample", tmp_path))
    with locks.locked(tmp_path):
        assert download("sample", tmp_path) == tmp_path / "sample"  # reading needs no lock
