"""A small server that speaks the hub's protocol: reading at any commit, and writing whole commits.

Not spoken is Xet, whose content-addressed storage is a protocol of its own; clients are told not to use it, by
HF_HUB_DISABLE_XET=1, and then send large files by git-lfs.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

#: Files that the server wants by git-lfs, as the hub does.
LARGE = (".bin", ".safetensors", ".skops", ".ubj")


@functools.lru_cache(maxsize=1000)
def blob_id(name, content):
    """The id that the hub gives as ETag: sha256 for large files, else that of git."""
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()


class Repository:
    """The commits of a repository, and the branches that lead to them."""

    def __init__(self):
        self.commits = {}
        self.messages = []
        self.branches = {}

    def commit(self, files, branch="main", message=""):
        history = [self.branches.get(branch, ""), *sorted((name, blob_id(name, data)) for name, data in files.items())]
        commit = hashlib.sha1(repr(history).encode("utf-8", "surrogatepass")).hexdigest()
        self.commits[commit] = dict(files)
        self.branches[branch] = commit
        self.messages.append(message)
        return commit

    def resolve(self, revision):
        """Return the commit that a revision means, or None."""
        return self.branches.get(revision) or (revision if revision in self.commits else None)

    @property
    def files(self):
        """The files of the branch main; changing them changes the commit, behind git's back."""
        return self.commits[self.branches["main"]]


class HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.handle_safely()

    def do_GET(self):
        self.handle_safely()

    def do_POST(self):
        self.handle_safely()

    def do_PUT(self):
        self.handle_safely()

    def handle_safely(self):
        try:
            self.answer()
        except (BrokenPipeError, ConnectionResetError):  # the client has given up
            self.close_connection = True

    def answer(self):
        hub = self.server
        address, _, query = self.path.partition("?")
        path = unquote(address)
        self.content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.requests.append(f"{self.command} {path}")
        hub.authorizations.append(self.headers.get("Authorization"))
        if hub.fault is not None and hub.fault(self, path):
            return
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.user = hub.users.get(token)
        if token and self.user is None:
            self.fail(401, error="Invalid credentials in Authorization header")
            return
        for pattern, action in (*self.WRITING, *self.READING):
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                action(self, **match.groupdict(), **({"query": parse_qs(query)} if action.__name__ == "commit" else {}))
                return
        self.fail(404)

    # Reading

    def readable(self, repo):
        hub = self.server
        repository = hub.repositories.get(repo)
        if repository is None or (repo in hub.private and self.user is None):
            self.fail(404 if self.user else 401, "RepoNotFound")
            return None
        return repository

    def readable_at(self, repo, revision):
        """Return a repository and a commit, or answer that there is none and return None twice."""
        repository = self.readable(repo)
        if repository is None:
            return None, None
        commit = repository.resolve(revision or "main")
        if commit is None:
            self.fail(404, "RevisionNotFound")
        return repository, commit

    def whoami(self):
        if self.user is None:
            self.fail(401, error="Invalid username or password.")
        else:
            self.send_json({"type": "user", "name": self.user, "orgs": []})

    def information(self, repo, revision=None):
        repository, commit = self.readable_at(repo, revision)
        if commit is not None:
            siblings = [{"rfilename": name} for name in repository.commits[commit]]
            self.send_json({"_id": "1", "id": repo, "sha": commit, "tags": [], "siblings": siblings})

    def resolve(self, repo, revision, name):
        repository, commit = self.readable_at(repo, revision)
        if commit is None:
            return
        if repo in self.server.gated:
            self.fail(403, "GatedRepo")
            return
        content = repository.commits[commit].get(name)
        if content is None:
            self.fail(404, "EntryNotFound")
            return
        headers = {"ETag": f'"{blob_id(name, content)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if start:
            headers["Content-Range"] = f"bytes {start[1]}-{len(content) - 1}/{len(content)}"
        self.send(content[int(start[1]) :] if start else content, headers, 206 if start else 200)

    # Writing

    def writable(self, repo):
        """Whether the user may write; if not, answer so."""
        if self.user is None:
            self.fail(401, error="Invalid username or password.")
        elif self.user not in self.server.writers:
            self.fail(403, error=f"You don't have the rights to write to {repo}")
        else:
            return True
        return False

    def create_repository(self):
        request = json.loads(self.content)
        repo = f"{request.get('organization') or self.user}/{request['name']}"
        if not self.writable(repo):
            return
        exists = repo in self.server.repositories
        if not exists:
            self.server.repositories[repo] = Repository()
            self.server.repositories[repo].commit({".gitattributes": b"*.bin filter=lfs\n"}, message="initial commit")
            if request.get("private") or request.get("visibility") == "private":
                self.server.private.add(repo)
        self.send_json({"url": f"{self.server.url}/{repo}"}, 409 if exists else 200)

    def create_branch(self, repo, branch):
        repository = self.readable(repo)
        if repository is None or not self.writable(repo):
            return
        if branch in repository.branches:
            self.fail(409, error="Reference already exists")
            return
        repository.branches[branch] = repository.branches["main"]
        self.send_json({})

    def validate_card(self):
        wrong = "license: bad" in json.loads(self.content)["content"]
        errors = [{"message": '"license" must be one of ...'}] if wrong else []
        self.send_json({"errors": errors}, 400 if wrong else 200)

    def preupload(self, repo, revision):
        repository, commit = self.readable_at(repo, revision)
        if commit is None:
            return
        answers = []
        for file in json.loads(self.content)["files"]:
            old = repository.commits[commit].get(file["path"])
            mode = "lfs" if file["path"].endswith(LARGE) else "regular"
            oid = None if old is None else blob_id(file["path"], old)
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.send_json({"files": answers})

    def announce_large_files(self, repo):
        objects = json.loads(self.content)["objects"]
        url = self.server.url
        uploads = [
            {**thing, "actions": {"upload": {"href": f"{url}/large/{thing['oid']}"}}}
            if thing["oid"] not in self.server.large
            else thing
            for thing in objects
        ]
        self.send_json({"transfer": "basic", "objects": uploads})

    def take_large_file(self, oid):
        if hashlib.sha256(self.content).hexdigest() != oid:
            self.fail(400, error="The content doesn't match its id")
            return
        self.server.large[oid] = self.content
        self.send(b"", {})

    def commit(self, repo, revision, query):
        repository, commit = self.readable_at(repo, revision)
        wants_review = "create_pr" in query
        if commit is None or (not wants_review and not self.writable(repo)):
            return
        lines = [json.loads(line) for line in self.content.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit", commit) != commit:
            self.fail(412, error="A commit has happened since. Please refresh and try again.")
            return
        files = dict(repository.commits[commit])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        number = sum(branch.startswith("refs/pr/") for branch in repository.branches) + 1
        branch = f"refs/pr/{number}" if wants_review else revision
        made = repository.commit(files, branch, header["summary"])
        url = f"{self.server.url}/{repo}"
        answer = {"success": True, "commitOid": made, "commitUrl": f"{url}/commit/{made}"}
        if wants_review:
            answer["pullRequestUrl"] = f"{url}/discussions/{number}"
        self.send_json(answer)

    _REPO = r"(?P<repo>[\w.-]+(?:/[\w.-]+)?)"
    WRITING = (
        (r"POST /api/repos/create", create_repository),
        (r"POST /api/validate-yaml", validate_card),
        (rf"POST /api/models/{_REPO}/branch/(?P<branch>.+)", create_branch),
        (rf"POST /api/models/{_REPO}/preupload/(?P<revision>.+)", preupload),
        (rf"POST /api/models/{_REPO}/commit/(?P<revision>.+)", commit),
        (rf"POST /{_REPO}\.git/info/lfs/objects/batch", announce_large_files),
        (r"PUT /large/(?P<oid>\w+)", take_large_file),
    )
    READING = (
        (r"GET /api/whoami-v2", whoami),
        (rf"GET /api/models/{_REPO}/revision/(?P<revision>.+)", information),
        (rf"GET /api/models/{_REPO}", information),
        (rf"(?:GET|HEAD) /{_REPO}/resolve/(?P<revision>refs/pr/\d+|[^/]+)/(?P<name>.+)", resolve),
    )

    # Answers

    def send_json(self, content, status=200):
        self.send(json.dumps(content).encode(), {"Content-Type": "application/json"}, status)

    def fail(self, status, code=None, error=None):
        headers = {"X-Error-Code": code, "X-Error-Message": error or code}
        self.send(json.dumps({"error": error or code}).encode(), {k: v for k, v in headers.items() if v}, status)

    def send(self, content, headers, status=200):
        self.start(len(content), headers, status)
        if self.command != "HEAD":
            self.wfile.write(content)

    def start(self, length, headers, status=200):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *arguments):
        pass


class Hub(ThreadingHTTPServer):
    """The server.

    Attributes:
        repositories: Their ids and `Repository` objects.
        private: Ids of repositories that only users see.
        gated: Ids of repositories whose files nobody gets.
        users: Tokens and the names of their owners.
        writers: Names of users who may write, anywhere.
        large: What was uploaded by git-lfs, by its sha256.
        fault: Called with the handler and the path of each request; True if it has answered in its own way.
        released: Set when the test is over; for faults that wait.
        requests: Method and path of each request.
        authorizations: The header of each request.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.repositories = {}
        self.private = set()
        self.gated = set()
        self.users = {"hf_writer": "writer", "hf_reader": "reader"}
        self.writers = {"writer"}
        self.large = {}
        self.fault = None
        self.released = threading.Event()
        self.requests = []
        self.authorizations = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, repo, folder=None, /, **extra):
        """Commit a folder, and further files, to the branch main; return the commit."""
        files = {}
        if folder is not None:
            files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        return self.repositories.setdefault(repo, Repository()).commit({**files, **extra})
