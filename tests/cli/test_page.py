"""docs/command-line.md shows what the commands print."""

import importlib.util
import re
from pathlib import Path

import pytest

from setfit_core.cli import app

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "command-line.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def screens():
    spec = importlib.util.spec_from_file_location("screens", DOCS / "screens.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(screens, page):
    return dict(block.removeprefix("$ ").split("\n", 1) for block in screens.CONSOLE.findall(page))


def rows(printed):
    """The lines of a screen by their first word, without the spaces that align them."""
    return {line.split()[0]: " ".join(line.split()) for line in printed.splitlines() if line.strip()}


def test_the_screens_are_what_is_printed(screens, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    screens.write_texts(tmp_path)
    shown, printed = blocks(screens, PAGE), blocks(screens, screens.made_anew(PAGE))
    assert list(shown) == list(printed)
    for command, screen in shown.items():
        if command == "setfit-core heads":  # others may be installed here
            core = {"name", "linear", "logistic"}
            assert {row: rows(printed[command])[row] for row in core} == {row: rows(screen)[row] for row in core}
        elif "compare" in command:  # times differ, and the last digit from processor to processor
            assert rows(printed[command]).keys() == rows(screen).keys()
        else:
            digits = r"(?<=0\.)\d+" if command.startswith("setfit-core evaluate model") else r"$^"
            assert re.sub(digits, "#", printed[command]) == re.sub(digits, "#", screen)


def test_every_option_that_is_named_exists():
    def parameters(command):
        for parameter in command.params:
            yield from parameter.opts
        for below in getattr(command, "commands", {}).values():
            yield from parameters(below)

    from typer.main import get_command

    known = {*parameters(get_command(app)), "--help"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) <= known
