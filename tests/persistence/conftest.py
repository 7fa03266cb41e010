import json
import os
import subprocess
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import numpy as np
import pytest

from setfit_core.persistence import load_config, load_head, save_folder

SHA = "0123456789abcdef0123456789abcdef01234567"


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


class HubHandler(BaseHTTPRequestHandler):
    """Enough of the hub's protocol for model information, file trees and downloads."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        hub = self.server
        path = unquote(self.path.partition("?")[0])
        hub.requests.append(f"{self.command} {path}")
        hub.authorizations.append(self.headers.get("Authorization"))
        if path.startswith("/api/models/"):
            repo, _, rest = path.removeprefix("/api/models/").partition("/revision/")
            repo, _, _ = repo.partition("/tree/")
            if repo not in hub.repositories:
                return self.fail(404, "RepoNotFound")
            if rest not in ("", "main", SHA):
                return self.fail(404, "RevisionNotFound")
            return self.send_json(self.tree(repo) if "/tree/" in path else self.information(repo), body)
        repo, _, rest = path.removeprefix("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        if repo not in hub.repositories:
            return self.fail(404, "RepoNotFound")
        if repo in hub.gated:
            return self.fail(403, "GatedRepo")
        if revision not in ("main", SHA):
            return self.fail(404, "RevisionNotFound")
        content = hub.repositories[repo].get(name)
        if content is None:
            return self.fail(404, "EntryNotFound")
        return self.send(content, body, {"ETag": f'"{zlib.crc32(content):x}"', "X-Repo-Commit": SHA})

    def information(self, repo):
        siblings = [{"rfilename": name} for name in self.server.repositories[repo]]
        return {"_id": "1", "id": repo, "modelId": repo, "sha": SHA, "tags": [], "siblings": siblings}

    def tree(self, repo):
        files = self.server.repositories[repo].items()
        return [{"type": "file", "path": name, "size": len(data), "oid": f"{len(data):040x}"} for name, data in files]

    def send_json(self, content, body):
        self.send(json.dumps(content).encode(), body, {"Content-Type": "application/json"})

    def fail(self, status, code):
        self.send(b"{}", True, {"X-Error-Code": code, "X-Error-Message": code}, status)

    def send(self, content, body, headers, status=200):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body and self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.repositories = {}
        self.gated = set()
        self.requests = []
        self.authorizations = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, repo, folder, **extra):
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.repositories[repo] = {**files, **extra}


@pytest.fixture
def hub():
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
