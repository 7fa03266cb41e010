"""Trainings that are killed at any moment and go on from the last checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """Run a scenario of the worker, see there, and return what it found."""
    script = Path(__file__).parent / "workers" / "resumed.py"
    command = [sys.executable, str(script), str(tmp_path_factory.mktemp("resumed"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(scenario, **keywords):
            process.stdin.write(json.dumps([scenario, keywords]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()
        assert process.wait() == 0


@pytest.mark.parametrize("way", ["pairs", "texts", "best"])
def test_a_training_that_is_killed_again_and_again_ends_with_the_same_model(worker, way):
    result = worker("kill_again_and_again", way=way, first=5, apart=14)
    assert result["kills"] >= 3
    assert result["unusable"] == []
    assert result["same"]
    assert result["left"] == result["undisturbed"]
    assert len(result["left"]) == 2
