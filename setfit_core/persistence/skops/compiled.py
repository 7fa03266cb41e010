"""The objects of scikit-learn's compiled code: do their indices stay inside, and do their sizes agree?"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from sklearn.neighbors import BallTree
from sklearn.tree._tree import Tree

_POWERS: Final = {"EuclideanDistance64": 2.0, "ManhattanDistance64": 1.0, "ChebyshevDistance64": np.inf}


class FalseStateError(ValueError):
    """Something in a head isn't what scikit-learn makes of data; the message says what."""


def require(condition: bool, otherwise: str) -> None:
    """Raise FalseStateError with this reason, unless the condition holds."""
    if not condition:
        raise FalseStateError(otherwise)


def whole(state: dict[str, Any], name: str) -> int:
    """Return an attribute that must be an integer."""
    value: Any = state.get(name)
    require(isinstance(value, (int, np.integer)) and not isinstance(value, bool), f"{name} is {type(value).__name__}")
    return int(value)


def array_of(state: dict[str, Any], name: str, *, dimensions: int | None = None, kinds: str = "biufcUSO") -> Any:
    """Return an attribute that must be an array of so many dimensions and one of these kinds of numbers."""
    value: Any = state.get(name)
    require(type(value) is np.ndarray, f"{name} is no array")
    require(dimensions is None or value.ndim == dimensions, f"{name} has {value.ndim} dimensions")
    require(value.dtype.kind in kinds, f"{name} is of the type {value.dtype}")
    return value


def check_tree(tree: Any) -> None:
    """Check a decision tree: every node is reached once, from a node before it, and asks for a number that is there."""
    count = tree.node_count
    require(type(tree) is Tree and count >= 1, "a tree has no nodes")
    left, right = tree.children_left, tree.children_right
    inner = left != -1  # the right child of a leaf is never asked for
    _check_children(left[inner], right[inner], np.flatnonzero(inner), count)
    features = tree.feature[inner]
    require(not len(features) or (features.min() >= 0 and features.max() < tree.n_features), "a tree leaves the text")
    require(_depth(left.tolist(), right.tolist()) <= tree.max_depth, "a tree is deeper than it says")


def check_predictor(predictor: Any) -> None:
    """Check a tree of histogram boosting: every node is reached once, and the sets of categories are there."""
    state = predictor.__dict__
    nodes = array_of(state, "nodes", dimensions=1, kinds="V")
    require(len(nodes) >= 1, "a tree has no nodes")
    inner = nodes["is_leaf"] == 0
    _check_children(
        nodes["left"][inner].astype(np.int64), nodes["right"][inner].astype(np.int64), np.flatnonzero(inner), len(nodes)
    )
    for name in ("raw_left_cat_bitsets", "binned_left_cat_bitsets"):
        sets = array_of(state, name, dimensions=2, kinds="u")
        chosen = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)]
        require(sets.shape[1] == 8 and bool(np.all(chosen < len(sets))), "a tree has no set of categories")


def check_index_tree(tree: Any) -> None:
    """Check a k-d tree or ball tree: all its nodes lie in its arrays, and their distance is one of its own width."""
    kind = "ball tree" if type(tree) is BallTree else "k-d tree"
    data, indices, nodes, bounds, leaf_size, levels, count, *_, metric, weights = tree.__getstate__()
    samples, width = data.shape
    require(samples >= 1 and width >= 1, f"a {kind} has no data")
    require(np.array_equal(np.sort(indices), np.arange(samples)), f"a {kind} points outside of its data")
    require(1 <= levels <= 40 and count == len(nodes) == 2**levels - 1, f"a {kind} has other nodes than it says")
    require(leaf_size >= 1, f"a {kind} has no leaves")
    require(bounds.shape == (1 if type(tree) is BallTree else 2, count, width), f"a {kind} has no bounds")
    start, end = nodes["idx_start"], nodes["idx_end"]
    require(bool(np.all((start >= 0) & (start <= end) & (end <= samples))), f"a {kind} points outside of its data")
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    require(not len(inner) or 2 * int(inner[-1]) + 2 < count, f"a {kind} has a node without children")
    require(weights is None or weights.shape == (samples,), f"a {kind} has other weights")
    name = type(metric).__name__
    require(metric is not None and name in (*_POWERS, "MinkowskiDistance64"), f"a {kind} has an unknown distance")
    power, vector, _ = metric.__getstate__()
    require(power == _POWERS.get(name, power) and power > 0, f"a {kind} has a false distance")
    require(
        name != "MinkowskiDistance64" or vector.shape in ((0,), (width,)), f"a {kind} has a distance of another width"
    )


def check_random_state(state: np.random.RandomState) -> None:
    """Check a random generator: the place it has come to is inside of its state."""
    content: Any = state.get_state(legacy=False)
    require(
        content["bit_generator"] == "MT19937" and 0 <= content["state"]["pos"] <= 624,
        "a random generator has left its state",
    )


def _check_children(left: Any, right: Any, parents: Any, count: int) -> None:
    children = np.concatenate([left, right])
    require(np.array_equal(np.sort(children), np.arange(1, count)), "a tree has nodes that aren't there, or meet twice")
    # scikit-learn appends a child after its parent. So nothing leads back, and the root leads to all.
    require(bool(np.all(left > parents)) and bool(np.all(right > parents)), "a tree runs in a circle")


def _depth(left: list[int], right: list[int]) -> int:
    depths = [0] * len(left)
    for node, child in enumerate(left):
        if child != -1:
            depths[child] = depths[right[node]] = depths[node] + 1
    return max(depths)
