"""Files made with ill intent. Most of these crash XGBoost's own reader, or its `predict`."""

import copy
import hashlib
import itertools
import json
import os
import time

import numpy as np
import pytest
from xgboost import Booster
from xgboost.core import XGBoostError


@pytest.fixture
def craft(problem, make_head, save):
    """A function that saves a good head, changes its files and returns the folder.

    `change` takes the parsed model file, and `raw` replaces it as bytes; `record` is merged into `head.json`.
    """
    numbers = itertools.count()

    def craft(change=None, *, raw=None, record=None, **params):
        folder = save(make_head(n_estimators=3, **params).fit(*problem()), f"head {next(numbers)}")
        document = json.loads((folder / "model.json").read_bytes())
        if change:
            change(document)
        content = json.dumps(document).encode() if raw is None else raw
        (folder / "model.json").write_bytes(content)
        good = json.loads((folder / "head.json").read_bytes())
        changed = {**good, "sha256": hashlib.sha256(content).hexdigest(), **(record or {})}
        (folder / "head.json").write_text(json.dumps(changed))
        return folder

    return craft


def booster(document):
    return document["learner"]["gradient_booster"]


def model(document):
    return booster(document)["model"]


def tree(document):
    return model(document)["trees"][0]


def in_tree(**changes):
    """A change of the first tree: `name=(position, value)` sets an element, anything else the whole member."""

    def change(document):
        for name, value in changes.items():
            if isinstance(value, tuple):
                tree(document)[name][value[0]] = value[1]
            else:
                tree(document)[name] = value

    return change


def in_model(**changes):
    return lambda document: model(document).update(changes)


def in_learner(section, **changes):
    return lambda document: document["learner"][section].update(changes)


def in_tree_param(**changes):
    return lambda document: tree(document)["tree_param"].update(changes)


def resize(document, size):
    """Give the first tree so many nodes, all like its last one, a leaf."""
    tree(document)["tree_param"]["num_nodes"] = str(size)
    for values in tree(document).values():
        if isinstance(values, list) and values:
            values[:] = [values[-1]] * size
    tree(document)["parents"][0] = 2**31 - 1


def island(document):
    """A root that is a leaf, and beside it two nodes that name each other as child and parent."""
    resize(document, 3)
    in_tree(left_children=[-1, 2, 1], right_children=[-1, 2, 1], parents=[2**31 - 1, 2, 1])(document)


def chain(document):
    """A tree of 1,501 levels, sound but for that."""
    resize(document, 3001)
    node = 0
    for left in range(1, 3001, 2):
        in_tree(left_children=(node, left), right_children=(node, left + 1))(document)
        in_tree(parents=(left, node))(document)
        in_tree(parents=(left + 1, node))(document)
        node = left


def categories(**changes):
    good = {"categories_nodes": [0], "categories_segments": [0], "categories_sizes": [1], "categories": [1]}
    return in_tree(split_type=(0, 1), **{**good, **changes})


def without(name):
    return lambda document: tree(document).pop(name)


