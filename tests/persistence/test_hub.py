"""The hub, spoken to by the real client: a loopback server stands in for huggingface.co."""

import json

import pytest

pytestmark = pytest.mark.slow

PATIENCE = 10


@pytest.fixture
def saved(hub):
    """The names of a saved model, which is on the hub among files that nobody needs."""
    names = ["config_setfit.json", "head/head.json", "head/head.skops", "model.safetensors", "model_head.pkl"]
    names.append("modules.json")
    unneeded = ["onnx/model.onnx", "tf_model.h5", "pytorch_model.bin"]
    hub.add("org/model", **{name: f"content of {name}".encode() for name in [*names, *unneeded]})
    return names


def test_one_snapshot_serves_body_configuration_and_head(resolve, saved, hub, snapshot):
    result = resolve()
    assert result["commit"] == hub.repositories["org/model"].resolve("main")
    assert result["files"] == saved
    assert {(snapshot() / name).read_text() for name in saved} == {f"content of {name}" for name in saved}
    fetched = {line.partition("/resolve/")[2] for line in hub.requests if "/resolve/" in line}
    assert fetched == {f"{result['commit']}/{name}" for name in saved}  # everything from one commit


def test_what_was_fetched_is_there_without_the_hub(resolve, saved, hub, refused):
    online = resolve()
    requests = len(hub.requests)
    for options, environment in [
        ({"local_files_only": True}, {}),
        ({}, {"HF_HUB_OFFLINE": "1"}),
        ({}, {"HF_ENDPOINT": refused}),
    ]:
        offline = resolve(environment=environment, **options)
        assert offline["files"] == online["files"]
        assert offline["seconds"] < PATIENCE
    assert len(hub.requests) == requests


@pytest.mark.slow
def test_a_server_that_never_answers_is_given_up_and_the_cache_used(resolve, saved, silent):
    online = resolve()
    offline = resolve(environment={"HF_ENDPOINT": silent})
    assert offline["files"] == online["files"]
    assert offline["seconds"] < PATIENCE


@pytest.mark.slow
@pytest.mark.parametrize("model_id", ["org/model", "model"])
def test_a_server_that_never_answers_is_an_error_within_ten_seconds(resolve, silent, model_id):
    result = resolve(model_id, environment={"HF_ENDPOINT": silent})
    assert "HubError" in result["kinds"]
    assert f"{model_id} can't be fetched" in result["message"]
    assert "Check the id and the connection" in result["message"]
    assert result["seconds"] < PATIENCE


def test_a_refused_connection_is_an_error_within_ten_seconds(resolve, refused):
    result = resolve(environment={"HF_ENDPOINT": refused})
    assert "HubError" in result["kinds"]
    assert "org/model can't be fetched: ConnectError" in result["message"]
    assert result["seconds"] < PATIENCE


@pytest.mark.parametrize(
    "look_up",
    ["(_ for _ in ()).throw(socket.gaierror(-2, 'unknown'))", pytest.param("time.sleep(60)", marks=pytest.mark.slow)],
)
def test_a_name_that_can_not_be_looked_up_is_an_error_within_ten_seconds(resolve, look_up):
    prelude = f"import socket, time; socket.getaddrinfo = lambda *arguments, **keywords: {look_up}"
    result = resolve(prelude=prelude)
    assert "HubError" in result["kinds"]
    assert "org/model can't be fetched" in result["message"]
    assert result["seconds"] < PATIENCE


def test_a_download_that_broke_off_is_not_taken_for_a_model(resolve, saved, hub, refused, snapshot):
    resolve()
    cache = snapshot()
    for missing in ("model.safetensors", "modules.json"):
        content = (cache / missing).read_bytes()
        (cache / missing).unlink()
        result = resolve(environment={"HF_ENDPOINT": refused})
        assert "can't be fetched" in result["message"]
        assert "not completely" in result["message"]
        (cache / missing).write_bytes(content)
    assert "files" in resolve(environment={"HF_ENDPOINT": refused})


