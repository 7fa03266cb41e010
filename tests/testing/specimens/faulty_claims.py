"""Array heads that declare what they don't keep, or that don't have the members of a contract."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from .centroids import Centroids, softmax
from .correct_arrays import ExplainsItself, KnowsItsClasses, Searched
from .registry import faulty


@faulty("contract")
class NoProbabilities:
    """There is no `predict_proba`, as in scikit-learn's `LinearSVC`."""

    def fit(self, embeddings, labels):
        self.inner_ = Centroids().fit(embeddings, labels)
        return self

    def predict(self, embeddings):
        return self.inner_.predict(embeddings)


@faulty("contract")
class FitTakesNoLabels(Centroids):
    """`fit` takes a list of pairs instead of embeddings and labels."""

    def fit(self, examples):
        return super().fit([row for row, _ in examples], [label for _, label in examples])


@faulty("contract")
class PredictIsAProperty(Centroids):
    """`predict` is a property that holds the last predictions."""

    @property
    def predict(self):
        return self.predictions_


@faulty("contract")
class PredictIsAsynchronous(Centroids):
    """`predict_proba` is a coroutine."""

    async def predict_proba(self, embeddings):
        return super().predict_proba(embeddings)


@faulty("declaration")
class UnknownCapability(Centroids):
    """The declaration has a key that nobody knows, `multilabel` for `multi_label`."""

    setfit_head = {"api": 1, "multilabel": False}  # noqa: RUF012  # as the documentation shows it


@faulty("declaration")
class CapabilityInWords(Centroids):
    """A capability is declared as "yes" instead of True."""

    setfit_head = {"api": 1, "partial_fit": "yes"}  # noqa: RUF012  # as the documentation shows it

    def partial_fit(self, embeddings, labels):
        return self.fit(embeddings, labels)


@faulty("declaration")
class DeclarationIsAList(Centroids):
    """The declaration is a list of capabilities instead of a mapping."""

    setfit_head = ["sample_weight"]  # noqa: RUF012  # as the documentation shows it


@faulty("multi-label")
class ClaimsSeveralLabels(Centroids):
    """Several labels a text are declared, but `predict` gives one of them."""

    setfit_head = {"api": 1, "multi_label": True}  # noqa: RUF012  # as the documentation shows it

    def fit(self, embeddings, labels):
        labels = np.asarray(labels)
        return super().fit(embeddings, labels.argmax(axis=1) if labels.ndim == 2 else labels)


@faulty("multi-label")
class TakesSeveralLabelsForOne(Centroids):
    """Several labels a text are declared impossible, and yet rows of 0 and 1 are taken, for their first 1."""

    setfit_head = {"api": 1, "multi_label": False}  # noqa: RUF012  # as the documentation shows it

    def fit(self, embeddings, labels):
        labels = np.asarray(labels)
        return super().fit(embeddings, labels.argmax(axis=1) if labels.ndim == 2 else labels)


@faulty("multi-label")
class SharesOneUnitOfProbability(Centroids):
    """With several labels a text, the probabilities of a row still sum to 1, and `predict` cuts them at one half."""

    setfit_head = {"api": 1, "multi_label": True}  # noqa: RUF012  # as the documentation shows it

    def fit(self, embeddings, labels):
        labels = np.asarray(labels)
        self.several_ = labels.ndim == 2
        if not self.several_:
            return super().fit(embeddings, labels)
        embeddings = self._finite(embeddings)
        self.mean_ = embeddings.mean(axis=0)
        shares = labels.T / np.maximum(labels.sum(axis=0), 1)[:, None]
        self.centroids_ = shares @ (embeddings - self.mean_)
        self.classes_ = np.arange(labels.shape[1])
        self.scale_ = 0.1 * float(((embeddings - self.mean_) ** 2).sum(axis=1).mean()) + 1e-9
        return self

    def predict(self, embeddings):
        if not self.several_:
            return super().predict(embeddings)
        return (self.predict_proba(embeddings) > 0.5).astype(np.int64)


@faulty("partial-fit")
class StartsAfresh(Centroids):
    """`partial_fit` is declared, but forgets what came before."""

    setfit_head = {"api": 1, "partial_fit": True}  # noqa: RUF012  # as the documentation shows it

    def partial_fit(self, embeddings, labels, classes=None):
        return self.fit(embeddings, labels)


