"""Hostile files of the head `xgboost`. Given to XGBoost itself, most of these crash the process."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Document = dict[str, Any]


def _xgboost(folder: Path, **params: Any) -> Path:
    """Give the model a trained head of XGBoost in place of its own, and return the head's folder."""
    from setfit_head_xgboost import XGBoostHead, setfit_save_head

    from setfit_core import SetFitModel

    size = SetFitModel.from_pretrained(folder, device="cpu").encode(["a"]).shape[1]
    generator = np.random.default_rng(0)
    ids = np.arange(60) % 3
    embeddings = generator.normal(size=(60, size)) + 3 * ids[:, None]
    head = XGBoostHead(**{"n_estimators": 3, "n_jobs": 1, **params}).fit(embeddings, ids.tolist())
    shutil.rmtree(folder / "head")
    (folder / "head").mkdir()
    metadata = setfit_save_head(head, folder / "head")
    path = folder / "config_setfit.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["head"].update(
        name="xgboost",
        distribution="setfit-head-xgboost",
        class_name="setfit_head_xgboost.head:XGBoostHead",
        metadata=metadata,
        params={},
    )
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder / "head"


def _put(head: Path, content: bytes, **record: Any) -> None:
    """Replace the model file, with a digest that fits, and members of `head.json`."""
    (head / "model.json").write_bytes(content)
    path = head / "head.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**kept, "sha256": hashlib.sha256(content).hexdigest(), **record}), encoding="utf-8")


def _edit(folder: Path, change: Callable[[Document], object], **params: Any) -> None:
    head = _xgboost(folder, **params)
    document = json.loads((head / "model.json").read_bytes())
    change(document)
    _put(head, json.dumps(document).encode())


def _model(document: Document) -> Document:
    return document["learner"]["gradient_booster"]["model"]


def _in_trees(folder: Path, *, root: Document | None = None, **members: Any) -> None:
    """Change every tree: elements of the root, or whole members."""

    def change(document: Document) -> None:
        for tree in _model(document)["trees"]:
            tree.update(members)
            for name, value in (root or {}).items():
                tree[name][0] = value

    _edit(folder, change)


def child_beyond_the_tree(folder: Path) -> None:
    _in_trees(folder, root={"left_children": 10**8, "right_children": 10**8})


def child_before_the_tree(folder: Path) -> None:
    _in_trees(folder, root={"left_children": -(10**8), "right_children": -(10**8)})


def child_that_is_the_root(folder: Path) -> None:
    _in_trees(folder, root={"left_children": 0, "right_children": 0})


def only_one_child(folder: Path) -> None:
    _in_trees(folder, root={"right_children": -1})


def child_of_thirty_digits(folder: Path) -> None:
    _in_trees(folder, root={"left_children": 10**30})


def cycle_below_the_root(folder: Path) -> None:
    def change(document: Document) -> None:
        for tree in _model(document)["trees"]:
            node = tree["left_children"][0]
            tree["left_children"][node] = tree["right_children"][node] = node

    _edit(folder, change)


def parent_beyond_the_tree(folder: Path) -> None:
    def change(document: Document) -> None:
        _model(document)["trees"][0]["parents"][1] = 2**30

    _edit(folder, change)


def feature_beyond_the_embedding(folder: Path) -> None:
    _in_trees(folder, root={"split_indices": 10**8})


def feature_before_the_embedding(folder: Path) -> None:
    _in_trees(folder, root={"split_indices": -5})


def category_beyond_the_list(folder: Path) -> None:
    _in_trees(
        folder,
        root={"split_type": 1},
        categories_nodes=[0],
        categories_segments=[10**9],
        categories_sizes=[3],
        categories=[1],
    )


def category_before_the_first(folder: Path) -> None:
    _in_trees(
        folder,
        root={"split_type": 1},
        categories_nodes=[0],
        categories_segments=[0],
        categories_sizes=[2],
        categories=[5, -(10**9)],
    )


def class_beyond_the_last(folder: Path) -> None:
    _edit(folder, lambda document: _model(document).update(tree_info=[10**8] * 9))


def round_before_the_first_tree(folder: Path) -> None:
    _edit(folder, lambda document: _model(document).update(iteration_indptr=[-(10**8), 3, 6, 9]))


def all_trees_under_one_number(folder: Path) -> None:
    _in_trees(folder, id=0)


