"""A model and a data set small enough to train on in a second, and a command that does so."""

import json
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch
from asteroid.models.base_models import BaseModel

RATE = 8000
SOURCES = ["vocals", "drums"]
LENGTHS = {"train": {"a": 3.0, "b": 2.5, "c": 2.0}, "valid": {"d": 2.3, "e": 1.7}, "test": {}}


class TinyModel(BaseModel):
    """One convolution, and the running mean of a normalisation layer.

    The mean does not touch training, only validation: two processes then train exactly what one
    would, and differ in validation if they do not share it.
    """

    def __init__(self, sources=SOURCES, sample_rate=RATE):
        super().__init__(sample_rate=sample_rate, in_channels=2)
        self.sources = list(sources)
        self.conv = torch.nn.Conv1d(2, 2 * len(self.sources), 9, padding=4)
        self.norm = torch.nn.BatchNorm1d(2, affine=False)

    def forward(self, wave):
        estimates = self.conv(wave).unflatten(1, (len(self.sources), 2))
        if self.training:
            self.norm(wave.detach().abs())
            return estimates
        return estimates * (1 + self.norm.running_mean.mean())

    def get_model_args(self):
        return {"sources": self.sources, "sample_rate": RATE}

    def serialize(self):
        package = super().serialize()
        package["infos"] = {}
        return package


def make_data(folder):
    """Write prepared songs: two sources and an extra stem, in noise."""
    rng = np.random.default_rng(0)
    songs = {split: [] for split in LENGTHS}
    for split, lengths in LENGTHS.items():
        for name, seconds in lengths.items():
            n_samples = int(seconds * RATE)
            stems = 0.1 * rng.standard_normal((3, n_samples, 2)).astype(np.float32)
            stems[1] = np.cumsum(stems[1], axis=0) * 0.1  # the drums are low, the vocals are not
            (folder / split / name).mkdir(parents=True)
            names = [*SOURCES, "noise"]
            for stem, wave in zip([*names, "mixture"], [*stems, stems.sum(0)]):
                path = folder / split / name / f"{stem}.wav"
                soundfile.write(path, wave, RATE, subtype="FLOAT")
            songs[split].append({"name": name, "n_samples": n_samples, "stems": sorted(names)})
    info = {"name": "tiny", "license": "CC0", "sample_rate": RATE, "n_channels": 2}
    info |= {"validation": "made so", "songs": songs}
    (folder / "dataset.json").write_text(json.dumps(info))
    return folder


def make_conf(**changes):
    """The configuration; `changes` by their second-level names."""
    conf = {
        "data": {
            "sources": SOURCES,
            "segment": 0.5,
            "sample_rate": RATE,
            "num_workers": 0,
        },
        "augment": {"random_mix": 1.0, "gain_min": 0.5, "gain_max": 1.0, "channel_swap": 0.5},
        "optim": {
            "optimizer": "adam",
            "lr": 0.01,
            "weight_decay": 0.0,
            "lr_decay": 0.5,
            "lr_decay_epochs": 0.75,
            "warmup_steps": 2,
            "schedule": "exponential",
            "ema_decay": 0.0,
            "max_skipped_steps": 1,
            "init_from": "",
            "freeze": [],
        },
        "training": {
            "epochs": 2,
            "epoch_size": 12,
            "batch_size": 4,
            "accumulate": 1,
            "gradient_clipping": 5.0,
            "precision": "32-true",
            "compile": False,
            "loss": "l1",
            "seed": 3,
            "strategy": "ddp",
            "num_nodes": 1,
            "save_every_minutes": 0.0,
            "save_every_steps": 0,
            "keep_checkpoints": 1,
        },
        "validation": {
            "valid_segment": 1.0,
            "valid_overlap": 0.25,
            "valid_every": 1,
            "valid_seconds": 0.0,
            "monitor": "val_usdr",
            "log_audio_every": 0,
        },
    }
    for key, value in changes.items():
        next(section for section in conf.values() if key in section)[key] = value
    return conf


def run(data_dir, exp_dir, devices="cpu", **changes):
    """Train from the same first weights every time."""
    from asteroid_tfswa.data.songs import read_prepared
    from asteroid_tfswa.engine.train import train

    torch.manual_seed(0)
    return train(TinyModel(), read_prepared(data_dir), make_conf(**changes), exp_dir, devices)


if __name__ == "__main__":
    from asteroid_tfswa_cli import run_command

    data_dir, exp_dir, devices, changes = sys.argv[1:]
    run_command(lambda: run(data_dir, Path(exp_dir), devices, **json.loads(changes)))
    needs_more = {"musdb", "museval", "stempeg", "librosa"} & set(sys.modules)
    if needs_more:
        sys.exit(f"training imported {needs_more}")
