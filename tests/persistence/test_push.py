"""Pushing to the hub, by the real client: a loopback server stands in for huggingface.co."""

import pytest

pytestmark = pytest.mark.slow

PATIENCE = 10

PUSH = """
import json, sys, time
from pathlib import Path
from setfit_core.errors import SetFitError
from setfit_core.persistence.hub.push import push_to_hub
result = {{}}
started = time.monotonic()
try:
    result["address"] = push_to_hub(Path({folder!r}), {repo!r}, **{options!r})
except SetFitError as error:
    result["message"] = str(error)
    result["kinds"] = [kind.__name__ for kind in type(error).__mro__]
result["seconds"] = time.monotonic() - started
assert "torch" not in sys.modules
print(json.dumps(result))
"""


@pytest.fixture
def push(run_python, hub, model):
    """Push a folder in a new process, to the server or whatever `environment` says."""

    def push(repo="org/model", *, folder=model, environment=None, **options):
        settings = {
            "HF_ENDPOINT": hub.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_XET": "1",  # the server doesn't speak it
            "HF_TOKEN": "hf_writer",
            "NO_PROXY": "127.0.0.1",
        }
        code = PUSH.format(folder=str(folder), repo=repo, options=options)
        return run_python(code, **{**settings, **(environment or {})})[0]

    return push


@pytest.fixture
def model(tmp_path):
    """A folder with the names of a saved model."""
    folder = tmp_path / "model"
    for name in [
        "README.md",
        "config_setfit.json",
        "modules.json",
        "model.safetensors",
        "tokenizer.json",
        "head/head.json",
        "head/head.safetensors",
    ]:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(f"content of {name}")
    return folder


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_model_is_one_commit_in_a_new_repository(push, hub, model):
    expected = contents(model)
    for hidden in (".git/config", ".cache/state.json", "head/.lock", ".env"):
        (model / hidden).parent.mkdir(exist_ok=True)
        (model / hidden).write_text("secret")
    result = push()
    repository = hub.repositories["org/model"]
    assert repository.messages == ["initial commit", "Add SetFit model"]
    assert result["address"] == f"{hub.url}/org/model/commit/{repository.resolve('main')}"
    assert repository.files == {**expected, ".gitattributes": repository.files[".gitattributes"]}
    assert "org/model" not in hub.private
    assert set(hub.authorizations) <= {"Bearer hf_writer", None}


def test_files_of_the_model_before_go_in_the_same_commit_and_others_stay(push, hub, model):
    stale = [
        "1_Pooling/config.json",
        "added_tokens.json",
        "config.json",
        "head/head.skops",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "model_head.pkl",
        "pytorch_model.bin",
        "sentence_bert_config.json",
        "vocab.txt",
    ]
    others = [".gitattributes", "LICENSE", "data/head/head.skops", "logs/config.json", "my model_head.pkl", "notes.txt"]
    hub.add("org/model", **dict.fromkeys([*stale, *others, "config_setfit.json", "tokenizer.json"], b"old"))
    push(commit_message="Use another head")
    repository = hub.repositories["org/model"]
    assert repository.messages == ["", "Use another head"]
    assert repository.files == {**contents(model), **dict.fromkeys(others, b"old")}


def test_a_repository_that_held_no_model_loses_nothing(push, hub, model):
    theirs = {"head/plan.md": b"plan", "vocab.txt": b"words", "README.md": b"mine"}
    hub.add("org/model", **theirs)
    push()
    assert hub.repositories["org/model"].files == {**theirs, **contents(model)}


def test_pushing_the_same_again_makes_no_commit(push, hub):
    first = push()
    assert push()["address"] == first["address"]
    assert len(hub.repositories["org/model"].commits) == 2


def test_a_name_alone_is_a_repository_of_the_user(push, hub):
    assert "/writer/mine/commit/" in push("mine", private=True)["address"]
    assert "writer/mine" in hub.private


def test_a_branch_is_made_where_it_is_missing(push, hub, model):
    hub.add("org/model", **{"config_setfit.json": b"old", "head/head.skops": b"old"})
    before = dict(hub.repositories["org/model"].files)
    push(revision="v2")
    repository = hub.repositories["org/model"]
    assert repository.files == before
    assert repository.commits[repository.resolve("v2")] == contents(model)
    (model / "README.md").write_text("changed")
    assert push(revision="v2")["address"].endswith(repository.resolve("v2"))
    assert repository.commits[repository.resolve("v2")] == contents(model)


