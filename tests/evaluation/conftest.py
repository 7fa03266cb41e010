import numpy as np
import pytest


@pytest.fixture(scope="session")
def draw():
    """Draw probabilities `[n, 3]`, and class ids that come true as often as these say."""

    def draw(n, seed=0):
        rng = np.random.default_rng(seed)
        probabilities = rng.dirichlet([0.5, 0.7, 1.0], size=n)
        return probabilities, (rng.random((n, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)

    return draw


@pytest.fixture(scope="session")
def draw_rows():
    """Draw probabilities `[n, 3]` of several labels, and indicators that come true as often."""

    def draw_rows(n, seed=0):
        rng = np.random.default_rng(seed)
        probabilities = rng.beta(0.7, 1.2, size=(n, 3))
        return probabilities, (rng.random((n, 3)) < probabilities).astype(np.int64)

    return draw_rows
