"""Score a model on folders of songs as the cards of the models that ship do.

    python -m tests.benchmarks.learning.card small other_artists/test

Every folder that holds all stems is a song. cSDR of each stem, mean over the songs in which it is
heard, beside the mixture times the best gain; in brackets the 95 % interval, the seconds of each
song drawn again. Songs that chose a learning rate or the end of a training say less than songs that
chose nothing.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from asteroid_tfswa.models.base import MusicModel
from asteroid_tfswa.scores.baselines import baselines
from asteroid_tfswa.scores.bsseval import Signals, frame_sdr
from asteroid_tfswa_cli import run_command
from tests.benchmarks.learning.run import heard
from tests.benchmarks.learning.songs import find_songs, read_stems
from tests.benchmarks.measure import print_table

DRAWS = 1000


def best_gains(stems, mixture):
    """The mixture times the gain that comes closest to each stem, (n_src, n_channels, time)."""
    found = baselines(Signals.of(mixture[None]), Signals.of(stems))
    return found["best gain"].read(0, stems.shape[-1])


def score(estimate, folder, sources, cache):
    """Score songs.

    Args:
        estimate (callable): from stems and their mixture to estimates of the stems.
        folder (str): of the songs.
        sources (list of str): stems.
        cache (Path): where decoded files are kept.

    Returns:
        dict: {stem: {song: (cSDR, cSDR of each draw of its seconds)}}.
    """
    rng, scores = np.random.default_rng(0), {stem: {} for stem in sources}
    for song in find_songs(folder, sources, cache):
        stems = read_stems(song, sources)
        sounding, estimates = heard(stems), estimate(stems, stems.sum(0))
        frames = frame_sdr(stems[sounding], estimates[sounding], song.sample_rate)
        frames = frames[:, ~np.isnan(frames).any(0)]  # (stems that sound, seconds)
        for index, seconds in zip(sounding, frames):
            drawn = seconds[rng.integers(len(seconds), size=(DRAWS, len(seconds)))]
            scores[sources[index]][song.name] = np.median(seconds), np.median(drawn, axis=1)
    return scores


def row(scores):
    """The mean, its interval and the mean of each stem, as cells of a table."""
    means = [np.mean([csdr for csdr, _ in songs.values()]) for songs in scores.values()]
    draws = [np.mean([draw for _, draw in songs.values()], axis=0) for songs in scores.values()]
    cells = []
    for value, drawn in [(np.mean(means), np.mean(draws, axis=0)), *zip(means, draws)]:
        cells.append("{:.2f} ({:.2f} to {:.2f})".format(value, *np.percentile(drawn, [2.5, 97.5])))
    return cells


def main(argv=None):
    """Print a table for each folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a file, a run, a name")
    parser.add_argument("folders", nargs="+", metavar="DIR", help="songs")
    args = parser.parse_args(argv)
    model = MusicModel.from_pretrained(args.model).eval()

    def separate(stems, mixture):
        with torch.inference_mode():
            return model.separate(torch.from_numpy(mixture)).numpy()

    for folder in args.folders:
        with tempfile.TemporaryDirectory() as cache:
            rows = []
            for name, estimate in ((args.model, separate), ("best gain", best_gains)):
                scores = score(estimate, folder, model.sources, Path(cache))
                rows.append([name, *row(scores)])
        songs = dict.fromkeys(song for each in scores.values() for song in each)
        print_table(f"{folder}, {len(songs)} songs, cSDR, dB", ["", "mean", *model.sources], rows)


if __name__ == "__main__":
    run_command(main)
