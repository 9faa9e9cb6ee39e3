"""How far files and sums of files are apart, from one pass over their audio.

The inner products G of all files give the distance of any sum from a file, since
|sum of c_i x_i|^2 = c^T G c.
"""

import contextlib

import numpy as np
from scipy.optimize import nnls

# Files are "equal" or "add up" if the difference has at most a tenth of the file's energy. Lossy
# coding at usual rates causes up to 2 %, a limiter on the mixture 4 to 5 %, one of four stems too
# many or too few about a quarter.
TOLERANCE = 0.1
ROUNDING = 2.0**-30  # mean square of one 16-bit step: less is silence or rounding
# Lossy coders keep the waveform at low frequencies only and may replace high ones with noise. So
# averages of this many samples are compared instead (below about 1.4 kHz at 44.1 kHz).
CODED_AVERAGE = 16


def inner_products(files, is_coded, stop=None):
    """Compute the mean products of the samples of all pairs of files, in one pass over them.

    Args:
        files (list[AudioFile]): files of equal length and number of channels.
        is_coded (bool): whether any of them was lossily coded.
        stop (threading.Event, optional): cancels the reading when set.

    Returns:
        np.ndarray: (files, files), float64.
    """
    average = CODED_AVERAGE if is_coded else 1
    total, n_values = np.zeros((len(files), len(files))), 0
    for blocks in zip(*(file.blocks(stop) for file in files), strict=True):
        waves = np.stack(blocks).astype(np.float64)  # (files, time, chan)
        n_whole = waves.shape[1] // average * average
        waves = waves[:, :n_whole].reshape(len(files), -1, average, waves.shape[2]).mean(axis=2)
        waves = waves.reshape(len(files), -1)
        total += waves @ waves.T
        n_values += waves.shape[1]
    return total / max(1, n_values)


class Files:
    """Distances between sums of files, from their inner products.

    Energies are means of squared samples; distances are shares of the energy of the file that is
    compared. Two files, or a file and a sum, count as equal up to `TOLERANCE`. Silent files equal
    none and are part of no sum.

    Args:
        names (list[str]): names of the files.
        products (np.ndarray): of `inner_products`, (files, files).
    """

    def __init__(self, names, products):
        self.names = list(names)
        self.products = products
        # Columns with the same inner products, so that least squares needs no audio.
        values, vectors = np.linalg.eigh(products)
        self.columns = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T

    def energy(self, name):
        """The mean of a file's squared samples."""
        index = self.names.index(name)
        return self.products[index, index]

    def is_silent(self, name):
        """Whether a file holds nothing but rounding."""
        return self.energy(name) <= ROUNDING

    def distance(self, file, parts):
        """The energy of the difference between a file and the sum of others, as a share of its."""
        difference = self._vector([file]) - self._vector(parts)
        energy = difference @ self.products @ difference
        if energy <= ROUNDING * (1 + len(parts)):
            return 0.0
        return energy / max(self.energy(file), ROUNDING)

    def are_equal(self, one, other):
        """Whether two files hold the same, coded differently at most."""
        if self.is_silent(one) or self.is_silent(other):
            return False
        return self.distance(one, [other]) <= TOLERANCE

    def fit(self, file, candidates, given=()):
        """Find the candidates whose sum, together with `given`, comes closest to a file.

        Returns:
            tuple[list[str], float]: their names, and the share of the file's energy that no
            weights of the candidates explain.
        """
        weights, unexplained = self._weights(file, candidates, given)
        return [name for name, weight in weights.items() if weight > 0.5], unexplained

    def contained(self, file, candidates):
        """Find the candidates that are in a file as they are, a tenth of its energy or more."""
        weights, _ = self._weights(file, candidates)
        least = TOLERANCE * self.energy(file)
        return [n for n, w in weights.items() if abs(w - 1) < 0.1 and self.energy(n) > least]

    def _weights(self, file, candidates, given=()):
        """Fit weights, 0 or more, to the candidates: {name: weight}, and what they leave over."""
        candidates = [name for name in candidates if not self.is_silent(name)]
        target = self.columns @ (self._vector([file]) - self._vector(given))
        weights, rest = np.zeros(len(candidates)), np.linalg.norm(target)
        columns = self.columns[:, [self.names.index(name) for name in candidates]]
        with contextlib.suppress(RuntimeError):  # no convergence
            if candidates:
                weights, rest = nnls(columns, target)
        unexplained = rest**2 / max(self.energy(file), ROUNDING)
        return dict(zip(candidates, weights, strict=True)), unexplained

    def parts_of(self, file, candidates):
        """Find the candidates that add up to a file; [] if none do or the file is silent."""
        if self.is_silent(file):
            return []
        parts, _ = self.fit(file, [name for name in candidates if name != file])
        return parts if parts and self.distance(file, parts) <= TOLERANCE else []

    def _vector(self, names):
        vector = np.zeros(len(self.names))
        for name in names:
            vector[self.names.index(name)] += 1
        return vector