MODELS = {
    "child beyond the tree": (in_tree(left_children=(0, 10**8)), "a node's child isn't there"),
    "child before the tree": (in_tree(right_children=(0, -(10**8))), "a node's child isn't there"),
    "child of 100 digits": (in_tree(left_children=(0, 10**100)), "a node's child isn't there"),
    "child is the root": (in_tree(left_children=(0, 0)), "a node's child isn't there"),
    "child is the node": (in_tree(left_children=(1, 1), right_children=(1, 2)), "isn't there, or names another parent"),
    "same child twice": (in_tree(right_children=(0, 1)), "one child twice"),
    "one child only": (in_tree(right_children=(0, -1)), "a node's child isn't there"),
    "cycle beside the root": (island, "nodes that its root doesn't lead to"),
    "very deep tree": (chain, "more than 1000 levels"),
    "parent beyond the tree": (in_tree(parents=(1, 2**30)), "`parents` names a node that isn't there"),
    "parent before the tree": (in_tree(parents=(1, -(2**30))), "`parents` names a node that isn't there"),
    "parent of the root": (in_tree(parents=(0, 0)), "`parents` names a node that isn't there"),
    "another parent": (in_tree(parents=(1, 2)), "names another parent"),
    "feature beyond the embedding": (in_tree(split_indices=(0, 8)), "`split_indices` names a feature that isn't"),
    "feature before the embedding": (in_tree(split_indices=(0, -1)), "`split_indices` names a feature that isn't"),
    "leaf taken for pruned": (in_tree(split_indices=(1, 2**31 - 1)), "nodes that were pruned are more or fewer"),
    "leaf that is NaN": (in_tree(split_conditions=(-1, float("nan"))), "the value of a leaf is not finite"),
    "leaf beyond float32": (in_tree(split_conditions=(-1, 1e300)), "the value of a leaf is not finite"),
    "split by NaN": (in_tree(split_conditions=(0, float("nan"))), "splits by what is not a number"),
    "split of no kind": (in_tree(split_type=(0, 7)), "`split_type` or `default_left`"),
    "default of no side": (in_tree(default_left=(0, 2)), "`split_type` or `default_left`"),
    "categories beyond the list": (categories(categories_segments=[10**9]), "it asks for categories"),
    "categories before the list": (categories(categories_segments=[-(10**9)]), "it asks for categories"),
    "category before the first": (categories(categories=[-(10**9)]), "it asks for categories"),
    "categories without segments": (categories(categories_segments=[]), "it asks for categories"),
    "categories of another kind": (
        in_model(cats={"enc": [{}], "feature_segments": [0, 9], "sorted_idx": [9]}),
        "`cats`",
    ),
    "array too short": (lambda document: tree(document)["base_weights"].pop(), "`base_weights` doesn't hold"),
    "array too long": (lambda document: tree(document)["split_type"].append(0), "`split_type` doesn't hold"),
    "array of text": (in_tree(parents="0"), "`parents` doesn't hold"),
    "array of booleans": (in_tree(default_left=(0, True)), "`default_left` doesn't hold"),
    "array missing": (without("left_children"), "`tree` lacks left_children"),
    "array unknown": (in_tree(leaf_weights=[0.5]), "`tree` holds 'leaf_weights', which this version"),
    "no nodes": (in_tree_param(num_nodes="0"), "`id` or `tree_param` doesn't fit"),
    "more nodes": (in_tree_param(num_nodes="2147483647"), "doesn't hold 2147483647 integers"),
    "nodes beyond 32 bits": (in_tree_param(num_nodes="4294967299"), "`tree_param` is no count"),
    "leaves that are vectors": (in_tree_param(size_leaf_vector="3"), "the leaves are vectors"),
    "features of a tree": (in_tree_param(num_feature="9"), "`id` or `tree_param` doesn't fit"),
    "two trees of one number": (in_tree(id=1), "`id` or `tree_param` doesn't fit"),
    "tree is no object": (lambda document: model(document).update(trees=[0] * 9), "`tree` is no object"),
    "trees of classes that aren't there": (in_model(tree_info=[10**8] * 9), "`tree_info` names a class"),
    "trees of negative classes": (in_model(tree_info=[-(10**8)] * 9), "`tree_info` names a class"),
    "rounds before the trees": (in_model(iteration_indptr=[-(10**8), 3, 6, 9]), "`iteration_indptr` doesn't share"),
    "rounds beyond the trees": (in_model(iteration_indptr=[0, 3, 6, 10**8]), "`iteration_indptr` doesn't share"),
    "no rounds": (in_model(iteration_indptr=[]), "`iteration_indptr` doesn't share"),
    "more trees": (
        in_model(gbtree_model_param={"num_trees": "1000000000", "num_parallel_tree": "1"}),
        "`num_trees` is not the number of trees",
    ),
    "forest of no trees": (
        in_model(gbtree_model_param={"num_trees": "9", "num_parallel_tree": "0"}),
        "`iteration_indptr` doesn't share",
    ),
    "another booster": (lambda document: booster(document).update(name="gblinear"), "`model` lacks boosted_rounds"),
    "booster of no name": (lambda document: booster(document).pop("name"), "none of gbtree, dart, gblinear"),
    "very many features": (in_learner("learner_model_param", num_feature="1000001"), "not between 1 and 1000000"),
    "no features": (in_learner("learner_model_param", num_feature="0"), "not between 1 and 1000000"),
    "more classes": (in_learner("learner_model_param", num_class="1000"), "`num_class` or `num_target`"),
    "more targets": (in_learner("learner_model_param", num_target="2"), "`num_class` or `num_target`"),
    "deep base score": (in_learner("learner_model_param", base_score="[" * 10**6), "`base_score` is no number"),
    "base scores of others": (in_learner("learner_model_param", base_score="[1,1]"), "`base_score` is no number"),
    "base score beyond float32": (in_learner("learner_model_param", base_score="1e300"), "`base_score` is out of"),
    "another objective": (in_learner("objective", name="rank:ndcg"), "`objective` is none of binary:hinge"),
    "objective for two classes": (
        lambda document: document["learner"].update(objective={"name": "binary:hinge"}),
        "binary:hinge needs two classes",
    ),
    "objective of more classes": (
        in_learner("objective", softmax_multiclass_param={"num_class": "100000000"}),
        "`objective` has another number of classes",
    ),
    "attributes": (in_learner("attributes", best_iteration="1000000"), "`attributes` or `feature_names`"),
    "feature names": (
        lambda document: document["learner"]["feature_names"].append("a"),
        "`feature_names` are not empty",
    ),
    "feature types": (
        lambda document: document["learner"].update(feature_types=["c"] * 8),
        "names others than numbers",
    ),
    "too few feature types": (
        lambda document: document["learner"].update(feature_types=["q"] * 7),
        "`feature_types` are not as many",
    ),
    "no boost from average": (in_learner("learner_model_param", boost_from_average=[]), "`boost_from_average`"),
    "old version": (lambda document: document.update(version=[0, 8, 0]), "`version` is none of XGBoost's"),
    "version of 100 digits": (lambda document: document.update(version=[3, 10**100, 0]), "`version` is none of"),
}


