import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from setfit_head_prototype import PrototypeHead, setfit_load_head, setfit_save_head
from sklearn.exceptions import NotFittedError

METADATA = {"format": "prototype"}


@pytest.fixture
def save(tmp_path):
    """A function that saves a head into a fresh folder and returns the folder."""

    def save(head):
        folder = tmp_path / str(len([*tmp_path.iterdir()]))
        folder.mkdir()
        assert setfit_save_head(head, folder) == METADATA
        return folder

    return save


def load(folder):
    return setfit_load_head(folder, METADATA)


@pytest.mark.parametrize(
    "names", [[0, 1, 2], ["", "a", "a\0"], [-(2**70), 0, 7], [0.0, 2.0, 5.0], None], ids=lambda names: str(names)[:9]
)
def test_a_loaded_head_answers_to_the_last_bit_and_learns_on(names, problem, save):
    embeddings, ids = problem()
    labels = np.eye(3, dtype=int)[ids] if names is None else [names[number] for number in ids]
    weights = np.random.default_rng(0).uniform(size=36)
    head = PrototypeHead(false_rejection_rate=np.float32(0.125)).fit(embeddings, labels, weights)
    loaded = load(save(head))
    require_equal(loaded, head, embeddings)
    require_equal(load(save(loaded)), head, embeddings)
    for each in (loaded, head):
        each.partial_fit(embeddings[::-2], labels[::-2])
    require_equal(loaded, head, embeddings)


def require_equal(one, other, embeddings):
    for method in ("predict", "predict_proba", "novelty", "is_known"):
        np.testing.assert_array_equal(getattr(one, method)(embeddings), getattr(other, method)(embeddings))
    assert [*map(repr, one.classes_.tolist())] == [*map(repr, other.classes_.tolist())]
    assert one.get_params() == {"temperature": "auto", "false_rejection_rate": 0.125}


def test_the_order_of_training_leaves_no_trace_in_the_files(problem, save):
    embeddings, ids = problem()
    order = np.random.default_rng(0).permutation(36)
    folders = [save(PrototypeHead().fit(embeddings[rows], np.array(ids)[rows])) for rows in (np.arange(36), order)]
    for name in ("examples.safetensors", "head.json"):
        first, second = ((folder / name).read_bytes() for folder in folders)
        assert first == second


class Heir(PrototypeHead):
    pass


def test_what_is_not_ours_or_could_not_be_read_again_is_not_written(problem, tmp_path):
    assert setfit_save_head(object(), tmp_path) is None
    assert setfit_save_head(Heir().fit(*problem()), tmp_path) is None
    assert setfit_load_head(tmp_path, {"format": "skops"}) is None
    with pytest.raises(NotFittedError, match="nothing to save"):
        setfit_save_head(PrototypeHead(), tmp_path)
    for labels, said in (([0, 10**2000], "2001 digits"), (["", "a" * 2**23], "can't be saved: 2 examples")):
        with pytest.raises(ValueError, match=said):
            setfit_save_head(PrototypeHead().fit(np.eye(2), labels), tmp_path)
    assert not [*tmp_path.iterdir()]


# Files of others


def tensors(**changes):
    """Return a function that changes some arrays in a folder; None takes one out."""

    def spoil(folder):
        arrays = load_file(folder / "examples.safetensors")
        arrays = {name: changes[name](array) if name in changes else array for name, array in arrays.items()}
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None},
            folder / "examples.safetensors",
        )

    return spoil


def record(**changes):
    """Return a function that changes the JSON file in a folder."""

    def spoil(folder):
        path = folder / "head.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return spoil


def content(name, change):
    """Return a function that changes the bytes of a file."""
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def put(value):
    """Return a function that writes a value into the first place of an array."""

    def change(array):
        array = array.copy()
        array.flat[0] = value
        return array

    return change


