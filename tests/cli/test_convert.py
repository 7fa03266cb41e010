"""`setfit-core convert`: what an earlier version or `setfit` saved, written in today's format."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from setfit_core import SetFitModel

SAVED = Path(__file__).parents[1] / "persistence" / "saved_folders"
EXPECTED = json.loads((SAVED / "version-1" / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_folder_of_the_first_version_is_written_in_todays(run, tmp_path):
    old, new = SAVED / "version-1" / "one-vs-rest", tmp_path / "new"
    done = run("convert", str(old), str(new), "--setfit-compatible")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Wrote {new}: the head OneVsRestClassifier, 4 labels ('even', 'food', 'sport', …).\n"
    assert json.loads((new / "config_setfit.json").read_text(encoding="utf-8"))["format_version"] == 2
    assert (new / "model_head.pkl").exists()
    assert not (old / "README.md").exists()
    model = SetFitModel.from_pretrained(new, device="cpu")
    expected = EXPECTED["models"]["one-vs-rest"]
    assert model.predict(EXPECTED["texts"]) == expected["predict"]
    np.testing.assert_allclose(model.predict_proba(EXPECTED["texts"], as_numpy=True), expected["predict_proba"])


def test_nothing_is_ever_replaced(run, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for new in (tmp_path, tmp_path / "notes.txt"):
        done = run("convert", str(SAVED / "version-1" / "logistic"), str(new))
        assert done.returncode == 1
        assert "convert never replaces anything" in done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"
    shutil.copytree(SAVED / "version-1" / "logistic", tmp_path / "old")
    done = run("convert", str(tmp_path / "old"), str(tmp_path / "old" / "new"))
    assert done.returncode == 1
    assert "lies inside" in done.stderr


class Gadget:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.mark.slow
def test_a_head_that_runs_code_is_converted_only_when_told_to_run_it(run, tmp_path):
    old, mark = tmp_path / "old", tmp_path / "ran"
    shutil.copytree(SAVED / "version-1" / "logistic", old)
    shutil.rmtree(old / "head")
    (old / "config_setfit.json").write_text('{"labels": ["a", "b"], "normalize_embeddings": false}')
    (old / "model_head.pkl").write_bytes(pickle.dumps(Gadget(str(mark))))
    done = run("convert", str(old), str(tmp_path / "new"))
    assert done.returncode == 1
    assert "posix.mkdir" in done.stderr or "nt.mkdir" in done.stderr
    assert "trust_pickle=True" in done.stderr
    assert not mark.exists()
    assert not (tmp_path / "new").exists()
    done = run("convert", str(old), str(tmp_path / "new"), "--trust-pickle")
    assert mark.exists()
    assert done.returncode == 1  # what came out of it is no head
    assert not (tmp_path / "new").exists()
