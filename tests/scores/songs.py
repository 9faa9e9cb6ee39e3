"""Songs of noise with separated stems, as arrays and as files."""

import os
import signal

import numpy as np
import soundfile

from asteroid_tfswa.scores.jobs import ScoreJob
from asteroid_tfswa.scores.song import score_song

RATE = 4000
STEMS = ["vocals", "drums"]


def song(seconds=3.5, n_src=2, n_channels=1, seed=0):
    """References and estimates that leak into each other, (n_src, n_channels, time)."""
    rng = np.random.default_rng(seed)
    shape = (n_src, n_channels, int(seconds * RATE))
    references = (0.1 * rng.standard_normal(shape)).astype(np.float32)
    noise = (0.01 * rng.standard_normal(shape)).astype(np.float32)
    return references, references + 0.2 * references.sum(0) + noise


def metric(scores, stem, name):
    frames = next(t["frames"] for t in scores["targets"] if t["name"] == stem)
    return [frame["metrics"][name] for frame in frames]


def write_job(folder, name, references, estimates):
    for kind, signals in (("data", references), ("separated", estimates)):
        (folder / kind / name).mkdir(parents=True)
        for stem, x in zip(STEMS, signals):
            soundfile.write(folder / kind / name / f"{stem}.wav", x.T, RATE, subtype="FLOAT")
    mixture = references.sum(0)
    soundfile.write(folder / "data" / name / "mixture.wav", mixture.T, RATE, subtype="FLOAT")
    return ScoreJob(
        name,
        folder / "data" / name / "mixture.wav",
        {stem: folder / "data" / name / f"{stem}.wav" for stem in STEMS},
        {stem: folder / "separated" / name / f"{stem}.wav" for stem in STEMS},
    )


class KillingJob(ScoreJob):
    """A job that kills the process that it is sent to, as the system does when memory is full."""

    def __reduce__(self):
        return _kill, ()


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def score(references, estimates, stems=STEMS, scorer="fast"):
    return score_song(references, {"model": estimates}, stems, RATE, scorer)["model"]
