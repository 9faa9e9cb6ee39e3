"""The reference scorer: museval itself, which `bsseval` is held against.

A four-minute song of four stems takes two minutes a set of estimates on one core, and 8 GB.
"""

import numpy as np

from asteroid_tfswa.scores.bsseval import Ratios


def score(references, estimate_sets, win):
    """Score sets of estimates of the same references with museval, like `bsseval.score`.

    Args:
        references (Signals): true stems, none of which is silent throughout.
        estimate_sets (list[Signals]): each of the form of `references`, with no silent stem.
        win (int): length of a frame in samples.

    Returns:
        list[Ratios]: for each set, without a condition number.
    """
    import museval  # needs ffmpeg to be imported

    if not hasattr(np.linalg, "linalg"):  # NumPy 2; museval 0.4.1 catches its LinAlgError
        np.linalg.linalg = np.linalg
    true = _whole(references)
    results = []
    for signals in estimate_sets:
        sdr, isr, sir, sar = museval.evaluate(true, _whole(signals), win=win, hop=win)
        results.append(Ratios(np.stack([sdr, sir, isr, sar], axis=-1)))
    return results


def _whole(signals):
    """All samples as museval takes them, (n_src, time, n_channels)."""
    return signals.read(0, signals.n_samples).transpose(0, 2, 1).astype(np.float64)
