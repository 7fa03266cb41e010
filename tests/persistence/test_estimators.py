"""What a file says about an estimator is checked before anything follows it."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn._loss.link import LogitLink
from sklearn._loss.loss import HalfBinomialLoss
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import DistanceMetric
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import BallTree, KDTree, KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from setfit_core.errors import ModelFormatError, UntrustedTypesError
from setfit_core.persistence.head import read_head, write_head
from setfit_core.persistence.skops.estimators import check_estimator_state

HERE = Path(__file__).parent
with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what other libraries deprecate while they are imported is their business
    patch.syspath_prepend(str(HERE))
    from hostile import skops_states_cases

#: Every false state of the hostile corpus, and why it is refused.
REASONS = {
    "tree_with_a_child_far_away": "nodes that aren't there",
    "tree_with_a_child_before_its_array": "nodes that aren't there",
    "tree_in_a_circle": "meet twice",
    "tree_that_asks_behind_the_text": "leaves the text",
    "tree_that_asks_before_the_text": "leaves the text",
    "tree_without_nodes": "a dict is a NoneType",
    "tree_of_an_array_without_sides": "not made of arrays",
    "tree_of_an_array_that_is_another_one": "stands for two objects",
    "tree_of_numbers_instead_of_arrays": "not made of arrays",
    "tree_of_another_width": "texts of another width",
    "tree_that_says_no_width": "n_features_in_ is NoneType",
    "tree_that_is_the_head": "a tree stands where a head belongs",
    "forest_with_a_billion_classes": "1000000000 classes, and names 3",
    "boosting_with_a_feature_far_away": "leaves the text",
    "boosting_of_another_width": "texts of another width",
    "boosting_without_a_tree": "has no tree",
    "boosting_with_more_columns_than_classes": "other classes than trees",
    "boosting_with_a_first_guess_of_its_own": "it starts from a LogisticRegression",
    "histogram_with_a_child_far_away": "nodes that aren't there",
    "histogram_in_a_circle": "meet twice",
    "histogram_that_asks_behind_the_text": "leaves the text",
    "histogram_of_a_category_far_away": "a number for a category",
    "kd_tree_of_neighbours_far_away": "k-d tree points outside",
    "kd_tree_of_too_few_neighbours": "k-d tree points outside",
    "kd_tree_with_leaves_too_long": "k-d tree points outside",
    "kd_tree_without_leaves": "node without children",
    "kd_tree_without_bounds": "k-d tree has no bounds",
    "kd_tree_without_distance": "unknown distance",
    "ball_tree_without_leaves": "node without children",
    "neighbours_of_a_class_far_away": "a class that isn't there",
    "neighbours_of_no_class": "a class that isn't there",
    "neighbours_with_too_few_classes": "have no classes",
    "neighbours_of_another_width": "neighbours are of another width",
    "no_neighbours": "neighbours are of another width",
    "neighbours_by_the_billion": "neighbours are of another width",
    "support_vectors_of_false_number": "vectors are of another number",
    "support_vectors_of_a_thousand_classes": "vectors are of other classes",
    "no_support_vectors": "vectors are of another number",
    "support_vectors_with_too_few_weights": "have other weights",
    "support_vectors_with_too_few_intercepts": "intercepts are of another number",
    "support_vectors_of_a_kernel_far_away": "kernel is computed by somebody else",
    "random_state_that_has_left_its_array": "has left its state",
    "random_state_that_is_not_there": "head.skops can't be read",
    "has_a_random_generator_of_another_name": "generator is not numpy's",
    "has_a_random_generator_that_never_ends": "another pool than numpy's",
}
CASES = {case.__name__: case for case in skops_states_cases.CASES}


@pytest.fixture
def model(tmp_path, embeddings, classes):
    """The folder of a model with a trained head, and how to read that head."""
    (tmp_path / "head").mkdir()
    record = write_head(tmp_path / "head", LogisticRegression().fit(embeddings, classes), None, None)

    def read(**options):
        return read_head(tmp_path / "head", record, device="cpu", **options)[0]

    return tmp_path, read


@pytest.fixture
def back(tmp_path):
    """Write a head and read it again."""
    (tmp_path / "head").mkdir()

    def back(trained, **options):
        record = write_head(tmp_path / "head", trained, None, None)
        return read_head(tmp_path / "head", record, device="cpu", **options)[0]

    return back


def test_every_false_state_has_a_reason():
    assert set(REASONS) == set(CASES)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", CASES)
def test_a_false_state_is_refused_and_named(name, model):
    folder, read = model
    CASES[name](folder)
    with pytest.raises(ModelFormatError, match=REASONS[name]) as caught:
        read()
    assert "head.skops" in str(caught.value)


def test_a_first_guess_that_can_not_be_checked_takes_trust(back, embeddings, classes):
    head = GradientBoostingClassifier(n_estimators=2, init=LogisticRegression()).fit(embeddings, classes)
    name = "sklearn.ensemble._gb.GradientBoostingClassifier"
    with pytest.raises(UntrustedTypesError, match="starts from a LogisticRegression") as caught:
        back(head)
    assert caught.value.types == (name,)
    loaded = back(head, trusted=[name])
    np.testing.assert_array_equal(loaded.predict_proba(embeddings), head.predict_proba(embeddings))


def test_trust_in_a_compiled_type_does_not_keep_it_from_being_checked(model):
    folder, read = model
    CASES["tree_in_a_circle"](folder)
    with pytest.raises(ModelFormatError, match="meet twice"):
        read(trusted=["sklearn.tree._tree.Tree", "sklearn.tree._classes.DecisionTreeClassifier"])


class Grove:
    """A head of somebody's own that holds a tree itself."""

    def fit(self, x, y):
        self.tree = DecisionTreeClassifier().fit(x, y).tree_
        return self

    def predict(self, x):
        return self.predict_proba(x).argmax(1)

    def predict_proba(self, x):
        return self.tree.predict(x)