PARAMS = {"temperature": 0.1, "false_rejection_rate": 0.05}
HOSTILE = {
    "no examples": lambda folder: (folder / "examples.safetensors").unlink(),
    "no record": lambda folder: (folder / "head.json").unlink(),
    "a folder": lambda folder: ((folder / "head.json").unlink(), (folder / "head.json").mkdir()),
    "cut": content("examples.safetensors", lambda data: data[:-1]),
    "longer": content("examples.safetensors", lambda data: data + b"\0"),
    "a header of 2**60 bytes": content("examples.safetensors", lambda data: (2**60).to_bytes(8, "little") + data[8:]),
    "a shape of 2**60": content("examples.safetensors", lambda data: data.replace(b"[36,8]", b"[36,%d]" % 2**60)),
    "an unknown dtype": content("examples.safetensors", lambda data: data.replace(b'"F32"', b'"F8_E5M2"')),
    "another dtype of the same size": content("examples.safetensors", lambda data: data.replace(b'"F32"', b'"I32"')),
    "an array too few": tensors(weights=lambda array: None),
    "flat embeddings": tensors(embeddings=np.ravel),
    "no embeddings": tensors(embeddings=lambda array: array[:0], targets=lambda a: a[:0], weights=lambda a: a[:0]),
    "embeddings of size 0": tensors(embeddings=lambda array: array[:, :0]),
    "wide embeddings": tensors(embeddings=lambda array: array.astype(np.float64)),
    "NaN": tensors(embeddings=put(np.nan)),
    "infinity": tensors(embeddings=put(np.inf)),
    "long embeddings": tensors(embeddings=lambda array: 3e38 * np.sign(array)),
    "too few targets": tensors(targets=lambda array: array[1:]),
    "a class below": tensors(targets=put(-1)),
    "a class above": tensors(targets=put(3)),
    "narrow targets": tensors(targets=lambda array: array.astype(np.int32)),
    "rows as targets": tensors(targets=lambda array: np.eye(3, dtype=np.uint8)[array]),
    "too many weights": tensors(weights=lambda array: np.ones(37)),
    "a weight of 0": tensors(weights=put(0)),
    "a weight of NaN": tensors(weights=put(np.nan)),
    "weights beyond floats": tensors(weights=lambda array: array + 1e308),
    "no JSON": content("head.json", lambda data: data[:-3]),
    "no UTF-8": content("head.json", lambda data: b"\xff" + data),
    "deep JSON": content("head.json", lambda data: b"[" * 10**5),
    "many digits": content("head.json", lambda data: b"1" * 10**5),
    "large JSON": content("head.json", lambda data: data + b" " * 2**23),
    "a list": content("head.json", lambda data: b"[]"),
    "a newer version": record(version=2),
    "a version of 900 digits": record(version=10**900),
    "no version": record(version=True),
    "a further key": record(more=1),
    "classes out of order": record(classes=[0, 2, 1]),
    "a class of very many digits": record(classes=[0, 1, 10**2000]),
    "a class twice": record(classes=[0, 1, 1]),
    "classes of two kinds": record(classes=[0, 1, "2"]),
    "lists as classes": record(classes=[[0], [1], [2]]),
    "a number for classes": record(classes=3),
    "text for classes": record(classes="abc"),
    "an object for classes": record(classes={"a": 0, "b": 1, "c": 2}),
    "no classes": record(classes=[]),
    "several labels": record(classes=None),
    "too many classes": record(classes=[*range(100_000)]),
    "no parameters": record(params={}),
    "a list of parameters": record(params=[0.1, 0.05]),
    "a further parameter": record(params={**PARAMS, "steps": 3}),
    "a temperature of 0": record(params={**PARAMS, "temperature": 0}),
    "a temperature of NaN": record(params={**PARAMS, "temperature": float("nan")}),
    "a temperature beyond floats": record(params={**PARAMS, "temperature": 10**400}),
    "a temperature in a list": record(params={**PARAMS, "temperature": [0.1]}),
    "a rate of 1": record(params={**PARAMS, "false_rejection_rate": 1}),
    "a rate of text": record(params={**PARAMS, "false_rejection_rate": "0.05"}),
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_files_that_are_damaged_or_hostile_are_refused(spoil, problem, save, monkeypatch):
    monkeypatch.setattr("setfit_head_prototype.head.MOST_NUMBERS", 10_000)
    embeddings, ids = problem()
    folder = save(PrototypeHead().fit(embeddings, ids))
    spoil(folder)
    with pytest.raises(
        ValueError, match=r"(?s)^/.* (Download or save the model again\.|pip install --upgrade)"
    ) as refused:
        load(folder)
    assert str(refused.value).count(str(folder)) == 1 + str(refused.value).count("[Errno")


def test_files_that_would_grow_are_refused_before_they_do(save):
    one = {
        "embeddings": lambda array: array[:1],
        "weights": lambda array: array[:1],
        "targets": lambda array: array[:1],
    }
    wide = {**one, "embeddings": lambda array: np.eye(1, 2**14, dtype=np.float32)}
    cases = [
        (
            [0],
            tensors(**{**one, "embeddings": lambda array: np.eye(1, 2**16 + 1, dtype=np.float32)}),
            "65537 are too wide",
        ),
        ([0, 1], record(classes=[*range(2**16 + 1)]), "65537 classes, and 65536 are the most"),
        ([0, 1], [record(classes=[*range(1025)]), tensors(**wide)], "at most 1024 can be kept"),
        (
            np.eye(2, dtype=int),
            tensors(**{**one, "targets": lambda a: np.ones((1, 2**16 + 1), np.uint8)}),
            "at most 65536",
        ),
        (
            np.eye(2, dtype=int),
            tensors(
                embeddings=lambda array: np.eye(2**10 + 1, 2**10, dtype=np.float32),
                weights=lambda array: np.ones(2**10 + 1),
                targets=lambda array: np.ones((2**10 + 1, 2**14), np.uint8),
            ),
            "1025 examples are too many: .* 16384 labels a text, at most 1024 can be kept",
        ),
        (
            [0, 1],
            tensors(
                embeddings=lambda array: np.ones((2**20 + 1, 1), np.float32),
                weights=lambda array: np.ones(2**20 + 1),
                targets=lambda array: np.zeros(2**20 + 1, np.int64),
            ),
            "1048577 examples are too many",
        ),
    ]
    for labels, spoils, said in cases:
        folder = save(PrototypeHead().fit(np.eye(2)[: len(labels)], labels))
        for spoil in spoils if isinstance(spoils, list) else [spoils]:
            spoil(folder)
        with pytest.raises(ValueError, match=said):
            load(folder)


def test_what_could_not_be_loaded_again_is_not_learned(problem):
    embeddings, ids = problem()
    head = PrototypeHead().fit(embeddings, ids)
    with pytest.raises(ValueError, match="65537 classes are too many"):
        head.partial_fit(embeddings, ids, classes=range(2**16 + 1))
    assert head.classes_.tolist() == [0, 1, 2]


def test_a_long_label_does_not_make_all_long(problem, save):
    embeddings, ids = problem()
    names = ["a" * 5000, "b", "c"]
    head = PrototypeHead().partial_fit(embeddings, [names[number] for number in ids], classes=map(str, range(1000)))
    for each in (head, load(save(head))):
        assert each.classes_.dtype == each.predict(embeddings).dtype == object
        assert set(each.predict(embeddings)) == set(names)


def test_rows_of_labels_from_others_are_checked(problem, save):
    embeddings, ids = problem()
    for spoil in (
        tensors(targets=put(2)),
        tensors(targets=lambda array: array[:, :0]),
        tensors(targets=lambda array: array[1:]),
        tensors(targets=lambda array: array.astype(bool)),
        record(classes=[0, 1, 2]),
    ):
        folder = save(PrototypeHead().fit(embeddings, np.eye(3, dtype=int)[ids]))
        spoil(folder)
        with pytest.raises(ValueError, match="is damaged: its targets"):
            load(folder)


def test_bytes_that_were_changed_anywhere_are_refused_or_do_no_harm(problem, save):
    embeddings, ids = problem(per_class=3, size=4)
    folder = save(PrototypeHead().fit(embeddings, ids))
    generator = np.random.default_rng(0)
    fine = 0
    for name in ("examples.safetensors", "head.json"):
        original = (folder / name).read_bytes()
        for place in generator.choice(len(original), 150):
            changed = bytearray(original)
            changed[place] = generator.integers(256)
            (folder / name).write_bytes(changed)
            try:
                loaded = load(folder)
            except ValueError:
                continue
            if loaded.n_features_in_ == 4:
                assert np.isfinite(loaded.predict_proba(embeddings)).all()
            fine += 1
        (folder / name).write_bytes(original)
    assert 0 < fine < 300
