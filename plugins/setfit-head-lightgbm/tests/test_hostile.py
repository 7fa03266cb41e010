"""Files made with ill intent. Each is loaded in a process of its own, which a crash would end."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from setfit_head_lightgbm import LightGBMHead, setfit_load_head, setfit_save_head

pytestmark = pytest.mark.slow

TRY = """
import json, resource, sys
from pathlib import Path
import numpy as np
from setfit_head_lightgbm import setfit_load_head
resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
outcomes = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    try:
        metadata = json.loads((folder / "metadata.json").read_text())
        head = setfit_load_head(folder, metadata)
        sums = head.predict_proba(np.zeros((3, 8))).sum(axis=1)
        outcome = "fine" if np.allclose(sums, 1) else "not finite"
    except ValueError as error:
        outcome = str(error)
    outcomes[folder.name] = outcome
print(json.dumps(outcomes))
"""


def change(name, place, value):
    def changed(trees, metadata):
        trees[name] = trees[name].copy()
        trees[name][place] = value

    return changed


def replace(**arrays):
    return lambda trees, metadata: trees.update({name: np.asarray(array) for name, array in arrays.items()})


def told(**values):
    return lambda trees, metadata: metadata.update(values)


def cycle(trees, metadata):
    """The second split of the first tree leads back to the first one."""
    number = trees["num_leaves"][0] - 2
    trees["left_child"] = trees["left_child"].copy()
    trees["left_child"][number] = 0


def chain(leaves):
    """One tree for each class, whose every split has a leaf and the next split below it."""
    splits = leaves - 1
    left = np.append(np.arange(1, splits), ~splits).astype(np.int32)
    right = ~np.arange(splits, dtype=np.int32)
    return replace(
        num_leaves=np.full(3, leaves, np.int32),
        leaf_value=np.zeros(3 * leaves),
        split_feature=np.zeros(3 * splits, np.int32),
        threshold=np.full(3 * splits, -1.0),
        left_child=np.tile(left, 3),
        right_child=np.tile(right, 3),
    )


HOSTILE = {
    "child beyond the tree": (change("left_child", 0, 10**8), "a child that isn't there"),
    "child in the next tree": (change("right_child", 0, 3), "a child that isn't there"),
    "leaf beyond the tree": (change("left_child", 0, -(10**8)), "a child that isn't there"),
    "leaf in the next tree": (change("right_child", 0, ~4), "a child that isn't there"),
    "smallest integer": (change("left_child", 0, -(2**31)), "a child that isn't there"),
    "root as child": (change("left_child", 0, 0), "comes before it"),
    "cycle": (cycle, "comes before it"),
    "leaf with two parents": (change("right_child", slice(0, 2), -1), "two parents"),
    "feature beyond the embedding": (change("split_feature", 0, 8), "a feature that isn't there"),
    "feature before the embedding": (change("split_feature", -1, -1), "a feature that isn't there"),
    "threshold NaN": (change("threshold", 0, np.nan), "not finite"),
    "threshold infinite": (change("threshold", 0, np.inf), "not finite"),
    "leaf NaN": (change("leaf_value", -1, np.nan), "not finite"),
    "no leaves": (change("num_leaves", 0, 0), "one has no leaf"),
    "negative leaves": (change("num_leaves", 0, -(2**31)), "one has no leaf"),
    "very many leaves": (change("num_leaves", slice(None), 2**31 - 1), "one has more than 131072 leaves"),
    "one leaf more": (change("num_leaves", 0, 5), "more or fewer leaves or splits"),
    "no trees": (
        replace(
            **{name: np.zeros(0, np.int32) for name in ("num_leaves", "split_feature", "left_child", "right_child")},
            **{name: np.zeros(0) for name in ("leaf_value", "threshold")},
        ),
        "as many trees a round",
    ),
    "trees of two classes": (told(classes_=[0, 1], trained_=[0, 1], objective_="binary"), "fine"),
    "a class more": (told(classes_=[0, 1, 2, 3], trained_=[0, 1, 2, 3]), "as many trees a round"),
    "objective for two": (told(objective_="binary"), "its objective doesn't fit its classes"),
    "objective of more": (told(classes_=[0, 1], trained_=[0, 1]), "its objective doesn't fit its classes"),
    "objective unknown": (told(objective_="custom\nmax_feature_idx=9"), "its objective doesn't fit"),
    "objective of no kind": (told(objective_=["binary"]), "no good value for objective_"),
    "classes out of order": (told(classes_=[0, 2, 1]), "not in order"),
    "class twice": (told(classes_=[0, 1, 1]), "not in order, or one is there twice"),
    "classes of two kinds": (told(classes_=[0, 1, "2"]), "they hold int, str"),
    "classes of lists": (told(classes_=[[0], [1], [2]]), "they hold list"),
    "huge class": (told(classes_=[0, 1, 10**400]), "beyond 64 bits"),
    "trained class beyond the others": (told(trained_=[0, 1, 3]), "a class that isn't there"),
    "trained class before the others": (told(trained_=[-1, 0, 1]), "a class that isn't there"),
    "trained class twice": (told(trained_=[0, 1, 1]), "no list of different positions"),
    "trained classes as text": (told(trained_=["0", "1", "2"]), "no list of different positions"),
    "one trained class": (told(trained_=[0]), "fewer than two"),
    "no trained classes": (told(trained_=[]), "no list of different positions"),
    "classes of no examples": (told(classes_=[*range(1000)]), "fine"),
    "very many classes": (told(classes_=[*range(100_001)]), "more than 100000 classes"),
    "very long class": (told(classes_=["a", "b", "c" * 10**7]), "fine"),
    "parameter NaN": (told(params={"learning_rate": float("nan")}), "not JSON compliant"),
    "parameter nested NaN": (told(params={"random_state": [float("nan")]}), "not JSON compliant"),
    "huge leaves": (change("leaf_value", slice(None), 1e308), "values of the leaves.* sum to more than"),
    "no classes": (told(classes_=[]), "they hold nothing"),
    "no features": (told(n_features_in_=0), "its number of features"),
    "very many features": (told(n_features_in_=10**400), "its number of features"),
    "features as text": (told(n_features_in_="8"), "no good value for n_features_in_"),
    "no parameters": (told(params=None), "no good value for params"),
    "parameter that writes": (told(params={"snapshot_freq": 1, "output_model": "x"}), "has no parameter"),
    "parameter that reads": (told(params={"forcedsplits_filename": "/etc/passwd"}), "has no parameter"),
    "parameter of long name": (told(params={"a" * 10**6: 1}), "no parameter 'a{40}'"),
    "parameter self": (told(params={"self": 1}), "multiple values"),
    "threads without end": (told(params={"n_jobs": 10**400}), "fine"),
    "threads of text": (told(params={"n_jobs": "all"}), "cannot be interpreted as an integer"),
    "array of doubles": (replace(left_child=np.zeros(9)), "other arrays than"),
    "array of long integers": (replace(num_leaves=np.full(3, 4)), "other arrays than"),
    "array of arrays": (lambda trees, metadata: trees.update(threshold=trees["threshold"][:, None]), "fine"),
    "array too many": (replace(cat_threshold=np.zeros(9, np.int32)), "other arrays than"),
    "array missing": (lambda trees, metadata: trees.pop("threshold"), "other arrays than"),
    "deep chain": (chain(65_536), "fine"),
    "very many trees": (
        replace(
            **{name: np.zeros(0, np.int32) for name in ("split_feature", "left_child", "right_child")},
            num_leaves=np.ones(100_002, np.int32),
            leaf_value=np.zeros(100_002),
            threshold=np.zeros(0),
        ),
        "more than 100000 trees",
    ),
    "one against all, all unlikely": (
        lambda trees, metadata: (
            metadata.update(objective_="multiclassova"),
            trees.update(leaf_value=np.full(len(trees["leaf_value"]), -1e9)),
        ),
        "fine",
    ),
}


def header(**arrays):
    text = json.dumps(arrays).encode()
    return len(text).to_bytes(8, "little") + text


BYTES = {
    "empty": (b"", "[Hh]eader"),
    "text": (b"tree\nversion=v4\nnum_class=1\n", "[Hh]eader"),
    "header without end": (b"\xff" * 64, "[Hh]eader"),
    "header nested deep": ((2**20).to_bytes(8, "little") + b"[" * 2**20, "[Hh]eader"),
    "array beyond the file": (
        header(threshold={"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}),
        "SafeTensor|[Ii]ncomplete|[Hh]eader|[Ii]nvalid",
    ),
    "array of an empty shape": (
        header(threshold={"dtype": "F64", "shape": [2**63, 2**63, 0], "data_offsets": [0, 0]}),
        "other arrays than|verflow|[Ii]nvalid",
    ),
    "one byte too long": (bytes(2**23 + 1), "more than 8 MB"),
}


@pytest.fixture(scope="module")
def outcomes(problem, tmp_path_factory):
    """What came of every folder, all tried in one process."""
    root = tmp_path_factory.mktemp("hostile")
    head = LightGBMHead(n_estimators=1, min_child_samples=1).fit(*problem())
    folder = root / "good"
    folder.mkdir()
    good = setfit_save_head(head, folder)
    (folder / "metadata.json").write_text(json.dumps(good))
    for name, (spoil, _) in {**HOSTILE, **BYTES}.items():
        folder = root / name
        folder.mkdir()
        trees, metadata = load_file(root / "good" / "trees.safetensors"), {**good}
        if callable(spoil):
            spoil(trees, metadata)
            save_file(trees, folder / "trees.safetensors")
        else:
            (folder / "trees.safetensors").write_bytes(spoil)
        (folder / "metadata.json").write_text(json.dumps(metadata))
    content = (root / "good" / "trees.safetensors").read_bytes()
    for cut in range(0, len(content), max(1, len(content) // 40)):
        folder = root / f"cut at {cut}"
        folder.mkdir()
        (folder / "trees.safetensors").write_bytes(content[:cut])
        (folder / "metadata.json").write_text(json.dumps(good))
    return run(root)


def run(root):
    done = subprocess.run([sys.executable, "-c", TRY, str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_the_file_they_are_made_of_is_good(outcomes):
    assert outcomes["good"] == "fine"


@pytest.mark.parametrize(("name", "said"), [(name, said) for name, (_, said) in {**HOSTILE, **BYTES}.items()])
def test_hostile_files_are_refused_or_do_no_harm(name, said, outcomes):
    assert re.search(said, outcomes[name])
    assert outcomes[name] == "fine" or "Download or save the model again" in outcomes[name]
    assert len(outcomes[name]) < 2000


def test_truncated_files_are_refused(outcomes):
    cut = [said for name, said in outcomes.items() if name.startswith("cut at")]
    assert len(cut) >= 40
    assert "fine" not in cut


def test_pipes_and_missing_files_are_refused(problem, save):
    folder, metadata = save(LightGBMHead(n_estimators=1).fit(*problem()))
    path = folder / "trees.safetensors"
    path.unlink()
    with pytest.raises(ValueError, match="No such file"):
        setfit_load_head(folder, metadata)
    os.mkfifo(path)
    with pytest.raises(ValueError, match="no regular file"):
        setfit_load_head(folder, metadata)


def test_changed_numbers_load_and_predict_or_are_refused(problem, save, tmp_path):
    """Whatever number is put in the place of another: the process goes on."""
    folder, metadata = save(LightGBMHead(n_estimators=2).fit(*problem()))
    good = load_file(folder / "trees.safetensors")
    generator = np.random.default_rng(0)
    root = tmp_path / "changed"
    for number in range(300):
        trees = {name: array.copy() for name, array in good.items()}
        spot = trees[sorted(trees)[generator.integers(len(trees))]]
        values = [-(2**31), -9, -2, -1, 0, 1, 2, 3, 4, 8, 2**31 - 1, 0.0 if spot.dtype != np.float64 else 1e300]
        spot[generator.integers(len(spot))] = values[generator.integers(len(values))]
        (root / str(number)).mkdir(parents=True)
        save_file(trees, root / str(number) / "trees.safetensors")
        (root / str(number) / "metadata.json").write_text(json.dumps(metadata))
    found = [*run(root).values()]
    assert 0 < found.count("fine") < 300
