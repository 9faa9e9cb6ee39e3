"""Archives of sources: verified by git's hash, unpacked, and indexed by names and SFZ maps."""

import subprocess
import threading
import zipfile

import pytest
import soundfile

from asteroid_tfswa.data.download import Archive, download_archive
from asteroid_tfswa.data.git_tree import git_tree
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.freestems import archives
from asteroid_tfswa.freestems.archives import download_sources, list_archives
from asteroid_tfswa.freestems.collect import RULES, rows_of
from asteroid_tfswa.freestems.sfz import read_sfz
from tests.data.test_download import Server
from tests.freestems.free_sounds import drum_midi, tone

MAP = """\
#define $EXT wav
<control> default_path=notes/
<global> lovel=1
<group> lovel=1 hivel=63  // soft
<region> sample=c 2 soft.$EXT pitch_keycenter=36 tune=-5
<region> sample=c 2 soft 2.$EXT pitch_keycenter=36
<group>
lovel=64
#include "loud.txt"
<group> trigger=release
<region> sample=end.$EXT pitch_keycenter=36
"""


def git(folder, *words):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository of all kinds of sources, its archive as GitHub makes it, and its hashes."""
    folder = tmp_path_factory.mktemp("repository")
    for name in (
        "bass/notes/c 2 soft.wav",
        "bass/notes/c 2 soft 2.wav",
        "bass/notes/c2.wav",
        "voices/shv_fs/SHV - Fsharp minor - 122 BPM - Ah.wav",
        "voices/etv/ETV Phrase - 031 - Tonight - 136 BPM - A minor.wav",
        "voices/etv_am_vocal/Dry Vocal.wav",
        "voices/dvs1/DVS - Alright 1.wav",
        "samples/bd_808.flac",
        "samples/elec_hi_snare.flac",
        "samples/drum_cymbal_closed.flac",
        "samples/loop_amen.flac",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, tone(65.4, 0.1), 44100)
    (folder / "bass/map.sfz").write_text(MAP)
    (folder / "bass/loud.txt").write_text("<region> sample=c2.$EXT key=c2")
    (folder / "grooves").mkdir()
    drum_midi(1).save(folder / "grooves/10_soul-groove10_102_beat_4-4.mid")
    script = folder / "bass-script"  # sorts before the folder bass/, and may be executed
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "x")
    archive = folder / "archive.zip"
    git(folder, "archive", "--prefix=repo-123/", "-o", str(archive), "HEAD")
    return folder, archive


def test_git_tree_is_what_git_says(repository):
    folder, archive = repository
    with zipfile.ZipFile(archive) as file:
        assert git_tree(file, "repo-123/") == git(folder, "rev-parse", "HEAD^{tree}")
        assert git_tree(file, "repo-123/bass/") == git(folder, "rev-parse", "HEAD:bass")


@pytest.fixture
def url(repository):
    """Where a real server offers the archive."""
    server = Server(repository[1].read_bytes())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.url
    server.shutdown()
    thread.join()
    server.server_close()


def test_archive_is_unpacked_if_its_tree_is_right(repository, url, tmp_path):
    tree = git(repository[0], "rev-parse", "HEAD:bass")
    download_archive(Archive(url, f"tree:{tree}", "bass"), tmp_path / "good")
    assert [path.name for path in tmp_path.iterdir()] == ["good"]
    assert {path.name for path in (tmp_path / "good").iterdir()} == {"notes", "map.sfz", "loud.txt"}
    for folder, message in (
        ("voices", f"tree checksum is [0-9a-f]{{40}}, not {tree}"),
        ("x", "no folder x/"),
    ):
        with pytest.raises(InputError, match=message):
            download_archive(Archive(url, f"tree:{tree}", folder), tmp_path / "bad")
        assert not (tmp_path / "bad").exists()


def test_maps_and_names_become_rows(repository):
    folder, _ = repository
    regions = read_sfz(folder / "bass/map.sfz")
    assert [(r.path.name, r.pitch, r.velocity) for r in regions] == [
        ("c 2 soft.wav", 36, 1),
        ("c 2 soft 2.wav", 36, 1),
        ("c2.wav", 36, 64),
    ]
    entry = {"name": "x", "licence": "CC0-1.0", "author": "me", "role": "bass", "semitones": -12}

    def rows(index, name):
        found = rows_of({**entry, "index": index, "maps": {"b": "map.sfz"}}, folder / name)
        return {row["path"]: row for row in found}

    notes = rows("notes", "bass")
    assert {(row["piece"], row["velocity"], row["round_robin"]) for row in notes.values()} == {
        (24, 1, 1),
        (24, 1, 2),
        (24, 2, 1),
    }
    phrases = rows("phrases", "voices")
    keys = {row["instrument"]: (row.get("key"), row.get("bpm")) for row in phrases.values()}
    assert keys == {
        "shv_fs": ("F# minor", "122"),
        "etv": ("A minor", "136"),
        "dvs1": (None, None),
    }
    hits = {path: row["piece"] for path, row in rows("one_shots", "samples").items()}
    assert hits == {
        "samples/bd_808.flac": "kick",
        "samples/elec_hi_snare.flac": "snare",
        "samples/drum_cymbal_closed.flac": "hihat_closed",
    }
    groove = rows("grooves", "grooves").popitem()[1]
    assert (groove["instrument"], groove["bpm"]) == ("soul/groove10", "102")
    with pytest.raises(InputError, match="holds nothing of what x should hold"):
        rows("grooves", "bass")
    (folder / "bass/empty.sfz").write_text("<group>")
    with pytest.raises(InputError, match="empty.sfz: has no notes"):
        read_sfz(folder / "bass/empty.sfz")


def test_archives_are_pinned_and_have_checksums(tmp_path):
    for name, entry in list_archives().items():
        algorithm, digits = entry["checksum"].split(":")
        assert (algorithm, len(digits)) in (("tree", 40), ("md5", 32)), name
        assert entry["index"] in RULES and entry["licence"] in ("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0")
        if "github.com" in entry["url"]:
            commit = entry["url"].removesuffix(".zip").split("/")[-1]
            assert len(commit) == 40 and int(commit, 16)
    with pytest.raises(InputError, match="sources: 'x' is unknown; choose from vocalset"):
        download_sources(tmp_path, ["x"])


def test_an_index_that_was_changed_is_kept(tmp_path, monkeypatch):
    entry = {"role": "vocals", "index": "phrases", "licence": "CC0-1.0", "author": "me"}
    known = {name: {"name": name, "url": "", "checksum": "", **entry} for name in ("a", "b")}
    known["b"]["optional"] = True
    monkeypatch.setattr(archives, "list_archives", lambda: known)
    for path in ("a/v/one.wav", 'a/v/"two.wav', "b/v/three.wav"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    index = tmp_path / "index.tsv"
    for optional, n_rows in (((), 2), (["b"], 3), ((), 2)):  # archives may come and go
        download_sources(tmp_path, optional)
        assert len(index.read_text().splitlines()) == 1 + n_rows
    written = index.read_text()
    assert '\na/v/"two.wav\t' in written
    for changed in (written + "mine/1.wav\tvocals\n", written.replace("a/v/one.wav", "a/v/1.wav")):
        index.write_text(changed)
        with pytest.raises(InputError, match="index.tsv: has been changed .* --sources_dir"):
            download_sources(tmp_path)
        assert index.read_text() == changed
