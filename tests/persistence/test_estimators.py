"""What a file says about an estimator is checked before anything follows it."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from setfit_core.errors import ModelFormatError, UntrustedTypesError
from setfit_core.persistence.estimators import check_estimator_state
from setfit_core.persistence.head import read_head, write_head

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
    "tree_without_nodes": "no nodes",
    "tree_of_another_width": "texts of another width",
    "tree_that_says_no_width": "n_features_in_ is NoneType",
    "tree_that_is_the_head": "a Tree stands where none belongs",
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
    np.testing.assert_array_equal(back(head, head=Grove).predict(embeddings), head.predict(embeddings))


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
