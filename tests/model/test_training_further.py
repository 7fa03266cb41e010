"""`partial_fit`: more texts and new labels without those that the head knows already."""

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from setfit_core import SetFitModel
from setfit_core.errors import ArgumentError, HeadError, LabelError
from setfit_core.evaluation.calibration import Temperature


@pytest.mark.parametrize("head", ["prototype", "knn"])
def test_more_texts_and_a_new_label_are_the_same_as_all_at_once(head, body, texts, topics, new_texts, tmp_path):
    order = [8, 0, 4, 9, 1, 5, 10, 2, 6, 11, 3, 7]  # sport, food and tech
    texts, topics = [texts[row] for row in order], [topics[row] for row in order]
    whole, parts = SetFitModel(body, head), SetFitModel(body, head)
    whole.fit(texts, topics)
    known = [row for row, topic in enumerate(topics) if topic != "food"]
    parts.fit([texts[row] for row in known[:4]], [topics[row] for row in known[:4]])
    assert parts.labels == ["sport", "tech"]
    parts = SetFitModel.from_pretrained(parts.save_pretrained(tmp_path / "model"))
    rest = [row for row in range(12) if row not in known[:4]]
    parts.calibration = Temperature(2.0)
    parts.partial_fit([texts[row] for row in rest], [topics[row] for row in rest])
    assert parts.calibration is None
    assert parts.labels == ["sport", "tech", "food"]  # columns keep their places
    places = [parts.labels.index(label) for label in whole.labels]
    both = [model.predict_proba(new_texts, as_numpy=True) for model in (whole, parts)]
    np.testing.assert_allclose(both[1][:, places], both[0], atol=1e-5)
    assert parts.predict(new_texts) == whole.predict(new_texts)
    loaded = SetFitModel.from_pretrained(parts.save_pretrained(tmp_path / "again"))
    assert loaded.predict(texts) == parts.predict(texts)
    assert [label.count for label in parts.card_facts.training.labels] == [4, 4, 4]
    assert parts.card_facts.training.texts == 12


def test_texts_of_later_calls_explain_too(body, texts, topics):
    model = SetFitModel(body, "knn")
    model.partial_fit(texts[:8], topics[:8])  # the first call trains
    model.partial_fit(texts[8:], topics[8:])
    assert [model.explain(text, limit=1)[0].label for text in texts] == topics
    assert model.explain(texts[10], limit=1)[0].text == texts[10]


def test_several_labels_a_text(body, texts, topics):
    rows = [["a", "b"] if topic == "sport" else ["a"] if topic == "food" else ["c"] for topic in topics]
    whole, parts = SetFitModel(body, "prototype", "one-vs-rest"), SetFitModel(body, "prototype", "one-vs-rest")
    whole.fit(texts, rows)
    parts.fit(texts[::2], rows[::2])
    parts.partial_fit(texts[1::2], rows[1::2])
    np.testing.assert_allclose(parts.predict_proba(texts), whole.predict_proba(texts), atol=1e-5)
    with pytest.raises(LabelError):
        parts.partial_fit(texts[:1], [["d"]])


def test_estimators_of_scikit_learn_learn_further(body, texts, topics):
    model = SetFitModel(body, GaussianNB())
    model.fit(texts[::2], topics[::2])
    model.partial_fit(texts[1::2], topics[1::2])
    whole = SetFitModel(body, GaussianNB())
    whole.fit(texts[::2] + texts[1::2], topics[::2] + topics[1::2])
    assert model.model_head.class_count_.tolist() == [4, 4, 4]
    assert model.predict(texts) == whole.predict(texts)


def test_what_cannot_be_learned_further_leaves_the_model_as_it_was(body, texts, topics):
    model = SetFitModel(body, GaussianNB())
    model.fit(texts, topics)
    before = model.predict_proba(texts)
    with pytest.raises(HeadError, match="GaussianNB can't be trained on these labels, 1 texts"):
        model.partial_fit(["The parliament voted"], ["politics"])
    assert (model.predict_proba(texts) == before).all()
    assert model.labels == ["food", "sport", "tech"]
    logistic = SetFitModel(body, "logistic")
    logistic.fit(texts, topics)
    with pytest.raises(
        HeadError, match=r"LogisticRegression can't be trained further: it has no partial_fit.*prototype"
    ):
        logistic.partial_fit(texts[:1], topics[:1])


def test_labels_that_were_named_are_all_there_are(body, texts, topics):
    model = SetFitModel(body, "prototype", labels=["sport", "food", "tech", "other"])
    model.fit(texts, topics)
    assert (model.predict_proba(texts)[:, 3] == 0).all()
    model.partial_fit(["The parliament voted"], ["other"])
    assert model.labels == ["sport", "food", "tech", "other"]
    assert model.predict("The parliament voted") == "other"
    with pytest.raises(LabelError, match=r"'politics'.* are new, but the model's were named"):
        model.partial_fit(["The parliament voted"], ["politics"])
    numbers = SetFitModel(body, "prototype")
    numbers.fit(texts, [1] * 6 + [5] * 6)
    with pytest.raises(LabelError, match="of another type"):
        numbers.partial_fit(texts[:1], ["5"])


def test_a_head_with_labels_of_its_own_is_not_touched(body, texts, topics):
    head = GaussianNB().fit(body.encode(texts), topics)
    with pytest.raises(ArgumentError, match="fitted elsewhere"):
        SetFitModel(body, head).partial_fit(texts, topics)
