"""A hub that is slow, breaks off, answers with errors, or lists what would lead out of the cache."""

import json
import socket
import threading
import time

import pytest

pytestmark = pytest.mark.slow

PATIENCE = 10
#: More than the client hands on at a time (10 MB).
BIG = b"0123456789abcdef" * 1_500_000
FILES = {
    "config.json": b"{}",
    "config_setfit.json": b"{}",
    "head/head.json": b"{}",
    "model.safetensors": BIG,
    "modules.json": b"[]",
    "tokenizer.json": b"{}",
}


@pytest.fixture(autouse=True)
def small_model(hub):
    """A repository with the names of a model."""
    return hub.add("org/model", **FILES)


def large_content(handler, path):
    return handler.command == "GET" and path.endswith("/model.safetensors") and "/resolve/" in path


def start_large_content(handler):
    """Answer with the head of a download; return the place to begin at."""
    begin = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    headers = {"X-Repo-Commit": "", "Content-Range": f"bytes {begin}-{len(BIG) - 1}/{len(BIG)}"}
    handler.start(len(BIG) - begin, headers, 206 if begin else 200)
    return begin


def complete(snapshot):
    return (snapshot() / "model.safetensors").read_bytes() == BIG


# Slow


@pytest.mark.slow
def test_a_listing_that_trickles_is_given_up_within_ten_seconds(resolve, hub):
    def trickle(handler, path):
        if not path.startswith("/api/models/"):
            return False
        handler.start(10_000, {"Content-Type": "application/json"})
        while not hub.released.wait(0.5):
            handler.wfile.write(b" ")
        return True

    hub.fault = trickle
    result = resolve()
    assert "HubError" in result["kinds"]
    assert "gave no answer within 7 seconds" in result["message"]
    assert result["seconds"] < PATIENCE


@pytest.mark.slow
def test_a_hub_that_falls_silent_after_its_listing_is_given_up_within_ten_seconds(resolve, hub, small_model):
    resolve()
    newer = hub.add("org/model", **{**FILES, "config.json": b"{ }"})

    def silence(handler, path):
        if "/resolve/" not in path:
            return False
        hub.released.wait()
        return True

    hub.fault = silence
    started = time.monotonic()
    result = resolve()
    assert time.monotonic() - started < PATIENCE + 3  # the process doesn't wait for the client's threads
    assert result["seconds"] < PATIENCE
    assert result["commit"] == small_model
    assert result["warnings"][0].startswith("org/model can't be fetched (")
    assert result["warnings"][0].endswith("the copy in the cache is used.")
    hub.fault = None
    assert resolve()["commit"] == newer