def test_a_class_that_is_trusted_may_hold_a_tree(back, embeddings, classes):
    head = Grove().fit(embeddings, classes)
    # Its name alone may come from the folder's configuration, and so isn't enough.
    with pytest.raises(UntrustedTypesError, match="it holds a tree in 'tree'") as caught:
        back(head, head=Grove)
    loaded = back(head, head=Grove, trusted=caught.value.types)
    np.testing.assert_array_equal(loaded.predict(embeddings), head.predict(embeddings))


def test_more_jobs_than_processors_and_caches_stay_where_they_were(back, embeddings, label_rows, tmp_path):
    head = MultiOutputClassifier(LogisticRegression(n_jobs=None), n_jobs=1).fit(embeddings, label_rows)
    head.n_jobs = 10**6
    assert back(head).n_jobs == os.cpu_count()
    assert head.n_jobs == 10**6
    head = make_pipeline(StandardScaler(), LogisticRegression()).fit(embeddings, label_rows[:, 0])
    head.memory = str(tmp_path / "cache")
    assert back(head).memory is None
    head = RandomForestClassifier(2, n_jobs=-1).fit(embeddings, label_rows)
    assert back(head).n_jobs == -1


@pytest.mark.parametrize("jobs", ["1", 1.5, [1]])
def test_jobs_that_are_no_number_are_refused(jobs):
    with pytest.raises(ModelFormatError, match="number of jobs"):
        check_estimator_state(RandomForestClassifier(n_jobs=jobs), "head.skops")


def test_a_head_is_checked_wherever_its_parts_are(embeddings, classes):
    tree = DecisionTreeClassifier().fit(embeddings, classes)
    for head in ([tree], {"a": (tree,)}, np.array([[tree, tree]], dtype=object), make_pipeline(StandardScaler(), tree)):
        check_estimator_state(head, "head.skops")
    tree.n_features_in_ = 7
    for head in ([tree], {"a": (tree,)}, np.array([[tree, tree]], dtype=object), make_pipeline(StandardScaler(), tree)):
        with pytest.raises(ModelFormatError, match="texts of another width"):
            check_estimator_state(head, "head.skops")


def with_sets(predictor, sets):
    predictor.raw_left_cat_bitsets = sets
    return predictor


def with_outputs(first):
    first.n_outputs_ = 2
    return first


def with_link(loss, link):
    loss.link = link
    return loss


def without_nodes(predictor):
    predictor.nodes = predictor.nodes[:0]
    return predictor


TRAINED = {
    "tree": DecisionTreeClassifier(),
    "forest": RandomForestClassifier(2),
    "boosting": GradientBoostingClassifier(n_estimators=1),
    "histogram": HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=2),
    "brute": KNeighborsClassifier(algorithm="brute"),
    "kd_tree": KNeighborsClassifier(algorithm="kd_tree"),
    "svc": SVC(),
}


