"""LightGBM's trees as arrays, and back.

LightGBM's own reader trusts its text: a child or a feature that isn't there leads out of its arrays. So the text of a
saved head is never read. What is kept are arrays, which a few lines can check, and from which the text is written
anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import lightgbm
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["DTYPES", "LINKS", "Trees", "booster_from", "trees_of"]

Trees: TypeAlias = "dict[str, npt.NDArray[Any]]"

#: `num_leaves` has a value for each tree, `leaf_value` one for each leaf, and the others one for each split; those of
#: one tree follow those of the tree before. A child is a split of the same tree, counted from 0, or `~leaf`.
DTYPES: Final[Mapping[str, type[np.generic]]] = {
    "num_leaves": np.int32,
    "leaf_value": np.float64,
    "split_feature": np.int32,
    "threshold": np.float64,
    "left_child": np.int32,
    "right_child": np.int32,
}
#: From an objective to how LightGBM spells it in a model.
LINKS: Final = {
    "binary": "binary sigmoid:1",
    "multiclass": "multiclass num_class:{num_class}",
    "multiclassova": "multiclassova num_class:{num_class} sigmoid:1",
}
#: Of splits by numbers of which none was missing in training; the second bit has no meaning there.
NUMERICAL: Final = {"0", "2"}
MAX_FEATURES: Final = 100_000
MAX_LEAVES: Final = 131_072  # of one tree; LightGBM's own bound
#: Of absolute leaves. Far beyond what training gives, and far from where scores would be infinite.
MAX_SUM: Final = 1e12
MAX_TREES: Final = 100_000


def trees_of(booster: lightgbm.Booster) -> Trees:
    """Return the trees of a trained booster.

    Raises:
        ValueError: One splits by a category or a missing value, or has models for leaves.
    """
    trees = [
        dict(line.split("=", 1) for line in tree.splitlines() if "=" in line)
        for tree in booster.model_to_string().partition("\nend of trees")[0].split("\nTree=")[1:]
    ]
    for tree in trees:
        if tree["is_linear"] != "0" or not NUMERICAL.issuperset(tree["decision_type"].split()):
            raise ValueError("a tree splits by something other than numbers, or has models for leaves")
    return {
        name: np.array([number for tree in trees for number in tree[name].split()]).astype(dtype)
        for name, dtype in DTYPES.items()
    }


def booster_from(trees: Mapping[str, npt.NDArray[Any]], objective: str, num_features: int, num_class: int) -> Any:
    """Build a booster, if these are its trees.

    Args:
        trees: Arrays as in `DTYPES`, whatever they hold.
        objective: One of `LINKS`.
        num_features: Size of one embedding.
        num_class: How many classes there are.

    Raises:
        ValueError: A tree is none, names a feature that isn't there, or holds a number that is not finite.
    """
    if objective not in LINKS or (objective == "binary") != (num_class == 2) or not 1 <= num_features <= MAX_FEATURES:
        raise ValueError("its objective doesn't fit its classes, or its number of features is none that a body gives")
    per_round = 1 if objective == "binary" else num_class
    _check(trees, num_features, per_round)
    lines = [
        "tree",
        "version=v4",
        f"num_class={per_round}",
        f"num_tree_per_iteration={per_round}",
        "label_index=0",
        f"max_feature_idx={num_features - 1}",
        f"objective={LINKS[objective].format(num_class=num_class)}",
        "feature_names=" + " ".join(f"Column_{number}" for number in range(num_features)),
        "feature_infos=" + " ".join(["none"] * num_features),
        *_lines(trees),
        "\nend of trees\n",  # without the empty line, LightGBM would read on beyond the text
    ]
    return lightgbm.Booster(model_str="\n".join(lines))


def _check(trees: Mapping[str, npt.NDArray[Any]], num_features: int, per_round: int) -> None:
    for name, dtype in DTYPES.items():
        if name not in trees or trees[name].dtype != dtype or trees[name].ndim != 1:
            raise ValueError(f"`{name}` is no list of {dtype.__name__}")
    leaves = trees["num_leaves"].astype(np.int64)
    if len(leaves) > MAX_TREES or leaves.max(initial=0) > MAX_LEAVES:
        raise ValueError(f"there are more than {MAX_TREES} trees, or one has more than {MAX_LEAVES} leaves")
    if not len(leaves) or len(leaves) % per_round or leaves.min() < 1:
        raise ValueError("`num_leaves` doesn't hold as many trees a round as there are classes, or one has no leaf")
    splits = leaves - 1
    total = int(splits.sum())
    left, right, features = trees["left_child"], trees["right_child"], trees["split_feature"]
    if len(trees["leaf_value"]) != leaves.sum() or {len(left), len(right), len(features), len(trees["threshold"])} != {
        total
    }:
        raise ValueError("there are more or fewer leaves or splits than `num_leaves` says")
    if not (np.isfinite(trees["leaf_value"]).all() and np.isfinite(trees["threshold"]).all()):
        raise ValueError("a threshold or the value of a leaf is not finite")
    if not np.abs(trees["leaf_value"] / MAX_SUM).sum() <= 1:
        raise ValueError(f"the absolute values of the leaves sum to more than {MAX_SUM:g}")
    if total and not 0 <= features.min() <= features.max() < num_features:
        raise ValueError("`split_feature` names a feature that isn't there")
    first = np.repeat(np.cumsum(splits) - splits, splits)  # for each split, where those of its tree begin
    number = np.arange(total) - first
    leaves, splits = np.repeat(leaves, splits), np.repeat(splits, splits)
    places = []
    for child in (left.astype(np.int64), right.astype(np.int64)):
        # LightGBM numbers splits as it makes them, so each comes after the one above it, and no cycle can be.
        if not np.where(child < 0, ~child < leaves, (number < child) & (child < splits)).all():
            raise ValueError("a split has a child that isn't there, or that comes before it")
        places.append(np.where(child < 0, 2 * first + splits + ~child, 2 * first + child))
    # As many different children as there are nodes below the roots: each has exactly one parent.
    if len(np.unique(np.concatenate(places))) != 2 * total:
        raise ValueError("a node has two parents")


def _lines(trees: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    columns = {name: map(repr, trees[name].tolist()) for name in DTYPES}
    for tree, leaves in enumerate(trees["num_leaves"].tolist()):
        counts = dict.fromkeys(DTYPES, leaves - 1) | {"num_leaves": 1, "leaf_value": leaves}
        yield f"\nTree={tree}\nnum_cat=0\ndecision_type={' '.join(['2'] * (leaves - 1))}"
        for name, count in counts.items():
            yield f"{name}={' '.join(next(columns[name]) for _ in range(count))}"
