import subprocess
import sys
import threading
from importlib.metadata import entry_points, requires
from importlib.resources import files

import numpy as np
import pluggy
import pytest
import setfit_head_xgboost
from setfit_head_xgboost import XGBoostHead
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.multiclass import OneVsRestClassifier
from xgboost import XGBClassifier
from xgboost.core import XGBoostError

# The package


def test_the_entry_point_leads_to_a_module_whose_hook_gives_the_class():
    (point,) = (
        point
        for point in entry_points(group="setfit.heads", name="xgboost")
        if point.dist.name == "setfit-head-xgboost"
    )
    manager = pluggy.PluginManager("setfit")
    manager.register(point.load())
    assert manager.hook.setfit_head_factory() == [XGBoostHead]


def test_it_neither_imports_nor_requires_the_core():
    assert not [line for line in requires("setfit-head-xgboost") if line.startswith("setfit")]
    code = (
        "import sys, setfit_head_xgboost\n"
        "assert not {'xgboost', 'sklearn', 'numpy', 'torch'} & sys.modules.keys(), sys.modules.keys()\n"
        "head = setfit_head_xgboost.XGBoostHead(n_estimators=2).fit([[0], [1]], ['a', 'b'])\n"
        "assert not {'torch', 'setfit_core'} & sys.modules.keys(), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_is_typed_and_names_only_what_it_has():
    assert (files(setfit_head_xgboost) / "py.typed").is_file()
    for name in setfit_head_xgboost.__all__:
        assert getattr(setfit_head_xgboost, name)
    with pytest.raises(AttributeError, match="has no attribute 'XGBHead'"):
        _ = setfit_head_xgboost.XGBHead


# Labels

LABELS = {
    "ids": [0, 1, 2],
    "sparse integers": [-7, 3, 10**9],
    "strings": ["", "joy", "Ärger"],
    "strings that NumPy cuts": ["a", "a\0", "b"],
    "integers beyond 64 bits": [-1, 2, 2**70],
    "integers that NumPy rounds": [-1, 2**63 - 1, 2**63],
    "whole floats": [0.0, 2.0, 5.0],
    "booleans": [False, True],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_any_labels_come_back_as_members_of_the_sorted_classes(labels, problem, make_head):
    embeddings, ids = problem(len(labels))
    y = [labels[number] for number in ids][::-1]  # the largest comes first
    head = make_head().fit(embeddings[::-1], y)
    assert [*map(repr, head.classes_.tolist())] == [*map(repr, labels)]
    predicted = head.predict(embeddings[::-1])
    assert predicted.shape == (len(y),)
    assert predicted.tolist() == y
    columns = head.predict_proba(embeddings[::-1])
    assert columns.shape == (len(y), len(labels))
    assert [labels[best] for best in columns.argmax(axis=1)] == y


def test_class_ids_come_back_as_integers(problem, make_head):
    embeddings, ids = problem()
    for y in (ids, np.array(ids, dtype=np.int16), [np.int32(number) for number in ids]):
        head = make_head().fit(embeddings, y)
        assert head.predict(embeddings).dtype == np.int64
        assert head.predict(embeddings).tolist() == ids


def test_arrays_of_strings_and_booleans_are_labels_too(problem, make_head):
    embeddings, ids = problem(2)
    for y in (np.array(["b", "a"])[ids], np.array(["b", "a"], dtype=object)[ids], np.array(ids, dtype=bool)):
        np.testing.assert_array_equal(make_head().fit(embeddings, y).predict(embeddings), y)


def test_a_class_may_have_one_example(problem, make_head):
    embeddings, ids = problem(3)
    head = make_head().fit(embeddings[:25], ids[:25])  # 12, 12 and 1
    assert head.classes_.tolist() == [0, 1, 2]
    assert head.predict_proba(embeddings).shape == (36, 3)


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (lambda y: [*y[:-1], "2"], "they hold int, str"),
        (lambda y: [*y[:-1], True], "they hold bool, int"),
        (lambda y: [None] * len(y), "they hold NoneType"),
        (lambda y: np.eye(3)[y], "one for each row, but they hold ndarray"),
        (lambda y: [number / 2 for number in y], "fractions or NaN"),
        (lambda y: [float("nan")] * len(y), "fractions or NaN"),
        (lambda y: ["same"] * len(y), "All labels are 'same'"),
        (lambda y: [], "they hold nothing"),
        (lambda y: y[:-1], "36 embeddings but 35 labels"),
    ],
)
def test_bad_labels_are_refused_and_leave_the_head_as_it_was(spoilt, said, problem, make_head):
    embeddings, ids = problem()
    head = make_head().fit(embeddings, ids)
    before = head.predict_proba(embeddings)
    with pytest.raises(ValueError, match=said):
        head.fit(embeddings, spoilt(ids))
    np.testing.assert_array_equal(head.predict_proba(embeddings), before)
    fresh = make_head()
    with pytest.raises(ValueError, match=said):
        fresh.fit(embeddings, spoilt(ids))
    with pytest.raises(NotFittedError):
        fresh.predict(embeddings)


