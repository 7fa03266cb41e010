import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import xgboost
from setfit_head_xgboost import XGBoostHead, setfit_load_head, setfit_save_head
from sklearn.exceptions import NotFittedError

LOAD_ELSEWHERE = """
import sys
refused = []
sys.addaudithook(lambda event, args: refused.append(event) if event == "pickle.find_class" else None)
from pathlib import Path
import numpy as np
from setfit_head_xgboost import setfit_load_head
head = setfit_load_head(Path(sys.argv[1]), {"format": "xgboost"})
embeddings = np.load(sys.argv[2])
np.savez(sys.argv[3], labels=head.predict(embeddings), probabilities=head.predict_proba(embeddings))
assert not refused
"""


def test_a_second_process_predicts_the_same_without_pickle(problem, make_head, save, tmp_path):
    embeddings, ids = problem()
    head = make_head(subsample=0.8, random_state=3).fit(embeddings, [f"class {number}" for number in ids])
    folder = save(head)
    assert sorted(path.name for path in folder.iterdir()) == ["head.json", "model.json"]
    np.save(tmp_path / "embeddings.npy", embeddings)
    files = [str(folder), str(tmp_path / "embeddings.npy"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", LOAD_ELSEWHERE, *files], check=True, env=dict(os.environ))
    out = np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(out["labels"], head.predict(embeddings))
    np.testing.assert_array_equal(out["probabilities"], head.predict_proba(embeddings))


def test_the_model_file_is_xgboosts_own(problem, make_head, save):
    embeddings, ids = problem()
    head = make_head().fit(embeddings, ids)
    booster = xgboost.Booster(model_file=save(head) / "model.json")
    predicted = booster.predict(xgboost.DMatrix(embeddings))
    np.testing.assert_allclose(predicted, head.predict_proba(embeddings), atol=1e-6)


@pytest.mark.parametrize(
    "labels",
    [[0, 1, 2], [-5, 7, 2**70], ["", "a\0", "é"], [0.0, 1.0, 4.0], [False, True]],
    ids=["ids", "integers", "strings", "floats", "booleans"],
)
def test_labels_keep_their_type(labels, problem, make_head, save, load):
    embeddings, ids = problem(len(labels), size=5)
    head = make_head().fit(embeddings, [labels[number] for number in ids])
    loaded = load(save(head))
    assert loaded.classes_.dtype == head.classes_.dtype
    assert [*map(repr, loaded.predict(embeddings).tolist())] == [*map(repr, head.predict(embeddings).tolist())]


@pytest.mark.filterwarnings("ignore:.*`booster=.*is deprecated:UserWarning")  # from XGBoost 3.4 on
@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"booster": "dart", "rate_drop": 0.3},
        {"booster": "gblinear", "updater": "coord_descent"},
        {"objective": "multi:softmax"},
        {"missing": 0.0, "max_depth": np.int64(2), "feature_weights": np.arange(1.0, 9.0)},
        {"num_parallel_tree": 2, "subsample": 0.7, "feature_types": ["q"] * 8},
        {"tree_method": "exact", "gamma": 1.0, "min_child_weight": 0.0},
        {"n_estimators": 0},
    ],
    ids=["trees", "dart", "linear", "softmax", "numpy", "forest", "pruned", "untrained"],
)
def test_every_kind_of_model_comes_back_with_its_parameters(params, num_classes, problem, make_head, save, load):
    embeddings, ids = problem(num_classes)
    head = make_head(random_state=np.int32(7), **params).fit(embeddings, ids)
    loaded = load(save(head))
    embeddings[:, 0] = 0.0  # what `missing` stands for in one case
    np.testing.assert_array_equal(loaded.predict_proba(embeddings), head.predict_proba(embeddings))
    assert loaded.n_features_in_ == 8
    assert {name: np.asarray(value).tolist() for name, value in head.get_params().items()} == loaded.get_params()
    assert (save(loaded, "again") / "model.json").read_bytes() == (save(head, "first") / "model.json").read_bytes()
    np.testing.assert_array_equal(
        loaded.fit(embeddings, ids).predict_proba(embeddings), head.fit(embeddings, ids).predict_proba(embeddings)
    )


def test_saving_changes_nothing(problem, make_head, save):
    embeddings, ids = problem()
    head = make_head().fit(embeddings, ids)
    before = head.predict_proba(embeddings)
    first, second = save(head, "first"), save(head, "second")
    np.testing.assert_array_equal(head.predict_proba(embeddings), before)
    for name in ("head.json", "model.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


class Heir(XGBoostHead):
    pass


def test_heads_and_formats_of_others_are_left_to_them(problem, tmp_path):
    assert setfit_save_head(object(), tmp_path) is None
    assert setfit_save_head(Heir().fit(*problem()), tmp_path) is None
    assert setfit_load_head(tmp_path, {"format": "skops"}) is None
    assert not [*tmp_path.iterdir()]


def test_an_unfitted_head_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError, match="nothing to save. Train it first"):
        setfit_save_head(XGBoostHead(), tmp_path)
    assert not [*tmp_path.iterdir()]


