"""What a training run was: how it was started, and what it said."""

import json
import sys
import time

import torch

from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.provenance import git_state, versions

STARTS, LOG = "run.json", "train.log"
PACKAGES = ("torch", "torchaudio", "pytorch-lightning", "asteroid", "numpy", "soundfile")


class Record:
    """Writes `run.json`, each start of a run, and `train.log`, the lines that it prints.

    Args:
        folder (Path): of the training run.
    """

    def __init__(self, folder):
        self.folder = folder

    def start(self, continues, data, conf, hardware, fingerprint):
        """Add a start to `run.json`.

        Args:
            continues (str): where the run continues; "" for a new one.
            data (PreparedData): what it is trained on.
            conf (dict): the configuration, which `conf.yml` has.
            hardware (dict): of `place`.
            fingerprint (str): of the data.
        """
        path, starts = self.folder / STARTS, []
        if path.exists():
            try:
                starts = list(json.loads(path.read_text(encoding="utf-8"))["starts"])
            except (ValueError, KeyError, TypeError):
                starts = []  # damaged by hand; the record begins again
        devices = {"accelerator": hardware["accelerator"], "n_devices": hardware["n_devices"]}
        if hardware["accelerator"] == "gpu":
            devices["names"] = [torch.cuda.get_device_name(i) for i in hardware["devices"]]
        starts.append(
            {
                "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "continues": continues,
                "versions": {
                    **versions(PACKAGES),
                    "cuda": torch.version.cuda,
                    "platform": sys.platform,
                },
                "git": git_state(),
                "devices": devices,
                "precision": hardware["precision"],
                "seed": conf["training"]["seed"],
                "data": {
                    "name": data.name,
                    "license": data.license,
                    "songs": {split: len(songs) for split, songs in data.splits.items()},
                    "fingerprint": fingerprint,
                },
            }
        )
        with atomic_write(path) as tmp:
            tmp.write_text(json.dumps({"starts": starts}, indent=1) + "\n", encoding="utf-8")
        self.line(f"starts {continues or 'from the first epoch'}")

    def line(self, text):
        """Add a line to `train.log`, with the time.

        Args:
            text (str): the line.
        """
        with open(self.folder / LOG, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