def test_a_training_that_xgboost_refuses_leaves_the_head_as_it_was(problem, make_head):
    embeddings, ids = problem()
    head = make_head().fit(embeddings, ids)
    before = head.predict_proba(embeddings)
    endless = np.full_like(embeddings, np.inf)
    with pytest.raises(XGBoostError, match="contains `inf`"):
        head.fit(endless, ["x", *"yz" * 17, "x"])
    with pytest.raises(XGBoostError, match="max_depth"):
        head.set_params(max_depth=-5).fit(embeddings, ["x", *"yz" * 17, "x"])
    assert head.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(head.predict_proba(embeddings), before)


def test_it_can_be_wrapped_for_several_labels_a_text(problem, make_head):
    embeddings, ids = problem()
    wrapped = OneVsRestClassifier(make_head()).fit(embeddings, np.eye(3, dtype=int)[ids])
    np.testing.assert_array_equal(wrapped.predict(embeddings), np.eye(3)[ids])


# Parameters


@pytest.mark.filterwarnings("ignore:.*`booster=dart` is deprecated:UserWarning")  # from XGBoost 3.4 on
def test_parameters_reach_xgboost(problem):
    embeddings, ids = problem()
    head = XGBoostHead(n_estimators=3, max_depth=2, booster="dart", rate_drop=0.5, random_state=1).fit(embeddings, ids)
    booster = head.model_.get_booster()
    assert booster.num_boosted_rounds() == 3
    config = booster.save_config().replace('"', "")
    for setting in ("max_depth:2", "rate_drop:0.5", "seed:1"):
        assert setting in config


def test_it_predicts_what_xgboost_predicts(problem):
    embeddings, ids = problem(4)
    params = {"n_estimators": 5, "learning_rate": 0.2, "subsample": 0.7, "random_state": 3, "n_jobs": 1}
    reference = XGBClassifier(**params).fit(embeddings, ids)
    head = XGBoostHead(**params).fit(embeddings, ids)
    np.testing.assert_allclose(head.predict_proba(embeddings), reference.predict_proba(embeddings), atol=1e-6)


def test_an_unknown_parameter_is_refused_with_a_proposal():
    with pytest.raises(TypeError, match=r"no parameter 'max_dept'. Did you mean 'max_depth'\? It has: .*, rate_drop, "):
        XGBoostHead(max_dept=3)
    head = XGBoostHead(max_depth=3)
    with pytest.raises(TypeError, match="no parameter 'nonsense'"):
        head.set_params(max_depth=4, nonsense=1)
    assert head.get_params() == {"random_state": None, "max_depth": 3}


@pytest.mark.parametrize("objective", ["reg:squarederror", "binary:logitraw", "rank:pairwise", None, "typo"])
def test_an_objective_without_probabilities_is_refused(objective):
    with pytest.raises(ValueError, match="does not give the probabilities of classes"):
        XGBoostHead(objective=objective)


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize(
    "objective", ["binary:hinge", "binary:logistic", "multi:softmax", "multi:softprob", "reg:logistic"]
)
def test_every_allowed_objective_gives_probabilities(objective, num_classes, problem, make_head):
    embeddings, ids = problem(num_classes)
    head = make_head(objective=objective).fit(embeddings, ids)
    probabilities = head.predict_proba(embeddings)
    assert probabilities.shape == (len(ids), num_classes)
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert head.predict(embeddings).tolist() == ids


def test_an_objective_of_ones_own_trains(problem, make_head):
    def squared(labels, scores):
        probabilities = 1 / (1 + np.exp(-scores))
        return probabilities - labels, np.full_like(scores, 0.25)

    embeddings, ids = problem(2)
    assert make_head(objective=squared).fit(embeddings, ids).predict(embeddings).tolist() == ids


def test_parameters_are_told_cloned_and_set(problem, make_head):
    embeddings, ids = problem()
    head = XGBoostHead(max_depth=3, random_state=5)
    assert repr(head) == "XGBoostHead(max_depth=3, random_state=5)"
    assert clone(head).get_params() == head.get_params() == {"random_state": 5, "max_depth": 3}
    head.fit(embeddings, ids)
    before = head.predict_proba(embeddings)
    assert head.set_params(random_state=6, n_estimators=1) is head
    assert head.get_params() == {"random_state": 6, "max_depth": 3, "n_estimators": 1}
    np.testing.assert_array_equal(head.predict_proba(embeddings), before)
    assert head.fit(embeddings, ids).model_.get_booster().num_boosted_rounds() == 1


# Training and predicting


