"""The code in the README runs and prints what its comments say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
PROMISED = re.compile(r"^print\(.*\)\s+# (?P<output>[\[{].*)$", flags=re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_code_runs_and_prints_what_it_says(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    printed = capsys.readouterr().out
    for promised in PROMISED.finditer(block):
        assert promised["output"] in printed


def test_there_is_code_to_run():
    assert len(BLOCKS) == 4
    assert sum(len(PROMISED.findall(block)) for block in BLOCKS) == 4
