"""Array heads whose answer for a row depends on the other rows, on their order, or on what was asked before."""

from __future__ import annotations

import numpy as np

from .centroids import Centroids, softmax
from .registry import faulty


@faulty("batch-invariance")
class CentresTheBatch(Centroids):
    """Embeddings are centred by the mean of the batch instead of the mean seen in training."""

    def _scores(self, embeddings):
        if not len(embeddings):
            return super()._scores(embeddings)
        return super()._scores(embeddings - embeddings.mean(axis=0) + self.mean_)


@faulty("batch-invariance")
class ScalesByTheBatch(Centroids):
    """Scores are divided by the largest one of the batch, which changes probabilities and no prediction."""

    def predict_proba(self, embeddings):
        scores = self._scores(self._read(embeddings))
        return softmax(scores / max(np.abs(scores).max(initial=0), 1e-9))


@faulty("batch-invariance")
class BalancesTheBatch(Centroids):
    """Probabilities are adjusted until the batch has as much of each class as the next, as in transductive few-shot."""

    def predict_proba(self, embeddings):
        probabilities = super().predict_proba(embeddings)
        if len(probabilities) < 2:
            return probabilities
        for _ in range(3):
            probabilities = probabilities / probabilities.sum(axis=0)
            probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
        return probabilities


@faulty("batch-invariance")
class WhitensLargeBatches(Centroids):
    """From 64 rows on, embeddings are scaled by the deviations of the batch instead of those seen in training."""

    def fit(self, embeddings, labels):
        self.deviation_ = np.asarray(embeddings, dtype=np.float64).std(axis=0) + 1e-6
        return super().fit(embeddings, labels)

    def _scores(self, embeddings):
        deviation = embeddings.std(axis=0) + 1e-6 if len(embeddings) >= 64 else self.deviation_
        return super()._scores(self.mean_ + (embeddings - self.mean_) / deviation * self.deviation_)


@faulty("row-permutation")
class SmoothsOverRows(Centroids):
    """A row's probabilities are averaged with those of the row before, as if rows were a stream."""

    def predict_proba(self, embeddings):
        probabilities = super().predict_proba(embeddings)
        before = np.concatenate([probabilities[:1], probabilities[:-1]])
        return 0.6 * probabilities + 0.4 * before


@faulty("row-permutation")
class SortsRows(Centroids):
    """Rows are sorted by length for speed, and the answers are returned in that order."""

    def _read(self, embeddings):
        embeddings = super()._read(embeddings)
        return embeddings[np.argsort(np.linalg.norm(embeddings, axis=1), kind="stable")]


@faulty("row-permutation")
class UnsortsTheWrongWay(Centroids):
    """Rows are sorted for speed and put back by the order of sorting, where its inverse is needed."""

    def predict_proba(self, embeddings):
        embeddings = self._read(embeddings)
        order = np.argsort(np.linalg.norm(embeddings, axis=1), kind="stable")
        return softmax(self._scores(embeddings[order]))[order]


@faulty("repeatable-prediction")
class AdaptsWhilePredicting(Centroids):
    """Each prediction moves the class means a little towards what was asked."""

    def predict_proba(self, embeddings):
        embeddings = self._read(embeddings)
        probabilities = softmax(self._scores(embeddings))
        if len(embeddings):
            pull = probabilities.T @ (embeddings - self.mean_) / (probabilities.sum(axis=0)[:, None] + 1e-9)
            self.centroids_ = 0.95 * self.centroids_ + 0.05 * pull
        return probabilities


@faulty("repeatable-prediction")
class DrawsFromItsOwnGenerator(Centroids):
    """Probabilities carry noise from the head's own generator, which moves on with each question."""

    def fit(self, embeddings, labels):
        self.calls_ = 0
        return super().fit(embeddings, labels)

    def _scores(self, embeddings):
        self.calls_ += 1
        noise = np.random.default_rng(self.calls_).normal(0, 0.05, (len(embeddings), len(self.classes_)))
        return super()._scores(embeddings) + noise


