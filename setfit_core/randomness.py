"""Random state that is seeded for a while and then put back as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def isolated_random_state(seed: int) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's global generators, and restore all of them on the way out.

    Args:
        seed: The seed, `0 <= seed < 2**32`.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002  # scikit-learn draws from this legacy generator
    # Named, because fork_rng warns where it has to find out about several GPUs by itself.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # as above
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002  # as above
