"""The index of free sounds: as people write it, and what it says of rows that cannot be used."""

import re

import pytest

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.freestems.plan import parse_key
from asteroid_tfswa.freestems.songs import make_songs
from asteroid_tfswa.freestems.sources import Sources
from tests.freestems.free_sounds import make_sources


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_sources(tmp_path_factory.mktemp("sources"))


def test_index_is_read_as_people_write_it(folder, tmp_path):
    index = (folder / "index.tsv").read_text()
    for key in ("A minor", "a Minor", "C# minor", "Db minor", "f# major", "Gb major", "bb minor"):
        text = index.replace("A minor", key)
        text = text.replace("\ta\t0\t", '\ta\t"oh\t').replace("CC0-1.0", "")  # words begin with "
        trimmed = "\n".join(line.rstrip("\t") for line in text.splitlines())
        (tmp_path / "index.tsv").write_text("\ufeff" + trimmed.replace("\n", "\r\n"))
        read = Sources(tmp_path)
        assert [len(phrases) for phrases in read.phrases.values()] == [3]
        assert read.phrases["a"][0].piece == '"oh' and read.phrases["a"][0].key == key
        assert len(read.grooves) == 2 and read.licences == ["unknown"]
    assert parse_key("Db major") == parse_key("c# major") == (1, "major")
    assert parse_key("Cb minor") == (11, "minor") and parse_key("") is None
    (tmp_path / "index.tsv").write_text(re.sub("(?m)CC0-1.0$", "", index, count=1))
    assert Sources(tmp_path).licences == ["CC0-1.0", "unknown"]


def test_errors_name_the_file(folder, tmp_path):
    index = (folder / "index.tsv").read_text()
    with pytest.raises(InputError, match="index.tsv: does not exist; name the folder"):
        Sources(tmp_path)
    for text, message in (
        (index.replace("A minor", "Am"), "line 45: key 'Am' is not of the form F# minor"),
        ("\n\n".join(index.replace("A minor", "Am").splitlines()), "line 89: key 'Am' is not"),
        (index.replace("A minor", "D minor", 1), "line 46: key 'A minor' or bpm 120 is not that"),
        (index.replace("\tsnare\t", "\tSnare\t"), "no instrument of role drums has both pieces"),
        *(
            (index.replace("\t120\t", f"\t{bpm}\t", 1), f"line 45: bpm '{bpm}' is no tempo")
            for bpm in ("nan", "inf", "-120")
        ),
        (index.replace("\tkey\t", "\tkeys\t"), "has no column key"),
        (re.sub(r".*\tbass\t.*\n", "", index), "no rows of role bass"),
        (index.replace("\tbass\tnote", "\tbas\tnote", 1), "line 2: role 'bas' is none of"),
        (index.replace("bass/b/28_v1", "../28_v1"), "line 2: path '../28_v1.flac' leaves"),
    ):
        (tmp_path / "index.tsv").write_text(text)
        with pytest.raises(InputError, match=message):
            Sources(tmp_path)
    (tmp_path / "index.tsv").write_text(index)
    with pytest.raises(InputError, match=r"beat.mid: is missing; download the sources again"):
        make_songs(tmp_path, tmp_path / "songs", 1, seconds=8.0, n_jobs=1)
    kick = Sources(tmp_path).kits["kit"]["kick"][0]
    whole = (folder / kick.path).read_bytes()
    (tmp_path / kick.path).parent.mkdir(parents=True)
    for content, message in (
        (None, "kick_v1_r1.flac: cannot be read .No such file"),
        (b"no flac", "kick_v1_r1.flac: "),
        (whole[: len(whole) // 2], "kick_v1_r1.flac: is damaged"),
    ):
        if content:
            (tmp_path / kick.path).write_bytes(content)
        with pytest.raises(InputError, match=message):
            Sources(tmp_path).audio(kick)
    with pytest.raises(InputError, match="seconds is 3: give 8 to 600"):
        make_songs(tmp_path, tmp_path / "songs", 1, seconds=3)
    with pytest.raises(InputError, match="drums: holds something else .kit.; choose another"):
        make_songs(tmp_path, tmp_path / "drums", 1)