@pytest.mark.parametrize(("change", "said"), MODELS.values(), ids=MODELS)
def test_a_model_that_leads_out_of_its_arrays_is_refused(change, said, craft, load):
    with pytest.raises(ValueError, match=rf"model\.json is damaged: .*({said}).*save the model again"):
        load(craft(change))


@pytest.mark.parametrize("weights", [[], [1.0], [float("inf")] * 9, [1] * 9])
def test_weights_of_dropped_trees_are_one_for_each(weights, craft, load):
    folder = craft(lambda document: booster(document).update(weight_drop=weights), booster="dart")
    with pytest.raises(ValueError, match="`weight_drop`"):
        load(folder)


@pytest.mark.parametrize("inner", [{"name": "dart"}, {"model": []}, {"more": 1}])
def test_the_booster_inside_of_dart_is_one_of_trees(inner, craft, load):
    folder = craft(lambda document: booster(document)["gbtree"].update(inner), booster="dart")
    with pytest.raises(ValueError, match="the booster inside of dart|`model` is no object|`gbtree` holds 'more'"):
        load(folder)


@pytest.mark.parametrize("rounds", [-1, 2**31, "1", True])
def test_linear_rounds_are_a_count(rounds, craft, load):
    folder = craft(in_model(boosted_rounds=rounds), booster="gblinear")
    with pytest.raises(ValueError, match="`boosted_rounds` is no count"):
        load(folder)


@pytest.mark.parametrize("weights", [[], [0.5], [float("nan")] * 27])
def test_linear_weights_are_one_for_each_feature_and_class(weights, craft, load):
    folder = craft(in_model(weights=weights), booster="gblinear")
    with pytest.raises(ValueError, match="`weights`"):
        load(folder)


RAW = {
    "deep lists": (b"[" * 2_000_000, "nested more than 20 deep"),
    "deep objects": (b'{"learner":' * 1_000_000, "nested more than 20 deep|more than 8 MB"),
    "deep lists after a text of brackets": (
        b'["' + b"]" * 2_000_000 + b'",' + b"[" * 2_000_000,
        "nested more than 20 deep",
    ),
    "deep lists after a quote in a text": (b'["\\\\\\"",' + b"[" * 2_000_000, "nested more than 20 deep"),
    "very many lists": (b"[" + b"[]," * 3_000_000, "more than 2000000 lists|more than 8 MB"),
    "very many texts": (b"[" + b'"",' * 6_000_000, "more than 5000000 strings|more than 8 MB"),
    "integer of a million digits": (b"1" * 1_000_000, "an integer of 1000000 digits"),
    "fraction of a million digits": (b"0." + b"1" * 1_000_000, "is no object|no good value"),
    "binary JSON": (
        b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner[$d#L\x10\x00\x00\x00\x00\x00\x00\x00",
        "Expecting|codec",
    ),
    "UTF-16": ('{"learner": 1}'.encode("utf-16"), "can't decode"),
    "more than 64 MB": (b" " * (64 * 2**20 + 1), "more than (64|8) MB"),
}


@pytest.mark.parametrize(("raw", "said"), RAW.values(), ids=RAW)
@pytest.mark.parametrize("name", ["model.json", "head.json"])
def test_json_beyond_all_bounds_is_refused(name, raw, said, craft, load):
    folder = craft(raw=raw)
    (folder / name).write_bytes(raw)
    before = time.process_time()
    with pytest.raises(ValueError, match=rf"{name} is damaged: .*({said}).*save the model again"):
        load(folder)
    assert time.process_time() - before < 20


@pytest.mark.parametrize("name", ["model.json", "head.json"])
def test_a_pipe_that_never_ends_is_not_read(name, craft, load):
    folder = craft()
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(ValueError, match=rf"{name} is damaged: it is no regular file"):
        load(folder)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"n_jobs": 10**6}, "n_jobs is no number of threads"),
        ({"n_jobs": "all"}, "n_jobs is no number of threads"),
        ({"verbosity": 10**9}, "verbosity is none of"),
        ({"missing": "nothing"}, "missing is no number"),
        ({"missing": [0.0]}, "missing is no number"),
        ({"callbacks": ["os.system"]}, "callbacks are Python functions"),
        ({"random_state": 2**63}, "'random_state' is, or holds, too long"),
        ({"interaction_constraints": "[" * 10**6}, "'interaction_constraints' is, or holds, too long"),
        ({"interaction_constraints": [[0, "[" * 10**6]]}, "'interaction_constraints' is, or holds, too long"),
        ({"monotone_constraints": {"a" * 10**6: 1}}, "'monotone_constraints' is, or holds, too long"),
        ({"a" * 10**6: 1}, "'a{40}' is, or holds, too long"),
    ],
)
def test_parameters_beyond_all_bounds_are_refused(params, said, craft, load):
    with pytest.raises(ValueError, match=rf"head\.json is damaged: .*{said}.*save the model again") as caught:
        load(craft(record={"params": params}))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"nthread": 10**6}, "no parameter 'nthread'"),
        ({"params": {}}, "no parameter 'params'"),
        ({"self": 1}, "multiple values"),
        ({"objective": "rank:ndcg"}, "does not give the probabilities of classes"),
        ({"objective": ["multi:softprob"]}, "does not give the probabilities of classes"),
    ],
)
def test_parameters_that_the_head_does_not_take_are_refused(params, said, craft, load):
    with pytest.raises(ValueError, match=rf"can't load .*{said}"):
        load(craft(record={"params": params}))


