"""Trainings that are killed at any moment and go on from the last checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


@pytest.fixture(scope="module")
def worker(tmp_path_factory, conversation):
    """Run a scenario of the worker, see there, and return what it found."""
    with conversation(Path(__file__).parent / "workers" / "resumed.py", tmp_path_factory.mktemp("resumed")) as ask:
        yield ask


@pytest.mark.parametrize("way", ["pairs", "texts", "best"])
def test_a_training_that_is_killed_again_and_again_ends_with_the_same_model(worker, way):
    result = worker("kill_again_and_again", way=way, first=5, apart=14)
    assert result["kills"] >= 3
    assert result["unusable"] == []
    assert result["same"]
    assert result["left"] == result["undisturbed"]
    assert len(result["left"]) == 2
