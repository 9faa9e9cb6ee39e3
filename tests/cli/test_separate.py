"""The command separate: many files, through all that can go wrong, in real processes too."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa.cli import main

RATE = 8000


@pytest.fixture
def folder(tmp_path, monkeypatch, make_model):
    """A folder to work in, with a model of the sources vocals and drums."""
    monkeypatch.chdir(tmp_path)
    torch.save(make_model().serialize(), "model.pth")
    Path("songs").mkdir()
    return tmp_path


def write(path, seconds=0.5, channels=2, rate=RATE):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    wav = 0.3 * np.random.default_rng(0).standard_normal((int(seconds * rate), channels))
    soundfile.write(path, wav, rate)


def run(*args):
    """Run the command in this process; gives its exit status."""
    try:
        main(["separate", "model.pth", *args])
    except SystemExit as err:
        return err.code
    return 0


def written(folder="separated"):
    """Names of all files in a folder, hidden ones too."""
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def test_files_folders_and_patterns(folder, capsys):
    write("songs/one.wav")
    write("songs/deep/two words 'quoted' \N{SNOWMAN}.flac")
    write("songs/deep/.hidden.wav")
    Path("songs/notes.txt").write_text("no song")
    write("three.ogg")
    write("four [live].wav")
    assert run("songs", "three.*", "three.ogg", "four [live].wav") == 0
    assert written() == [
        "deep/two words 'quoted' \N{SNOWMAN}/drums.wav",
        "deep/two words 'quoted' \N{SNOWMAN}/vocals.wav",
        "four [live]/drums.wav",
        "four [live]/vocals.wav",
        "one/drums.wav",
        "one/vocals.wav",
        "three/drums.wav",
        "three/vocals.wav",
    ]
    assert "4 separated to separated" in capsys.readouterr().err


def test_options_reach_the_files(folder):
    write("song.wav")
    assert run("song.wav", "-o", "out", "--two-stems", "drums", "--format", "flac") == 0
    assert run("song.wav", "-o", "out", "--format", "wav", "--bits", "16", "--stems", "drums") == 0
    options = ["--output", "{stem} of {song}.{ext}", "--mixture-consistency", "--shifts", "2"]
    options += ["--segment", "0.2", "--overlap", "0.5", "--batch", "3", "--precision", "bf16"]
    assert run("song.wav", "-o", "out", *options, "--device", "cpu") == 0
    assert written("out") == [
        "drums of song.wav",
        "song/drums.flac",
        "song/drums.wav",
        "song/no_drums.flac",
        "vocals of song.wav",
    ]
    assert soundfile.info("out/song/drums.wav").subtype == "PCM_16"
    stems = [soundfile.read(f"out/{name} of song.wav")[0] for name in ("vocals", "drums")]
    assert np.abs(sum(stems) - soundfile.read("song.wav")[0]).max() < 1e-4


def test_page_has_all_songs_that_have_stems(folder, capsys):
    write("songs/one.wav")
    write("songs/cd2/two.mp3")
    assert run("songs") == 0
    Path("separated/one/vocals.wav").unlink()
    assert run("songs", "--page", "--format", "wav") == 0
    assert capsys.readouterr().err.endswith("Page: separated/page/index.html\n")
    data = re.search(r'id="data">(.*?)</script>', Path("separated/page/index.html").read_text())
    songs = json.loads(data[1])
    assert [song["name"] for song in songs] == ["two.mp3", "one.wav"]
    for song in songs:
        stems = [track["stem"] for track in song["tracks"]]
        assert stems == [None, "vocals", "drums"] and not song["hasReferences"]
    assert run("songs", "--page", "--page-megabytes", "nan") == 1
    assert "page_megabytes" in capsys.readouterr().err


def test_what_exists_is_skipped_unless_told(folder, capsys):
    write("song.wav")
    run("song.wav")
    for stem in ("vocals", "drums"):
        Path(f"separated/song/{stem}.wav").write_text("from before")
    assert run("song.wav") == 0
    assert "1 skipped" in capsys.readouterr().err
    assert Path("separated/song/vocals.wav").read_text() == "from before"
    Path("separated/song/drums.wav").unlink()  # one is missing: all are made again
    assert run("song.wav") == 0
    assert soundfile.info("separated/song/vocals.wav").frames == RATE // 2
    Path("separated/song/vocals.wav").write_text("from before")
    assert run("song.wav", "--overwrite") == 0
    assert soundfile.info("separated/song/vocals.wav").frames == RATE // 2


def test_what_was_separated_is_not_separated_again(folder, capsys):
    write("song.wav")
    assert run(".") == 0
    assert run(".") == 0
    assert written() == ["song/drums.wav", "song/vocals.wav"]
    assert "0 separated to separated, 1 skipped" in capsys.readouterr().err


def test_failures_are_told_and_the_others_done(folder, capsys):
    write("a.wav")
    Path("b.wav").touch()
    Path("c.mp3").write_text("no audio\n" * 1000)
    soundfile.write("d.wav", np.full((900, 2), np.nan), RATE, subtype="FLOAT")
    soundfile.write("e.wav", np.zeros((0, 2)), RATE)
    soundfile.write("silence.wav", np.zeros((900, 2)), RATE)
    write("low.wav", rate=4000)
    write("high.wav", rate=192000, seconds=0.1)
    write("six.wav", channels=6)
    write("taken/a.wav")
    inputs = ["a.wav", "b.wav", "c.mp3", "d.wav", "e.wav", "silence.wav", "low.wav", "high.wav"]
    assert run(*inputs, "six.wav", "taken/a.wav", "missing.wav", "songs") == 1
    now, _, end = capsys.readouterr().err.partition("5 separated to separated, 7 failed:")
    for lines in (now, end):
        assert lines.count("b.wav: is empty (0 bytes)") == 1
        assert lines.count("c.mp3: is not audio that can be read") == 1
        assert lines.count("d.wav: holds samples that are not numbers") == 1
        assert lines.count("e.wav: holds no audio (0 samples)") == 1
        assert (
            lines.count(
                "taken/a.wav: its stems would have the names of those of a.wav; add {folder}"
            )
            == 1
        )
        assert lines.count("missing.wav: no such file or folder") == 1
        assert lines.count("songs: no audio files in this folder") == 1
    assert len(written()) == 10
    for name, rate, channels in (("low", 4000, 2), ("high", 192000, 2), ("six", RATE, 6)):
        info = soundfile.info(f"separated/{name}/drums.wav")
        assert (info.samplerate, info.channels) == (rate, channels)
        assert info.frames == soundfile.info(f"{name}.wav").frames


def test_outputs_never_replace_inputs(folder, capsys):
    write("songs/vocals.wav")
    write("songs/drums.wav")
    before = Path("songs/vocals.wav").read_bytes()
    options = ["-o", ".", "--output", "{folder}/{stem}.{ext}", "--overwrite"]
    assert run("songs/vocals.wav", "songs/drums.wav", *options) == 1
    assert capsys.readouterr().err.count("would replace") == 4  # now and at the end
    assert Path("songs/vocals.wav").read_bytes() == before


@pytest.mark.parametrize(
    "args, message",
    [
        (["--stems", "guitar"], "the model has vocals, drums, but no 'guitar'"),
        (["--stems", "drums", "--two-stems", "drums"], "exclude each other"),
        (["--format", "mp3", "--bits", "16"], "bits: mp3 has no 16 bits"),
        (["--output", "{song}"], "gives all stems one name"),
        (["--device", "tpu"], "device: 'tpu' is unknown; use auto, cpu"),
        (["--device", "cuda:99"], "device: 'cuda:99' does not exist"),
        (["--device", "mps:9"], "device: 'mps:9' does not exist"),
        *(
            (["--device", x], f"device: '{x}' is unknown")
            for x in ("", "cpu:", "cuda:x", "cuda:\N{SUPERSCRIPT TWO}")
        ),
        *(
            (["--jobs", x], f"jobs must be an integer from 1 to 64: got {x}")
            for x in ("0", "-1", "65", "1000000000")
        ),
        (["--batch", "1000000000"], "batch_size must be an integer from 1 to 256"),
        (["--shifts", "1000000000"], "shifts must be an integer from 1 to 100"),
        (["--overlap", "0.7"], "overlap must be a number from 0 to 0.5: got 0.7"),
        *(
            (["--segment", x], f"segment must be 0.01 to 600 seconds: got {x}")
            for x in ("nan", "inf", "0.0", "-1.0")
        ),
        (["--two-stems", ""], "two_stems (--two-stems): the model has vocals, drums, but no ''"),
        (["--stems", ""], "stems (--stems): the model has vocals, drums, but no ''"),
        (["--output", ""], "output: '' must end with the name of a file"),
        (["--output-dir", ""], "output_dir (--output-dir): '' cannot be a folder"),
        (["--output-dir", "a.wav"], "output_dir (--output-dir): 'a.wav' cannot be a folder"),
        (["--output-dir", "a.wav/b"], "output_dir (--output-dir): 'a.wav/b' cannot be a folder"),
        (["--output-dir", "/proc/x"], "output_dir (--output-dir): '/proc/x' cannot be a folder"),
        (["--output-dir", "a\0b"], "cannot be a folder (embedded null byte)"),
        (["--output-dir", "a" * 300], "cannot be a folder (File name too long)"),
    ],
)
def test_options_that_cannot_be_used_are_one_line(folder, capsys, args, message):
    write("a.wav")
    write("b.wav")
    assert run("a.wav", "b.wav", *args) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert sorted(os.listdir()) == ["a.wav", "b.wav", "model.pth", "songs"]


class Code:
    def __reduce__(self):
        return (os.mkdir, ("code was run",))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda path: path.unlink(), "model file not found"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged or not a checkpoint"),
        (lambda path: path.write_text("no model"), "cannot be loaded safely"),
        (lambda path: torch.save({"model_name": Code()}, path), "cannot be loaded safely"),
    ],
)
def test_models_that_cannot_be_used_are_one_line(folder, capsys, make, message):
    write("a.wav")
    make(folder / "model.pth")
    assert run("a.wav") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line and "model.pth" in line
    assert not Path("separated").exists() and not Path("code was run").exists()


def test_jobs_give_the_same_files(folder):
    for name in "abcde":
        write(f"songs/{name}.wav")
    Path("songs/f.wav").touch()
    assert run("songs", "-o", "one") == 1
    assert run("songs", "-o", "two", "--jobs", "3") == 1
    assert written("one") == written("two") and len(written("one")) == 10
    for name in written("one"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_a_folder_that_cannot_be_written_to(folder, capsys):
    write("a.wav")
    write("b.wav")
    Path("out").mkdir()
    Path("out/a").write_text("no folder")
    assert run("a.wav", "b.wav", "-o", "out") == 1
    assert capsys.readouterr().err.count("error: a.wav: ") == 1
    assert written("out") == ["a", "b/drums.wav", "b/vocals.wav"]
    assert run("a.wav", "-o", "/dev/null") == 1
    if os.getuid():  # root may write everywhere
        Path("locked").mkdir(mode=0o500)
        assert run("a.wav", "-o", "locked") == 1


# --- real processes ------------------------------------------------------------------------------


def start(*args, **kwargs):
    code = "from asteroid_tfswa.cli import main; main()"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code, "separate", "model.pth", *args]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, **kwargs)


def test_ctrl_c_leaves_only_whole_files(folder):
    write("a.wav", seconds=1)
    write("b.wav", seconds=400)
    process = start("a.wav", "b.wav", "--format", "flac", "--segment", "1")
    while not list(Path().glob("separated/b/.*")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert "interrupted" in process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert written() == ["a/drums.flac", "a/vocals.flac"]


def test_a_full_disk_is_told_and_the_others_are_done(folder):
    write("-small.wav", seconds=0.5)
    write("big.wav", seconds=30)
    limit = 900_000  # bytes of a file

    def full_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = start("--segment", "2", "--", "big.wav", "-small.wav", preexec_fn=full_disk)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "big.wav: " in errors and "is the disk full?" in errors
    assert "Traceback" not in errors
    assert written() == ["-small/drums.wav", "-small/vocals.wav"]
