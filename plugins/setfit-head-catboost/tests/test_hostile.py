"""Files made with ill intent. Each is loaded in a process of its own, which a crash would end."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from setfit_head_catboost import CatBoostHead, setfit_load_head, setfit_save_head

pytestmark = pytest.mark.slow

TRY = """
import json, resource, sys
from pathlib import Path
import numpy as np
from setfit_head_catboost import setfit_load_head
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


HOSTILE = {
    "feature beyond the embedding": (change("split_feature", 0, 8), "a feature that isn't there"),
    "feature before the embedding": (change("split_feature", -1, -1), "a feature that isn't there"),
    "feature of 31 bits": (change("split_feature", 0, 2**31 - 1), "a feature that isn't there"),
    "border NaN": (change("border", 0, np.nan), "not finite"),
    "border infinite": (change("border", 0, np.inf), "not finite"),
    "leaf NaN": (change("leaf_value", -1, np.nan), "not finite"),
    "bias infinite": (change("bias", 0, np.inf), "not finite"),
    "negative depth": (change("depth", 0, -1), "`depth` holds no trees"),
    "depth beyond all bounds": (change("depth", 0, 2**31 - 1), "of more than 16 levels"),
    "one level more": (change("depth", 0, 4), "more or fewer splits"),
    "levels of no splits": (change("depth", slice(None), 16), "more or fewer splits"),
    "levels of others": (
        lambda trees, metadata: trees["depth"].__setitem__(slice(None), [5, 1]),
        "more or fewer leaves",
    ),
    "no trees": (replace(depth=np.zeros(0, np.int32)), "`depth` holds no trees"),
    "a leaf less": (lambda trees, metadata: trees.update(leaf_value=trees["leaf_value"][:-1]), "more or fewer leaves"),
    "a bias less": (lambda trees, metadata: trees.update(bias=trees["bias"][:-1]), "more or fewer leaves"),
    "a class more": (told(classes_=[0, 1, 2, 3], trained_=[0, 1, 2, 3]), "more or fewer leaves"),
    "loss for two": (told(loss_="Logloss"), "its loss doesn't fit its classes"),
    "loss of more": (told(classes_=[0, 1], trained_=[0, 1]), "its loss doesn't fit its classes"),
    "loss unknown": (told(loss_="RMSE"), "its loss doesn't fit"),
    "loss of no kind": (told(loss_=["Logloss"]), "no good value for loss_"),
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
    "parameter that writes": (told(params={"output_borders": "x"}), "has no parameter"),
    "parameter that reads": (told(params={"input_borders": "/etc/passwd"}), "has no parameter"),
    "parameter of long name": (told(params={"a" * 10**6: 1}), "no parameter 'a{40}'"),
    "parameter self": (told(params={"self": 1}), "multiple values"),
    "threads without end": (told(params={"thread_count": 10**400}), "fine"),
    "threads of text": (told(params={"thread_count": "all"}), "cannot be interpreted as an integer"),
    "array of doubles": (replace(border=np.zeros(6)), "other arrays than"),
    "array of long integers": (replace(depth=np.full(2, 3)), "other arrays than"),
    "array of arrays": (lambda trees, metadata: trees.update(border=trees["border"][:, None]), "fine"),
    "array too many": (replace(leaf_weights=np.zeros(9)), "other arrays than"),
    "array missing": (lambda trees, metadata: trees.pop("bias"), "other arrays than"),
    "one against all, all unlikely": (
        lambda trees, metadata: (metadata.update(loss_="MultiClassOneVsAll"), trees.update(bias=np.full(3, -1e9))),
        "fine",
    ),
    "huge biases": (change("bias", slice(None), -1e308), "values of the leaves.* sum to more than"),
    "very many trees": (replace(depth=np.zeros(100_001, np.int32)), "more than 100000 trees"),
    "too many features that split": (
        lambda trees, metadata: (
            metadata.update(n_features_in_=70_000),
            trees.update(
                depth=np.ones(70_000, np.int32),
                split_feature=np.arange(70_000, dtype=np.int32),
                border=np.zeros(70_000, np.float32),
                leaf_value=np.zeros(6 * 70_000),
            ),
        ),
        "Too many features in model",
    ),
    "many trees of one leaf": (
        lambda trees, metadata: trees.update(
            depth=np.zeros(10**4, np.int32),
            split_feature=np.zeros(0, np.int32),
            border=np.zeros(0, np.float32),
            leaf_value=np.zeros(3 * 10**4),
        ),
        "fine",
    ),
}


def header(**arrays):
    text = json.dumps(arrays).encode()
    return len(text).to_bytes(8, "little") + text


BYTES = {
    "empty": (b"", "[Hh]eader"),
    "text": (b'{"oblivious_trees": []}', "[Hh]eader"),
    "header without end": (b"\xff" * 64, "[Hh]eader"),
    "header nested deep": ((2**20).to_bytes(8, "little") + b"[" * 2**20, "[Hh]eader"),
    "array beyond the file": (
        header(border={"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}),
        "SafeTensor|[Ii]ncomplete|[Hh]eader|[Ii]nvalid",
    ),
    "array of an empty shape": (
        header(border={"dtype": "F64", "shape": [2**63, 2**63, 0], "data_offsets": [0, 0]}),
        "other arrays than|verflow|[Ii]nvalid",
    ),
    "one byte too long": (bytes(2**23 + 1), "more than 8 MB"),
}


@pytest.fixture(scope="module")
def outcomes(problem, tmp_path_factory):
    """What came of every folder, all tried in one process."""
    root = tmp_path_factory.mktemp("hostile")
    head = CatBoostHead(iterations=2, rsm=1.0).fit(*problem())
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
    folder, metadata = save(CatBoostHead(iterations=1).fit(*problem()))
    path = folder / "trees.safetensors"
    path.unlink()
    with pytest.raises(ValueError, match="No such file"):
        setfit_load_head(folder, metadata)
    os.mkfifo(path)
    with pytest.raises(ValueError, match="no regular file"):
        setfit_load_head(folder, metadata)


def test_changed_numbers_load_and_predict_or_are_refused(problem, save, tmp_path):
    """Whatever number is put in the place of another: the process goes on."""
    folder, metadata = save(CatBoostHead(iterations=2, rsm=1.0).fit(*problem()))
    good = load_file(folder / "trees.safetensors")
    generator = np.random.default_rng(0)
    root = tmp_path / "changed"
    for number in range(300):
        trees = {name: array.copy() for name, array in good.items()}
        spot = trees[sorted(trees)[generator.integers(len(trees))]]
        values = [-(2**31), -1, 0, 1, 2, 3, 8, 16, 17, 2**31 - 1, np.nan if spot.dtype != np.int32 else 5]
        spot[generator.integers(len(spot))] = values[generator.integers(len(values))]
        (root / str(number)).mkdir(parents=True)
        save_file(trees, root / str(number) / "trees.safetensors")
        (root / str(number) / "metadata.json").write_text(json.dumps(metadata))
    found = [*run(root).values()]
    assert 0 < found.count("fine") < 300
