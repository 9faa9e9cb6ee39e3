"""The recipe of the contribution trains, separates and scores, with Asteroid's own classes."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
import yaml

from asteroid_tfswa import TFSWAUNet
from tests.upstream.conftest import UPSTREAM, git, run_in

RATE = 8000
SOURCES = ("vocals", "drums", "bass", "other")
SMALL = {
    "filterbank": {"n_filters": 256, "kernel_size": 256, "stride": 128},
    "masknet": {"widths": [4, 8], "depths": [1, 1], "n_heads": [1, 2]},
    "training": {"epochs": 1, "batch_size": 2, "num_workers": 0},
    "data": {"sample_rate": RATE, "segment": 1.0, "samples_per_track": 2},
}
# Both scripts in one process: importing torch and Lightning takes longer than they do.
BOTH = """
import runpy, sys
for script, args in (("train.py", ["--train_dir"]), ("eval.py", ["--segment", "1.5", "--root"])):
    sys.argv = [script, *args, "songs", "--exp_dir", "exp"]
    runpy.run_path(script, run_name="__main__")
"""


def make_songs(folder):
    """Two songs to train on, one to validate on and one to test on; bursts of noise as stems."""
    rng = np.random.default_rng(0)
    for song in ("train/one", "train/M.E. - two", "train/three", "test/four"):
        (folder / song).mkdir(parents=True)
        envelope = 0.1 + np.repeat(rng.random((4, 4, 1)), RATE // 2, axis=1)
        stems = 0.1 * envelope * rng.standard_normal((4, 2 * RATE, 2))
        for name, stem in zip(SOURCES, stems, strict=True):
            soundfile.write(folder / song / f"{name}.wav", stem, RATE, subtype="FLOAT")
        soundfile.write(folder / song / "mixture.wav", stems.sum(0), RATE, subtype="FLOAT")


def test_trains_and_scores(checkout):
    pytest.importorskip("museval", reason="museval and ffmpeg make the scores")
    from to_asteroid import write_contribution

    write_contribution(checkout)
    if importlib.util.find_spec("librosa") is None:  # master needs it for any of its datasets
        git(checkout, "apply", "--include=asteroid/*", UPSTREAM / "patches/13-lazy-librosa.patch")
    recipe = checkout / "egs/musdb18/TFSWA-UNet"
    conf = yaml.safe_load((recipe / "local/conf.yml").read_text())
    for group, values in SMALL.items():
        assert set(values) <= set(conf[group])
        conf[group].update(values)
    (recipe / "local/conf.yml").write_text(yaml.safe_dump(conf))
    (recipe / "local/validation_tracks.txt").write_text("three\n")
    make_songs(recipe / "songs")
    run_in(checkout, "-c", BOTH, cwd=recipe)

    exp = recipe / "exp"
    metrics = json.loads((exp / "final_metrics.json").read_text())
    names = {f"{source}_{metric}" for source in SOURCES for metric in ("SDR", "SIR", "ISR", "SAR")}
    assert set(metrics["median"]) == set(metrics["mean"]) == names
    assert np.isfinite([*metrics["median"].values()]).all()
    assert "vocals" in (exp / "results.txt").read_text()
    estimates = [soundfile.read(exp / f"estimates/four/{name}.wav")[0] for name in SOURCES]
    assert {stem.shape for stem in estimates} == {(2 * RATE, 2)} and np.any(estimates[0])
    published = torch.load(exp / "publish_dir/model.pth")  # plain values, as torch >= 2.6 wants
    assert published["infos"]["recipe_name"] == "musdb18/TFSWA-UNet"
    assert published["model_args"]["sources"] == [*SOURCES]
    trained = torch.load(exp / "best_model.pth")
    assert trained["model_name"] == TFSWAUNet.__name__ and trained["dataset"] == "MUSDB18"


def test_run_sh_has_asteroids_stages(contribution):
    path = contribution / "egs/musdb18/TFSWA-UNet/run.sh"
    text = path.read_text()
    assert [f"Stage {i}" in text for i in range(5)] == [True] * 4 + [False]
    assert text.index("requirements.txt") < text.index("Stage 1")
    assert path.stat().st_mode & 0o111
    assert shutil.which("bash") and "\r" not in text