def gradient(labels, scores):
    return scores - labels, np.ones_like(scores)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"objective": gradient}, r"with objective=<function gradient .*name of one of XGBoost's own functions"),
        ({"random_state": np.random.RandomState(0)}, r"with random_state=RandomState\(MT19937\).*an integer seed"),
    ],
    ids=["function", "generator"],
)
def test_a_parameter_that_json_cannot_hold_is_named(params, said, problem, make_head, tmp_path):
    head = make_head(**params).fit(*problem(2))
    with pytest.raises(ValueError, match=said):
        setfit_save_head(head, tmp_path)
    assert not [*tmp_path.iterdir()]


@pytest.fixture
def saved(problem, make_head, save):
    return save(make_head().fit(*problem(3)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"classes": ["a", "b"]},
            r"model\.json is damaged: `objective` has another number of classes than the head's 2",
        ),
        ({"classes": [0, 2, 1]}, r"head\.json is damaged: its classes are not in order"),
        ({"classes": [0, 1, 1]}, "not in order, or one is there twice"),
        ({"classes": [0, 1, "2"]}, "they hold int, str"),
        ({"classes": [[0], [1], [2]]}, "they hold list"),
        ({"classes": []}, "they hold nothing"),
        ({"classes": {"0": 1}}, "no good value for classes"),
        ({"params": None, "version": "1"}, "no good value for version, params"),
        ({"sha256": "0" * 64}, r"model\.json is damaged: it is not the file that head\.json was written with"),
        ({"version": 0}, "a version that there never was"),
        ({"version": 2}, r"of version 2.*pip install --upgrade setfit-head-xgboost"),
        (
            {"params": {"from_the_future": 1}, "xgboost": "9.0"},
            r"saved with XGBoost 9\.0: .*no parameter 'from_the_fut",
        ),
    ],
)
def test_a_record_that_does_not_fit_is_refused(changes, said, saved, load):
    path = saved / "head.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=said):
        load(saved)


def test_a_folder_from_before_the_first_release_says_what_to_do(saved, load):
    (saved / "model.json").rename(saved / "model.ubj")
    with pytest.raises(ValueError, match=r"holds model\.ubj, which is no longer read.*Train the head again, and save"):
        load(saved)


def test_what_a_newer_xgboost_wrote_is_not_misread(saved, load):
    """XGBoost 3.0 predicts other probabilities from a file of 3.2, and says nothing."""
    path = saved / "model.json"
    content = json.dumps({**json.loads(path.read_bytes()), "version": [3, 99, 1]}).encode()
    path.write_bytes(content)
    record = json.loads((saved / "head.json").read_bytes())
    (saved / "head.json").write_text(json.dumps({**record, "sha256": hashlib.sha256(content).hexdigest()}))
    with pytest.raises(ValueError, match=r"saved with XGBoost 3\.99\.1, and the installed .* --upgrade xgboost"):
        load(saved)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"multi_strategy": "multi_output_tree"}, r"the leaves are vectors.*multi_strategy='one_output_per_tree'"),
        ({"feature_types": ["c"] + ["q"] * 7, "enable_categorical": True}, r"`feature_types` names others than num"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(params, said, problem, make_head, tmp_path):
    embeddings, ids = problem()
    head = make_head(**params).fit(np.abs(embeddings).round(), ids)
    with pytest.raises(ValueError, match=f"can't be saved, for it couldn't be loaded again: {said}"):
        setfit_save_head(head, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_parameter_that_could_not_be_loaded_is_not_saved(problem, make_head, tmp_path):
    head = make_head().fit(*problem()).set_params(n_jobs=5000)
    with pytest.raises(ValueError, match="n_jobs is no number of threads up to 1024"):
        setfit_save_head(head, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_model_of_very_many_bytes_is_not_saved(problem, make_head, tmp_path, monkeypatch):
    monkeypatch.setattr("setfit_head_xgboost.files.MODEL_BYTES", 2**10)
    head = make_head().fit(*problem())
    with pytest.raises(ValueError, match="more than 0 MB, the most that is read"):
        setfit_save_head(head, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_damaged_model_file_is_refused_before_xgboost_sees_it(saved, load):
    path = saved / "model.json"
    content = path.read_bytes()
    for damaged in (b"", content[:-9], content[:200] + b"\xff" + content[201:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model\.json is damaged.*Download or save the model again"):
            load(saved)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b"[]", b"3"])
def test_a_damaged_record_is_refused(content, saved, load):
    (saved / "head.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"head\.json is damaged"):
        load(saved)


@pytest.mark.parametrize("name", ["head.json", "model.json"])
def test_a_missing_file_is_named(name, saved, load):
    (saved / name).unlink()
    with pytest.raises(ValueError, match=rf"{name} can't be read.*the head is incomplete"):
        load(saved)
