import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from setfit_core.persistence import load_config, load_head, save_folder


@pytest.fixture
def embeddings():
    return np.random.default_rng(0).normal(size=(60, 32)).astype(np.float32)


@pytest.fixture
def classes(embeddings):
    return np.digitize(embeddings[:, 0], [-0.5, 0.5])


@pytest.fixture
def label_rows(embeddings):
    return (embeddings[:, :3] > 0).astype(int)


@pytest.fixture(scope="session")
def static_body(static_body_factory):
    return static_body_factory()


@pytest.fixture
def save(tmp_path, static_body):
    """Save a head (with a static body, unless another is given) and return the folder."""

    def save(head, directory=None, **changes):
        arguments = {
            "body": static_body,
            "recipe": None,
            "built_with": None,
            "labels": {"opaque": ["b", "a"]},
            "normalize_embeddings": False,
            "multi_target_strategy": None,
        }
        return save_folder(directory or tmp_path / "model", head=head, **{**arguments, **changes})

    return save


@pytest.fixture
def load():
    """Load the head of a folder, and return the head, its recipe and its keywords."""

    def load(directory, head=None, **options):
        return load_head(directory, load_config(directory), head=head, device="cpu", **options)

    return load


@pytest.fixture
def edit_json():
    """Change a JSON file with a function."""

    def edit(path, change):
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content), encoding="utf-8")

    return edit


@pytest.fixture
def run_python(tmp_path):
    """Run code in a new process, which reports as JSON on its last line; return that and the seconds it took."""

    def run(code, **environment):
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "HF_HOME": str(tmp_path / "hf-home"), **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        seconds = time.monotonic() - started
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1]), seconds

    return run


@pytest.fixture
def hub():
    """A server that speaks the hub's protocol on the loopback interface."""
    place = Path(__file__).parent / "loopback" / "hub_server.py"
    spec = importlib.util.spec_from_file_location("loopback_hub_server", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = module.Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def refused():
    """The address of a port where nothing listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}"


@pytest.fixture
def silent():
    """The address of a server that accepts connections and never says a word."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            while True:
                try:
                    connections.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in connections:
            connection.close()


RESOLVE = """
import json, logging, sys, time
from setfit_core.errors import SetFitError
from setfit_core.persistence import locate_model
result = {{"warnings": []}}
log = logging.Handler()
log.emit = lambda record: result["warnings"].append(record.getMessage())
logging.getLogger("setfit_core").addHandler(log)
started = time.monotonic()
try:
    path = locate_model({model_id!r}, **{options!r})
    result["files"] = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    result["commit"] = path.name
except SetFitError as error:
    result["message"] = str(error)
    result["kinds"] = [kind.__name__ for kind in type(error).__mro__]
result["seconds"] = time.monotonic() - started
assert "torch" not in sys.modules
print(json.dumps(result))
"""


@pytest.fixture
def resolve(run_python, hub):
    """Resolve a model id in a new process, against the server or whatever `environment` says."""

    def resolve(model_id="org/model", *, environment=None, prelude="", **options):
        code = prelude + RESOLVE.format(model_id=model_id, options=options)
        settings = {
            "HF_ENDPOINT": hub.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_TOKEN": "",
            "NO_PROXY": "127.0.0.1",
        }
        return run_python(code, **{**settings, **(environment or {})})[0]

    return resolve


@pytest.fixture
def snapshot(hub, tmp_path):
    """The folder of the cache that holds the newest commit of a repository."""

    def snapshot(repo="org/model"):
        name = f"models--{repo.replace('/', '--')}"
        return tmp_path / "hf-home" / "hub" / name / "snapshots" / hub.repositories[repo].resolve("main")

    return snapshot
