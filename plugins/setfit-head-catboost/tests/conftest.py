import numpy as np
import pytest
from setfit_head_catboost import setfit_save_head


@pytest.fixture(scope="session")
def problem():
    """A function that returns embeddings whose every column tells the classes apart, and the class ids."""

    def problem(num_classes=3, per_class=12, size=8):
        generator = np.random.default_rng(0)
        ids = np.repeat(np.arange(num_classes), per_class)
        centres = np.stack([8.0 * generator.permutation(num_classes) for _ in range(size)], axis=1)
        return (centres[ids] + generator.normal(size=(len(ids), size))).astype(np.float32), ids.tolist()

    return problem


@pytest.fixture
def save(tmp_path):
    """A function that saves a head into a fresh folder and returns the folder and the metadata."""

    def save(head, name="head"):
        folder = tmp_path / name
        folder.mkdir()
        return folder, setfit_save_head(head, folder)

    return save
