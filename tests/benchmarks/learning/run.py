"""One run of the race: train one contestant for the budget, score it, write `result.json`.

A killed run continues from its last state, with exactly the items that it has not seen.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from asteroid_tfswa.data.augment import Augment
from asteroid_tfswa.data.dataset import TrainSegments
from asteroid_tfswa.devices import choose_devices
from asteroid_tfswa.engine.losses import get_loss
from asteroid_tfswa.engine.optimizers import make_optimizer
from asteroid_tfswa.errors import InputError
from asteroid_tfswa.files import atomic_write
from asteroid_tfswa.scores.bsseval import frame_sdr
from asteroid_tfswa.separate.chunks import overlap_add
from asteroid_tfswa_cli import run_command
from tests.benchmarks.learning.contestants import make
from tests.benchmarks.learning.songs import find_songs, read_stems

SAVE_EVERY = 30.0  # seconds of computing between two states
POINTS = (0.5, 1.0)  # shares of the budget at which a run is scored
QUIET = 1e-3  # power, as a share of the mixture's, below which a stem counts as silent
STATISTICS = 32  # mixtures that networks may look at first


class Run:
    """A contestant, its data, and how far it is.

    Args:
        job (dict): name, conf, seed, budget (kind and amount), train, valid, tests and cache
            folders, excerpt in seconds.
        folder (Path): of this run.
    """

    def __init__(self, job, folder):
        self.job, self.folder, self.conf = job, folder, job["conf"]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.sources = self.conf["data"]["sources"]
        torch.manual_seed(job["seed"])
        self.model = make(job["name"], self.conf).to(self.device)
        optim = dict(self.conf["optim"])
        optimizer = {key: optim[key] for key in ("optimizer", "lr", "weight_decay")}
        self.optimizer = make_optimizer(self.model.parameters(), **optimizer)
        self.loss = get_loss(self.conf["training"]["loss"]).to(self.device)
        precision = self.conf["training"]["precision"]
        if precision == "16-mixed":
            raise InputError(
                "precision: 16-mixed needs gradients that are scaled, which the race does not do; "
                "use auto, bf16-mixed or 32-true"
            )
        hardware = choose_devices("0" if self.device.type == "cuda" else "cpu", precision)
        self.is_bf16 = hardware["precision"] == "bf16-mixed"
        self.average = None
        if optim["ema_decay"]:
            average = get_ema_multi_avg_fn(optim["ema_decay"])
            self.average = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True)
        self.done = {"steps": 0, "audio": 0.0, "seconds": 0.0}
        self.curve, self.losses = [], []
        self.separated = {"seconds": 0.0, "audio": 0.0}

    def data(self):
        """Training items: the songs of all training folders, each folder as often as it says."""
        songs = []
        for spec in self.job["train"]:
            path, _, times = spec.partition(":")
            found = find_songs(path, self.sources, Path(self.job["cache"]))
            songs += found * int(times or 1)
        c = self.conf["data"]
        return TrainSegments(
            songs,
            self.sources,
            segment=c["segment"],
            epoch_size=10**9,
            sample_rate=c["sample_rate"],
            seed=self.job["seed"],
            augment=Augment(**self.conf["augment"]),
        )

    def check_songs(self):
        """Raise InputError for a song without a second in which all its stems sound."""
        for path in [*self.job["valid"], *self.job["tests"]]:
            found = find_songs(path, self.sources, Path(self.job["cache"]), self.job["excerpt"])
            for song in found:
                stems = read_stems(song, self.sources)
                scores = sdrs(self.sources, stems, stems / 2, song.sample_rate)
                if any(np.isnan(csdr) for csdr, _ in scores.values()):
                    raise InputError(
                        f"{song.folder}: in no second do all its stems sound, so it has no cSDR; "
                        "leave it out"
                    )

    def share(self):
        """Share of the budget that is spent."""
        kind, amount = self.job["budget"]
        return min(1.0, self.done[kind] / amount)

    def train(self):
        """Train to the end of the budget; time of scoring and of saving does not count."""
        data, size = self.data(), self.conf["training"]["batch_size"]
        if self.load() is None and hasattr(self.model, "look_at"):
            numbers = range(10**9, 10**9 + STATISTICS)  # that training never sees
            self.model.look_at(data.mix(data.__getitems__(numbers))[0].to(self.device))
        self.model.train()
        clock, base = _clock(), self.done["seconds"]
        scored = self.curve[-1]["share"] if self.curve else 0.0
        points = [point for point in POINTS if point > scored]
        while points:
            first = self.done["steps"] * size
            batch = data.mix(data.__getitems__(range(first, first + size)))
            self.step(*(part.to(self.device) for part in batch))
            self.done["steps"] += 1
            self.done["audio"] += size * self.conf["data"]["segment"]
            self.done["seconds"] = base + _clock() - clock
            at_point = self.share() >= points[0]
            if at_point:
                loss = float(np.mean(self.losses[-(len(self.losses) // 4) - 1 :]))
                point = {"share": points.pop(0), **self.done, "loss": loss}
                self.curve.append(point | self.score("valid"))
                print(f"{self.folder.name}: {point}", flush=True)
            if at_point or self.done["seconds"] - base >= SAVE_EVERY:
                self.save()
                clock, base = _clock(), self.done["seconds"]

    def learning_rate(self):
        """The schedule of the configuration, all of it within the budget."""
        optim, share = self.conf["optim"], self.share()
        warm = min(1.0, (self.done["steps"] + 1) / (optim["warmup_steps"] + 1))
        decays = int(share * self.conf["training"]["epochs"] / optim["lr_decay_epochs"])
        factors = {
            "exponential": optim["lr_decay"] ** decays,
            "cosine": (1 + np.cos(np.pi * share)) / 2,
            "linear": 1 - share,
            "constant": 1.0,
        }
        return optim["lr"] * warm * float(factors[optim["schedule"]])

    def step(self, mixture, targets):
        """One optimizer step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.zero_grad()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_bf16):
            estimates = self.model(mixture)
        loss = self.loss(estimates.float(), targets)
        loss.backward()
        clip = self.conf["training"]["gradient_clipping"]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), clip or float("inf"))
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        self.losses.append(loss.item())

    def score(self, which):
        """Score on the songs of `valid` or `tests`: for each folder and song, dB per stem."""
        scores = {}
        network = self.model if self.average is None else self.average.module
        network.eval()
        for path in self.job[which]:
            found = find_songs(path, self.sources, Path(self.job["cache"]), self.job["excerpt"])
            scores[path] = {song.name: self.score_song(network, song) for song in found}
        self.model.train()
        return {which: scores}

    @torch.inference_mode()
    def score_song(self, network, song):
        """{stem: [cSDR, uSDR]} of the stems that are not silent."""
        stems = read_stems(song, self.sources)  # (n_src, chan, time)
        c = self.conf["separation"]
        size, start = round(c["sep_segment"] * song.sample_rate), _clock()
        out = overlap_add(
            lambda x: network(x.to(self.device)).float().cpu(),
            [torch.from_numpy(stems.sum(axis=0))],
            size,
            round(size * c["sep_overlap"]),
            1,
        )
        estimates = torch.cat(list(out), dim=-1).numpy()
        self.separated["seconds"] += _clock() - start
        self.separated["audio"] += stems.shape[-1] / song.sample_rate
        return sdrs(self.sources, stems, estimates, song.sample_rate)

    def costs(self):
        """Seconds of computing for a step and for a second of separation, peak memory in GB."""
        if self.device.type == "cuda":
            memory = torch.cuda.max_memory_allocated() / 1e9
        else:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        return {
            "step": self.done["seconds"] / self.done["steps"],
            "separation": self.separated["seconds"] / self.separated["audio"],
            "memory": memory,
        }

    def save(self):
        """Save the state, whole or not at all."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {
            "done": self.done,
            "curve": self.curve,
            "losses": self.losses,
            "rng": torch.get_rng_state(),
        }
        if self.average is not None:
            state["average"] = self.average.state_dict()
        with atomic_write(self.folder / "state.pt") as tmp:
            torch.save(state, tmp)

    def load(self):
        """Continue from a saved state, if there is one."""
        path = self.folder / "state.pt"
        if not path.exists():
            return None
        # On the CPU, or a GPU would hold the state twice.
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.curve, self.losses = state["done"], state["curve"], state["losses"]
        torch.set_rng_state(state["rng"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        return path


def heard(stems):
    """Indices of the stems, (n_src, n_channels, time), that are not silent throughout."""
    power = np.square(stems).mean(axis=(1, 2))
    return np.flatnonzero(power > QUIET * np.square(stems.sum(0)).mean())


def sdrs(sources, stems, estimates, rate):
    """{stem: [cSDR, uSDR]} in dB, without stems that are silent throughout.

    cSDR is the median over frames of one second (museval's), uSDR is of the whole song.
    """
    sounding = heard(stems)
    stems, estimates = stems[sounding], estimates[sounding]
    frames = frame_sdr(stems, estimates, rate)
    signal = np.square(stems, dtype=np.float64).sum(axis=(1, 2))
    error = np.square(stems - estimates, dtype=np.float64).sum(axis=(1, 2))
    usdr = 10 * np.log10((signal + 1e-7) / (error + 1e-7))
    csdr = np.nanmedian(frames, axis=1)
    return {sources[i]: [float(csdr[k]), float(usdr[k])] for k, i in enumerate(sounding)}


def _clock():
    """Seconds of computing: CPU time of the process, or on a GPU time on the wall."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def main():
    """Run the job of a folder."""
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    torch.set_num_threads(job["threads"])
    run = Run(job, folder)
    run.check_songs()
    run.train()
    run.save()
    n_parameters = sum(p.numel() for p in run.model.parameters())
    result = {"curve": run.curve, "parameters": n_parameters, **run.done, **run.score("tests")}
    result["costs"] = run.costs()
    with atomic_write(folder / "result.json") as tmp:
        tmp.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    run_command(main)
