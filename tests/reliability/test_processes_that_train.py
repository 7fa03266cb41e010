"""Several processes that train one model together, beside one that trains it alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from setfit_core import SetFitModel

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="torch has no launcher for Windows that needs no set-up"),
]
WORKER = Path(__file__).parent / "workers" / "together.py"
JOBS = ("texts", "uneven", "triplets", "pairs", "classified", "negatives", "nested", "end to end", "chosen")


def run(folder, *launcher, jobs=()):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, *launcher, str(WORKER), str(folder), *jobs]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of what one process made."""
    folder = tmp_path_factory.mktemp("alone")
    run(folder)
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder of what two processes made."""
    folder = tmp_path_factory.mktemp("together")
    address = ("--master-addr", "127.0.0.1", "--master-port", free_port())
    run(folder, "-m", "torch.distributed.run", "--nproc-per-node", "2", *address)
    return folder


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def read(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


@pytest.mark.parametrize("job", JOBS)
def test_all_processes_have_the_same_model_bit_for_bit(together, job):
    one, other = read(together, f"{job}-0"), read(together, f"{job}-1")
    assert one["digest"] == other["digest"]
    assert one["head"] == other["head"]
    assert one["accuracy"] == other["accuracy"]


@pytest.mark.parametrize("job", JOBS)
def test_it_is_the_model_that_one_process_makes(alone, together, job):
    one, several = read(alone, f"{job}-0"), read(together, f"{job}-0")
    assert several["head"] == one["head"]
    assert several["accuracy"] == one["accuracy"]
    # Sums of gradients are added up in another order.
    assert np.allclose(several["probabilities"], one["probabilities"], atol=2e-4)
    assert np.allclose(several["losses"], one["losses"], rtol=1e-3)


def test_three_processes_of_accelerate_make_it_too(alone, tmp_path):
    # Without --multi_gpu, accelerate starts several processes on CPUs only with MPI.
    launcher = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "3", "--num_machines", "1")
    run(
        tmp_path,
        *(*launcher, "--mixed_precision", "no", "--dynamo_backend", "no"),
        *("--main_process_ip", "127.0.0.1", "--main_process_port", free_port()),
        jobs=("uneven",),
    )
    expected = read(alone, "uneven-0")["probabilities"]
    for rank in range(3):
        assert np.allclose(read(tmp_path, f"uneven-{rank}")["probabilities"], expected, atol=2e-4)


@pytest.mark.parametrize("job", ["texts", "uneven", "pairs"])
def test_each_process_embeds_its_share_alone(alone, together, job):
    whole = read(alone, f"{job}-0")["texts"]
    shares = [read(together, f"{job}-{rank}")["texts"] for rank in (0, 1)]
    assert sum(shares) == whole
    assert max(shares) <= 0.6 * whole  # of five texts one process has three


@pytest.mark.parametrize("job", JOBS)
def test_the_model_is_saved_once_and_is_the_one_of_all(together, job):
    assert [path.name for path in (together / job).iterdir() if path.name.startswith(".")] == []
    model = SetFitModel.from_pretrained(together / job / "model")
    texts = json.loads((together / "texts.json").read_text())
    expected = read(together, f"{job}-1")["probabilities"]
    assert np.array_equal(model.predict_proba(texts, as_numpy=True), np.array(expected, dtype=np.float32))


def test_checkpoints_of_several_processes_are_models(together):
    folders = sorted((together / "chosen" / "checkpoints").iterdir())
    assert folders
    for folder in folders:
        assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in folder.iterdir()}
        assert SetFitModel.from_pretrained(folder).predict(["a e h"])


@pytest.mark.parametrize(
    ("name", "message"),
    [("refused", "not again"), ("refused in a checkpoint", "not again"), ("unsendable", "pickle")],
)
def test_what_fails_in_the_main_process_fails_in_all(together, name, message):
    one, other = read(together, f"{name}-0"), read(together, f"{name}-1")
    assert one == other
    assert message in one
