import numpy as np
import pytest
from setfit_head_xgboost import XGBoostHead, setfit_load_head, setfit_save_head

METADATA = {"format": "xgboost"}


@pytest.fixture
def problem():
    """A function that returns embeddings whose every column tells the classes apart, and the class ids."""

    def problem(num_classes=3, per_class=12, size=8, seed=0):
        generator = np.random.default_rng(seed)
        ids = np.repeat(np.arange(num_classes), per_class)
        centres = np.stack([8.0 * generator.permutation(num_classes) for _ in range(size)], axis=1)
        return (centres[ids] + generator.normal(size=(len(ids), size))).astype(np.float32), ids.tolist()

    return problem


@pytest.fixture
def make_head():
    """A function that returns a head of few trees."""
    return lambda **params: XGBoostHead(n_jobs=1, **{"n_estimators": 8, **params})


@pytest.fixture
def save(tmp_path):
    """A function that saves a head into a fresh folder and returns the folder."""

    def save(head, name="head"):
        folder = tmp_path / name
        folder.mkdir()
        assert setfit_save_head(head, folder) == METADATA
        return folder

    return save


@pytest.fixture
def load():
    """A function that loads a head from its folder."""
    return lambda folder: setfit_load_head(folder, METADATA)
