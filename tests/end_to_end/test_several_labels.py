"""Several labels a text, on real texts: what the strategies are worth, with thresholds and without."""

import numpy as np
import pytest

from setfit_core import EmbeddingCache, SetFitModel
from setfit_core.evaluation.evaluate import evaluate_probabilities
from setfit_core.heads.multilabel import STRATEGIES

pytestmark = [pytest.mark.slow, pytest.mark.data]


@pytest.fixture(scope="module")
def body():
    return SetFitModel.from_pretrained(device="cpu").model_body


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return EmbeddingCache(tmp_path_factory.mktemp("embeddings"))


@pytest.mark.parametrize(
    ("head", "strategy"), [*(("logistic", strategy) for strategy in STRATEGIES), ("linear", "one-vs-rest")]
)
def test_tuned_thresholds_find_what_the_half_misses(head, strategy, body, cache, read_split, tmp_path):
    train, test = (read_split("go_emotions", split) for split in ("train", "test"))
    learnt, held_out, tested = (
        (part.text.tolist(), part.label_name.str.split("|").tolist())
        for part in (train[:400], train[400:700], test[:500])
    )
    names = sorted({name for _, rows in (learnt, held_out, tested) for row in rows for name in row})
    model = SetFitModel(body, head, strategy, labels=names, random_state=0, embedding_cache=cache)
    model.fit(*learnt, show_progress_bar=False, num_epochs=4)
    at_half = model.predict_proba(tested[0], as_numpy=True)
    assert at_half.shape == (500, len(names))
    halves = evaluate_probabilities(model, *tested).scores
    model.tune_thresholds(*held_out)
    thresholds = model.thresholds
    of_each = evaluate_probabilities(model, *tested).scores
    assert of_each.macro_f1 > halves.macro_f1 + 0.03
    model.tune_thresholds(*held_out, "micro_f1")
    of_all = evaluate_probabilities(model, *tested).scores
    assert of_all.micro_f1 > halves.micro_f1 + 0.03
    model.tune_thresholds(*held_out)
    assert model.thresholds == thresholds
    probabilities = model.predict_proba(tested[0], as_numpy=True)
    np.testing.assert_allclose(probabilities, at_half, atol=0.005)  # bfloat16 and float32, where a call is close
    loaded = SetFitModel.from_pretrained(model.save_pretrained(tmp_path / "model"), device="cpu", embedding_cache=cache)
    assert loaded.multi_target_strategy == strategy
    assert np.array_equal(loaded.predict_proba(tested[0], as_numpy=True), probabilities)
    predicted = loaded.predict(tested[0], use_labels=False, as_numpy=True)
    assert np.array_equal(predicted, probabilities > np.array(list(thresholds.values())))
    assert np.array_equal(predicted, model.predict(tested[0], use_labels=False, as_numpy=True))