@faulty("partial-fit")
class RemembersItsLastBatch(Centroids):
    """`partial_fit` is declared, and keeps all classes, but the means of those in the last batch alone."""

    setfit_head = {"api": 1, "partial_fit": True}  # noqa: RUF012  # as the documentation shows it

    def partial_fit(self, embeddings, labels, classes=None):
        known = np.array(classes)
        self.fit(embeddings, labels)
        means = np.full((len(known), self.centroids_.shape[1]), 1e3)
        means[np.searchsorted(known, self.classes_)] = self.centroids_
        self.classes_, self.centroids_ = known, means
        return self


@faulty("partial-fit")
class DeclaresWithoutTheMethod(Centroids):
    """`partial_fit` is declared and isn't there."""

    setfit_head = {"api": 1, "partial_fit": True}  # noqa: RUF012  # as the documentation shows it


@faulty("partial-fit")
class HasWhatItDenies(Centroids):
    """`partial_fit` is declared impossible, and yet there is one."""

    setfit_head = {"api": 1, "partial_fit": False}  # noqa: RUF012  # as the documentation shows it

    def partial_fit(self, embeddings, labels, classes=None):
        return self.fit(embeddings, labels)


@faulty("sample-weight")
class IgnoresWeights(Centroids):
    """Sample weights are declared and taken, and change nothing."""

    setfit_head = {"api": 1, "sample_weight": True}  # noqa: RUF012  # as the documentation shows it

    def fit(self, embeddings, labels, sample_weight=None):
        return super().fit(embeddings, labels)


@faulty("sample-weight")
class DeniesWeightsAndTakesThem(Centroids):
    """Sample weights are declared impossible, and yet they are taken and ignored."""

    setfit_head = {"api": 1, "sample_weight": False}  # noqa: RUF012  # as the documentation shows it

    def fit(self, embeddings, labels, sample_weight=None):
        return super().fit(embeddings, labels)


@faulty("sample-weight")
class WeightsTheWrongRows(Centroids):
    """Sample weights are sorted by class before they are used, and so belong to other rows."""

    setfit_head = {"api": 1, "sample_weight": True}  # noqa: RUF012  # as the documentation shows it

    def fit(self, embeddings, labels, sample_weight=None):
        super().fit(embeddings, labels)
        if sample_weight is not None:
            ids = np.searchsorted(self.classes_, np.asarray(labels))
            weights = np.asarray(sample_weight, dtype=np.float64)[np.argsort(ids, kind="stable")]
            sums = np.zeros_like(self.centroids_)
            np.add.at(sums, ids, weights[:, None] * (self._finite(embeddings) - self.mean_))
            self.centroids_ = sums / np.maximum(np.bincount(ids, weights)[:, None], 1e-9)
        return self


@faulty("sample-weight")
class AsksOnlyWhetherAWeightIsZero(Centroids):
    """Examples of weight 0 are left out, and all others count alike."""

    setfit_head = {"api": 1, "sample_weight": True}  # noqa: RUF012  # as the documentation shows it

    def fit(self, embeddings, labels, sample_weight=None):
        super().fit(embeddings, labels)
        if sample_weight is not None:
            kept = np.asarray(sample_weight) > 0
            ids = np.searchsorted(self.classes_, np.asarray(labels))[kept]
            sums = np.zeros_like(self.centroids_)
            np.add.at(sums, ids, self._finite(embeddings)[kept] - self.mean_)
            self.centroids_ = sums / np.maximum(np.bincount(ids, minlength=len(sums))[:, None], 1)
        return self


@faulty("sample-weight")
class LosesClassesOfNoWeight(LogisticRegression):
    """Examples of weight 0 are left out, and with them the classes that have no others."""

    setfit_head = {"api": 1, "sample_weight": True}  # noqa: RUF012  # as the documentation shows it

    def fit(self, X, y, sample_weight=None):
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        kept = weights > 0
        return super().fit(np.asarray(X)[kept], np.asarray(y)[kept], weights[kept])


@faulty("open-set")
class KnowsEverything(Centroids):
    """Whatever it is asked about is known: there is no threshold."""

    setfit_head = {"api": 1, "open_set": True}  # noqa: RUF012  # as the documentation shows it

    def is_known(self, embeddings):
        return np.ones(len(self._read(embeddings)), dtype=bool)


