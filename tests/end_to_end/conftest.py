"""The real data sets, which the development machines hold outside the project."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(scope="session")
def read_split():
    """A function from a data set's name and a split to a frame with the columns text, label and label_name.

    The folder is the value of SETFIT_CORE_DATA. Without it these tests are skipped, except in CI, where they fail.
    """
    folder = os.environ.get("SETFIT_CORE_DATA")
    if not folder:
        reason = "SETFIT_CORE_DATA names no folder with the real data sets (sst2, trec, ag_news, cr, go_emotions)"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}; CI must have them")
        pytest.skip(reason)

    def read(name, split):
        return pd.read_csv(Path(folder) / name / f"{split}.csv", keep_default_na=False)

    return read


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    """The documentation's listings write their checkpoints into the current folder."""
    monkeypatch.chdir(tmp_path)
