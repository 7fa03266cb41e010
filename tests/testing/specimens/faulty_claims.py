"""Array heads that declare what they don't keep, or that don't have the members of a contract."""

from __future__ import annotations

import numpy as np

from .centroids import Centroids, softmax
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