@pytest.mark.slow
def test_a_slow_but_steady_download_goes_on_and_another_process_waits_for_it(resolve, hub, snapshot):
    downloading = threading.Event()

    def slow(handler, path):
        if handler.command == "HEAD" and path.endswith("/model.safetensors") and downloading.is_set():
            # The process that has asked before needs no further answer while content is on its way.
            return not handler.headers.get("Authorization") and hub.released.wait()
        if not large_content(handler, path):
            return False
        begin = start_large_content(handler)
        downloading.set()
        for piece in range(begin, len(BIG), len(BIG) // 20):
            time.sleep(0.25)
            handler.wfile.write(BIG[piece : piece + len(BIG) // 20])
        return True

    hub.fault = slow
    results = []
    first = threading.Thread(target=lambda: results.append(resolve()))
    first.start()
    downloading.wait()
    results.append(resolve(token="hf_reader"))
    first.join()
    assert [result["files"] for result in results] == [sorted(FILES)] * 2
    assert [result["warnings"] for result in results] == [[], []]  # none fell back to what the other had fetched
    assert max(result["seconds"] for result in results) > 4.5
    assert complete(snapshot)
    assert sum(line.startswith("GET") and line.endswith("model.safetensors") for line in hub.requests) == 1


# Broken downloads


@pytest.mark.parametrize("way", ["stalls", "breaks off"])
def test_a_download_is_taken_up_where_it_stopped(resolve, hub, snapshot, way):
    begins = []

    def stop(handler, path):
        if not large_content(handler, path):
            return False
        begin = start_large_content(handler)
        begins.append(begin)
        handler.wfile.write(BIG[begin:] if begin else BIG[:-1])
        if not begin and way == "stalls":
            hub.released.wait()
        handler.close_connection = True
        return True

    hub.fault = stop
    result = resolve(environment={"HF_HUB_DOWNLOAD_TIMEOUT": "1"})
    assert result["files"] == sorted(FILES)
    assert complete(snapshot)
    assert begins[0] == 0
    assert begins[1] > len(BIG) // 3


@pytest.mark.slow
def test_a_download_that_always_stalls_is_given_up_and_the_cache_used(resolve, hub, small_model):
    resolve()
    newer = hub.add("org/model", **{**FILES, "model.safetensors": BIG + b"!"})

    def stall(handler, path):
        if not large_content(handler, path):
            return False
        handler.start(len(BIG) + 1, {"X-Repo-Commit": newer})
        handler.wfile.write(BIG[:1000])
        hub.released.wait()
        return True

    hub.fault = stall
    result = resolve(environment={"HF_HUB_DOWNLOAD_TIMEOUT": "1"})
    assert result["commit"] == small_model
    assert "ReadTimeout" in result["warnings"][0]


def test_content_of_the_wrong_length_is_refused_and_not_kept(resolve, hub, snapshot):
    def shorten(handler, path):
        if not large_content(handler, path):
            return False
        handler.send(BIG[:-1], {"X-Repo-Commit": ""})
        return True

    hub.fault = shorten
    result = resolve()
    assert "HubError" in result["kinds"]
    assert "Consistency check failed" in result["message"]
    assert not (snapshot() / "model.safetensors").exists()
    assert "not completely" in resolve(local_files_only=True)["message"]
    hub.fault = None
    assert resolve()["files"] == sorted(FILES)
    assert complete(snapshot)


def test_what_broke_off_leaves_the_commit_before_in_use(resolve, hub, small_model):
    resolve()
    hub.add("org/model", **{**FILES, "head/head.json": b"{ }", "model.safetensors": BIG + b"!"})

    def refuse(handler, path):
        if not large_content(handler, path):
            return False
        handler.fail(404, "EntryNotFound")
        return True

    hub.fault = refuse
    assert resolve()["commit"] == small_model
    assert resolve(local_files_only=True)["commit"] == small_model


def test_a_commit_that_is_incomplete_is_not_used(resolve, hub, small_model, snapshot):
    def refuse(handler, path):
        if not path.endswith("/tokenizer.json"):
            return False
        others = [snapshot() / name for name in ("head/head.json", "model.safetensors")]
        while not all(file.exists() for file in others):
            time.sleep(0.02)
        handler.fail(404, "EntryNotFound")
        return True

    hub.fault = refuse
    assert "HubError" in resolve(revision=small_model)["kinds"]
    assert "not completely" in resolve(revision=small_model, local_files_only=True)["message"]
    hub.fault = None
    assert resolve(revision=small_model)["files"] == sorted(FILES)
    assert resolve(revision=small_model, local_files_only=True)["files"] == sorted(FILES)


@pytest.mark.slow
def test_a_hub_with_errors_is_given_up_within_ten_seconds(resolve, hub, small_model):
    def fail(handler, path):
        if "/resolve/" not in path:
            return False
        handler.fail(503, error="Come back later")
        return True

    hub.fault = fail
    result = resolve()
    assert "HubError" in result["kinds"]
    assert "503" in result["message"]
    assert result["seconds"] < PATIENCE
    hub.fault = lambda handler, path: handler.fail(500) or True
    result = resolve()
    assert "HubError" in result["kinds"]
    assert "500" in result["message"]
    hub.fault = None
    resolve()
    hub.fault = fail
    assert resolve()["commit"] == small_model
    hub.add("org/model", **{**FILES, "config.json": b"{ }"})
    assert resolve()["commit"] == small_model


# Hostile listings

OUTWARD = [
    "",
    ".",
    "..",
    "../../../../../escape.json",
    "/escape.json",
    "//escape.json",
    "a/../../../../../../escape.json",
    "a/./escape.json",
    "a//escape.json",
    "a/",
    "..\\..\\escape.json",
    "\\\\server\\escape.json",
    "C:\\escape.json",
    "C:escape.json",
    "a/C:escape.json",
    "nul\x00.json",
    "new\nline.json",
    "lone\ud800.json",
    "turned\u202enosj.json",
    "n" * 256 + ".json",
    "d/" * 2000 + "deep.json",
]


def everything(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_names_that_lead_out_of_the_cache_are_left_out(resolve, hub, tmp_path):
    hub.add("org/other", **FILES)
    resolve("org/other")  # brings what every download leaves in the cache
    before = everything(tmp_path)
    del hub.requests[:]
    hub.add("org/model", **FILES, **dict.fromkeys(OUTWARD, b"{}"))
    result = resolve()
    assert result["files"] == sorted(FILES)
    new = everything(tmp_path) - before
    assert all("/models--org--model" in name for name in new)
    fetched = {line.split("/resolve/")[1].partition("/")[2] for line in hub.requests if "/resolve/" in line}
    assert fetched == set(FILES)


@pytest.mark.parametrize("commit", ["../../../../escape", "/escape", None, "0" * 41])
def test_a_commit_that_is_none_is_refused(resolve, hub, tmp_path, commit):
    def misname(handler, path):
        if path != "/api/models/org/model":
            return False
        siblings = [{"rfilename": name} for name in FILES]
        handler.send_json({"_id": "1", "id": "org/model", "sha": commit, "tags": [], "siblings": siblings})
        return True

    hub.fault = misname
    result = resolve()
    assert "HubError" in result["kinds"]
    assert "org/model can't be fetched" in result["message"]
    assert "hf-home/hub" not in everything(tmp_path)


def test_another_commit_than_the_one_asked_for_is_refused(resolve, hub, small_model):
    newer = hub.add("org/model", **{**FILES, "config.json": b"{ }"})

    def substitute(handler, path):
        if not path.startswith("/api/models/"):
            return False
        handler.information("org/model", newer)
        return True

    hub.fault = substitute
    result = resolve(revision=small_model)
    assert "HubError" in result["kinds"]
    assert f"answers with '{newer}' for a commit" in result["message"]


@pytest.mark.parametrize(("number", "name"), [(10_001, "data/{}.json"), (100_001, "onnx/{}.onnx")])
def test_more_files_than_a_model_has_are_not_fetched(resolve, hub, number, name):
    listed = [{"rfilename": name.format(place)} for place in range(number)]

    def boast(handler, path):
        handler.send_json({"_id": "1", "id": "org/model", "sha": "0" * 40, "tags": [], "siblings": listed})
        return True

    hub.fault = boast
    result = resolve()
    assert "ModelFormatError" in result["kinds"]
    assert f"holds {number} files" in result["message"]
    assert not [line for line in hub.requests if "/resolve/" in line]


def test_an_answer_that_is_no_listing(resolve, hub):
    answers = [b"<html>Log in to the network</html>", b"[]", json.dumps({"id": "1", "siblings": [{}]}).encode()]

    def speak(handler, path):
        handler.send(answers[-1], {"Content-Type": "application/json"})
        return True

    hub.fault = speak
    while answers:
        result = resolve()
        assert "HubError" in result["kinds"]
        assert "org/model can't be fetched" in result["message"]
        answers.pop()


def test_something_else_than_http(resolve):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"220 mail.example.org ready\r\n")
                    connection.recv(65536)  # closing with the request unread would reset the connection

        thread = threading.Thread(target=babble)
        thread.start()
        result = resolve(environment={"HF_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}"})
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert "HubError" in result["kinds"]
    assert "RemoteProtocolError" in result["message"]
