import copy
import os
import subprocess
import sys
from importlib.metadata import entry_points, requires
from importlib.resources import files

import numpy as np
import pluggy
import pytest
import setfit_head_catboost
from catboost import CatBoostClassifier, CatBoostError
from setfit_head_catboost import CatBoostHead, setfit_load_head
from sklearn.base import clone
from sklearn.exceptions import NotFittedError


def test_the_entry_point_leads_to_a_module_whose_hooks_name_parameters_that_the_head_has():
    (point,) = entry_points(group="setfit.heads", name="catboost")
    manager = pluggy.PluginManager("setfit")
    manager.register(point.load())
    assert manager.hook.setfit_head_factory() == [CatBoostHead]
    (space,) = manager.hook.setfit_search_space()
    assert 4 <= len(space) <= 6
    lowest = CatBoostHead(**{name: values["low"] for name, values in space.items()})
    assert space.keys() <= lowest.get_params().keys()
    # The time of a training grows with the product of these; that of the defaults is 90.
    assert np.prod([space[name]["high"] for name in ("iterations", "depth", "rsm")]) < 500


def test_it_neither_imports_nor_requires_the_core():
    assert not [line for line in requires("setfit-head-catboost") if line.startswith("setfit")]
    code = (
        "import sys, setfit_head_catboost\n"
        "setfit_head_catboost.setfit_search_space()\n"
        "assert not {'catboost', 'sklearn', 'numpy', 'torch'} & sys.modules.keys(), sys.modules.keys()\n"
        "setfit_head_catboost.CatBoostHead(iterations=2).fit([[0], [1]], ['a', 'b'])\n"
        "assert not {'torch', 'setfit_core'} & sys.modules.keys(), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_is_typed_and_names_only_what_it_has():
    assert (files(setfit_head_catboost) / "py.typed").is_file()
    for name in setfit_head_catboost.__all__:
        assert getattr(setfit_head_catboost, name)
    with pytest.raises(AttributeError, match="has no attribute 'CatHead'"):
        _ = setfit_head_catboost.CatHead


@pytest.mark.parametrize(
    "labels",
    [[0, 1, 2], [-7, 3, 10**9], ["", "joy", "Ärger"], [0.0, 2.0, 5.0], [False, True]],
    ids=["ids", "integers", "strings", "whole floats", "booleans"],
)
def test_any_labels_come_back_as_members_of_the_sorted_classes(labels, problem):
    embeddings, ids = problem(len(labels))
    y = [labels[number] for number in ids]
    head = CatBoostHead().fit(embeddings[::-1], y[::-1])  # the largest comes first
    assert [*map(repr, head.classes_.tolist())] == [*map(repr, labels)]
    assert head.predict(embeddings).tolist() == y
    assert [labels[best] for best in head.predict_proba(embeddings).argmax(axis=1)] == y


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (lambda y: {"y": [*y[:-1], "2"]}, "they hold int, str"),
        (lambda y: {"y": np.eye(3)[y]}, "one for each row, but they hold ndarray"),
        (lambda y: {"y": [number / 2 for number in y]}, "fractions or NaN"),
        (lambda y: {"y": [float("nan")] * len(y)}, "fractions or NaN"),
        (lambda y: {"y": ["same"] * len(y)}, "All labels are 'same'"),
        (lambda y: {"y": ["a", "a\0"] * (len(y) // 2)}, "ends in NUL"),
        (lambda y: {"y": [2**70 * number for number in y]}, "beyond 64 bits"),
        (lambda y: {"y": []}, "36 embeddings, 0 labels"),
        (lambda y: {"y": y, "sample_weight": [1.0] * 35}, r"36 labels and weights \[35\]"),
        (lambda y: {"y": y, "sample_weight": [-1.0] * 36}, "a weight below 0"),
        (lambda y: {"y": y, "sample_weight": [0.0] * 36}, "none has examples of a weight above 0"),
        (lambda y: {"y": y, "sample_weight": [*[1.0] * 12, *[0.0] * 24]}, "Of the classes, 0 has examples of a weight"),
        (lambda y: {"y": y, "sample_weight": [*[1.0] * 35, 1e300]}, "a number beyond those of 32 bits"),
    ],
)
def test_bad_labels_and_weights_are_refused_and_leave_the_head_as_it_was(spoilt, said, problem):
    embeddings, ids = problem()
    head = CatBoostHead().fit(embeddings, ids)
    before = head.predict_proba(embeddings)
    with pytest.raises(ValueError, match=said):
        head.fit(embeddings, **spoilt(ids))
    np.testing.assert_array_equal(head.predict_proba(embeddings), before)
    fresh = CatBoostHead()
    with pytest.raises(ValueError, match=said):
        fresh.fit(embeddings, **spoilt(ids))
    with pytest.raises(NotFittedError):
        fresh.predict(embeddings)


def test_what_catboost_refuses_leaves_the_head_as_it_was(problem):
    embeddings, ids = problem()
    head = CatBoostHead().fit(embeddings, ids)
    before = head.predict_proba(embeddings)
    with pytest.raises(CatBoostError, match="constant"):
        head.fit(np.zeros_like(embeddings), ["x", *"yz" * 17, "x"])
    with pytest.raises(CatBoostError, match="depth"):
        head.set_params(depth=99).fit(embeddings, ["x", *"yz" * 17, "x"])
    with pytest.raises(ValueError, match="NaN, infinity"):
        head.fit(np.full_like(embeddings, np.inf), ["x", *"yz" * 17, "x"])
    assert head.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(head.predict_proba(embeddings), before)


def test_a_row_of_weight_0_trains_nothing(problem):
    embeddings, ids = problem()
    odd = np.concatenate([embeddings, 100 * embeddings])
    weights = np.repeat([2.0, 0.0], len(ids))
    weighed = CatBoostHead(random_state=1).fit(odd, [*ids, *ids[::-1]], sample_weight=weights)
    without = CatBoostHead(random_state=1).fit(embeddings, ids, sample_weight=weights[: len(ids)])
    np.testing.assert_array_equal(weighed.predict_proba(odd), without.predict_proba(odd))


@pytest.mark.parametrize("loss", ["MultiClass", "MultiClassOneVsAll"])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_it_predicts_what_catboost_predicts(loss, num_classes, problem):
    embeddings, ids = problem(num_classes)
    params = {"iterations": 5, "learning_rate": 0.2, "depth": 2, "rsm": 0.5, "random_state": 3}
    minimised = "Logloss" if num_classes == 2 else loss
    reference = CatBoostClassifier(
        **params, loss_function=minimised, thread_count=1, logging_level="Silent", allow_writing_files=False
    )
    expected = reference.fit(embeddings, ids).predict_proba(embeddings)
    expected = expected / expected.sum(axis=1, keepdims=True)
    head = CatBoostHead(**params, loss_function=loss).fit(embeddings, ids)
    np.testing.assert_allclose(head.predict_proba(embeddings), expected, atol=1e-12)


@pytest.mark.parametrize("num_classes", [3, 4])
def test_a_class_without_weight_has_probability_0(num_classes, problem, save):
    embeddings, ids = problem(num_classes)
    weights = (np.array(ids) != 1).astype(float)
    head = CatBoostHead(iterations=20, random_state=0).fit(
        embeddings, [f"class {number}" for number in ids], sample_weight=weights
    )
    probabilities = head.predict_proba(embeddings)
    assert head.classes_.tolist() == [f"class {number}" for number in range(num_classes)]
    assert not probabilities[:, 1].any()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == ids)[weights > 0].all()
    np.testing.assert_array_equal(head.predict(embeddings), head.classes_[probabilities.argmax(axis=1)])
    for again in (copy.deepcopy(head), setfit_load_head(*save(head))):
        np.testing.assert_array_equal(again.predict_proba(embeddings), probabilities)
        assert again.classes_.tolist() == head.classes_.tolist()


def test_a_very_long_label_does_not_lengthen_the_others(problem, save):
    embeddings, ids = problem(2)
    labels = ["short", "x" * 100_000]
    head = CatBoostHead(iterations=20).fit(embeddings, [labels[number] for number in ids])
    for same in (head, setfit_load_head(*save(head))):
        assert same.predict(embeddings).tolist() == [labels[number] for number in ids]
        assert same.predict(embeddings).nbytes < 1000


def test_weights_of_classes_are_those_of_all_classes(problem):
    embeddings, ids = problem(4)
    weights = (np.array(ids) != 1).astype(float)
    head = CatBoostHead(class_weights=[3.0, 9.0, 1.0, 5.0], random_state=0).fit(embeddings, ids, sample_weight=weights)
    rest = CatBoostHead(class_weights=[3.0, 1.0, 5.0], random_state=0)
    few = weights > 0
    rest.fit(embeddings[few], np.array(ids)[few])
    np.testing.assert_array_equal(head.predict_proba(embeddings)[:, [0, 2, 3]], rest.predict_proba(embeddings))
    with pytest.raises(ValueError, match="3 class_weights for 4 classes"):
        rest.fit(embeddings, ids)


def test_it_learns_from_two_texts_a_class(problem):
    embeddings, ids = problem(4, per_class=30)
    few = [row for row in range(len(ids)) if row % 30 < 2]
    head = CatBoostHead(random_state=0).fit(embeddings[few], [ids[row] for row in few])
    assert (head.predict(embeddings) == ids).mean() > 0.9


def test_a_parameter_that_is_none_is_refused_with_a_proposal():
    with pytest.raises(TypeError, match=r"no parameter 'iteration'. Did you mean 'iterations'\? It has: .*, depth, "):
        CatBoostHead(iteration=3)
    head = CatBoostHead(subsample=0.5)
    for name, meant in {"n_estimators": "iterations", "random_seed": "random_state", "eta": "learning_rate"}.items():
        with pytest.raises(TypeError, match=f"no parameter '{name}'. Did you mean '{meant}'"):
            head.set_params(subsample=0.6, **{name: 3})
    for name in ("cat_features", "grow_policy", "train_dir", "output_borders", "verbose"):
        with pytest.raises(TypeError, match=f"no parameter '{name}'"):
            head.set_params(subsample=0.6, **{name: "x"})
    with pytest.raises(ValueError, match="loss_function='RMSE' is none of"):
        head.set_params(subsample=0.6, loss_function="RMSE")
    with pytest.raises(TypeError, match="class_weights is a list"):
        head.set_params(subsample=0.6, class_weights={0: 1.0})
    assert head.get_params()["subsample"] == 0.5


def test_parameters_are_told_cloned_and_set(problem):
    embeddings, ids = problem()
    head = CatBoostHead(l2_leaf_reg=0.7, random_state=5)
    assert repr(head) == "CatBoostHead(l2_leaf_reg=0.7, random_state=5)"
    assert clone(head).get_params() == head.get_params()
    before = head.fit(embeddings, ids).predict_proba(embeddings)
    assert head.set_params(random_state=6, iterations=2) is head
    np.testing.assert_array_equal(head.predict_proba(embeddings), before)
    assert head.fit(embeddings, ids).model_.tree_count_ == 2


def test_no_more_threads_than_processors_are_asked_for(problem):
    for wanted, threads in ((1, 1), (10**6, os.cpu_count()), (-1, os.cpu_count())):
        head = CatBoostHead(thread_count=wanted, iterations=1).fit(*problem())
        assert head.model_.get_params()["thread_count"] == threads


def test_it_says_nothing_and_writes_nothing_beside(problem, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy.deepcopy(CatBoostHead(iterations=3).fit(*problem())).predict(problem()[0])
    assert capfd.readouterr() == ("", "")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("embeddings", "said"),
    [
        (np.zeros((2, 7)), "have 7 columns, but the head was trained on 8"),
        (np.zeros((0, 9)), "have 9 columns, but the head was trained on 8"),
        (np.zeros(8), r"\[num_inputs, embedding_size\], not float64 \[8\]"),
        (np.array([["x"] * 8]), "not <U1"),
    ],
)
def test_embeddings_of_another_shape_or_kind_are_refused(embeddings, said, problem):
    head = CatBoostHead().fit(*problem())
    for method in (head.predict, head.predict_proba):
        with pytest.raises(ValueError, match=said):
            method(embeddings)
