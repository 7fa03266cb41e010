import json
import subprocess
import sys

import numpy as np
import pytest
import skops.io
from setfit_head_catboost import CatBoostHead, setfit_load_head, setfit_save_head
from sklearn.exceptions import NotFittedError
from sklearn.multiclass import OneVsRestClassifier

LOAD_ELSEWHERE = """
import json, sys
from pathlib import Path
import numpy as np
from setfit_head_catboost import setfit_load_head
folder = Path(sys.argv[1])
head = setfit_load_head(folder, json.loads((folder / "metadata.json").read_bytes()))
embeddings = np.load(folder / "embeddings.npy")
np.savez(folder / "out.npz", labels=head.predict(embeddings), probabilities=head.predict_proba(embeddings))
"""


def test_a_second_process_predicts_the_same(problem, save):
    embeddings, ids = problem()
    head = CatBoostHead(random_state=3).fit(embeddings, [f"class {number}" for number in ids])
    folder, metadata = save(head)
    assert [path.name for path in folder.iterdir()] == ["trees.safetensors"]
    (folder / "metadata.json").write_text(json.dumps(metadata))
    np.save(folder / "embeddings.npy", embeddings)
    subprocess.run([sys.executable, "-c", LOAD_ELSEWHERE, str(folder)], check=True)
    with np.load(folder / "out.npz") as out:
        np.testing.assert_array_equal(out["labels"], head.predict(embeddings))
        np.testing.assert_array_equal(out["probabilities"], head.predict_proba(embeddings))


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"loss_function": "MultiClassOneVsAll"},
        {"depth": 6, "rsm": 1.0, "iterations": 60, "thread_count": np.int64(1)},
        {"random_strength": 0.0, "l2_leaf_reg": 0.0, "langevin": True, "border_count": 2},
    ],
    ids=["default", "one against all", "large trees", "few borders"],
)
def test_every_kind_of_model_comes_back_to_the_last_bit(params, num_classes, problem, save):
    embeddings, ids = problem(num_classes)
    embeddings = embeddings / 7
    head = CatBoostHead(random_state=7, **params).fit(embeddings, ids)
    embeddings[0], embeddings[1] = np.nan, np.inf
    loaded = setfit_load_head(*save(head))
    np.testing.assert_array_equal(loaded.predict_proba(embeddings), head.predict_proba(embeddings))
    assert loaded.get_params() == head.get_params()
    assert loaded.classes_.dtype == head.classes_.dtype
    first, again = save(head, "first")[0], save(loaded, "again")[0]
    assert (first / "trees.safetensors").read_bytes() == (again / "trees.safetensors").read_bytes()
    embeddings, ids = problem(3, size=4)
    np.testing.assert_array_equal(
        loaded.fit(embeddings, ids).predict_proba(embeddings), head.fit(embeddings, ids).predict_proba(embeddings)
    )


def test_a_start_from_the_average_comes_back(problem, save):
    embeddings, ids = problem(2)
    head = CatBoostHead(boost_from_average=True, iterations=7).fit(embeddings[6:], ids[6:])
    assert head.model_.get_scale_and_bias()[1] > 0.1
    loaded = setfit_load_head(*save(head))
    np.testing.assert_array_equal(loaded.predict_proba(embeddings), head.predict_proba(embeddings))


def test_for_several_labels_a_text_skops_writes_arrays_and_trusts_no_other_class(problem):
    embeddings, ids = problem()
    wrapped = OneVsRestClassifier(CatBoostHead()).fit(embeddings, np.eye(3, dtype=int)[ids])
    content = skops.io.dumps(wrapped)
    foreign = skops.io.get_untrusted_types(data=content)
    assert foreign == ["setfit_head_catboost.head.CatBoostHead"]
    loaded = skops.io.loads(content, trusted=foreign)
    np.testing.assert_array_equal(loaded.predict_proba(embeddings), wrapped.predict_proba(embeddings))


def test_a_state_is_checked_wherever_it_comes_from(problem):
    state = CatBoostHead().fit(*problem()).__getstate__()
    state["trees_"]["split_feature"][0] = 10**8
    head = CatBoostHead()
    with pytest.raises(ValueError, match="a feature that isn't there"):
        head.__setstate__(state)
    with pytest.raises(TypeError, match="no parameter 'train_dir'"):
        head.__setstate__({**vars(head), "params": {"train_dir": "x"}})
    with pytest.raises(NotFittedError):
        head.predict(problem()[0])


class Heir(CatBoostHead):
    pass


def test_heads_and_formats_of_others_are_left_to_them(problem, tmp_path):
    assert setfit_save_head(object(), tmp_path) is None
    assert setfit_save_head(Heir().fit(*problem()), tmp_path) is None
    assert setfit_load_head(tmp_path, {"format": "skops"}) is None
    assert not [*tmp_path.iterdir()]


def test_what_cannot_be_saved_is_said_and_nothing_is_written(problem, tmp_path, monkeypatch):
    with pytest.raises(NotFittedError, match="nothing to save. Train it"):
        setfit_save_head(CatBoostHead(), tmp_path)
    head = CatBoostHead().fit(*problem()).set_params(random_state=np.random.RandomState(0))
    with pytest.raises(ValueError, match=r"with random_state=RandomState\(MT19937\).*an integer seed"):
        setfit_save_head(head, tmp_path)
    with pytest.raises(ValueError, match="couldn't be loaded again: 'str' object cannot be interpreted as an integer"):
        setfit_save_head(CatBoostHead().fit(*problem()).set_params(thread_count="all"), tmp_path)
    monkeypatch.setattr("setfit_head_catboost.files.MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="lower iterations or depth"):
        setfit_save_head(CatBoostHead().fit(*problem()), tmp_path)
    assert not [*tmp_path.iterdir()]