@pytest.mark.parametrize(("num_classes", "size"), [(2, 8), (5, 8), (3, 2), (2, 1), (6, 384)])
def test_it_learns_and_gives_a_column_a_class(num_classes, size, problem, make_head):
    embeddings, ids = problem(num_classes, size=size)
    head = make_head().fit(embeddings, ids)
    probabilities = head.predict_proba(embeddings)
    assert probabilities.shape == (len(ids), num_classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(head.predict(embeddings), probabilities.argmax(axis=1))
    assert (head.predict(embeddings) == ids).mean() > 0.9
    assert head.n_features_in_ == size


def test_a_refit_forgets(problem, make_head):
    head = make_head()
    for num_classes, size in ((5, 8), (2, 4), (3, 16)):
        embeddings, ids = problem(num_classes, size=size)
        head.fit(embeddings, ids)
        fresh = make_head().fit(embeddings, ids)
        np.testing.assert_array_equal(head.predict_proba(embeddings), fresh.predict_proba(embeddings))
        assert head.classes_.tolist() == fresh.classes_.tolist()


def test_no_rows_give_no_rows_of_the_right_shape(problem, make_head, recwarn):
    head = make_head().fit(*problem(4))
    assert head.predict(np.zeros((0, 8))).shape == (0,)
    assert head.predict(np.zeros((0, 8))).dtype == np.int64
    assert head.predict_proba(np.zeros((0, 8))).shape == (0, 4)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("embeddings", "said"),
    [
        (np.zeros((2, 7)), "have 7 columns, but the head was trained on 8"),
        (np.zeros((0, 9)), "have 9 columns, but the head was trained on 8"),
        (np.zeros(8), r"\[num_inputs, embedding_size\], not float64 \[8\]"),
        (np.zeros((2, 2, 8)), r"not float64 \[2, 2, 8\]"),
        (np.array([["x"] * 8]), "not <U1"),
    ],
)
def test_embeddings_of_another_shape_or_kind_are_refused(embeddings, said, problem, make_head):
    head = make_head().fit(*problem())
    for method in (head.predict, head.predict_proba):
        with pytest.raises(ValueError, match=said):
            method(embeddings)


def test_it_makes_no_difference_how_the_numbers_are_held(problem, make_head):
    embeddings, ids = problem()
    expected = make_head().fit(embeddings, ids).predict_proba(embeddings)
    frozen = embeddings.copy()
    frozen.setflags(write=False)
    wide = np.repeat(embeddings, 2, axis=1)[:, ::2]
    for same in (embeddings.astype(np.float64), np.asfortranarray(embeddings), frozen, wide, embeddings.tolist()):
        np.testing.assert_array_equal(make_head().fit(same, ids).predict_proba(same), expected)


def test_numbers_too_large_for_float32_and_nan_stay_in_their_rows(problem, make_head):
    embeddings, ids = problem()
    head = make_head().fit(embeddings, ids)
    odd = embeddings.astype(np.float64)
    odd[0], odd[1], odd[2] = 1e300, np.nan, -np.inf
    probabilities = head.predict_proba(odd)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities[3:], head.predict_proba(embeddings)[3:])


def test_weights_count(problem, make_head):
    embeddings, _ = problem(1, per_class=40)
    y = ["a", "b"] * 20  # nothing to tell them apart by
    favoured = [9.0, 1.0] * 20
    head = make_head(max_depth=1, n_estimators=2).fit(embeddings, y, sample_weight=favoured)
    assert set(head.predict(embeddings)) == {"a"}
    with pytest.raises(ValueError, match="weight"):
        head.fit(embeddings, y, sample_weight=favoured[:-1])
    assert set(head.predict(embeddings)) == {"a"}


def test_the_seed_decides_and_the_global_generator_is_left_alone(problem, make_head):
    embeddings, ids = problem()
    np.random.random()  # so that no seed gives the generator's present state
    before = np.random.get_state()[1:]
    seeds = [make_head(subsample=0.5, random_state=seed).fit(embeddings, ids) for seed in (1, 1, 2)]
    first, second, other = (head.predict_proba(embeddings) for head in seeds)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    np.testing.assert_equal(np.random.get_state()[1:], before)


def test_it_says_nothing(problem, make_head, capfd):
    embeddings, ids = problem()
    make_head().fit(embeddings, ids).predict(embeddings)
    assert capfd.readouterr() == ("", "")


def test_an_unfitted_head_says_so():
    for method in (XGBoostHead().predict, XGBoostHead().predict_proba):
        with pytest.raises(NotFittedError, match="not fitted"):
            method(np.zeros((2, 8)))


def test_threads_predict_the_same(problem, make_head):
    embeddings, ids = problem(per_class=300)
    head = make_head().fit(embeddings, ids)
    expected = head.predict_proba(embeddings)
    wrong = []

    def predict(start):
        for stop in range(start + 1, len(embeddings), 7):
            if not np.array_equal(head.predict_proba(embeddings[start:stop]), expected[start:stop]):
                wrong.append((start, stop))

    threads = [threading.Thread(target=predict, args=(start,)) for start in range(0, 800, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
