"""One song: all metrics of all sets of estimates, and which of them are undefined, and why.

Every number has a name of its own, since two definitions of SDR differ by up to 2 dB:

- SDR, SIR, ISR, SAR are those of BSS Eval v4 [1], one value a second. "cSDR" is the median of SDR
  over a song's frames; published MUSDB18 results are medians over songs of these medians.
- uSDR is one value for the whole song: energy of the reference over energy of the error [2].
- SI-SDR [3] is uSDR after the reference was scaled to fit the estimate best, with one gain for all
  channels; means are not subtracted.

References
    - [1] F.-R. Stoter, A. Liutkus, N. Ito. "The 2018 Signal Separation Evaluation Campaign."
      LVA/ICA 2018. https://github.com/sigsep/sigsep-mus-eval
    - [2] Y. Mitsufuji et al. "Music Demixing Challenge 2021." Frontiers in Signal Processing, 2022.
    - [3] J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey. "SDR - half-baked or well done?"
      ICASSP 2019.
"""

import numpy as np

from asteroid_tfswa.errors import InputError
from asteroid_tfswa.scores import bsseval, museval
from asteroid_tfswa.scores.bsseval import Signals
from asteroid_tfswa.scores.names import FRAME_METRICS, SONG_METRICS

SCORERS = {"fast": bsseval, "museval": museval}


def score_song(references, estimate_sets, sources, sample_rate=44100, scorer="fast", device="cpu"):
    """Score sets of estimates of one song's stems.

    BSS Eval scores no stem whose reference or estimate is silent, and takes a signal for silent
    whose channels add up to zero in every sample. Such stems are left out of its metrics and the
    others are scored without them. uSDR is undefined only if the reference is zero throughout,
    SI-SDR also if the estimate is.

    Args:
        references (np.ndarray or Signals): true stems, shape (n_src, n_channels, time).
        estimate_sets (dict): for each method its estimates, same type and shape.
        sources (list[str]): names of the stems, in the order of the arrays.
        sample_rate (int): in Hz. Default 44100.
        scorer (str): "fast" for `bsseval`, "museval" for museval itself. Default "fast".
        device (str): where the fast scorer computes; museval has the CPU alone. Default "cpu".

    Returns:
        dict: for each method

        - "targets": museval's own form, `[{"name", "frames": [{"time", "duration", "metrics":
          {"SDR", "SIR", "ISR", "SAR"}}]}]` in dB; None in frames where a stem is silent, and for
          the SIR of a song's only stem.
        - "uSDR", "SI-SDR": `{stem: dB or None}`.
        - "level": `{stem: dB or None}`, of the reference: its mean square in dB of full scale.
        - "left_out": `[{"stem", "metrics", "reason"}]` for metrics undefined in the whole song,
          with a "frames" list of numbers where it is only in some.
        - "regularised": whether SIR, ISR and SAR are regularised, since rounding would decide
          them, as it does in references that lack a part of the spectrum (see `bsseval`).

    Raises:
        InputError: if the shapes differ or do not fit `sources`.
    """
    references = _signals(references)
    sets = {method: _signals(x) for method, x in estimate_sets.items()}
    for method, signals in sets.items():
        if signals[:3] != references[:3] or references.n_src != len(sources):
            raise InputError(
                f"references {references[:3]} and estimates {signals[:3]} ({method}) must both "
                f"have the shape (n_src, n_channels, time), n_src being {len(sources)} for sources "
                f"{list(sources)}"
            )
    facts = _Facts(references, sets, win=sample_rate)  # frames of a second
    results = {}
    for kept, methods in _groups(facts, sets).items():
        ratios = [None] * len(methods)
        if kept:
            some = [_subset(sets[method], kept) for method in methods]
            where = {"device": device} if scorer == "fast" else {}
            ratios = SCORERS[scorer].score(_subset(references, kept), some, sample_rate, **where)
        for method, found in zip(methods, ratios):
            results[method] = {
                "targets": _targets([sources[i] for i in kept], found),
                **facts.whole_song(method, sources),
                "left_out": facts.left_out(method, sources, kept),
                "regularised": bool(kept and found.regularised),
            }
    return {method: results[method] for method in sets}


