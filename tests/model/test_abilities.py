"""What some heads can do beyond predicting: none of these labels, and the texts that a prediction rests on."""

from typing import ClassVar

import numpy as np
import pytest

from setfit_core import SetFitModel
from setfit_core.errors import ArgumentError, HeadError, HeadOutputError

ELSEWHERE = ["zxcv bnm uiop", "Der Zug fährt morgen nach Köln"]
STRICT = {"false_rejection_rate": 0.3}


@pytest.fixture
def prototype(body, texts, topics):
    model = SetFitModel(body, "prototype", head_params=STRICT)
    model.fit(texts, topics)
    return model


@pytest.fixture
def knn(body, texts, topics):
    model = SetFitModel(body, "knn", head_params={"n_neighbors": 3})
    model.fit(texts, topics)
    return model


def test_texts_of_no_label_get_the_label_for_none(prototype, texts, topics):
    assert prototype.predict([*texts[:2], *ELSEWHERE], none_label="other")[2:] == ["other", "other"]
    labels = prototype.predict(texts, none_label="other")
    assert sum(label == topic for label, topic in zip(labels, topics, strict=True)) >= 8
    assert prototype.predict(ELSEWHERE[0], none_label="other") == "other"
    assert prototype.predict(ELSEWHERE[0]) in {"sport", "food", "tech"}
    assert prototype.predict([], none_label="other") == []


def test_labels_of_any_type_go_with_the_one_for_none(body, texts, ids):
    model = SetFitModel(body, "prototype", head_params=STRICT)
    model.fit(texts, ids)
    predicted = model.predict([texts[0], ELSEWHERE[0]], none_label="other")
    assert predicted == [0, "other"]
    assert model.predict([texts[0], ELSEWHERE[0]], none_label=-1, as_numpy=True).tolist() == [0, -1]
    assert model.predict([texts[0], ELSEWHERE[0]], none_label="other", as_numpy=True).tolist() == [0, "other"]
    with pytest.raises(ArgumentError, match="Give a label"):
        model.predict(texts, none_label=["other"])


def test_a_head_that_cannot_tell_says_which_can(body, texts, topics):
    model = SetFitModel(body, "logistic")
    model.fit(texts, topics)
    with pytest.raises(HeadError, match=r"LogisticRegression can't tell .* head='prototype'"):
        model.predict(texts, none_label="other")
    with pytest.raises(HeadError, match=r"LogisticRegression can't say .* head='knn'"):
        model.explain(texts)


def test_none_label_needs_labels(prototype, texts):
    with pytest.raises(ArgumentError, match="none_label is a label, and use_labels=False"):
        prototype.predict(texts, use_labels=False, none_label="other")


def test_none_label_is_for_one_label_a_text(body, texts, topics):
    rows = [[int(topic == name) for name in ("sport", "food")] for topic in topics]
    model = SetFitModel(body, "prototype", "one-vs-rest")
    model.fit(texts, rows)
    with pytest.raises(ArgumentError, match="with several, a text of none of them has no label at all"):
        model.predict(texts, none_label="other")


def test_a_prediction_is_explained_by_training_texts_and_their_labels(knn, texts, topics, tmp_path):
    topic_of = dict(zip(texts, topics, strict=True))
    explained = knn.explain(texts, limit=2)
    for text, votes in zip(texts, explained, strict=True):
        assert len(votes) == 2
        assert votes[0].text == text  # nothing is nearer to a training text than itself
        assert votes[0].similarity == pytest.approx(1, abs=1e-3)
        assert all(vote.label == topic_of[vote.text] for vote in votes)
        assert 1 + 1e-6 >= votes[0].weight >= votes[1].weight >= 0
    assert knn.explain(texts[0], limit=2) == explained[0]
    loaded = SetFitModel.from_pretrained(knn.save_pretrained(tmp_path / "model"))
    assert loaded.explain(texts, limit=2) == explained


def test_explanations_have_labels_as_they_were_given(body, texts, ids):
    model = SetFitModel(body, "knn")
    model.fit(texts, [10 * number for number in ids])
    assert model.explain(texts[4])[0].label == 10
    assert type(model.explain(texts[4])[0].label) is int
    several = SetFitModel(body, "knn", "one-vs-rest")
    several.fit(texts, [["a"] if number else ["a", "b"] for number in ids])
    assert several.explain(texts[0])[0].label == ["a", "b"]


@pytest.mark.parametrize("limit", [0, 1.5, "2"])
def test_limit_is_a_number_of_texts(limit, knn, texts):
    with pytest.raises(ArgumentError, match="limit is"):
        knn.explain(texts, limit=limit)


class Lying:
    """A head that declares more than it keeps."""

    setfit_head: ClassVar = {"open_set": True, "explain": True}
    known = np.zeros(2)
    votes = ()

    def fit(self, embeddings, labels, texts=None):
        self.classes_ = np.unique(labels)

    def predict(self, embeddings):
        return np.zeros(len(embeddings), dtype=int)

    def predict_proba(self, embeddings):
        return np.tile([1.0, 0.0, 0.0], (len(embeddings), 1))

    def is_known(self, embeddings):
        return self.known

    def explain(self, embeddings, limit):
        return self.votes


@pytest.mark.parametrize("known", [np.zeros(2), np.zeros(3, dtype=bool), [0, 1], None])
def test_what_a_head_says_is_known_is_checked(known, body, texts, topics):
    head = Lying()
    model = SetFitModel(body, head)
    model.fit(texts, topics)
    head.known = known
    with pytest.raises(HeadOutputError, match=r"Lying.is_known returned"):
        model.predict(texts[:2], none_label="other")


VOTE = {"text": "a", "label": 0, "similarity": 1.0, "weight": 1.0}


@pytest.mark.parametrize(
    "votes",
    [
        None,
        [],
        [[VOTE]],
        [[VOTE] * 4, []],
        [[{"text": "a"}], []],
        [[{**VOTE, "weight": float("nan")}], []],
        [[3], []],
        *([[{**VOTE, "label": wrong}], []] for wrong in (3, -1, "a", 0.5)),
    ],
)
def test_what_a_head_explains_is_checked(votes, body, texts, topics):
    head = Lying()
    model = SetFitModel(body, head)
    model.fit(texts, topics)
    head.votes = votes
    with pytest.raises(HeadOutputError, match=r"Lying.explain must return"):
        model.explain(texts[:2])


def test_a_head_that_fails_is_named(body, texts, topics):
    class Failing(Lying):
        def is_known(self, embeddings):
            raise KeyError("threshold")

    model = SetFitModel(body, Failing())
    model.fit(texts, topics)
    with pytest.raises(HeadError, match=r"Failing.is_known failed on the embeddings with KeyError: 'threshold'"):
        model.predict(texts, none_label="other")