@pytest.mark.parametrize(
    ("head", "name", "change", "reason"),
    [
        ("tree", "tree_", lambda tree: None, "has no tree"),
        ("tree", "n_features_in_", lambda width: width + 1, "texts of another width"),
        ("tree", "n_features_in_", float, "n_features_in_ is float"),
        ("tree", "n_features_in_", bool, "n_features_in_ is bool"),
        ("tree", "n_outputs_", lambda count: 2, "has other outputs"),
        ("forest", "estimators_", tuple, "forest has no trees"),
        ("forest", "estimators_", lambda trees: [LogisticRegression()], "forest has no trees"),
        ("forest", "estimators_", lambda trees: [DecisionTreeClassifier()], "forest has no trees"),
        ("forest", "n_features_in_", lambda width: width + 1, "texts of another width"),
        ("forest", "n_outputs_", lambda count: 2, "other outputs than its forest"),
        ("boosting", "estimators_", np.ravel, "boosting has no trees"),
        ("boosting", "estimators_", lambda trees: trees[:0], "boosting has no trees"),
        ("boosting", "estimators_", lambda trees: np.array([[LogisticRegression()] * 3]), "other than trees"),
        ("boosting", "estimators_", lambda trees: np.array([[DecisionTreeClassifier()] * 3]), "has no tree"),
        ("boosting", "n_features_in_", lambda width: width + 1, "texts of another width"),
        ("boosting", "n_trees_per_iteration_", lambda count: 1, "other classes than trees"),
        ("boosting", "classes_", lambda names: names[:2], "classes"),
        ("boosting", "estimators_", lambda trees: trees[:, :2], "other classes than trees"),
        ("boosting", "init_", lambda first: with_outputs(first), "other classes"),
        ("boosting", "_loss", lambda loss: None, "loss of another task"),
        ("boosting", "_loss", lambda loss: HalfBinomialLoss(), "loss of another task"),
        ("boosting", "init_", lambda first: DummyClassifier(strategy="uniform").fit([[0]] * 3, [0, 1, 2]), "no prior"),
        ("boosting", "init_", lambda first: DummyClassifier(strategy="prior").fit([[0]] * 2, [0, 1]), "other classes"),
        ("boosting", "_loss", lambda loss: with_link(loss, LogitLink()), "link of another task"),
        ("histogram", "_predictors", lambda rows: [[with_sets(rows[0][0], np.zeros((1, 4), "u4"))] * 3], "no set of"),
        ("histogram", "_in_fit", lambda value: True, "is being trained"),
        ("histogram", "n_trees_per_iteration_", lambda count: 1, "other classes than trees"),
        ("histogram", "_bin_mapper", lambda bins: None, "bins are of another width"),
        ("histogram", "_predictors", tuple, "boosting has no trees"),
        ("histogram", "_predictors", lambda rows: [rows[0][:1]], "other classes than trees"),
        ("histogram", "_predictors", lambda rows: [[DecisionTreeClassifier()] * 3], "other than trees"),
        ("histogram", "_predictors", lambda rows: [[without_nodes(rows[0][0])] * 3], "has no nodes"),
        ("brute", "metric", lambda metric: "precomputed", "computed by somebody else"),
        ("brute", "_fit_X", list, "_fit_X is no array"),
        ("brute", "_fit_X", np.ravel, "_fit_X has 1 dimensions"),
        ("brute", "_fit_X", lambda data: data.astype(complex), "_fit_X is of the type complex"),
        ("brute", "_fit_X", np.asfortranarray, "lie in the wrong order"),
        ("brute", "n_neighbors", lambda count: 10**6, "more neighbours than there are"),
        ("brute", "_fit_method", lambda method: "guess", "method is unknown"),
        ("brute", "_fit_method", lambda method: "kd_tree", "tree is of another kind"),
        ("brute", "_y", list, "_y is no array"),
        ("brute", "_y", lambda labels: labels.astype(float), "_y is of the type float"),
        ("brute", "_y", lambda labels: labels[:, None], "have no classes"),
        ("brute", "outputs_2d_", lambda value: True, "have other classes"),
        ("brute", "classes_", lambda names: names[:, None], "have no classes"),
        ("kd_tree", "_tree", lambda tree: KDTree(np.zeros((60, 2))), "tree is of other neighbours"),
        ("kd_tree", "_tree", lambda tree: BallTree(np.zeros((60, 32))), "tree is of another kind"),
        ("kd_tree", "_tree", lambda tree: BinaryTreeOfNobody(np.zeros((60, 32))), "tree is of another kind"),
        ("svc", "_sparse", lambda value: True, "are sparse"),
        ("svc", "kernel", lambda kernel: len, "computed by somebody else"),
        ("svc", "n_features_in_", lambda width: width + 1, "vectors are of another width"),
        ("svc", "support_", lambda places: places[1:], "vectors are of another number"),
        ("svc", "_probA", lambda values: np.zeros(1), "probabilities are of another number"),
        ("svc", "_probA", lambda values: np.zeros(3), "probabilities are of another number"),
    ],
)
def test_what_does_not_agree_is_refused(head, name, change, reason, embeddings, classes):
    head = clone(TRAINED[head]).fit(embeddings, classes)
    check_estimator_state(head, "head.skops")
    setattr(head, name, change(getattr(head, name, None)))
    with pytest.raises(ModelFormatError, match=reason):
        check_estimator_state(head, "head.skops")


