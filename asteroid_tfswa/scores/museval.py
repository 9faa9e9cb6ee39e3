"""The reference scorer: museval's SDR, SIR, ISR and SAR (BSS Eval v4), and whole-song SDR.

Two definitions of SDR are in use and differ by up to 2 dB, so each has its own name here:

- "SDR" (like "SIR", "ISR", "SAR") is museval's [1]: one value a second, whose median over the
  song is quoted. Published MUSDB18 results are medians over songs of these medians.
- "uSDR" is one value for the whole song, energy of the reference over energy of the error [2].

References
    - [1] F.-R. Stoter, A. Liutkus, N. Ito. "The 2018 Signal Separation Evaluation Campaign."
      LVA/ICA 2018. https://github.com/sigsep/sigsep-mus-eval
    - [2] Y. Mitsufuji et al. "Music Demixing Challenge 2021." Frontiers in Signal Processing, 2022.
"""

import importlib.metadata

import numpy as np

from asteroid_tfswa.errors import InputError

METRICS = ("SDR", "SIR", "ISR", "SAR")


def version():
    """Name the scorer and its version, as they are recorded with the scores.

    Returns:
        str: for example "museval 0.4.1".
    """
    return f"museval {importlib.metadata.version('museval')}"


def score_song(references, estimates, sources, sample_rate=44100, win=1.0, hop=1.0):
    """Score the estimates of one song's stems.

    museval scores no stem whose reference or estimate is silent, and takes a signal for silent
    whose channels add up to zero in every sample. Such stems are left out of its metrics and the
    others are scored without them. uSDR is undefined only if the reference is zero throughout.

    Args:
        references (np.ndarray): true stems, shape (n_src, n_channels, time).
        estimates (np.ndarray): separated stems, same shape.
        sources (list[str]): names of the stems, in the order of the arrays.
        sample_rate (int): in Hz. Default 44100.
        win (float): length of a frame in seconds. Default 1.
        hop (float): from frame to frame, in seconds. Default 1.

    Returns:
        dict: museval's own form, `{"targets": [{"name", "frames": [{"time", "duration", "metrics":
        {"SDR", "SIR", "ISR", "SAR"}}]}]}` with values in dB, and None where museval has NaN or
        infinity: in frames where a stem is silent, and for the SIR of a song's only stem. Besides,
        `"uSDR": {stem: dB or None}`, and `"left_out": [{"stem", "metrics", "reason"}]`: which
        metrics are undefined for a whole stem, and why.

    Raises:
        InputError: if the shapes differ or do not fit `sources`.
    """
    if references.shape != estimates.shape or references.shape[:-2] != (len(sources),):
        raise InputError(
            f"references {references.shape} and estimates {estimates.shape} must both have the "
            f"shape (n_src, n_channels, time), n_src being {len(sources)} for sources {sources}"
        )
    left_out = list(_undefined(references, estimates, sources))
    without = {entry["stem"] for entry in left_out}
    kept = [i for i, stem in enumerate(sources) if stem not in without]
    return {
        "targets": _museval_targets(
            references[kept], estimates[kept], [sources[i] for i in kept], sample_rate, win, hop
        ),
        "uSDR": {
            stem: _usdr(reference, estimate) if np.any(reference) else None
            for stem, reference, estimate in zip(sources, references, estimates)
        },
        "left_out": left_out,
    }


def _undefined(references, estimates, sources):
    """For each stem that museval cannot score: which metrics are undefined, and why."""
    for stem, reference, estimate in zip(sources, references, estimates):
        metrics, reason = list(METRICS), None
        if not np.any(reference):
            metrics, reason = [*METRICS, "uSDR"], "the reference is silent"
        elif not np.any(estimate):
            reason = "the estimate is silent"
        else:
            for name, signal in (("reference", reference), ("estimate", estimate)):
                if not np.any(np.sum(signal, axis=0)):
                    reason = f"the channels of the {name} add up to zero: silence to museval"
        if reason:
            yield {"stem": stem, "metrics": metrics, "reason": reason}


def _museval_targets(references, estimates, stems, sample_rate, win, hop):
    """Call museval and put its values in its own form."""
    if not stems:
        return []
    import museval  # needs ffmpeg to be imported

    if not hasattr(np.linalg, "linalg"):  # NumPy 2; museval 0.4.1 catches its LinAlgError
        np.linalg.linalg = np.linalg
    sdr, isr, sir, sar = museval.evaluate(
        references.transpose(0, 2, 1).astype(np.float64),  # (n_src, time, n_channels)
        estimates.transpose(0, 2, 1).astype(np.float64),
        win=int(win * sample_rate),
        hop=int(hop * sample_rate),
    )
    values = np.stack([sdr, sir, isr, sar], axis=-1)  # (n_src, n_frames, 4), as METRICS
    return [
        {
            "name": stem,
            "frames": [
                {"time": k * hop, "duration": win, "metrics": dict(zip(METRICS, map(_plain, x)))}
                for k, x in enumerate(frames)
            ],
        }
        for stem, frames in zip(stems, values)
    ]


def _plain(value):
    """Round to museval's five digits; None for what JSON cannot say."""
    return round(float(value), 5) if np.isfinite(value) else None


def dot(x, y):
    """Sum the products of two signals in double precision.

    Args:
        x (np.ndarray): shape (n_channels, time).
        y (np.ndarray): same shape.

    Returns:
        float: the sum over channels and time.
    """
    return np.einsum("ct,ct->", x, y, dtype=np.float64)


def _usdr(reference, estimate):
    error = reference - estimate
    return _plain(10 * np.log10((dot(reference, reference) + 1e-7) / (dot(error, error) + 1e-7)))
