"""Which stems are written, and what they are made of."""

import numpy as np

from asteroid_tfswa.errors import InputError


class StemPlan:
    """The stems to write and how they follow from a model's sources.

    Args:
        sources (list of str): the model's sources.
        stems (list of str, optional): the sources to write. Defaults to all.
        two_stems (str, optional): a source that is written with the rest, the mixture without it,
            as ``no_<source>``.
        mixture_consistency (bool): add what is left of the mixture without all sources to them in
            equal shares, so that they add up to it. Default False.

    Raises:
        InputError: if the model has no such source, or the options exclude each other.
    """

    def __init__(self, sources, stems=None, two_stems=None, mixture_consistency=False):
        if stems and two_stems:
            raise InputError("stems and two_stems exclude each other: give one of them")
        if mixture_consistency and len(sources) == 1:
            raise InputError(
                f"mixture_consistency: the model's only source, {sources[0]}, would become the "
                f"mixture; use two_stems {sources[0]} to get the rest"
            )
        wanted = [two_stems] if two_stems else list(dict.fromkeys(stems or sources))
        for name in wanted:
            if name not in sources:
                raise InputError(f"stems: the model has {', '.join(sources)}, but no '{name}'")
        self.names = [two_stems, f"no_{two_stems}"] if two_stems else wanted
        self.two_stems = bool(two_stems)
        self.mixture_consistency = mixture_consistency
        indices = [sources.index(name) for name in wanted]
        # Sources that no stem needs are left behind before they are resampled.
        self.needed = list(range(len(sources))) if mixture_consistency else indices
        self._wanted = indices if mixture_consistency else list(range(len(wanted)))

    def make(self, sources, mixture):
        """Make the stems.

        Args:
            sources (np.ndarray): the sources that `needed` lists, (time, n_needed, chan).
            mixture (np.ndarray): (time, chan).

        Returns:
            np.ndarray: (time, n_stems, chan), in the order of `names`.
        """
        if self.mixture_consistency:
            rest = mixture - sources.sum(axis=1)
            sources = sources + rest[:, None] / sources.shape[1]
        stems = sources[:, self._wanted]  # (time, n_stems, chan)
        if self.two_stems:
            stems = np.concatenate([stems, mixture[:, None] - stems], axis=1)
        return stems
