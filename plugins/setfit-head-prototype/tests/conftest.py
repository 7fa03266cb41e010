import numpy as np
import pytest


@pytest.fixture
def problem():
    """A function that returns embeddings around a direction for each class, and the class ids."""

    def problem(num_classes=3, per_class=12, size=8, seed=0, noise=0.4):
        generator = np.random.default_rng(seed)
        ids = np.repeat(np.arange(num_classes), per_class)
        directions = np.linalg.qr(generator.normal(size=(size, size)))[0][:num_classes]
        return (directions[ids] + noise * generator.normal(size=(len(ids), size))).astype(np.float32), ids.tolist()

    return problem
