"""Worker processes, forked and spawned, predict what their parent does, and none hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from setfit_core import SetFitModel

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("workers.py")
SECONDS = 300
#: A worker may compute with fewer threads than its parent, and so add up in another order.
TOLERANCE = 1e-5

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(scope="module")
def folder(minilm_path, texts, topics, tmp_path_factory):
    model = SetFitModel.from_pretrained(minilm_path, device="cpu")
    model.fit(texts, topics, show_progress_bar=False)
    return model.save_pretrained(tmp_path_factory.mktemp("models") / "model")


def check(folder, number, *kinds):
    process = subprocess.Popen(
        [sys.executable, PROGRAM, folder, *kinds],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its workers, too
        pytest.fail(f"a worker hangs; before it: {process.communicate()[0]}")
    assert process.returncode == 0, errors
    for kind, (told, workers, difference) in zip(kinds, map(json.loads, output.splitlines()), strict=True):
        assert (told, workers) == (kind, number)
        assert difference < TOLERANCE


@needs_fork
def test_forked_from_a_process_that_has_predicted_nothing(folder):
    check(folder, 2, "forked")


@needs_fork
def test_forked_from_a_process_that_has_predicted(folder):
    check(
        folder,
        2,
        "forked while a thread tokenises",
        "forked",
        "forked by a pool",
        "forked by a data loader",
    )


def test_spawned(folder):
    check(folder, 1, "spawned with a folder", "spawned with a model")
