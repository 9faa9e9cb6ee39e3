"""The command infer: the arguments and the file names of asteroid-infer."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asteroid_tfswa.cli import main


@pytest.fixture
def model(tmp_path, monkeypatch, make_model):
    monkeypatch.chdir(tmp_path)
    model = make_model()
    torch.save(model.serialize(), "model.pth")
    return model


def write(path, n_samples=5000, rate=8000):
    Path(path).parent.mkdir(exist_ok=True)
    wav = np.random.default_rng(0).random((n_samples, 2), dtype="float32")
    soundfile.write(path, wav, rate, subtype="FLOAT")
    return torch.from_numpy(wav.T.copy())


def run(*args):
    try:
        main(["infer", "model.pth", *args])
    except SystemExit as err:
        return err.code
    return 0


def test_files_beside_their_songs(model):
    wav = write("a.wav")
    write("songs/b.wav")
    assert run("--files", "a.wav", "songs") == 0
    for path, source in zip(["a_est1.wav", "a_est2.wav"], model.separate(wav)):
        np.testing.assert_allclose(soundfile.read(path)[0].T, source, atol=1e-5)
    assert sorted(p.name for p in Path("songs").iterdir()) == ["b.wav", "b_est1.wav", "b_est2.wav"]


def written(folder):
    return sorted(p.name for p in Path(folder).iterdir())


def test_a_folder_with_stems_is_not_separated_again(model):
    write("songs/b.wav")
    assert run("--files", "songs") == 0
    stems = ["b_est1.wav", "b_est2.wav"]
    assert run("--files", "songs", "-f") == 0 and written("songs") == ["b.wav", *stems]
    Path("songs/b_est2.wav").unlink()
    assert run("--files", "songs") == 0 and written("songs") == ["b.wav", "b_est1.wav"]


def test_inputs_that_are_files_of_another_input_are_kept(model, capsys):
    write("k/s.wav")
    write("k/s_est1.wav", 3000)
    before = Path("k/s_est1.wav").read_bytes()
    assert run("--files", "k/s.wav", "k/s_est1.wav", "-f") == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "k/s.wav: its stem" in first and "k/s_est1.wav would replace an input" in first
    assert "k/s_est1.wav: is also the file for a stem of k/s.wav; name only one" in second
    assert Path("k/s_est1.wav").read_bytes() == before
    assert written("k") == ["s.wav", "s_est1.wav"]


def test_two_songs_never_share_files(model, capsys):
    wav = write("cd1/01.wav")
    write("cd2/01.wav", 3000)
    assert run("--files", "cd1", "cd2", "-o", "out", "-f") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cd2/01.wav: its stems would have the same names as those of cd1/01.wav; write" in line
    assert soundfile.info("out/01_est1.wav").frames == wav.shape[-1]
    Path("cd1/01.flac").touch()
    assert run("--files", "cd1") == 1
    assert "same names as those of cd1/01.flac" in capsys.readouterr().err


def test_all_arguments(model, capsys):
    wav = write("a.wav")
    Path("out").mkdir()
    Path("out/a_est1.wav").write_text("from before")
    args = ["--files", "a.wav", "-o", "out", "-d", "cpu", "-w", "2000", "--ola-hop", "1500"]
    args += ["--ola-window-type", "hamming", "--ola-no-reorder"]
    assert run(*args) == 0
    assert "already exists" in capsys.readouterr().err
    assert Path("out/a_est1.wav").read_text() == "from before"
    assert run(*args, "-f") == 0
    expected = model.separate(wav, segment=0.25, overlap=0.25)
    np.testing.assert_allclose(soundfile.read("out/a_est2.wav")[0].T, expected[1], atol=1e-5)


def test_other_sample_rates_must_be_allowed(model, capsys):
    write("a.wav", rate=11025)
    write("b.wav")
    assert run("--files", "a.wav", "b.wav") == 1
    assert "a.wav has a sample rate of 11025 Hz" in capsys.readouterr().err
    assert Path("b_est1.wav").is_file() and not Path("a_est1.wav").exists()
    assert run("--files", "a.wav", "--resample") == 0
    assert soundfile.info("a_est1.wav").samplerate == 11025


@pytest.mark.parametrize(
    "args, message",
    [
        (
            ["-w", "2000", "--ola-hop", "500"],
            "--ola-hop must be between half of --ola-window, 2000",
        ),
        (["-w", "2001", "--ola-hop", "1000"], "--ola-hop must be"),
        (["--ola-hop", "0"], "--ola-hop must be between half of --ola-window, 48000"),
        (["--ola-hop", "48001"], "--ola-hop must be"),
        *((["-w", x], "--ola-window must be between 80 and 4800000") for x in ("-1", "0", "10")),
        (["-w", "1000000000"], "--ola-window must be between 80 and 4800000"),
    ],
)
def test_windows_that_cannot_be_used(model, capsys, args, message):
    write("a.wav")
    assert run("--files", "a.wav", *args) == 1
    assert f"error: {message}" in capsys.readouterr().err
    assert sorted(p.name for p in Path().iterdir()) == ["a.wav", "model.pth"]


def test_windows_of_odd_length(model):
    write("a.wav")
    assert run("--files", "a.wav", "-w", "2001") == 0
