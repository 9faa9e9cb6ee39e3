"""The command separate: many files and what can go wrong, also in real processes."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa import TFSWAUNet
from asteroid_tfswa.cli import main

RATE = 8000
SOURCES = ("drums", "vocals")


def write(path, seconds=0.5, channels=2, rate=RATE):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    wav = 0.3 * np.random.default_rng(0).standard_normal((int(seconds * rate), channels))
    soundfile.write(path, wav, rate)


def run(*args):
    """Run the command in this process; return its exit status."""
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


def test_what_exists_is_skipped_unless_overwritten(folder, capsys):
    write("song.wav")
    run("song.wav")
    for stem in ("vocals", "drums"):
        Path(f"separated/song/{stem}.wav").write_text("from before")
    assert run("song.wav") == 0
    assert "1 skipped" in capsys.readouterr().err
    assert Path("separated/song/vocals.wav").read_text() == "from before"
    write("two.wav")
    Path("separated/song/drums.wav").unlink()  # one is left, perhaps somebody's own
    assert run("song.wav", "two.wav") == 1
    line = capsys.readouterr().err.splitlines()[0]
    assert "song.wav: some of its stems exist (separated/song/vocals.wav); remove them" in line
    assert written() == ["song/vocals.wav", "two/drums.wav", "two/vocals.wav"]
    assert Path("separated/song/vocals.wav").read_text() == "from before"
    assert run("song.wav", "--overwrite") == 0
    assert soundfile.info("separated/song/vocals.wav").frames == RATE // 2


def test_what_was_separated_is_not_separated_again(folder, capsys):
    write("song.wav")
    assert run(".") == 0
    assert run(".") == 0
    assert written() == ["song/drums.wav", "song/vocals.wav"]
    assert "0 separated to separated, 1 skipped" in capsys.readouterr().err
    write("songs/a.wav")
    write("songs/b.wav")
    for counts in ("2 separated to songs\n", "0 separated to songs, 2 skipped"):  # beside them
        assert run("songs", "-o", "songs") == 0
        assert counts in capsys.readouterr().err
        assert len(written("songs")) == 6
    before = Path("songs/a/vocals.wav").read_bytes()
    assert run("songs", "-o", "songs", "--overwrite") == 1  # they may be somebody else's
    assert "songs/b.wav: its stem" in capsys.readouterr().err
    assert len(written("songs")) == 6 and Path("songs/a/vocals.wav").read_bytes() == before
    assert run("songs", "songs/a/vocals.wav", "-o", "songs") == 1  # a song, as it is named itself
    assert "songs/a.wav: its stem" in capsys.readouterr().err
    assert len(written("songs")) == 8


def test_songs_that_change_before_their_turn(folder, monkeypatch, capsys):
    for name in "abcdef":
        write(f"{name}.wav")
    forward = TFSWAUNet.forward

    def change(self, wav):
        write("b.wav", seconds=1)
        write("c.wav", rate=4000)
        write("d.wav", channels=4)
        Path("e.wav").unlink(missing_ok=True)
        return forward(self, wav)

    monkeypatch.setattr(TFSWAUNet, "forward", change)
    assert run(*(f"{name}.wav" for name in "abcdef")) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "e.wav: cannot be read (No such file" in line
    for name in "abcdf":
        song, stem = (soundfile.info(f) for f in (f"{name}.wav", f"separated/{name}/drums.wav"))
        spec = (song.frames, song.samplerate, song.channels)
        assert (stem.frames, stem.samplerate, stem.channels) == spec


def test_failures_are_reported_and_the_rest_continues(folder, capsys):
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
                "taken/a.wav: its stems would have the same names as those of a.wav; add {folder}"
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
        (["--track", "0"], "track must be an integer from 1 to 999: got 0"),
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


def test_songs_of_one_name_go_to_the_tree_of_their_folder(folder, capsys):
    write("albums/x/cd1/song.wav")
    write("albums/x/cd2/song.wav")
    write("albums/x/cd2/song.flac")
    assert run("albums") == 1
    assert written() == [f"x/{cd}/song/{stem}.wav" for cd in ("cd1", "cd2") for stem in SOURCES]
    line = capsys.readouterr().err.splitlines()[0]
    start, hint = line.split(" as in --output ")
    assert start.startswith(
        "error: albums/x/cd2/song.wav: its stems would have the same names as those"
    )
    assert start.endswith("albums/x/cd2/song.flac; add {ext_in} to the output name,")
    assert run("albums", "-o", "out", "--output", hint.strip("'")) == 0
    assert len(written("out")) == 6

    write("other/x/cd1/song.wav")
    assert run("albums/x/cd1", "other/x/cd1/*.wav", "-o", "2") == 1  # no field tells them apart
    assert "song.wav; write it to another output folder" in capsys.readouterr().err
    assert run("albums/x/cd1/song.wav", "albums/x/cd2/song.wav", "-o", "3") == 1
    hint = capsys.readouterr().err.splitlines()[0].split(" as in --output ")[1]
    assert (
        run("albums/x/cd1/song.wav", "albums/x/cd2/song.wav", "-o", "4", "--output", hint[1:-1])
        == 0
    )
    assert written("4")[0] == "cd1/song/drums.wav" and len(written("4")) == 4


def test_folders_are_searched_once_and_only_where_songs_are(folder, capsys):
    write("songs/a.wav")
    write("elsewhere/b.wav")
    Path("songs/linked").symlink_to(Path("elsewhere").absolute())
    Path("songs/linked again").symlink_to(Path("elsewhere").absolute())
    Path("songs/loop").symlink_to(Path("songs").absolute())
    for name in ("@eaDir", "__MACOSX", "#recycle", ".Trash", "lost+found"):
        write(f"songs/{name}/junk.wav")
    assert run("songs") == 0
    before = ["a/drums.wav", "a/vocals.wav", "linked/b/drums.wav", "linked/b/vocals.wav"]
    assert written() == before
    Path("songs/cover.jpg").touch()
    Path("songs/other.dat").write_bytes(Path("songs/a.wav").read_bytes())
    assert run("songs/[ac]**", "elsewhere/**", "songs/*.dat", "-o", "songs/out") == 0
    assert run("songs/**", "-o", "songs/out") == 0  # not the stems
    assert sorted(os.listdir("songs/out")) == ["a", "b", "linked", "other"]


def test_one_bad_file_never_ends_the_batch(folder, capfd):
    """Files that look like songs to a folder search, and names that are unsafe to print."""
    write("good.wav")
    good = Path("good.wav").read_bytes()
    write("songs/new\nline.wav")
    write("songs/\x1b[2Jescape.wav")
    Path(os.fsdecode(b"songs/caf\xe9.wav")).write_bytes(good)
    for n_channels in (0, 65535):
        header = good[:22] + n_channels.to_bytes(2, "little") + good[24:]
        Path(f"songs/{n_channels} channels.wav").write_bytes(header)
    Path("songs/1 Hz.wav").write_bytes(good[:24] + (1).to_bytes(4, "little") + good[28:])
    Path("songs/text.flac").write_text("no audio\n" * 1000)
    Path("songs/random.flac").write_bytes(np.random.default_rng(5).bytes(5000))
    Path("songs/loop.wav").symlink_to("loop.wav")
    Path("songs/dangling.wav").symlink_to("nothing.wav")
    Path("songs/folder.wav").mkdir()
    assert run("songs", "good.wav") == 1
    err = capfd.readouterr().err
    assert "Traceback" not in err and "\x1b" not in err
    for name in ("0 channels", "text", "random", "loop", "dangling"):
        assert sum(line.startswith(f"error: songs/{name}.") for line in err.splitlines()) == 1, name
    done = {os.fsencode(name).split(b"/")[0] for name in written()}
    assert done >= {b"good", b"caf\xe9", b"new\nline", b"\x1b[2Jescape"}
    assert all(Path("separated", name).stat().st_size for name in written())


def test_bugs_are_not_taken_for_bad_files(folder, monkeypatch):
    write("a.wav")
    write("b.wav")

    def broken(self, wav):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(TFSWAUNet, "forward", broken)
    for jobs in ("1", "2"):
        with pytest.raises(RuntimeError, match="multiplied"):
            run("a.wav", "b.wav", "--jobs", jobs)
    assert not Path("separated").exists()


def test_memory_that_runs_out_fails_one_song(folder, monkeypatch, capsys):
    write("long.wav", seconds=5)
    write("short.wav")
    forward = TFSWAUNet.forward
    monkeypatch.setattr(
        TFSWAUNet,
        "forward",
        lambda self, wav: forward(self, wav) if wav.shape[-1] < RATE else np.empty(10**15),
    )
    assert run("long.wav", "short.wav") == 1
    assert "error: long.wav: not enough memory to separate it" in capsys.readouterr().err
    assert written() == ["short/drums.wav", "short/vocals.wav"]


# --- real processes ------------------------------------------------------------------------------


def start(*args, **kwargs):
    code = "from asteroid_tfswa.cli import main; main()"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code, "separate", "model.pth", *args]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, **kwargs)


def wait_for(pattern, process):
    """Wait until a file of that name exists."""
    while not list(Path().glob(pattern)) and process.poll() is None:
        time.sleep(0.02)


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
@pytest.mark.parametrize(
    "signum, word, status, jobs",
    [(signal.SIGINT, "interrupted", 130, "1"), (signal.SIGTERM, "terminated", 143, "2")],
)
def test_signals_leave_only_whole_files(folder, signum, word, status, jobs):
    write("a.wav", seconds=1)
    write("b.wav", seconds=120)
    subprocess.run(["ffmpeg", "-v", "error", "-i", "b.wav", "b.m4a"], check=True)
    args = ["--format", "flac", "--segment", "1", "--jobs", jobs]
    process = start("a.wav", "b.m4a", *args, start_new_session=True)
    wait_for("separated/b/.*.flac", process)
    os.killpg(process.pid, signum)  # as a terminal does: ffmpeg receives it as well
    assert process.communicate(timeout=60)[1] == f"{word}\n"
    assert process.returncode == status
    assert written() in (["a/drums.flac", "a/vocals.flac"], [])
    assert not Path("separated/b").exists()


def test_two_runs_and_one_that_is_killed(folder, capsys):
    write("b.wav", seconds=300)
    write("a.wav")
    process = start("b.wav", "--format", "flac", "--segment", "1")
    wait_for("separated/b/.*/1.wav", process)  # a 32-bit copy
    before = written()
    assert len(before) == 5  # two stems, two copies and the lock
    write("songs/b.wav")  # its stems go to the same folder
    whole = [f"{song}/{stem}.flac" for song in "ab" for stem in SOURCES]

    assert run("songs/b.wav", "a.wav", "--format", "flac") == 1  # while the other is running
    line = f"error: songs/b.wav: separated/b: another run is writing to it (process {process.pid})"
    assert capsys.readouterr().err.count(line) == 1
    assert written() == sorted(before + whole[:2])

    process.kill()
    process.communicate()
    assert run("songs/b.wav", "a.wav", "--format", "flac") == 0
    assert written() == whole
    Path("separated/b/.lock").touch()  # of a run killed after the stems got their names
    Path("separated/b/.0123abcd.tmp.flac").touch()
    assert run("songs/b.wav", "--format", "flac") == 0
    assert written() == whole
    Path("separated/b/drums.flac").rename("separated/b/.0123abcd.tmp.flac")  # or before they had
    assert run("songs/b.wav", "--format", "flac") == 0
    assert written() == whole


def test_songs_of_one_run_share_a_folder(folder):
    for name in "abcd":
        write(f"{name}.wav")
    assert (
        run(*(f"{name}.wav" for name in "abcd"), "--jobs", "3", "--output", "{stem}/{song}.{ext}")
        == 0
    )
    assert written() == [f"{stem}/{song}.wav" for stem in SOURCES for song in "abcd"]


def test_a_full_disk_is_reported_and_the_rest_continues(folder):
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
