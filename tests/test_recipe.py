"""The recipe as a user runs it: real processes, and the real MUSDB18 excerpt that stempeg ships."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
import torch

from asteroid_tfswa import TFSWAUNet

ROOT = Path(__file__).resolve().parents[1]
RUN = ["bash", str(ROOT / "egs/musdb18/run.sh"), "--python_path", sys.executable, "--id", "cpu"]
SMALL = """\
data: {segment: 1.0, num_workers: 0}
filterbank: {n_filters: 1024, kernel_size: 1024, stride: 512}
masknet: {n_bands: 8, widths: [8, 16], depths: [1, 1], n_heads: [1, 2]}
training: {epochs: 1, epoch_size: 4, batch_size: 2, precision: 32-true}
validation: {valid_segment: 3.0}
separation: {score_jobs: 1}
"""
SOURCES = ["vocals", "drums", "bass", "other"]


def run(*options, cwd):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*RUN, *map(str, options)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def user_dir(tmp_path_factory):
    """A folder with a small configuration and a set of songs that are all the excerpt."""
    stempeg = pytest.importorskip("stempeg", reason="stempeg, for its excerpt, needs ffmpeg")
    folder = tmp_path_factory.mktemp("user dir")
    (folder / "small.yml").write_text(SMALL)
    for song in ("train/one", "train/two", "test/three"):
        path = folder / f"songs/{song}.stem.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(stempeg.example_stem_path(), path)
    return folder


def options(**more):
    paths = {"musdb18_dir": "songs", "data_dir": "data", "exp_dir": "exp", "tag": "pytest"}
    named = {"conf": "small.yml", **paths, **more}
    return [word for name, value in named.items() for word in (f"--{name}", value)]


def test_from_stem_mp4_to_scores_then_again(user_dir):
    done = run(*options(), cwd=user_dir)
    assert done.returncode == 0, done.stderr
    assert "| vocals" in done.stdout and "best gain" in done.stdout
    scores = json.loads((user_dir / "exp/scores/three.json").read_text())["scores"]
    assert {target["name"] for target in scores["model"]["targets"]} == set(SOURCES)

    assert (user_dir / "data.baselines/three.json").is_file()  # beside the data, not in it
    assert not (user_dir / "data/baselines").exists()

    page = (user_dir / "exp/report/index.html").read_text()
    (song,) = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    assert song["name"] == "three" and song["stems"] == SOURCES and song["hasReferences"]
    assert {track["kind"] for track in song["tracks"]} == {"mixture", "reference", "estimate"}
    assert {moment["stem"] for moment in song["worst"]} == set(SOURCES)
    for words in ("cSDR of each song", "ratio mask", "epoch_size: 4"):  # charts, configuration
        assert words in page

    model = TFSWAUNet.from_pretrained(user_dir / "exp/best_model.pth")
    assert model.sources == SOURCES
    mixture = soundfile.info(user_dir / "data/test/three/mixture.wav")
    estimate = soundfile.info(user_dir / "exp/estimates/three/vocals.wav")
    assert (estimate.frames, estimate.samplerate) == (mixture.frames, 44100)

    files = [p for p in user_dir.rglob("*") if p.suffix in (".wav", ".json", ".pth", ".ckpt")]
    made_again = ("best_model.pth", "summary.json", "score_card.json")
    kept = {
        p: p.stat().st_mtime_ns
        for p in files
        if p.name not in made_again and "museval" not in p.parts
    }
    again = run(*options(stage="1"), cwd=user_dir)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-8:] == done.stdout.splitlines()[-8:]
    assert {p: p.stat().st_mtime_ns for p in kept} == kept  # every stage picked up what was there


@pytest.mark.parametrize(
    "more, message",
    [
        ({"stage": "2", "exp_dir": "none"}, "error: no trained model: "),
        ({"stage": "1", "id": "7"}, "error: devices: GPU 7 does not exist"),
        ({"stage": "0", "learning_rate": "1"}, "error: unknown option --learning_rate"),
        ({"stage": "4"}, "error: --stage must be 0, 1, 2 or 3: got 4"),
        ({"musdb18_dir": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_work_is_one_line(user_dir, more, message):
    if more.get("stage") in ("1", "2") and not (user_dir / "data").exists():
        assert run(*options(stop_stage="0"), cwd=user_dir).returncode == 0
    done = run(*options(**more), cwd=user_dir)
    assert done.returncode == 1
    errors = [
        line for line in done.stderr.splitlines() if "it/s" not in line and "note:" not in line
    ]
    assert len(errors) == 1 and message in errors[0]


def test_ctrl_c_keeps_what_is_done_and_training_continues(user_dir):
    command = [*RUN, *options(stage="1", stop_stage="1", exp_dir="exp2", epochs="2000")]
    if not (user_dir / "data").exists():
        assert run(*options(stop_stage="0"), cwd=user_dir).returncode == 0
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=user_dir, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    checkpoints = user_dir / "exp2/checkpoints"
    while not (checkpoints / "best.ckpt").exists() and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in stderr
    assert not list(user_dir.rglob(".*.tmp*"))
    torch.load(user_dir / "exp2/best_model.pth", weights_only=True)
    last = torch.load(checkpoints / "last.ckpt", weights_only=True)
    epochs = last["position"]["epochs"]
    more = options(stage="1", stop_stage="1", exp_dir="exp2", epochs=str(epochs + 1))
    done = run(*more, cwd=user_dir)
    assert done.returncode == 0, done.stderr
    assert f"epoch {epochs + 1}/{epochs + 1}" in done.stdout and "epoch 1/" not in done.stdout