def test_torch_weights_that_are_missing_in_the_cache_are_noticed(resolve, hub, refused, snapshot):
    hub.add("org/old", **{"config.json": b"{}", "pytorch_model.bin": b"weights"})
    assert resolve("org/old")["files"] == ["config.json", "pytorch_model.bin"]
    assert resolve("org/old", environment={"HF_ENDPOINT": refused})["files"] == ["config.json", "pytorch_model.bin"]
    (snapshot("org/old") / "pytorch_model.bin").unlink()
    result = resolve("org/old", environment={"HF_ENDPOINT": refused})
    assert "not completely" in result["message"]


def test_an_id_that_the_hub_does_not_know(resolve):
    result = resolve("org/unknown")
    assert "HubError" in result["kinds"]
    assert "the hub has no such model, or keeps it private" in result["message"]
    assert result["seconds"] < PATIENCE


def test_a_revision_that_the_hub_does_not_know(resolve, saved):
    result = resolve(revision="v9")
    assert "HubError" in result["kinds"]
    assert "org/model has no revision 'v9'" in result["message"]


def test_a_commit_can_be_named(resolve, saved, hub, refused):
    commit = hub.repositories["org/model"].resolve("main")
    assert resolve(revision=commit)["commit"] == commit
    assert all(commit in line for line in hub.requests if "org/model" in line)
    assert resolve(revision=commit, environment={"HF_ENDPOINT": refused})["commit"] == commit


def test_the_token_and_the_place_for_downloads_reach_the_client(resolve, saved, hub, tmp_path):
    resolve(token="hf_reader", cache_dir=str(tmp_path / "cache"))
    asked = [header for line, header in zip(hub.requests, hub.authorizations, strict=True) if "org/model" in line]
    assert set(asked) == {"Bearer hf_reader"}
    assert (tmp_path / "cache" / "models--org--model" / "snapshots").is_dir()
    assert not (tmp_path / "hf-home" / "hub" / "models--org--model").exists()


def test_a_gated_model(resolve, saved, hub):
    hub.gated.add("org/model")
    result = resolve()
    assert "HubError" in result["kinds"]
    assert "org/model is gated" in result["message"]


def test_an_id_that_can_not_be_one(resolve):
    result = resolve("org/na me")
    assert "HubError" in result["kinds"]
    assert "neither a local folder nor an id" in result["message"]


def test_a_repository_without_a_model(resolve, hub):
    hub.add("org/empty", **{"README.md": b"nothing here"})
    result = resolve("org/empty")
    assert "ModelFormatError" in result["kinds"]
    assert "neither modules.json nor config.json" in result["message"]
    assert not [line for line in hub.requests if "/resolve/" in line]


def test_a_bare_name_means_the_sentence_transformers_organisation_first(resolve, hub):
    files = {"modules.json": b"[]", "model.safetensors": b"weights"}
    hub.add("sentence-transformers/small", **files)
    hub.add("small", **files)
    assert "files" in resolve("small")
    asked = [line for line in hub.requests if "small" in line]
    assert asked
    assert all("sentence-transformers/small" in line for line in asked)
    del hub.repositories["sentence-transformers/small"]
    assert "files" in resolve("small", force_download=True)


def test_force_download_fetches_again_and_never_falls_back(resolve, saved, hub, refused):
    resolve()
    del hub.requests[:]
    resolve(force_download=True)
    commit = hub.repositories["org/model"].resolve("main")
    assert f"GET /org/model/resolve/{commit}/model.safetensors" in hub.requests
    result = resolve(force_download=True, environment={"HF_ENDPOINT": refused})
    assert "can't be downloaded again" in result["message"]


def test_of_a_model_that_setfit_saved_the_head_is_fetched(resolve, saved, hub, refused, snapshot):
    files = hub.repositories["org/model"].files
    files["config_setfit.json"] = json.dumps({"labels": None}).encode()
    files["other/model_head.pkl"] = files["head.joblib"] = b"not wanted"
    for name in [name for name in files if name.startswith("head/")]:
        del files[name]
    online = resolve()
    assert "model_head.pkl" in online["files"]
    assert not {"other/model_head.pkl", "head.joblib"}.intersection(online["files"])
    assert (snapshot() / "model_head.pkl").read_bytes() == files["model_head.pkl"]
    assert resolve(environment={"HF_ENDPOINT": refused})["files"] == online["files"]
    (snapshot() / "model_head.pkl").unlink()
    assert "not completely" in resolve(environment={"HF_ENDPOINT": refused})["message"]
    assert "not completely" in resolve(local_files_only=True)["message"]
