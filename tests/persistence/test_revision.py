"""Whole models, from the hub and to it: every argument has its effect, and body and head come from one commit."""

import json

import numpy as np
import pytest

from setfit_core import SetFitModel

TEXTS = ["a wonderful film", "a dreadful film", "what a bore", "what a joy"]

OBEY = """
import json, os, urllib.request
from setfit_core import SetFitModel
from setfit_core.errors import SetFitError

results = []
for number, order in enumerate(json.loads({orders!r})):
    urllib.request.urlopen(os.environ["HF_ENDPOINT"] + "/mark/" + str(number), timeout=10).close()
    target = order.pop("push_to", None)
    try:
        if target is None:
            model = SetFitModel.from_pretrained(**order, device="cpu")
            outcome = [model.encode({texts!r}).tolist(), model.predict_proba({texts!r}).tolist(), model.labels]
        else:
            outcome = SetFitModel.from_pretrained(order.pop("folder"), device="cpu").push_to_hub(target, **order)
    except SetFitError as error:
        outcome = str(error)
    results.append(outcome)
print(json.dumps(results))
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def obey(run_python, hub):
    """Load and push models in one new process; return the outcomes, and for each order what the server was asked."""

    def obey(*orders):
        def mark(handler, path):
            if path.startswith("/mark/"):
                handler.send(b"", {})
            return path.startswith("/mark/")

        hub.fault = mark
        del hub.requests[:]
        settings = {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}
        code = OBEY.format(orders=json.dumps(orders), texts=TEXTS)
        outcomes, _ = run_python(code, HF_ENDPOINT=hub.url, HF_TOKEN="", NO_PROXY="127.0.0.1", **settings)
        places = [hub.requests.index(f"GET /mark/{number}") for number in range(len(orders))]
        asked = [hub.requests[start + 1 : end] for start, end in zip(places, [*places[1:], None], strict=True)]
        return outcomes, asked

    return obey


@pytest.fixture
def trained(static_body_factory, tmp_path):
    """Save a model whose body is a multiple of the static body; return the folder and what the model makes of TEXTS."""

    def trained(name, factor, labels):
        body = static_body_factory()
        body[0].embedding.weight.data *= factor
        model = SetFitModel(body, "logistic")
        model.fit(TEXTS, [labels[0], labels[1], labels[1], labels[0]])
        outcome = [model.encode(TEXTS).tolist(), model.predict_proba(TEXTS).tolist(), sorted(labels)]
        return model.save_pretrained(tmp_path / name), outcome

    return trained


def same(outcome, expected):
    return (
        np.array_equal(outcome[0], expected[0])
        and np.allclose(outcome[1], expected[1], rtol=0, atol=1e-12)
        and outcome[2] == expected[2]
    )


def test_every_argument_has_its_effect_and_what_was_pushed_predicts_the_same(obey, trained, hub, tmp_path):
    (old, of_old), (new, of_new) = trained("old", 1.0, ["good", "bad"]), trained("new", -3.0, ["joy", "gloom"])
    old_commit, new_commit = hub.add("org/model", old), hub.add("org/model", new)
    hub.add("org/secret", old)
    hub.private.add("org/secret")
    here = {"model_id": "org/model", "cache_dir": str(tmp_path / "cache")}
    outcomes, asked = obey(
        {"model_id": "org/model", "revision": old_commit},
        {"model_id": "org/model"},
        {"model_id": "org/secret"},
        {"model_id": "org/secret", "token": "hf_reader"},
        {**here, "local_files_only": True},
        {**here},
        {**here, "local_files_only": True},
        {"model_id": "org/model", "revision": old_commit},
        {"model_id": "org/model", "revision": old_commit, "force_download": True},
        {"folder": str(old), "push_to": "mine", "token": "hf_writer", "private": True, "commit_message": "First"},
    )
    assert same(outcomes[0], of_old)
    assert same(outcomes[1], of_new)
    assert "keeps it private" in outcomes[2]
    assert same(outcomes[3], of_old)
    assert "org/model is not in the cache" in outcomes[4]
    assert same(outcomes[5], of_new)
    assert same(outcomes[6], of_new)
    assert same(outcomes[7], of_old)
    assert same(outcomes[8], of_old)

    def contents(requests):
        return sorted(line for line in requests if line.startswith("GET") and "/resolve/" in line)

    assert all(f"/resolve/{old_commit}/" in line for line in contents(asked[0]))
    assert all(f"/resolve/{new_commit}/" in line for line in contents(asked[1]))
    assert contents(asked[0]) == contents(asked[8]) != []  # the same files again
    assert contents(asked[7]) == []
    assert asked[4] == asked[6] == []
    assert contents(asked[5])

    assert outcomes[9] == f"{hub.url}/writer/mine/commit/{hub.repositories['writer/mine'].resolve('main')}"
    assert hub.repositories["writer/mine"].messages == ["initial commit", "First"]
    assert "writer/mine" in hub.private
    (pushed,), _ = obey({"model_id": "writer/mine", "token": "hf_writer"})
    assert same(pushed, of_old)