@faulty("open-set")
class KnowsItsExamplesOnly(KnowsItsClasses):
    """The threshold is the smallest distance of a training example, so hardly any other text is known."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        self.radius_ = self._distances(embeddings).min()
        return self


@faulty("open-set")
class SaysHowWellItKnows(KnowsItsClasses):
    """`is_known` returns distances instead of booleans."""

    def is_known(self, embeddings):
        return self._distances(embeddings)


@faulty("open-set")
class DeniesWhatItKnows(KnowsItsClasses):
    """Open sets are declared impossible, and yet there is a method `is_known`."""

    setfit_head = {"api": 1, "open_set": False}  # noqa: RUF012  # as the documentation shows it


@faulty("explain")
class ExplainsTheLightestFirst(ExplainsItself):
    """Explanations come in the order of rising weights."""

    def explain(self, embeddings, limit):
        return [reasons[::-1] for reasons in super().explain(embeddings, limit)]


@faulty("explain")
class ExplainsBySharesOfNothing(ExplainsItself):
    """The weights of an explanation are similarities, which sum to more than 1."""

    def explain(self, embeddings, limit):
        explained = super().explain(embeddings, limit)
        return [[{**reason, "weight": 1.0} for reason in reasons] for reasons in explained]


@faulty("explain")
class ExplainsByEverything(ExplainsItself):
    """The limit is ignored."""

    def explain(self, embeddings, limit):
        return super().explain(embeddings, 2 * limit)


@faulty("explain")
class QuotesTheNextText(ExplainsItself):
    """Each text is quoted with the label of the one before it."""

    def fit(self, embeddings, labels, texts=None):
        return super().fit(embeddings, labels, texts and [*texts[1:], texts[0]])


@faulty("explain")
class QuotesAnEarlierTraining(ExplainsItself):
    """Fitted again without texts, it quotes those of the training before."""

    def fit(self, embeddings, labels, texts=None):
        return super().fit(embeddings, labels, texts or getattr(self, "texts_", None))


@faulty("explain")
class ExplainsByTheFarthest(ExplainsItself):
    """What is named is farthest from the text, not nearest."""

    def _nearness(self, embeddings):
        return -super()._nearness(embeddings)


@faulty("explain")
class ExplainsWhatItDenies(ExplainsItself):
    """Explanations are declared impossible, and yet there is a method `explain`."""

    setfit_head = {"api": 1, "explain": False}  # noqa: RUF012  # as the documentation shows it


@faulty("search-space")
class SearchesAnotherParameter(Searched):
    """The search space names a parameter that the head doesn't take."""

    setfit_head = {"api": 1, "search_space": {"width": {"low": 1, "high": 9}}}  # noqa: RUF012  # as documented


@faulty("search-space")
class SearchesWhatItRefuses(Searched):
    """The upper bound of the search space is refused while the head is built."""

    setfit_head = {"api": 1, "search_space": {"sharpness": {"low": 0.5, "high": 50.0}}}  # noqa: RUF012  # as documented

    def __init__(self, sharpness=1.0, centred=True):
        if sharpness > 10:
            raise ValueError("sharpness must not be above 10")
        super().__init__(sharpness, centred)


@faulty("search-space")
class SearchesWhatDoesNotTrain(Searched):
    """One of the choices makes training fail."""

    setfit_head = {"api": 1, "search_space": {"centred": {"choices": [True, False, "mean"]}}}  # noqa: RUF012  # as documented

    def fit(self, embeddings, labels):
        if not isinstance(self.centred, bool):
            raise TypeError("centred must be True or False")
        return super().fit(embeddings, labels)


@faulty("search-space")
class SearchesWhatBreaksItsAnswers(Searched):
    """The lower bound makes all probabilities NaN."""

    setfit_head = {"api": 1, "search_space": {"sharpness": {"low": 0.0, "high": 2.0}}}  # noqa: RUF012  # as documented

    def _scores(self, embeddings):
        with np.errstate(all="ignore"):
            return super()._scores(embeddings) / np.float64(self.sharpness)


@faulty("state-machine")
class DriftsWithEachTraining(Centroids):
    """Each training makes the probabilities a little sharper, because a counter isn't put back."""

    trainings = 0

    def fit(self, embeddings, labels):
        self.trainings += 1
        return super().fit(embeddings, labels)

    def predict_proba(self, embeddings):
        sharpness = 1 + max(0, self.trainings - 2) / 4
        return softmax(sharpness * self._scores(self._read(embeddings)))
