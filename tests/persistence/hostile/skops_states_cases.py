"""Hostile skops files: false states of what scikit-learn's compiled code follows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from hostile.skops_maker import attributes_of, container, npy, numbers, plain, replace, states, trained

FAR = 2**40


# Trees


def _tree(folder: Path, change: Callable[[Any], Any], head: ClassifierMixin | None = None) -> None:
    file = trained(folder, RandomForestClassifier(3, random_state=0) if head is None else head)
    file.change(attributes_of(file.objects("Tree")[0])["nodes"], change)
    file.save(folder)


def _root(**fields: int) -> Callable[[Any], None]:
    def change(nodes: Any) -> None:
        for name, value in fields.items():
            nodes[name][0] = value

    return change


def tree_with_a_child_far_away(folder: Path) -> None:
    _tree(folder, _root(left_child=FAR, right_child=FAR))


def tree_with_a_child_before_its_array(folder: Path) -> None:
    _tree(folder, _root(left_child=-FAR, right_child=-FAR))


def tree_in_a_circle(folder: Path) -> None:
    _tree(folder, _root(left_child=0, right_child=0))


def tree_that_asks_behind_the_text(folder: Path) -> None:
    _tree(folder, _root(feature=FAR))


def tree_that_asks_before_the_text(folder: Path) -> None:
    _tree(folder, _root(feature=-FAR))


def tree_without_nodes(folder: Path) -> None:
    file = trained(folder, DecisionTreeClassifier())
    tree = file.objects("Tree")[0]
    tree["content"].update(content={}, key_types=container("list", []))
    file.save(folder)


def tree_of_numbers_instead_of_arrays(folder: Path) -> None:
    file = trained(folder, RandomForestClassifier(3, random_state=0))
    tree, number = file.objects("Tree")[0], f"{next(numbers)}.npy"
    file.members[number] = npy(np.int64(1))
    state = {"__class__": "int64", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy"}
    attributes_of(tree)["nodes"] = {**state, "file": number, "__id__": next(numbers)}
    file.save(folder)


def tree_of_an_array_without_sides(folder: Path) -> None:
    _tree(folder, lambda nodes: np.array(1))


def tree_of_an_array_that_is_another_one(folder: Path) -> None:
    file = trained(folder, RandomForestClassifier(3, random_state=0))
    number = next(numbers)
    file.members[f"{number}.npy"] = npy(np.array(1))
    attributes = attributes_of(file.schema)
    state = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy"}
    attributes["n_estimators"] = {**state, "file": f"{number}.npy", "__id__": number}
    attributes_of(file.objects("Tree")[0])["nodes"]["__id__"] = number
    file.save(folder)


def tree_of_another_width(folder: Path) -> None:
    file = trained(folder, RandomForestClassifier(3, random_state=0))
    tree = file.objects("Tree")[1]
    file.change(attributes_of(tree)["nodes"], _root(feature=2**30))
    tree["__reduce__"]["args"]["content"][0] = plain(2**30 + 1)
    file.save(folder)


def tree_that_says_no_width(folder: Path) -> None:
    file = trained(folder, DecisionTreeClassifier())
    tree = file.objects("Tree")[0]
    file.change(attributes_of(tree)["nodes"], _root(feature=2**30))
    tree["__reduce__"]["args"]["content"][0] = plain(2**30 + 1)
    attributes = attributes_of(file.schema)
    del file.schema["content"]["key_types"]["content"][[*attributes].index("n_features_in_")]
    del attributes["n_features_in_"]
    file.save(folder)


def tree_that_is_the_head(folder: Path) -> None:
    file = trained(folder, DecisionTreeClassifier())
    tree = file.objects("Tree")[0]
    file.change(attributes_of(tree)["nodes"], _root(feature=2**30))
    tree["__reduce__"]["args"]["content"][0] = plain(2**30 + 1)
    replace(file.schema, **tree, protocol=2, _skops_version="0.16.0")
    file.save(folder)


def forest_with_a_billion_classes(folder: Path) -> None:
    file = trained(folder, RandomForestClassifier(3, random_state=0))
    attributes_of(file.schema)["n_classes_"] = plain(10**9)
    file.save(folder)


def boosting_with_a_feature_far_away(folder: Path) -> None:
    _tree(folder, _root(feature=FAR), GradientBoostingClassifier(n_estimators=2))


def boosting_of_another_width(folder: Path) -> None:
    file = trained(folder, GradientBoostingClassifier(n_estimators=2))
    tree, estimator = file.objects("Tree")[1], file.objects("DecisionTreeRegressor")[1]
    file.change(attributes_of(tree)["nodes"], _root(feature=2**30))
    tree["__reduce__"]["args"]["content"][0] = plain(2**30 + 1)
    attributes_of(estimator)["n_features_in_"] = plain(2**30 + 1)
    file.save(folder)


def boosting_without_a_tree(folder: Path) -> None:
    file = trained(folder, GradientBoostingClassifier(n_estimators=2))
    attributes_of(file.objects("DecisionTreeRegressor")[0])["tree_"] = plain(None)
    file.save(folder)


def boosting_with_more_columns_than_classes(folder: Path) -> None:
    file = trained(folder, GradientBoostingClassifier(n_estimators=1))
    trees = attributes_of(file.schema)["estimators_"]
    trees["content"][0]["content"] *= 400
    trees["shape"]["content"][1] = plain(len(trees["content"][0]["content"]))
    file.save(folder)


def boosting_with_a_first_guess_of_its_own(folder: Path) -> None:
    file = trained(folder, GradientBoostingClassifier(n_estimators=1, init=LogisticRegression()))
    file.save(folder)


def _histogram(folder: Path, **fields: int) -> None:
    file = trained(folder, HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=2))
    file.change(attributes_of(file.objects("TreePredictor")[0])["nodes"], _root(**fields))
    file.save(folder)


def histogram_with_a_child_far_away(folder: Path) -> None:
    _histogram(folder, left=2**31, right=2**31)


def histogram_in_a_circle(folder: Path) -> None:
    _histogram(folder, left=0, right=0)


def histogram_that_asks_behind_the_text(folder: Path) -> None:
    _histogram(folder, feature_idx=FAR)


def histogram_of_a_category_far_away(folder: Path) -> None:
    _histogram(folder, is_categorical=1, bitset_idx=2**31)


# Neighbours


def _neighbours(folder: Path, part: int, change: Callable[[Any], Any], algorithm: str = "kd_tree") -> None:
    file = trained(folder, KNeighborsClassifier(algorithm=algorithm, leaf_size=3))
    tree = file.objects("KDTree" if algorithm == "kd_tree" else "BallTree")[0]
    file.change(tree["content"]["content"][part], change)
    file.save(folder)


def _everywhere(value: int, field: str | None = None) -> Callable[[Any], None]:
    def change(array: Any) -> None:
        (array if field is None else array[field])[:] = value

    return change


def kd_tree_of_neighbours_far_away(folder: Path) -> None:
    _neighbours(folder, 1, _everywhere(FAR))


def kd_tree_of_too_few_neighbours(folder: Path) -> None:
    _neighbours(folder, 1, lambda indices: indices[:0])


def kd_tree_with_leaves_too_long(folder: Path) -> None:
    _neighbours(folder, 2, _everywhere(FAR, "idx_end"))


def kd_tree_without_leaves(folder: Path) -> None:
    _neighbours(folder, 2, _everywhere(0, "is_leaf"))


def kd_tree_without_bounds(folder: Path) -> None:
    _neighbours(folder, 3, lambda bounds: bounds[:, :1, :1].copy())


def kd_tree_without_distance(folder: Path) -> None:
    file = trained(folder, KNeighborsClassifier(algorithm="kd_tree"))
    file.objects("KDTree")[0]["content"]["content"][11] = plain(None)
    file.save(folder)


def ball_tree_without_leaves(folder: Path) -> None:
    _neighbours(folder, 2, _everywhere(0, "is_leaf"), "ball_tree")


def _brute(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    file = trained(folder, KNeighborsClassifier(algorithm="brute", metric="euclidean"))
    file.change(attributes_of(file.schema)[name], change)
    file.save(folder)


def neighbours_of_a_class_far_away(folder: Path) -> None:
    _brute(folder, "_y", lambda labels: labels * 0 + FAR)


def neighbours_of_no_class(folder: Path) -> None:
    _brute(folder, "_y", lambda labels: labels * 0 - FAR)


def neighbours_with_too_few_classes(folder: Path) -> None:
    _brute(folder, "_y", lambda labels: labels[:1])


def neighbours_of_another_width(folder: Path) -> None:
    _brute(folder, "_fit_X", lambda data: np.zeros((len(data), 100_000), np.float32))


def no_neighbours(folder: Path) -> None:
    _brute(folder, "_fit_X", lambda data: data[:0])


def neighbours_by_the_billion(folder: Path) -> None:
    file = trained(folder, KNeighborsClassifier(algorithm="brute"))
    attributes_of(file.schema).update(n_neighbors=plain(10**9), n_samples_fit_=plain(10**10))
    file.save(folder)


# Support vectors, and what else a state can do


def _vectors(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    file = trained(folder, SVC())
    file.change(attributes_of(file.schema)[name], change)
    file.save(folder)


def support_vectors_of_false_number(folder: Path) -> None:
    _vectors(
        folder, "_n_support", lambda counts: counts + np.array([2**30, -(2**30)] + [0] * (len(counts) - 2), "int32")
    )


def support_vectors_of_a_thousand_classes(folder: Path) -> None:
    _vectors(folder, "_n_support", lambda counts: np.array([sum(counts)] + [0] * 3000, "int32"))


def no_support_vectors(folder: Path) -> None:
    _vectors(folder, "support_vectors_", lambda vectors: vectors[:0])


def support_vectors_with_too_few_weights(folder: Path) -> None:
    _vectors(folder, "_dual_coef_", lambda weights: weights[:1, :1].copy())


def support_vectors_with_too_few_intercepts(folder: Path) -> None:
    _vectors(folder, "_intercept_", lambda values: values[:0])


def support_vectors_of_a_kernel_far_away(folder: Path) -> None:
    file = trained(folder, SVC())
    attributes = attributes_of(file.schema)
    attributes["kernel"] = plain("precomputed")
    attributes["shape_fit_"]["content"][0] = {**attributes["n_features_in_"], "__id__": next(numbers)}
    file.change(attributes["support_"], _everywhere(2**30))
    file.save(folder)


def random_state_that_has_left_its_array(folder: Path) -> None:
    file = trained(folder, MLPClassifier((2,), max_iter=1, random_state=np.random.RandomState(0)))
    for state in list(states(file.schema)):
        if "pos" in state and "key" in state:
            state["pos"] = plain(2**30)
    file.save(folder)


def random_state_that_is_not_there(folder: Path) -> None:
    file = trained(folder, MLPClassifier((2,), max_iter=1, random_state=np.random.RandomState(0)))
    for state in list(states(file.schema)):
        if "pos" in state and "key" in state:
            state["key"] = container("list", [])
    file.save(folder)


def has_a_random_generator_of_another_name(folder: Path) -> None:
    file = trained(folder, HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=2))
    name = next(state for state in states(file.schema) if state.get("content") == '"PCG64"')
    name["content"] = '"seed"'
    file.save(folder)


def has_a_random_generator_that_never_ends(folder: Path) -> None:
    file = trained(folder, HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=2))
    pool = next(state["pool_size"] for state in states(file.schema) if "pool_size" in state)
    pool["content"] = "1000000000"
    file.save(folder)


CASES = (
    tree_with_a_child_far_away,
    tree_with_a_child_before_its_array,
    tree_in_a_circle,
    tree_that_asks_behind_the_text,
    tree_that_asks_before_the_text,
    tree_without_nodes,
    tree_of_numbers_instead_of_arrays,
    tree_of_an_array_without_sides,
    tree_of_an_array_that_is_another_one,
    tree_of_another_width,
    tree_that_says_no_width,
    tree_that_is_the_head,
    forest_with_a_billion_classes,
    boosting_with_a_feature_far_away,
    boosting_of_another_width,
    boosting_without_a_tree,
    boosting_with_more_columns_than_classes,
    boosting_with_a_first_guess_of_its_own,
    histogram_with_a_child_far_away,
    histogram_in_a_circle,
    histogram_that_asks_behind_the_text,
    histogram_of_a_category_far_away,
    kd_tree_of_neighbours_far_away,
    kd_tree_of_too_few_neighbours,
    kd_tree_with_leaves_too_long,
    kd_tree_without_leaves,
    kd_tree_without_bounds,
    kd_tree_without_distance,
    ball_tree_without_leaves,
    neighbours_of_a_class_far_away,
    neighbours_of_no_class,
    neighbours_with_too_few_classes,
    neighbours_of_another_width,
    no_neighbours,
    neighbours_by_the_billion,
    support_vectors_of_false_number,
    support_vectors_of_a_thousand_classes,
    no_support_vectors,
    support_vectors_with_too_few_weights,
    support_vectors_with_too_few_intercepts,
    support_vectors_of_a_kernel_far_away,
    random_state_that_has_left_its_array,
    random_state_that_is_not_there,
    has_a_random_generator_of_another_name,
    has_a_random_generator_that_never_ends,
)