def test_a_very_long_label_takes_no_more_memory_than_its_length(craft, load, problem):
    loaded = load(craft(record={"classes": ["a", "b", "c" * 1_000_000]}))
    assert loaded.classes_.dtype == object  # an array of strings would give every prediction the room of the longest
    assert set(loaded.predict(problem()[0])) <= {"a", "b", "c" * 1_000_000}


def test_no_more_threads_are_started_than_there_are_processors(craft, load, problem):
    loaded = load(craft(record={"params": {"n_jobs": 1024}}))
    assert loaded.get_params()["n_jobs"] == 1024
    assert loaded.model_.n_jobs <= os.cpu_count()
    assert loaded.predict(problem()[0]).shape == (36,)


def test_xgboost_reads_what_was_checked_and_not_the_bytes(craft, load, problem):
    """Where the two readers understand a file in two ways, Python's counts: escapes are one such place."""
    folder = craft()
    good = load(folder).predict_proba(problem()[0])
    escaped = (folder / "model.json").read_bytes().replace(b'"parents"', b'"\\u0070arents"')
    with pytest.raises(XGBoostError):
        Booster(model_file=bytearray(escaped))
    np.testing.assert_array_equal(load(craft(raw=escaped)).predict_proba(problem()[0]), good)


def test_the_last_of_two_equal_keys_is_checked(craft, load):
    folder = craft()
    good = (folder / "model.json").read_bytes()
    hostile = json.loads(good)
    in_tree(left_children=(0, 10**8))(hostile)
    load(craft(raw=json.dumps(hostile).encode()[:-1] + b"," + good[1:]))
    with pytest.raises(ValueError, match="a node's child isn't there"):
        load(craft(raw=good[:-1] + b"," + json.dumps(hostile).encode()[1:]))


def test_changed_numbers_load_and_predict_or_are_refused(craft, load, problem):
    """Whatever number is put in the place of another: the process goes on."""
    folder = craft()
    document = json.loads((folder / "model.json").read_bytes())
    record = json.loads((folder / "head.json").read_bytes())
    generator = np.random.default_rng(0)
    embeddings, _ = problem()
    values = [
        -(2**31),
        -2,
        -1,
        0,
        1,
        2,
        3,
        7,
        8,
        2**31 - 1,
        2**32,
        0.0,
        -1e-45,
        1e39,
        float("nan"),
        None,
        True,
        "1",
        [],
    ]
    fine = 0
    for _ in range(400):
        changed = copy.deepcopy(document)
        spot, key = model(changed)["trees"][generator.integers(9)], None
        key = sorted(spot)[generator.integers(len(spot))]
        while isinstance(spot[key], (list, dict)) and spot[key]:
            spot = spot[key]
            key = (
                sorted(spot)[generator.integers(len(spot))] if isinstance(spot, dict) else generator.integers(len(spot))
            )
        spot[key] = values[generator.integers(len(values))]
        content = json.dumps(changed).encode()
        (folder / "model.json").write_bytes(content)
        (folder / "head.json").write_text(json.dumps({**record, "sha256": hashlib.sha256(content).hexdigest()}))
        try:
            loaded = load(folder)
        except ValueError:
            continue
        assert np.isfinite(loaded.predict_proba(embeddings)).all()
        fine += 1
    assert 0 < fine < 400