class BinaryTreeOfNobody(KDTree):
    """Not the type that it stands for."""


@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        (4, 0, "no leaves"),
        (5, 3, "other nodes than it says"),
        (6, 2, "other nodes than it says"),
        (0, np.zeros((59, 32)), "points outside"),
        (0, np.zeros((0, 32)), "no data"),
        (11, DistanceMetric.get_metric("canberra"), "unknown distance"),
        (11, DistanceMetric.get_metric("minkowski", p=3, w=np.ones(4)), "distance of another width"),
        (12, np.ones(3), "other weights"),
    ],
)
@pytest.mark.parametrize("kind", [KDTree, BallTree])
def test_a_tree_of_neighbours_that_does_not_agree_is_refused(kind, part, value, reason, embeddings):
    tree = kind(embeddings)
    check_estimator_state(tree, "head.skops")
    state = list(tree.__getstate__())
    state[part] = value
    tree.__setstate__(tuple(state))
    with pytest.raises(ModelFormatError, match=reason):
        check_estimator_state(tree, "head.skops")


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev", "minkowski"])
def test_a_distance_of_false_power_is_refused(metric, embeddings):
    distance = DistanceMetric.get_metric(metric, **({"p": 3} if metric == "minkowski" else {}))
    tree = KDTree(embeddings, metric=distance)
    check_estimator_state(tree, "head.skops")
    _, vector, matrix = distance.__getstate__()
    distance.__setstate__((-1.0, vector, matrix))
    with pytest.raises(ModelFormatError, match="false distance"):
        check_estimator_state(tree, "head.skops")


def test_a_tree_with_a_circle_beside_it_is_refused(embeddings, classes):
    head = DecisionTreeClassifier(max_leaf_nodes=3).fit(embeddings, classes)
    state = head.tree_.__getstate__()
    state["nodes"]["left_child"] = [1, -1, -1, 3, -1]
    state["nodes"]["right_child"] = [2, -1, -1, 4, -1]
    state["nodes"]["feature"] = 0
    head.tree_ = Tree(32, np.array([3]), 1)
    head.tree_.__setstate__(state)
    with pytest.raises(ModelFormatError, match="runs in a circle"):
        check_estimator_state(head, "head.skops")


def test_a_tree_that_is_deeper_than_it_says_is_refused(embeddings, classes):
    head = DecisionTreeClassifier().fit(embeddings, classes)
    head.tree_.max_depth = 1
    with pytest.raises(ModelFormatError, match="deeper than it says"):
        check_estimator_state(head, "head.skops")


class Watched:
    """Whatever it is asked, it says that it was asked."""

    def __init__(self):
        self.__dict__["asked"] = []
        self.__dict__["tree"] = RandomForestClassifier()

    def __getattr__(self, name):
        self.asked.append(name)
        raise AttributeError(name)

    @property
    def probability(self):
        self.asked.append("probability")
        return 1


def test_no_property_of_a_head_is_run():
    head = Watched()
    check_estimator_state(head, "head.skops")
    assert head.asked == []
