"""Distributions and modules made up on the fly; real files that the import system and the metadata see."""

import importlib
import sys

import pytest

from setfit_core import refresh_heads

HEAD = '''
class {name}:
    """A head that needs nothing."""

    def __init__(self, in_features=None, scale=1.0):
        self.in_features, self.scale = in_features, scale

    def fit(self, X, y): ...
    def predict(self, X): ...
    {proba}
'''


@pytest.fixture
def head_source():
    """A function that returns the source of a head's class, with or without probabilities."""

    def source(name, *, probabilities=True):
        return HEAD.format(name=name, proba="def predict_proba(self, X): ..." if probabilities else "")

    return source


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the import path, a function that writes modules and one that writes distributions into it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    class Site:
        @staticmethod
        def module(name, source):
            path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
            importlib.invalidate_caches()

        @staticmethod
        def distribution(name, entry_points):
            folder = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
            folder.mkdir()
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            lines = "\n".join(f"{head} = {target}" for head, target in entry_points.items())
            (folder / "entry_points.txt").write_text(f"[setfit.heads]\n{lines}\n")
            refresh_heads()

    yield Site
    for name in set(sys.modules) - before:
        origin = getattr(getattr(sys.modules[name], "__spec__", None), "origin", None)
        if origin and origin.startswith(str(tmp_path)):
            del sys.modules[name]
    monkeypatch.undo()
    refresh_heads()