class _Facts:
    """What one pass over a song finds: which stems are silent where, and energies."""

    def __init__(self, references, sets, win):
        n_src, n_samples = references.n_src, references.n_samples
        self.n_values = references.n_channels * n_samples
        n_frames = len(bsseval.frames_of(n_samples, win))
        names = ("reference", *sets)
        self.zero = {name: np.ones(n_src, dtype=bool) for name in names}  # all samples are
        self.cancels = {name: np.ones(n_src, dtype=bool) for name in names}  # channels' sums are
        self.silent = {name: np.zeros((n_src, n_frames), dtype=bool) for name in names}
        self.energy = np.zeros(n_src)
        self.error = {method: np.zeros(n_src) for method in sets}
        self.product = {method: np.zeros(n_src) for method in sets}  # of error and reference
        for k, start in enumerate(range(0, n_samples, win)):
            stop = min(start + win, n_samples)
            pieces = {"reference": references.read(start, stop)}
            pieces |= {method: signals.read(start, stop) for method, signals in sets.items()}
            for name, piece in pieces.items():
                cancels = np.array([bsseval.any_is_silent(x[None]) for x in piece])
                self.cancels[name] &= cancels
                self.zero[name] &= ~piece.any(axis=(1, 2))
                if k < n_frames:
                    self.silent[name][:, k] = cancels
            true = pieces.pop("reference")
            self.energy += bsseval.energy(true)
            for method, found in pieces.items():
                error = found - true
                self.error[method] += bsseval.energy(error)
                self.product[method] += bsseval.dot(error, true)

    def whole_song(self, method, sources):
        """uSDR, SI-SDR and level of every stem."""
        values = {metric: dict.fromkeys(sources) for metric in (*SONG_METRICS, "level")}
        for i, stem in enumerate(sources):
            energy, error = self.energy[i], self.error[method][i]
            if self.zero["reference"][i]:
                continue
            values["level"][stem] = plain(10 * np.log10(energy / self.n_values))
            values["uSDR"][stem] = plain(10 * np.log10((energy + 1e-7) / (error + 1e-7)))
            if not self.zero[method][i]:
                gain = self.product[method][i] / energy  # of the reference, less one
                rest = max(error - gain * self.product[method][i], 0)
                values["SI-SDR"][stem] = plain(bsseval.decibels((1 + gain) ** 2 * energy, rest))
        return values

    def kept(self, method):
        """Stems that BSS Eval can score."""
        silent = self.cancels["reference"] | self.cancels[method]
        return tuple(np.flatnonzero(~silent).tolist())

    def left_out(self, method, sources, kept):
        """Which metrics of which stems are undefined, and why."""
        entries = []
        for i, stem in enumerate(sources):
            undefined = list(FRAME_METRICS)
            if self.zero["reference"][i]:
                reason = "the reference is silent"
                undefined += SONG_METRICS
            elif self.zero[method][i]:
                reason = "the estimate is silent"
                undefined += ["SI-SDR"]
            elif self.cancels["reference"][i]:
                reason = "the channels of the reference add up to zero: silence to museval"
            elif self.cancels[method][i]:
                reason = "the channels of the estimate add up to zero: silence to museval"
            else:
                continue
            entries.append({"stem": stem, "metrics": undefined, "reason": reason})
        for i in kept:
            for name, what in (("reference", "reference"), (method, "estimate")):
                frames = np.flatnonzero(self.silent[name][i]).tolist()
                if frames:
                    entries.append(
                        {
                            "stem": sources[i],
                            "metrics": list(FRAME_METRICS),
                            "frames": frames,
                            "reason": f"the {what} is silent there, which leaves all stems out",
                        }
                    )
        return entries


def _groups(facts, sets):
    """Methods by the stems that can be scored: they share the references' filters."""
    groups = {}
    for method in sets:
        groups.setdefault(facts.kept(method), []).append(method)
    return groups


def _signals(x):
    return x if isinstance(x, Signals) else Signals.of(np.asarray(x))


def _subset(signals, kept):
    if len(kept) == signals.n_src:
        return signals
    read = signals.read
    return signals._replace(n_src=len(kept), read=lambda *span: read(*span)[list(kept)])


def _targets(stems, ratios):
    return [
        {
            "name": stem,
            "frames": [
                {
                    "time": float(k),
                    "duration": 1.0,
                    "metrics": dict(zip(FRAME_METRICS, map(plain, x))),
                }
                for k, x in enumerate(ratios.values[i])
            ],
        }
        for i, stem in enumerate(stems)
    ]


def plain(value):
    """Round to museval's five digits, for JSON.

    Args:
        value (float): dB.

    Returns:
        float or None: None for NaN and infinity.
    """
    return round(float(value), 5) if np.isfinite(value) else None
