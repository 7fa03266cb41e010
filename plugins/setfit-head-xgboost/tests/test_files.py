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
    assert sorted(path.name for path in folder.iterdir()) == ["head.json", "model.ubj"]
    np.save(tmp_path / "embeddings.npy", embeddings)
    files = [str(folder), str(tmp_path / "embeddings.npy"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", LOAD_ELSEWHERE, *files], check=True, env=dict(os.environ))
    out = np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(out["labels"], head.predict(embeddings))
    np.testing.assert_array_equal(out["probabilities"], head.predict_proba(embeddings))


def test_the_model_file_is_xgboosts_own(problem, make_head, save):
    embeddings, ids = problem()
    head = make_head().fit(embeddings, ids)
    booster = xgboost.Booster(model_file=save(head) / "model.ubj")
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
    ],
    ids=["trees", "dart", "linear", "softmax", "numpy"],
)
def test_every_kind_of_model_comes_back_with_its_parameters(params, num_classes, problem, make_head, save, load):
    embeddings, ids = problem(num_classes)
    head = make_head(random_state=np.int32(7), **params).fit(embeddings, ids)
    loaded = load(save(head))
    embeddings[:, 0] = 0.0  # what `missing` stands for in one case
    np.testing.assert_array_equal(loaded.predict_proba(embeddings), head.predict_proba(embeddings))
    assert loaded.n_features_in_ == 8
    assert {name: np.asarray(value).tolist() for name, value in head.get_params().items()} == loaded.get_params()
    assert (save(loaded, "again") / "model.ubj").read_bytes() == (save(head, "first") / "model.ubj").read_bytes()
    np.testing.assert_array_equal(
        loaded.fit(embeddings, ids).predict_proba(embeddings), head.fit(embeddings, ids).predict_proba(embeddings)
    )


def test_saving_changes_nothing(problem, make_head, save):
    embeddings, ids = problem()
    head = make_head().fit(embeddings, ids)
    before = head.predict_proba(embeddings)
    first, second = save(head, "first"), save(head, "second")
    np.testing.assert_array_equal(head.predict_proba(embeddings), before)
    for name in ("head.json", "model.ubj"):
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
            r"model\.ubj is damaged: it predicts 3 classes by multi:softprob.*head\.json names 2",
        ),
        ({"classes": [0, 2, 1]}, r"head\.json is damaged: its classes are not in order"),
        ({"classes": [0, 1, 1]}, "not in order, or one is there twice"),
        ({"classes": [0, 1, "2"]}, "they hold int, str"),
        ({"classes": [[0], [1], [2]]}, "they hold list"),
        ({"classes": []}, "they hold nothing"),
        ({"classes": {"0": 1}}, "no good value for classes"),
        ({"params": None, "version": "1"}, "no good value for version, params"),
        ({"sha256": "0" * 64}, r"model\.ubj is damaged: it is not the file that head\.json was written with"),
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


def rewrite_model(folder, content):
    (folder / "model.ubj").write_bytes(content)
    path = folder / "head.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": hashlib.sha256(content).hexdigest()}))


def test_a_model_that_is_no_classifier_is_refused(problem, make_head, save, load):
    embeddings, ids = problem(2)
    folder = save(make_head().fit(embeddings, ids))
    regressor = xgboost.XGBRegressor(n_estimators=2).fit(embeddings, ids)
    rewrite_model(folder, bytes(regressor.get_booster().save_raw("ubj")))
    with pytest.raises(ValueError, match=r"predicts 2 classes by reg:squarederror.*names 2"):
        load(folder)


def test_what_xgboost_cannot_read_is_said_with_both_versions(saved, load):
    rewrite_model(saved, b"{nonsense")
    version = xgboost.__version__
    with pytest.raises(
        ValueError, match=f"XGBoost {version} can't load .*saved with XGBoost {version}: .*Install that"
    ):
        load(saved)


def test_a_damaged_model_file_is_refused_before_xgboost_sees_it(saved, load):
    path = saved / "model.ubj"
    content = path.read_bytes()
    for damaged in (b"", content[:-9], content[:200] + b"\xff" + content[201:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model\.ubj is damaged.*Download or save the model again"):
            load(saved)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b"[]", b"3"])
def test_a_damaged_record_is_refused(content, saved, load):
    (saved / "head.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"head\.json is damaged"):
        load(saved)


@pytest.mark.parametrize("name", ["head.json", "model.ubj"])
def test_a_missing_file_is_named(name, saved, load):
    (saved / name).unlink()
    with pytest.raises(ValueError, match=rf"{name} can't be read.*the head is incomplete"):
        load(saved)
