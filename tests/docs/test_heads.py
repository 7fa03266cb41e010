"""The code in docs/heads.md runs, and its table has every head of the workspace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "heads.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
SPORT = ["The goalkeeper saved a penalty", "Our striker scored twice", "The final went to five sets"]
FOOD = ["Add garlic and butter", "Stir the soup slowly", "Bake the bread for an hour"]
#: Fifty trials would take minutes.
SHORTER = ("n_trials=50", "n_trials=3, heads=['logistic']")


@pytest.mark.slow
def test_the_code_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"texts": SPORT + FOOD, "labels": ["sport"] * 3 + ["food"] * 3}
    held_out = [f"{text} again" for text in names["texts"]] * 2
    names |= {"held_out_texts": held_out, "held_out_labels": names["labels"] * 2}
    names |= {key.replace("labels", "rows"): [[label] for label in names[key]] for key in ("labels", "held_out_labels")}
    names |= {"test_texts": held_out, "test_labels": names["labels"] * 2}
    assert any(SHORTER[0] in block for block in BLOCKS)
    for block in BLOCKS:
        exec(compile(block.replace(*SHORTER), "heads.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "logistic (C=10.0)" in printed
    assert "was chosen: it has" in printed
    assert "Scores(accuracy=" in printed
    assert re.search(r"'food': 0\.\d+, 'sport': 0\.\d+", printed)
    assert re.search(r"^\d+% (sport|food): \w+", printed, re.MULTILINE)
    assert (tmp_path / "heads.png").stat().st_size > 1000


def test_every_head_of_the_workspace_is_on_the_page():
    heads = {path.name.removeprefix("setfit-head-") for path in (ROOT / "plugins").glob("setfit-head-*")}
    assert {f"`{head}`" for head in heads} <= set(re.findall(r"`[a-z]+`", PAGE))
