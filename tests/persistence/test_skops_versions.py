"""Heads that another version of scikit-learn saved: they predict the same, or say that they can't."""

import io
import json
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.neighbors import RadiusNeighborsClassifier

from setfit_core.errors import ModelFormatError
from setfit_core.persistence.config import HeadRecord
from setfit_core.persistence.head import read_head, write_head

with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what other libraries deprecate while they are imported is their business
    patch.syspath_prepend(str(Path(__file__).parent))
    from hostile.skops_files import edit_schema
    from hostile.skops_maker import states

#: Small heads that scikit-learn of this version saved, and what they predicted there.
FIXTURES = Path(__file__).parent / "skops_fixtures"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "head").mkdir()
    return tmp_path / "head"


def edit_members(path, change):
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def from_another_version(schema):
    for state in states(schema):
        if isinstance(version := state.get("_sklearn_version"), dict):
            version["content"] = '"1.5.0"'


@pytest.fixture
def saved_elsewhere(folder, embeddings, classes):
    """A head that says it was saved with another version; returns what reads it."""
    record = write_head(folder, LogisticRegression().fit(embeddings, classes), None, None)
    edit_schema(folder / "head.skops", from_another_version)
    return lambda: read_head(folder, record, device="cpu")[0]


def test_a_head_of_another_version_that_predicts_the_same_loads(saved_elsewhere, embeddings, classes):
    expected = LogisticRegression().fit(embeddings, classes).predict_proba(embeddings)
    np.testing.assert_array_equal(saved_elsewhere().predict_proba(embeddings), expected)


def test_a_head_of_another_version_that_predicts_otherwise_says_so(saved_elsewhere, folder):
    def change(members):
        coef = json.loads(members["schema.json"])["content"]["content"]["coef_"]["file"]
        buffer = io.BytesIO()
        np.save(buffer, np.load(io.BytesIO(members[coef])) * 1.1)
        members[coef] = buffer.getvalue()

    edit_members(folder / "head.skops", change)
    with pytest.raises(ModelFormatError, match=r"doesn't predict what it did.*pip install scikit-learn==1\.5\.0"):
        saved_elsewhere()


def test_a_head_of_another_version_that_can_not_predict_says_so(saved_elsewhere, folder):
    def change(schema):
        content = schema["content"]
        del content["key_types"]["content"][[*content["content"]].index("coef_")]
        del content["content"]["coef_"]

    edit_schema(folder / "head.skops", change)
    with pytest.raises(ModelFormatError, match=r"can't predict.*scikit-learn 1\.5\.0, and this is.*pip install"):
        saved_elsewhere()


def test_a_head_of_another_version_without_a_record_is_warned_about(saved_elsewhere, folder):
    edit_members(folder / "head.skops", lambda members: members.pop("witness.json"))
    with pytest.warns(UserWarning, match=r"scikit-learn 1\.5\.0, and this is"):
        saved_elsewhere()


def test_a_head_without_a_record_that_can_not_predict_says_so(saved_elsewhere, folder):
    edit_members(folder / "head.skops", lambda members: members.pop("witness.json"))

    def change(schema):
        content = schema["content"]
        del content["key_types"]["content"][[*content["content"]].index("coef_")]
        del content["content"]["coef_"]

    edit_schema(folder / "head.skops", change)
    with pytest.raises(ModelFormatError, match=r"can't predict.*scikit-learn 1\.5\.0, and this is.*pip install"):
        saved_elsewhere()


def test_a_class_that_this_version_lacks_is_told_from_damage(saved_elsewhere, monkeypatch):
    monkeypatch.delattr("sklearn.linear_model._logistic.LogisticRegression")
    with pytest.raises(ModelFormatError, match=r"LogisticRegression'.*saved with scikit-learn 1\.5\.0, and this is"):
        saved_elsewhere()


def test_an_untrained_head_of_another_version_is_only_warned_about(folder):
    record = write_head(folder, LogisticRegression(), None, None)
    edit_schema(folder / "head.skops", from_another_version)
    with pytest.warns(UserWarning, match="Nothing was recorded"):
        read_head(folder, record, device="cpu")


@pytest.mark.parametrize("witness", [b"", b"[" * 100_000, b"{}", b'{"method": "fit", "values": []}'])
def test_a_damaged_record_is_refused(witness, saved_elsewhere, folder):
    edit_members(folder / "head.skops", lambda members: members.update({"witness.json": witness}))
    with pytest.raises(ModelFormatError, match="can't predict"):
        saved_elsewhere()


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*/*.skops")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_an_older_scikit_learn_saved_predicts_the_same(path, folder, recwarn):
    shutil.copy(path, folder / "head.skops")
    record = HeadRecord(None, None, None, "somebody:Head", {"format": "skops"}, None)
    loaded = read_head(folder, record, device="cpu")[0]
    recorded = json.loads((path.parent / "expected.json").read_text(encoding="utf-8"))
    expected = recorded["heads"][path.stem]
    rows = np.array(recorded["rows"], dtype=np.float32)
    assert loaded.predict(rows).tolist() == expected["predict"]
    values = getattr(loaded, expected["method"])(rows)
    for got, value in zip(values if isinstance(values, list) else [values], expected["values"], strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-5, atol=1e-6)
    assert all("scikit-learn 1.6.1" in str(warning.message) for warning in recwarn)


def test_what_a_head_says_best_is_recorded(folder, embeddings, classes):
    for head, method in [(LogisticRegression(), "predict_proba"), (Perceptron(), "decision_function")]:
        write_head(folder, head.fit(embeddings, classes), None, None)
        with zipfile.ZipFile(folder / "head.skops") as archive:
            witness = json.loads(archive.read("witness.json"))
        assert witness["method"] == method
        assert np.shape(witness["values"]) == (1, 4, 3)


def test_a_head_that_says_nothing_about_such_rows_has_no_record(folder, embeddings, classes):
    for head in (LogisticRegression(), RadiusNeighborsClassifier(0.01).fit(embeddings, classes)):
        write_head(folder, head, None, None)
        with zipfile.ZipFile(folder / "head.skops") as archive:
            assert "witness.json" not in archive.namelist()