def leaves_of_two_billion_numbers(folder: Path) -> None:
    def change(document: Document) -> None:
        for tree in _model(document)["trees"]:
            tree["tree_param"]["size_leaf_vector"] = str(2**31)

    _edit(folder, change)


def base_score_nested_a_million_deep(folder: Path) -> None:
    _edit(folder, lambda document: document["learner"]["learner_model_param"].update(base_score="[" * 10**6))


def trees_taken_for_a_linear_model(folder: Path) -> None:
    _edit(folder, lambda document: document["learner"]["gradient_booster"].update(name="gblinear"))


def linear_model_of_a_hundred_million_features(folder: Path) -> None:
    def change(document: Document) -> None:
        document["learner"]["learner_model_param"]["num_feature"] = str(10**8)

    _edit(folder, change, booster="gblinear")


def linear_model_of_one_weight(folder: Path) -> None:
    _edit(folder, lambda document: _model(document).update(weights=[0.5]), booster="gblinear")


def trees_for_another_body(folder: Path) -> None:
    def change(document: Document) -> None:
        document["learner"]["learner_model_param"]["num_feature"] = "999999"
        for tree in _model(document)["trees"]:
            tree["tree_param"]["num_feature"] = "999999"

    _edit(folder, change)


def model_nested_two_million_deep(folder: Path) -> None:
    _put(_xgboost(folder), b'{"learner":' + b"[" * 2_000_000)


def model_of_twenty_million_lists(folder: Path) -> None:
    _put(_xgboost(folder), b"[" + b"[]," * 20_000_000 + b"[]]")


def model_of_an_integer_of_many_digits(folder: Path) -> None:
    _put(_xgboost(folder), b"9" * 10_000_000)


def model_in_binary_json(folder: Path) -> None:
    head = _xgboost(folder)
    (head / "model.json").rename(head / "model.ubj")


def model_in_binary_json_under_the_new_name(folder: Path) -> None:
    _put(_xgboost(folder), b"{L" + (7).to_bytes(8, "big") + b"learner[$d#L" + (2**60).to_bytes(8, "big"))


def model_of_another_digest(folder: Path) -> None:
    head = _xgboost(folder)
    content = (head / "model.json").read_bytes()
    (head / "model.json").write_bytes(content.replace(b'"parents":[2147483647,0', b'"parents":[2147483647,9', 1))


def model_that_is_a_pipe(folder: Path) -> None:
    head = _xgboost(folder)
    (head / "model.json").unlink()
    os.mkfifo(head / "model.json")


def record_nested_a_million_deep(folder: Path) -> None:
    (_xgboost(folder) / "head.json").write_bytes(b'{"classes":' + b"[" * 1_000_000)


def _with_params(folder: Path, params: Document) -> None:
    head = _xgboost(folder)
    _put(head, (head / "model.json").read_bytes(), params=params)


def parameter_of_a_million_threads(folder: Path) -> None:
    _with_params(folder, {"n_jobs": 10**6})


def parameter_that_is_a_callback(folder: Path) -> None:
    _with_params(folder, {"callbacks": ["os:system"]})


def parameter_that_nothing_takes(folder: Path) -> None:
    _with_params(folder, {"nthread": 10**6})


CASES: tuple[Callable[[Path], None], ...] = (
    child_beyond_the_tree,
    child_before_the_tree,
    child_that_is_the_root,
    only_one_child,
    child_of_thirty_digits,
    cycle_below_the_root,
    parent_beyond_the_tree,
    feature_beyond_the_embedding,
    feature_before_the_embedding,
    category_beyond_the_list,
    category_before_the_first,
    class_beyond_the_last,
    round_before_the_first_tree,
    all_trees_under_one_number,
    leaves_of_two_billion_numbers,
    base_score_nested_a_million_deep,
    trees_taken_for_a_linear_model,
    linear_model_of_a_hundred_million_features,
    linear_model_of_one_weight,
    trees_for_another_body,
    model_nested_two_million_deep,
    model_of_twenty_million_lists,
    model_of_an_integer_of_many_digits,
    model_in_binary_json,
    model_in_binary_json_under_the_new_name,
    model_of_another_digest,
    model_that_is_a_pipe,
    record_nested_a_million_deep,
    parameter_of_a_million_threads,
    parameter_that_is_a_callback,
    parameter_that_nothing_takes,
)
