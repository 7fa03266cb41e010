"""Folders that earlier versions saved: every released format version loads and predicts what it did."""

import json
from pathlib import Path

import numpy as np
import pytest

from setfit_core import SetFitModel

FOLDERS = Path(__file__).parent / "saved_folders"
CASES = sorted(path.parent for path in FOLDERS.rglob("config_setfit.json"))


@pytest.mark.parametrize("folder", CASES, ids=lambda path: path.relative_to(FOLDERS).as_posix())
def test_a_folder_of_an_earlier_version_predicts_what_it_did(folder, tmp_path):
    recorded = json.loads((folder.parent / "expected.json").read_text(encoding="utf-8"))
    expected = recorded["models"][folder.name]
    loaded = SetFitModel.from_pretrained(folder, device="cpu")
    again = SetFitModel.from_pretrained(loaded.save_pretrained(tmp_path / "model"), device="cpu")
    for model in (loaded, again):
        assert model.labels == expected["labels"]
        assert model.multi_target_strategy == expected["strategy"]
        predicted = model.predict(recorded["texts"])
        assert (predicted if isinstance(predicted, list) else predicted.tolist()) == expected["predict"]
        probabilities = model.predict_proba(recorded["texts"], as_numpy=True)
        np.testing.assert_allclose(probabilities, expected["predict_proba"], rtol=1e-5, atol=1e-6)


def test_every_version_up_to_the_present_one_is_kept():
    from setfit_core.persistence.config import FORMAT_VERSION

    assert sorted({path.parent.name for path in CASES}) == [f"version-{n}" for n in range(1, FORMAT_VERSION + 1)]
