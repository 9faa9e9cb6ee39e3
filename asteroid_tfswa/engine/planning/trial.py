"""A few real steps of a training run, in a process of their own, to see what it costs.

    python -m asteroid_tfswa.engine.planning.trial < trial.json

The process trains in a folder that it is told, and prints what `Meter` measured as its last line.
"""

import copy
import json
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = 4  # optimizer steps that are measured, after as many that are not
VALID_CHUNKS = 4


def measure(conf, batch_size, precision, data_dir=None, device=""):
    """Train for a few steps in a process of its own.

    Args:
        conf (dict): configuration of the recipe.
        batch_size (int): segments in a batch.
        precision (str): see `train`.
        data_dir (Path, optional): prepared songs. Default: noise.
        device (str): "cpu", or number of a GPU; "" for the first GPU or the CPU. Default "".

    Returns:
        dict: a row of `history.csv` ("seconds", "segments_per_second", "waiting_share",
        "memory_gib", "validation_seconds"), "valid_audio" (seconds that were validated on),
        "checkpoint_bytes" and "model_bytes"; or "error", one line, if the steps failed.
    """
    task = {"conf": _shortened(conf, batch_size, precision), "device": device}
    task["data_dir"] = str(data_dir) if data_dir else None
    # This process removes the folder: Ctrl-C and SIGTERM make it kill the other one.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=json.dumps({**task, "folder": folder}),
            capture_output=True,
            text=True,
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"]
        return {"error": lines[-1].removeprefix("error: ")}
    return json.loads(done.stdout.splitlines()[-1])


def _shortened(conf, batch_size, precision):
    """The configuration of a trial: two epochs of STEPS steps, little validation."""
    conf = copy.deepcopy(conf)
    steps = STEPS * conf["training"]["accumulate"]
    conf["training"] |= {
        "epochs": 2,
        "epoch_size": steps * batch_size,
        "batch_size": batch_size,
        "precision": precision,
        "num_nodes": 1,
        "strategy": "ddp",
    }
    conf["validation"] |= {
        "valid_every": 1,
        "valid_seconds": VALID_CHUNKS * conf["validation"]["valid_segment"],
        "monitor": "val_loss",
        "log_audio_every": 0,
    }
    conf["optim"] |= {"init_from": "", "max_skipped_steps": 2 * steps}
    return conf


def _make_noise(folder, conf):
    """Write prepared songs of noise; return the set."""
    import numpy as np
    import soundfile

    from asteroid_tfswa.data.songs import read_prepared

    data, rate = conf["data"], conf["data"]["sample_rate"]
    n_channels, sources = conf["masknet"]["in_channels"], list(data["sources"])
    longest = max(data["segment"], VALID_CHUNKS * conf["validation"]["valid_segment"])
    wave = 0.1 * np.random.default_rng(0).standard_normal((int(2 * longest * rate), n_channels))
    songs = {"train": ["a", "b"], "valid": ["c"], "test": []}
    for split, names in songs.items():
        for name in names:
            song = folder / split / name
            song.mkdir(parents=True)
            for stem in (*sources, "mixture"):
                soundfile.write(song / f"{stem}.wav", wave, rate, subtype="PCM_16")
    entry = {"n_samples": len(wave), "stems": sorted(sources)}
    info = {"name": "noise", "license": "", "sample_rate": rate, "n_channels": n_channels}
    entries = {split: [{"name": n, **entry} for n in names] for split, names in songs.items()}
    info |= {"validation": "", "songs": entries}
    (folder / "dataset.json").write_text(json.dumps(info))
    return read_prepared(folder)


def _main():
    import contextlib

    from asteroid_tfswa import TFSWAUNet
    from asteroid_tfswa.data.songs import read_prepared
    from asteroid_tfswa.engine.reports.history import read_history
    from asteroid_tfswa.engine.train import train
    from asteroid_tfswa.models.loading import model_args

    task = json.load(sys.stdin)
    conf = task["conf"]
    folder = Path(task["folder"])
    exp_dir = folder / "exp"
    with contextlib.redirect_stdout(sys.stderr):
        if task["data_dir"]:
            data = read_prepared(task["data_dir"])
        else:
            data = _make_noise(folder / "data", conf)
        train(TFSWAUNet(**model_args(conf)), data, conf, exp_dir, devices=task["device"])
        row = read_history(exp_dir)[-1]
        row["checkpoint_bytes"] = (exp_dir / "checkpoints/last.ckpt").stat().st_size
        row["model_bytes"] = (exp_dir / "best_model.pth").stat().st_size
        part = conf["validation"]["valid_seconds"]
        row["valid_audio"] = sum(
            min(song.n_samples / song.sample_rate, part) for song in data.splits["valid"]
        )
    print(json.dumps(row))


if __name__ == "__main__":
    from asteroid_tfswa_cli import run_command

    run_command(_main)
