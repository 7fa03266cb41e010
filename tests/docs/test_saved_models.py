"""The code in docs/saved-models.md runs, where it needs no hub, and what it names is there."""

from __future__ import annotations

import inspect
import json
import re
import shutil
from pathlib import Path

import pytest

from setfit_core import SetFitModel

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "saved-models.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
SAVED = REPOSITORY / "tests" / "persistence" / "saved_folders" / "version-2" / "logistic"


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A folder as `setfit` saves it, in the current directory."""
    monkeypatch.chdir(tmp_path)
    model = SetFitModel.from_pretrained(SAVED, device="cpu")
    folder = model.save_pretrained("folder-or-hub-id", setfit_compatible=True)
    shutil.rmtree(folder / "head")
    settings = {"labels": model.labels, "normalize_embeddings": False}
    (folder / "config_setfit.json").write_text(json.dumps(settings), encoding="utf-8")
    return model


def test_models_of_setfit_are_read_and_written(old):
    code = BLOCKS[0]
    assert "save_pretrained" in code
    exec(compile(code, "saved-models.md", "exec"), {})
    converted = SetFitModel.from_pretrained("converted", device="cpu")
    assert converted.predict(["the team won"]) == old.predict(["the team won"])


def test_the_card_without_examples(tmp_path, monkeypatch):
    code = next(block for block in BLOCKS if "ModelCardData" in block)
    names = {}
    exec(compile(code, "saved-models.md", "exec"), names)
    assert names["model"].card_facts.card.license == "apache-2.0"


def test_every_argument_that_allows_something_exists():
    table = PAGE.partition("What you can allow")[2].partition("\n\nWhat this can't do")[0]
    named = re.findall(r"^\| `(\w+)=", table, flags=re.MULTILINE)
    assert named == ["trusted", "head", "trust_pickle", "trust_remote_code"]
    assert set(named) <= inspect.signature(SetFitModel.from_pretrained).parameters.keys()
