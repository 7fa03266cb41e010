"""What XGBoost writes as JSON, checked before XGBoost reads it again.

XGBoost's reader and its predictor trust the file: a child beyond the end of a tree, a cycle or deep nesting crash the
process. So nothing here is passed over: every key is one that the boosters of a classifier write, and every value is
one that can't lead out of an array.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from setfit_head_xgboost.head import OBJECTIVES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_model"]

#: Levels of one tree. XGBoost's default is 6; without a limit they grow with the examples, but not so far.
MAX_DEPTH: Final = 1000
MAX_FEATURES: Final = 1_000_000
MAX_FLOAT: Final = 3.4028234663852886e38  # the largest float32
MAX_INTEGER: Final = 2**31 - 1

#: XGBoost's "no parent", and the feature of a node that pruning took out of its tree.
NO_NODE: Final = MAX_INTEGER

NUMBER: Final = r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][-+]?\d{1,3})?"

OBJECTIVE_PARAMETERS: Final = {
    "binary:hinge": {},
    "binary:logistic": {"reg_loss_param": "scale_pos_weight"},
    "multi:softmax": {"softmax_multiclass_param": "num_class"},
    "multi:softprob": {"softmax_multiclass_param": "num_class"},
    "reg:logistic": {"reg_loss_param": "scale_pos_weight"},
}
NO_CATEGORIES: Final[dict[str, list[Any]]] = {"enc": [], "feature_segments": [], "sorted_idx": []}

INTEGERS: Final = ("left_children", "right_children", "parents", "split_indices", "split_type", "default_left")
FLOATS: Final = ("split_conditions", "base_weights", "loss_changes", "sum_hessian")
CATEGORIES: Final = ("categories", "categories_nodes", "categories_segments", "categories_sizes")


def check_model(document: Any, num_classes: int) -> None:
    """Refuse what is no trained classifier of this head, whole and consistent in itself.

    Args:
        document: XGBoost's model file, parsed by Python's `json`.
        num_classes: How many classes the head has.

    Raises:
        ValueError: Something is missing, of the wrong kind, out of range or unknown; the message says what.
    """
    version, learner = _members(document, "the file", "version", "learner")
    if not 3 <= _integers(version, "version", 3)[0] < 100 or not all(0 <= part < 1000 for part in version):
        raise ValueError("`version` is none of XGBoost's from 3.0 on")
    attributes, names, types, booster, parameters, objective = _members(
        learner, "learner",
        "attributes", "feature_names", "feature_types", "gradient_booster", "learner_model_param", "objective",
    )  # fmt: skip  # one line for each of them says less
    groups = _check_objective(objective, num_classes)
    num_features = _check_learner(parameters, groups, logistic="logistic" in objective["name"])
    if attributes != {} or names != []:
        raise ValueError("`attributes` or `feature_names` are not empty, and this head gives none")
    if type(types) is not list or (types and len(types) != num_features):
        raise ValueError("`feature_types` are not as many as the features")
    if not all(kind in ("float", "int", "i", "q") for kind in types):
        raise ValueError("`feature_types` names others than numbers (float, int, i, q)")
    _check_booster(booster, groups, num_features)


def _check_objective(objective: Any, num_classes: int) -> int:
    """Return for how many groups there are trees: one for two classes, else one a class."""
    name = objective.get("name") if type(objective) is dict else None
    if type(name) is not str or name not in OBJECTIVES:
        raise ValueError(f"`objective` is none of {', '.join(OBJECTIVES)}")
    expected = OBJECTIVE_PARAMETERS[name]
    _, *groups = _members(objective, "objective", "name", *expected)
    parameters = [_members(group, key, expected[key])[0] for group, key in zip(groups, expected, strict=True)]
    if not name.startswith("multi:"):
        if num_classes != 2 or not all(_is_number(text) for text in parameters):
            raise ValueError(f"{name} needs two classes and a number as parameter, and the head has {num_classes}")
        return 1
    if _count(parameters[0], "num_class") != num_classes:
        raise ValueError(f"`objective` has another number of classes than the head's {num_classes}")
    return num_classes


def _check_learner(parameters: Any, groups: int, *, logistic: bool) -> int:
    """Return the number of features."""
    score, average, num_class, num_feature, num_target = _members(
        parameters, "learner_model_param", "base_score", "boost_from_average", "num_class", "num_feature", "num_target"
    )
    if _count(num_class, "num_class") != (groups if groups > 1 else 0) or _count(num_target, "num_target") != 1:
        raise ValueError("`num_class` or `num_target` doesn't fit the objective")
    if average not in ("0", "1"):
        raise ValueError("`boost_from_average` is neither 0 nor 1")
    texts = score.removeprefix("[").removesuffix("]").split(",") if type(score) is str else []
    if len(texts) not in (1, groups) or not all(map(_is_number, texts)) or score.startswith("[") != score.endswith("]"):
        raise ValueError("`base_score` is no number, and no list of a number a class")
    scores = [*map(float, texts)]
    if not _finite(scores) or (logistic and not 0 <= scores[0] <= 1):
        raise ValueError("`base_score` is out of range")
    features = _count(num_feature, "num_feature")
    if not 1 <= features <= MAX_FEATURES:
        raise ValueError(f"`num_feature` is not between 1 and {MAX_FEATURES}")
    return features


def _check_booster(booster: Any, groups: int, num_features: int) -> None:
    name = booster.get("name") if type(booster) is dict else None
    if name == "gbtree":
        _check_trees(_members(booster, "gradient_booster", "model", "name")[0], groups, num_features)
    elif name == "dart":
        inner, weights, _ = _members(booster, "gradient_booster", "gbtree", "weight_drop", "name")
        model, kind = _members(inner, "gbtree", "model", "name")
        if kind != "gbtree":
            raise ValueError("the booster inside of dart is not gbtree")
        _check_trees(model, groups, num_features)
        if not _finite(_floats(weights, "weight_drop", len(model["trees"]))):
            raise ValueError("`weight_drop` holds a number that is not finite")
    elif name == "gblinear":
        rounds, weights = _members(
            _members(booster, "gradient_booster", "model", "name")[0], "model", "boosted_rounds", "weights"
        )
        if type(rounds) is not int or not 0 <= rounds <= MAX_INTEGER:
            raise ValueError("`boosted_rounds` is no count")
        if not _finite(_floats(weights, "weights", (num_features + 1) * groups)):
            raise ValueError("`weights` holds a number that is not finite")
    else:
        raise ValueError("`gradient_booster` is none of gbtree, dart, gblinear")


def _check_trees(model: Any, groups: int, num_features: int) -> None:
    if type(model) is dict and "cats" in model:  # XGBoost writes it from 3.1 on
        model = {**model}
        if model.pop("cats") != NO_CATEGORIES:
            raise ValueError("`cats` holds categories, and embeddings are numbers")
    parameters, indptr, info, trees = _members(
        model, "model", "gbtree_model_param", "iteration_indptr", "tree_info", "trees"
    )
    parallel, num_trees = (
        _count(text, "gbtree_model_param")
        for text in _members(parameters, "gbtree_model_param", "num_parallel_tree", "num_trees")
    )
    if type(trees) is not list or len(trees) != num_trees:
        raise ValueError("`num_trees` is not the number of trees")
    if any(_has_vectors(tree) for tree in trees):
        raise ValueError(
            "the leaves are vectors, which each version of XGBoost writes otherwise; train with "
            "multi_strategy='one_output_per_tree'"
        )
    step = parallel * groups
    if not step or num_trees % step or indptr != [*range(0, num_trees + 1, step)] or {*map(type, indptr)} != {int}:
        raise ValueError("`iteration_indptr` doesn't share the trees out among the rounds")
    if any(not 0 <= group < groups for group in _integers(info, "tree_info", num_trees)):
        raise ValueError("`tree_info` names a class that isn't there")
    number = 0
    try:
        for number, tree in enumerate(trees):
            _check_tree(tree, number, num_features)
    except ValueError as error:
        raise ValueError(f"tree {number}: {error}") from None


def _has_vectors(tree: Any) -> bool:
    parameters = tree.get("tree_param") if type(tree) is dict else None
    return type(parameters) is dict and parameters.get("size_leaf_vector") != "1"


def _check_tree(tree: Any, number: int, num_features: int) -> None:
    parameters, identity, *arrays = _members(tree, "tree", "tree_param", "id", *INTEGERS, *FLOATS, *CATEGORIES)
    deleted, features, size, _ = (
        _count(text, "tree_param")
        for text in _members(parameters, "tree_param", "num_deleted", "num_feature", "num_nodes", "size_leaf_vector")
    )
    if type(identity) is not int or identity != number or features != num_features or not size:
        raise ValueError("`id` or `tree_param` doesn't fit the model")
    if any(array != [] for array in arrays[-len(CATEGORIES) :]):
        raise ValueError("it asks for categories, and embeddings are numbers; train without enable_categorical")
    left, right, parents, indices, kinds, defaults = (
        _integers(array, name, size) for name, array in zip(INTEGERS, arrays, strict=False)
    )
    conditions, *_ = (_floats(array, name, size) for name, array in zip(FLOATS, arrays[len(INTEGERS) :], strict=False))
    if any(kinds) or not {*defaults} <= {0, 1}:
        raise ValueError("`split_type` or `default_left` holds what no split of numbers has")
    _check_nodes(left, right, parents, indices, conditions, num_features=num_features, deleted=deleted)


def _check_nodes(
    left: Sequence[int],
    right: Sequence[int],
    parents: Sequence[int],
    indices: Sequence[int],
    conditions: Sequence[float],
    *,
    num_features: int,
    deleted: int,
) -> None:
    """Refuse a tree unless its root leads to every node once, but for those that pruning took out."""
    size = len(parents)
    if parents[0] != NO_NODE or not all(0 <= parent < size for parent in parents[1:]):
        raise ValueError("`parents` names a node that isn't there")
    pruned = [node for node, index in enumerate(indices) if index == NO_NODE]
    if len(pruned) != deleted or any(left[node] != -1 or right[node] != -1 for node in pruned):
        raise ValueError("the nodes that were pruned are more or fewer than `num_deleted`, or have children")
    reached, level = 0, [0]
    for _ in range(MAX_DEPTH):
        reached += len(level)
        below = [
            child
            for node in level
            if _splits(left[node], right[node], indices[node], conditions[node], num_features)
            for child in (left[node], right[node])
            if _is_child(child, node, parents)
        ]
        if not below:
            break
        level = below
    else:
        raise ValueError(f"it has more than {MAX_DEPTH} levels")
    if reached + deleted != size:
        raise ValueError("it has nodes that its root doesn't lead to")


def _splits(left: int, right: int, index: int, condition: float, num_features: int) -> bool:
    """Return whether a node has children."""
    if not 0 <= index < num_features:
        raise ValueError("`split_indices` names a feature that isn't there")
    if left == right == -1:
        if not _finite([condition]):
            raise ValueError("the value of a leaf is not finite")
        return False
    if left == right or math.isnan(condition):
        raise ValueError("a node has one child twice, or splits by what is not a number")
    return True


def _is_child(child: int, node: int, parents: Sequence[int]) -> bool:
    """Refuse a child that isn't there or has another parent: so none has two, and no cycle leads back to the root."""
    if not 0 < child < len(parents) or parents[child] != node:
        raise ValueError("a node's child isn't there, or names another parent")
    return True


