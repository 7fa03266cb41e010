"""Every head of the workspace does what users expect of any: trained, weighed, saved, loaded, with several labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from setfit_core import SetFitModel, get_head, list_heads

pytestmark = pytest.mark.slow

HEADS = sorted(
    path.name.removeprefix("setfit-head-") for path in (Path(__file__).parents[2] / "plugins").glob("setfit-head-*")
)
ROWS = [["sport"]] * 3 + [["sport", "health"]] + [["food"]] * 3 + [["food", "health"]] + [["tech"]] * 4
#: What XGBoost in scikit-learn's wrapper for several labels is saved as; its README says so.
TRUSTED = {"xgboost": ("xgboost.core.Booster", "xgboost.sklearn.XGBClassifier")}


@pytest.fixture(scope="module")
def body(static_body_factory):
    return static_body_factory()


def test_all_of_them_are_installed():
    assert [info.name for info in list_heads() if info.distribution.startswith("setfit-head-")] == HEADS


@pytest.mark.parametrize("head", HEADS)
def test_one_label_a_text(head, body, texts, topics, tmp_path):
    model = SetFitModel(body, head, random_state=0)
    model.fit(texts, topics, show_progress_bar=False)
    probabilities = model.predict_proba(texts, as_numpy=True)
    predicted = model.predict(texts)
    assert predicted == [model.labels[column] for column in probabilities.argmax(axis=1)]
    assert np.mean([label == topic for label, topic in zip(predicted, topics, strict=True)]) > 0.8
    loaded = SetFitModel.from_pretrained(model.save_pretrained(tmp_path / "model"), device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(texts, as_numpy=True), probabilities)


@pytest.mark.parametrize("head", HEADS)
def test_several_labels_a_text(head, body, texts, tmp_path):
    model = SetFitModel(body, head, "one-vs-rest", random_state=0)
    model.fit(texts, ROWS, show_progress_bar=False)
    probabilities = model.predict_proba(texts, as_numpy=True)
    assert probabilities.shape == (12, 4)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    of_sport = probabilities[:, model.labels.index("sport")]
    assert of_sport[:4].mean() > of_sport[4:].mean()
    folder = model.save_pretrained(tmp_path / "model")
    loaded = SetFitModel.from_pretrained(folder, device="cpu", trusted=TRUSTED.get(head, ()))
    np.testing.assert_array_equal(loaded.predict_proba(texts, as_numpy=True), probabilities)


@pytest.mark.parametrize("strategy", [None, "one-vs-rest"])
@pytest.mark.parametrize("head", HEADS)
def test_weights_reach_it(head, strategy, body, texts, topics, caplog):
    labelled = [*topics, "food"]  # of the first text, once more
    labels = labelled if strategy is None else [[topic] for topic in labelled]

    def likeliest(**weights):
        model = SetFitModel(body, head, strategy, random_state=0)
        model.fit([*texts, texts[0]], labels, show_progress_bar=False, **weights)
        return model.labels[model.predict_proba(texts[0]).argmax()]

    assert likeliest(sample_weight=[50.0] + [1.0] * 12) == "sport"
    assert likeliest(sample_weight=[1.0] * 12 + [50.0]) == "food"
    assert not caplog.records  # nothing is said to be ignored


@pytest.mark.parametrize("head", HEADS)
def test_a_label_whose_texts_weigh_nothing_is_still_a_label(head, body, texts, topics):
    model = SetFitModel(body, head, random_state=0)
    model.fit(texts, topics, sample_weight=[1.0] * 8 + [0.0] * 4, show_progress_bar=False)
    assert model.labels == ["food", "sport", "tech"]
    assert model.predict_proba(texts).shape == (12, 3)
    assert set(model.predict(texts[:8])) == {"food", "sport"}


@pytest.mark.parametrize("head", HEADS)
def test_its_search_space_is_declared_where_the_core_finds_it(head):
    from setfit_core.heads.construction import HeadRecipe
    from setfit_core.heads.search_spaces import search_space_of

    loaded = get_head(head)
    assert search_space_of(HeadRecipe(loaded.factory, {}, loaded.info))
