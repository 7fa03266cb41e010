"""The same seed on the same machine: the same bits in two fresh processes, however Python hashes strings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from setfit_core import list_heads

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("digests.py")


@pytest.fixture(scope="module")
def digests(minilm_path, tmp_path_factory):
    """What two processes print that differ in what must not matter."""
    processes = [
        subprocess.Popen(
            [sys.executable, PROGRAM, minilm_path],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=tmp_path_factory.mktemp("elsewhere"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "4242")
    ]
    given = []
    for process in processes:
        output, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        given.append(json.loads(output))
    return given


def test_everything_is_the_same(digests):
    one, other = digests
    assert [name for name in one if one[name] != other[name]] == []
    assert one.keys() == other.keys()


def test_everything_is_there_and_of_its_own(digests):
    found = digests[0]
    assert len(found) == 6 + 4 * len(list_heads())
    # What is trained on other things differs, so the digests tell something.
    assert found["body, default"] != found["body, pairs"]
    assert len({digest for name, digest in found.items() if name.startswith("files, ")}) > len(list_heads())