def test_whoever_may_not_write_can_make_a_pull_request(push, hub, model):
    hub.add("org/model", **{"config_setfit.json": b"old", "head/head.skops": b"old"})
    before = dict(hub.repositories["org/model"].files)
    result = push(token="hf_reader", create_pr=True, commit_message="A better head")
    repository = hub.repositories["org/model"]
    assert result["address"] == f"{hub.url}/org/model/discussions/1"
    assert repository.files == before
    assert repository.commits[repository.resolve("refs/pr/1")] == contents(model)
    assert repository.messages[-1] == "A better head"


@pytest.mark.parametrize(
    ("repo", "options", "message"),
    [
        ("org/na me", {}, "'org/na me' can't be the id of a repository"),
        ("datasets/org/name", {}, "'datasets/org/name' can't be the id of a repository"),
        ("org/model", {"commit_message": ""}, "commit_message is empty"),
        ("org/model", {"create_pr": True, "revision": "v2"}, "pull request for the main branch"),
    ],
)
def test_arguments_without_meaning_are_refused_before_the_hub_is_asked(push, hub, repo, options, message):
    result = push(repo, **options)
    assert "ArgumentError" in result["kinds"]
    assert message in result["message"]
    assert not hub.requests


@pytest.mark.parametrize(
    ("environment", "options", "message"),
    [
        ({"HF_HUB_OFFLINE": "1"}, {}, "HF_HUB_OFFLINE=1 forbids"),
        ({"HF_TOKEN": ""}, {}, "without an access token. Log in"),
        ({"HF_TOKEN": ""}, {"token": True}, "without an access token. Log in"),
        ({}, {"token": False}, "without an access token. Log in"),
    ],
)
def test_what_needs_no_hub_to_be_refused_does_not_ask_it(push, hub, environment, options, message):
    result = push(environment=environment, **options)
    assert "HubError" in result["kinds"]
    assert message in result["message"]
    assert result["seconds"] < 1
    assert not hub.requests


@pytest.mark.parametrize(
    ("token", "exists", "message"),
    [
        ("hf_unknown", True, "the hub doesn't accept the access token"),
        ("hf_reader", True, "gives no right to write there"),
        ("hf_reader", False, "gives no right to write there"),
    ],
)
def test_a_token_that_is_not_enough(push, hub, token, exists, message):
    if exists:
        hub.add("org/model", **{"config_setfit.json": b"old"})
    before = {repo: len(repository.commits) for repo, repository in hub.repositories.items()}
    result = push(token=token)
    assert "HubError" in result["kinds"]
    assert message in result["message"]
    assert {repo: len(repository.commits) for repo, repository in hub.repositories.items()} == before


def test_a_card_that_the_hub_refuses(push, hub, model):
    (model / "README.md").write_text("---\nlicense: bad\n---\n")
    result = push()
    assert "HubError" in result["kinds"]
    assert 'Invalid metadata in README.md. - "license" must be one of' in result["message"]
    assert hub.repositories["org/model"].messages == ["initial commit"]


def test_a_revision_that_can_be_no_branch(push, hub):
    result = push(revision="refs/pr/7")
    assert "HubError" in result["kinds"]
    assert "it has no branch 'refs/pr/7'" in result["message"]


def test_two_pushes_at_the_same_time_do_not_mix(push, hub, model):
    other = {"config_setfit.json": b"theirs", "head/head.skops": b"theirs"}

    def commit_in_between(handler, path):
        if "/commit/" in path:
            hub.fault = None
            hub.add("org/model", **other)

    hub.fault = commit_in_between
    result = push()
    assert "HubError" in result["kinds"]
    assert "somebody else has committed in the meantime" in result["message"]
    assert hub.repositories["org/model"].files == other


@pytest.mark.parametrize("status", [402, 429, 500])
def test_other_refusals_say_what_the_hub_said(push, hub, status):
    def refuse(handler, path):
        if path != "/api/repos/create":
            return False
        handler.fail(status, error="Not today")
        return True

    hub.fault = refuse
    result = push()
    assert "HubError" in result["kinds"]
    assert "org/model can't be pushed: HfHubHTTPError" in result["message"]
    assert str(status) in result["message"]


def test_a_hub_out_of_reach_is_an_error_within_ten_seconds(push, refused):
    result = push(environment={"HF_ENDPOINT": refused})
    assert "HubError" in result["kinds"]
    assert "can't be pushed: ConnectError" in result["message"]
    assert result["seconds"] < PATIENCE


@pytest.mark.slow
def test_a_hub_that_never_answers_is_an_error_within_ten_seconds(push, silent):
    result = push(environment={"HF_ENDPOINT": silent})
    assert "HubError" in result["kinds"]
    assert "gave no answer" in result["message"]
    assert result["seconds"] < PATIENCE