@faulty("repeatable-prediction")
class RemembersByShape(Centroids):
    """Answers are remembered by the shape of the embeddings, so that other embeddings get them, too."""

    def fit(self, embeddings, labels):
        self.answers_ = {}
        return super().fit(embeddings, labels)

    def predict_proba(self, embeddings):
        shape = f"{np.shape(embeddings)}"
        if shape not in self.answers_:
            self.answers_ = {shape: super().predict_proba(embeddings)}
        return self.answers_[shape].copy()


@faulty("repeatable-prediction")
class RemembersById(Centroids):
    """Answers are remembered by the `id` of the array, which another array, or other values in it, may have later."""

    def fit(self, embeddings, labels):
        self.answers_ = {}
        return super().fit(embeddings, labels)

    def predict_proba(self, embeddings):
        # The shape is looked at, too, so that only an array of the same shape can be taken for another.
        key = f"{id(embeddings)} {np.shape(embeddings)}"
        if key not in self.answers_:
            self.answers_ = {key: super().predict_proba(embeddings)}
        return self.answers_[key].copy()


@faulty("repeatable-prediction")
class PredictsWhatWasAskedBefore(Centroids):
    """`predict` takes the probabilities that were computed last, if there are as many rows."""

    def fit(self, embeddings, labels):
        self.last_ = None
        return super().fit(embeddings, labels)

    def predict_proba(self, embeddings):
        self.last_ = super().predict_proba(embeddings)
        return self.last_

    def predict(self, embeddings):
        probabilities = self.last_
        if probabilities is None or len(probabilities) != len(embeddings):
            probabilities = self.predict_proba(embeddings)
        return self.classes_[probabilities.argmax(axis=1)]


@faulty("repeatable-prediction")
class HandsOutItsBuffer(Centroids):
    """`predict_proba` returns the head's own buffer, which the next question of as many rows overwrites."""

    def fit(self, embeddings, labels):
        self.buffer_ = None
        return super().fit(embeddings, labels)

    def predict_proba(self, embeddings):
        probabilities = super().predict_proba(embeddings)
        if self.buffer_ is None or self.buffer_.shape != probabilities.shape:
            self.buffer_ = np.empty_like(probabilities)
        self.buffer_[:] = probabilities
        return self.buffer_


@faulty("thread-safety")
class KeepsTheEmbeddings(Centroids):
    """The embeddings are kept in an attribute while they are worked on, where a second thread replaces them."""

    def predict_proba(self, embeddings):
        self.embeddings_ = self._read(embeddings)
        columns = [self._column(each) for each in range(len(self.classes_))]
        return softmax(np.stack(columns, axis=1))

    def _column(self, each):
        centred = self.embeddings_ - self.mean_
        return (centred @ self.centroids_[each] - (self.centroids_[each] ** 2).sum() / 2) / self.scale_


@faulty("thread-safety")
class SharesABuffer(Centroids):
    """All calls write their scores into one buffer, which grows when it must."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        self.buffer_ = np.empty((0, len(self.classes_)))
        return self

    def predict_proba(self, embeddings):
        embeddings = self._read(embeddings)
        if len(self.buffer_) < len(embeddings):
            self.buffer_ = np.empty((len(embeddings), len(self.classes_)))
        for row, embedding in enumerate(embeddings):
            self.buffer_[row] = self._scores(embedding[None])[0]
        return softmax(self.buffer_[: len(embeddings)].copy())


@faulty("thread-safety")
class PreparesOnFirstUse(Centroids):
    """A table is filled at the first question, and a second thread reads it half full."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        self.table_ = None
        return self

    def _scores(self, embeddings):
        if self.table_ is None:
            self.table_ = np.zeros(len(self.classes_))
            for each, centroid in enumerate(self.centroids_):
                self.table_[each] = sum(float(value) ** 2 for value in centroid) / 2
        return ((embeddings - self.mean_) @ self.centroids_.T - self.table_) / self.scale_
