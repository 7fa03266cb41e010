"""The head on disk, and files made with ill intent."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from setfit_head_knn import KNNHead, setfit_load_head, setfit_save_head
from sklearn.exceptions import NotFittedError

LOAD_ELSEWHERE = """
import sys
refused = []
sys.addaudithook(lambda event, args: refused.append(event) if event == "pickle.find_class" else None)
import json
from pathlib import Path
import numpy as np
from setfit_head_knn import setfit_load_head
head = setfit_load_head(Path(sys.argv[1]), {"format": "knn"})
embeddings = np.load(sys.argv[2])
np.savez(sys.argv[3], labels=head.predict(embeddings), probabilities=head.predict_proba(embeddings))
print(json.dumps(head.explain(embeddings)))
assert not refused
"""


@pytest.mark.parametrize("index", ["exact", "approximate"])
def test_a_second_process_predicts_and_explains_the_same_without_pickle(index, problem, save, tmp_path):
    embeddings, ids = problem(num_classes=5, per_class=60, spread=2.0)
    weights = np.random.default_rng(0).uniform(0, 2, 300)
    texts = [None if number % 7 == 0 else f"Ünï \ud800 {number}\n" * (number % 3) for number in range(300)]
    head = KNNHead(n_neighbors=15, temperature=0.2, index=index)
    head.fit(embeddings, [f"class {number}" for number in ids], sample_weight=weights, texts=texts)
    folder = save(head)
    assert sorted(path.name for path in folder.iterdir()) == ["examples.safetensors", "head.json"]
    np.save(tmp_path / "embeddings.npy", embeddings)
    files = [str(folder), str(tmp_path / "embeddings.npy"), str(tmp_path / "out.npz")]
    printed = subprocess.run([sys.executable, "-c", LOAD_ELSEWHERE, *files], check=True, capture_output=True)
    out = np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(out["labels"], head.predict(embeddings))
    np.testing.assert_array_equal(out["probabilities"], head.predict_proba(embeddings))
    assert json.loads(printed.stdout) == head.explain(embeddings)


@pytest.mark.parametrize(
    "labels",
    [[0, 1, 2], [-5, 7, 2**70], ["", "a\0", "é"], [0.0, 1.0, 4.0], [False, True], ["only"], ["", "x" * 10**5]],
    ids=["ids", "integers", "strings", "floats", "booleans", "one", "long"],
)
def test_labels_keep_their_type(labels, problem, save, load):
    embeddings, ids = problem(len(labels))
    head = KNNHead().fit(embeddings, [labels[number] for number in ids])
    loaded = load(save(head))
    assert loaded.classes_.dtype == head.classes_.dtype
    assert [*map(repr, loaded.predict(embeddings).tolist())] == [repr(labels[number]) for number in ids]


def test_what_was_loaded_learns_on(problem, save, load):
    embeddings, ids = problem()
    rows = np.eye(3, dtype=int)[ids]
    head = KNNHead(n_neighbors=np.int64(5), smoothing=np.float32(0.25)).fit(embeddings[:20], rows[:20])
    loaded = load(save(head))
    assert loaded.get_params() == head.get_params()
    for each in (head, loaded):
        each.partial_fit(embeddings[20:], rows[20:], texts=["later"] * 16)
    np.testing.assert_array_equal(loaded.predict_proba(embeddings), head.predict_proba(embeddings))
    assert loaded.explain(embeddings) == head.explain(embeddings)


def test_how_it_was_searched_stays_whatever_the_parameter_says_by_now(problem, save, load):
    head = KNNHead(index="approximate").fit(*problem()).set_params(index="exact")
    assert load(save(head)).neighbours_.approximate


@pytest.mark.parametrize(("count", "size"), [(17_000, 2), (5_000, 1000)])
def test_a_graph_that_takes_long_is_not_built_from_a_file(count, size, problem, craft, load):
    vectors = np.zeros((count, size), np.float32)
    vectors[:, 0] = 1
    texts = {"text_lengths": np.full(count, -1), "text_bytes": np.zeros(0, np.uint8)}
    folder = craft(vectors=vectors, targets=np.zeros(count, int), weights=np.ones(count), approximate=True, **texts)
    with pytest.warns(UserWarning, match=rf"searched exactly now: a graph of {count} .* call build_index\(\)"):
        loaded = load(folder)
    assert not loaded.neighbours_.approximate
    assert loaded.predict(vectors[:1]).tolist() == [0]


def test_texts_that_are_not_kept_are_in_no_file(problem, save):
    embeddings, ids = problem(per_class=1)
    for keep, found in ((True, True), (False, False)):
        folder = save(KNNHead(keep_texts=keep).fit(embeddings, ids, texts=["a secret"] * 3))
        assert any(b"a secret" in path.read_bytes() for path in folder.iterdir()) is found


def test_what_is_not_ours_is_left_to_others(tmp_path, problem):
    class Other(KNNHead):
        pass

    assert setfit_save_head(Other().fit(*problem()), tmp_path) is None
    assert setfit_load_head(tmp_path, {"format": "skops"}) is None
    with pytest.raises(NotFittedError):
        setfit_save_head(KNNHead(), tmp_path)
    with pytest.raises(ValueError, match=r"classes take more than 16 MB"):
        setfit_save_head(KNNHead().fit([[1], [2]], ["x" * 2**24, "y"]), tmp_path)
    assert not list(tmp_path.iterdir())


# Files made with ill intent


@pytest.fixture
def craft(problem, save):
    """A function that saves a good head, changes its files and returns the folder.

    The keywords replace tensors (None removes one) or, where they are named so, members of the JSON file.
    """

    def craft(*, of_rows=False, **changes):
        embeddings, ids = problem()
        labels = np.eye(3, dtype=int)[ids] if of_rows else ids
        folder = save(KNNHead().fit(embeddings, labels, texts=["ab"] * 36))
        record = json.loads((folder / "head.json").read_bytes())
        tensors = load_file(folder / "examples.safetensors")
        for name, value in changes.items():
            place = record if name in record else tensors
            place[name] = value(place[name]) if callable(value) else value
            if place[name] is None:
                del place[name]
        (folder / "head.json").write_text(json.dumps(record))
        save_file(tensors, folder / "examples.safetensors")
        return folder

    return craft


def changed(position, value):
    def change(array):
        array = array.copy()
        array[position] = value
        return array

    return change


def params(**values):
    return lambda given: {**given, **values}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vectors": lambda v: v[:-1]}, "doesn't fit the others"),
        ({"vectors": lambda v: v[:, None]}, "doesn't fit the others"),
        ({"vectors": lambda v: v[0]}, "doesn't fit the others"),
        ({"vectors": lambda v: np.array(v.sum())}, "doesn't fit the others"),
        ({"vectors": np.zeros((0, 16), np.float32)}, "doesn't fit the others"),
        ({"vectors": np.zeros((36, 0), np.float32)}, "doesn't fit the others"),
        ({"vectors": lambda v: v.astype(np.float64)}, "`vectors` is of the type F64, not F32"),
        ({"vectors": changed((0, 0), np.nan)}, "not of length 1"),
        ({"vectors": changed((0, 0), np.inf)}, "not of length 1"),
        ({"vectors": changed((0, 0), 1e30)}, "not of length 1"),
        ({"vectors": None}, "lacks a tensor"),
        ({"targets": changed(0, 3)}, "a class that isn't there"),
        ({"targets": changed(0, -1)}, "a class that isn't there"),
        ({"targets": lambda t: t.astype(np.int32)}, "`targets` is of the type I32"),
        ({"targets": lambda t: np.repeat(t, 2)}, "doesn't fit the others"),
        ({"of_rows": True, "targets": changed((0, 0), 2)}, "a class that isn't there"),
        ({"of_rows": True, "targets": lambda t: t[:, :2].copy()}, "doesn't fit the others"),
        ({"weights": changed(0, 0)}, "not all finite and above 0"),
        ({"weights": changed(0, -1)}, "not all finite and above 0"),
        ({"weights": changed(0, np.nan)}, "not all finite and above 0"),
        ({"weights": changed(0, np.inf)}, "not all finite and above 0"),
        ({"weights": lambda w: w[:1]}, "doesn't fit the others"),
        ({"text_lengths": changed(0, 3)}, "don't fit each other"),
        ({"text_lengths": changed(0, -2)}, "are not the lengths of texts"),
        ({"text_lengths": changed(0, 2**62)}, "are not the lengths of texts"),
        ({"text_lengths": lambda t: t[:5]}, "doesn't fit the others"),
        ({"text_lengths": None}, "one that is none of the head's"),
        ({"text_bytes": None}, "lacks a tensor"),
        ({"text_bytes": lambda t: t.reshape(2, 36)}, "more than one dimension"),
        ({"text_bytes": changed(0, 255)}, "can't decode byte"),
        ({"more": np.zeros(1)}, "one that is none of the head's"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(changes, said, craft, load):
    with pytest.raises(ValueError, match=rf"examples\.safetensors is damaged: .*{said}.*save the model again"):
        load(craft(**changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 0}, "no good value for version"),
        ({"version": None}, "no good value for version"),
        ({"multi_label": 1}, "no good value for multi_label"),
        ({"approximate": "yes"}, "no good value for approximate"),
        ({"classes": []}, "hold nothing"),
        ({"classes": [0, 2, 1]}, "not in order"),
        ({"classes": [0, 1, 1]}, "not in order"),
        ({"classes": [0, 1, True]}, "hold bool, int"),
        ({"classes": [0, 1, [2]]}, "hold int, list"),
        ({"classes": [0.0, float("nan"), 1.0]}, "fractions or NaN"),
        ({"params": params(n_neighbors=0)}, "n_neighbors=0"),
        ({"params": params(n_neighbors="20")}, "n_neighbors='20'"),
        ({"params": params(temperature=float("nan"))}, "temperature=nan"),
        ({"params": params(temperature=10**400)}, "temperature=1000"),
        ({"params": params(index=["exact"])}, "index="),
        ({"params": params(threads=8)}, "parameters are not those of the head"),
        ({"params": {}}, "parameters are not those of the head"),
    ],
)
def test_records_that_do_not_fit_are_refused(changes, said, craft, load):
    with pytest.raises(ValueError, match=rf"head\.json is damaged: .*{said}.*save the model again"):
        load(craft(**changes))


def test_a_newer_version_says_to_update(craft, load):
    with pytest.raises(ValueError, match="of version 2, .*pip install --upgrade setfit-head-knn"):
        load(craft(version=2))


def test_more_neighbours_than_there_are_take_no_memory(craft, load, problem):
    loaded = load(craft(params=params(n_neighbors=10**30)))
    assert len(loaded.explain(problem()[0][:1], 1000)[0]) == 36


def test_one_long_label_among_many_takes_no_more_memory_than_its_file(craft, load, problem):
    classes = [*(f"{number:05}" for number in range(20_000)), "x" * 10**6]
    loaded = load(craft(classes=classes))  # as an array of strings of one length it would take 80 GB
    assert loaded.predict(problem()[0][:2]).tolist() == [classes[number] for number in problem()[1][:2]]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[" * 10**6,
        b'{"version":' * 10**6,
        b"1" * 10**6,
        b"\xff",
        b"[]",
        b" " * (2**24 + 1),
        (2**62).to_bytes(8, "little") + b"{}",
        (100).to_bytes(8, "little")
        + b'{"vectors":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}'.ljust(100),
    ],
    ids=["empty", "deep lists", "deep objects", "digits", "no text", "list", "large", "header", "shape"],
)
@pytest.mark.parametrize("name", ["head.json", "examples.safetensors"])
def test_bytes_of_another_kind_are_refused(name, raw, craft, load):
    folder = craft()
    (folder / name).write_bytes(raw)
    before = time.process_time()
    with pytest.raises(ValueError, match=rf"{name} is damaged: .*save the model again"):
        load(folder)
    assert time.process_time() - before < 5


@pytest.mark.parametrize("name", ["head.json", "examples.safetensors"])
def test_a_file_that_is_missing_cut_off_or_never_ends_is_refused(name, craft, load):
    folder = craft()
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        load(folder)
    (folder / name).unlink()
    with pytest.raises(ValueError, match=rf"{name} can't be read .*incomplete"):
        load(folder)
    os.mkfifo(folder / name)
    with pytest.raises(ValueError, match=rf"{name} is damaged: it is no regular file"):
        load(folder)
