"""The training script of docs/many-machines.md runs; `tests/reliability` tries it in several processes, and Ray."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from setfit_core import SetFitModel

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs" / "many-machines.md"


def test_the_training_script_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = next(
        code
        for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
        if "trainer.train()" in code
    )
    exec(compile(script, PAGE.name, "exec"), {"__name__": "__main__"})
    assert SetFitModel.from_pretrained(tmp_path / "model").predict(["play a song"]) == ["music"]
