import itertools

import numpy as np
import pytest
from setfit_head_knn import setfit_load_head, setfit_save_head

METADATA = {"format": "knn"}


@pytest.fixture
def problem():
    """A function that returns embeddings in clusters, and the class ids."""

    def problem(num_classes=3, per_class=12, size=16, seed=0, spread=0.3):
        generator = np.random.default_rng(seed)
        centres = generator.normal(size=(num_classes, size))
        ids = generator.permutation(np.repeat(np.arange(num_classes), per_class))
        return (centres[ids] + spread * generator.normal(size=(len(ids), size))).astype(np.float32), ids.tolist()

    return problem


@pytest.fixture
def save(tmp_path):
    """A function that saves a head into a fresh folder and returns the folder."""
    numbers = itertools.count()

    def save(head):
        folder = tmp_path / f"head {next(numbers)}"
        folder.mkdir()
        assert setfit_save_head(head, folder) == METADATA
        return folder

    return save


@pytest.fixture
def load():
    """A function that loads a head from its folder."""
    return lambda folder: setfit_load_head(folder, METADATA)
