"""Random orders of very many things, of which none has to be kept."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from setfit_core.labels import IntArray

_Unsigned = npt.NDArray[np.uint64]

#: Four rounds are enough for an order that can't be told from a random one (Luby and Rackoff 1988) if the sides are
#: large; small ones need a few more.
_ROUNDS: Final = 8


class Permutation:
    """A random order of `range(size)`, each place of which is computed when it is asked for.

    Takes the same few bytes whatever the size is: a Feistel network over pairs of digits (Black and Rogaway 2002).

    Args:
        size: How many numbers there are.
        key: What the order depends on, such as a seed and an epoch.
    """

    def __init__(self, size: int, *key: int) -> None:
        self._size = size
        self._side = np.uint64(math.isqrt(max(size - 1, 0)) + 1)
        self._keys = np.random.default_rng(key).integers(2**64, size=_ROUNDS, dtype=np.uint64)

    def __call__(self, places: Any) -> IntArray:
        """Return which number is at each place, for places `[n]` from 0 to `size - 1`."""
        numbers = self._scrambled(np.asarray(places, dtype=np.uint64))
        # The square of a side is somewhat more than the size. Numbers beyond it go on until they are within.
        while len(beyond := np.flatnonzero(numbers >= self._size)):
            numbers[beyond] = self._scrambled(numbers[beyond])
        return numbers.astype(np.int64)

    def _scrambled(self, numbers: _Unsigned) -> _Unsigned:
        left, right = numbers // self._side, numbers % self._side
        for key in self._keys:
            left, right = right, (left + mixed(right + key) % self._side) % self._side
        return np.asarray(left * self._side + right)


def mixed(numbers: _Unsigned) -> _Unsigned:
    """Return a number that looks random for each number `[n]`: the finaliser of SplitMix64 (Steele et al. 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(numbers ^ (numbers >> np.uint64(31)))
