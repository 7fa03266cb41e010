"""Hostile skops files: a tree that is checked in one place and asked in another, with texts of another width."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.ensemble import VotingClassifier
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

WIDTH = 2**30


def _wide_tree() -> Any:
    """A tree that agrees with itself, for embeddings of a billion numbers."""
    generator = np.random.default_rng(0)
    embeddings = generator.normal(size=(30, 12)).astype(np.float32)
    state = DecisionTreeClassifier(max_depth=1).fit(embeddings, np.arange(30) % 3).tree_.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"]["feature"][state["nodes"]["left_child"] >= 0] = WIDTH // 2
    tree = Tree(WIDTH, np.array([3], dtype=np.intp), 1)
    tree.__setstate__(state)
    return tree


def _vote(folder: Path, estimators: list[Any], holder: Any) -> None:
    head = VotingClassifier([("a", DecisionTreeClassifier())], voting="hard")
    head.__dict__.update(estimators_=estimators, classes_=np.arange(3), elsewhere=holder)
    skops.io.dump(head, folder / "head" / "head.skops")


def _owner(tree: Any) -> Any:
    """The decision tree that such a tree would be right for."""
    owner = DecisionTreeClassifier()
    owner.__dict__.update(tree_=tree, n_features_in_=WIDTH, n_outputs_=1, classes_=np.arange(3), n_classes_=3)
    return owner


def tree_of_a_decision_tree_that_votes_by_itself(folder: Path) -> None:
    tree = _wide_tree()
    _vote(folder, [tree], _owner(tree))


def tree_in_a_list_that_stands_in_two_places(folder: Path) -> None:
    shared = [_wide_tree()]
    owner = _owner(shared[0])
    owner.__dict__["elsewhere"] = shared
    _vote(folder, shared, owner)


def tree_of_a_class_that_the_configuration_names(folder: Path) -> None:
    from setfit_head_linear import SetFitHead

    tree = _wide_tree()
    holder = SetFitHead.__new__(SetFitHead)
    object.__setattr__(holder, "__dict__", {"tree": tree})
    _vote(folder, [tree], holder)
    path = folder / "config_setfit.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["head"].update(name="linear", distribution="setfit-head-linear", metadata={"format": "skops"})
    path.write_text(json.dumps(config), encoding="utf-8")


CASES = (
    tree_of_a_decision_tree_that_votes_by_itself,
    tree_in_a_list_that_stands_in_two_places,
    tree_of_a_class_that_the_configuration_names,
)