def _members(value: Any, where: str, *names: str) -> list[Any]:
    """Return what an object holds under these names; it has to hold them all, and nothing else."""
    if type(value) is not dict:
        raise ValueError(f"`{where}` is no object")
    if missing := [name for name in names if name not in value]:
        raise ValueError(f"`{where}` lacks {missing[0]}")
    if unknown := sorted(value.keys() - {*names}):
        raise ValueError(
            f"`{where}` holds {unknown[0][:40]!r}, which this version of setfit-head-xgboost doesn't know; update it"
        )
    return [value[name] for name in names]


def _count(text: Any, name: str) -> int:
    """Return a number that XGBoost writes as text."""
    if type(text) is not str or not re.fullmatch(r"\d{1,10}", text, re.ASCII) or int(text) > MAX_INTEGER:
        raise ValueError(f"`{name}` is no count")
    return int(text)


def _is_number(text: Any) -> bool:
    return type(text) is str and re.fullmatch(NUMBER, text, re.ASCII) is not None


def _integers(values: Any, name: str, length: int) -> list[int]:
    """Return an array of integers of any size."""
    if type(values) is not list or len(values) != length or not {*map(type, values)} <= {int}:
        raise ValueError(f"`{name}` doesn't hold {length} integers")
    return values


def _floats(values: Any, name: str, length: int) -> list[float]:
    if type(values) is not list or len(values) != length or not {*map(type, values)} <= {float}:
        raise ValueError(f"`{name}` doesn't hold {length} fractions")
    return values


def _finite(values: Sequence[float]) -> bool:
    """Return whether these are numbers in the precision of XGBoost, too."""
    return all(-MAX_FLOAT <= value <= MAX_FLOAT for value in values)
