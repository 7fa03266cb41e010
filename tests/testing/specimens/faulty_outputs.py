"""Array heads whose outputs have the wrong shape, type or values."""

from __future__ import annotations

import numpy as np

from .centroids import Centroids, softmax
from .registry import faulty


@faulty("predict-shape")
class PredictColumn(Centroids):
    """`predict` returns a column, `[n, 1]`."""

    def predict(self, embeddings):
        return super().predict(embeddings).reshape(-1, 1)


@faulty("predict-shape")
class PredictMatrix(Centroids):
    """`predict` returns the `np.matrix` that the sparse product left, `[1, n]`."""

    def predict(self, embeddings):
        return np.asmatrix(super().predict(embeddings))


@faulty("predict-shape")
class PredictOneHot(Centroids):
    """`predict` returns one-hot rows instead of ids."""

    def predict(self, embeddings):
        return np.eye(len(self.classes_), dtype=np.int64)[self.predict_proba(embeddings).argmax(axis=1)]


@faulty("predict-dtype")
class PredictFloats(Centroids):
    """`predict` returns the ids as floats."""

    def predict(self, embeddings):
        ids = np.zeros(len(embeddings))
        ids[:] = super().predict(embeddings)
        return ids


@faulty("predict-dtype")
class PredictList(Centroids):
    """`predict` returns a list instead of an array."""

    def predict(self, embeddings):
        return super().predict(embeddings).tolist()


@faulty("predict-dtype")
class PredictText(Centroids):
    """`predict` returns the ids as text."""

    def predict(self, embeddings):
        return np.array([f"{label}" for label in super().predict(embeddings)], dtype=str)


@faulty("predict-range")
class CountsFromOne(Centroids):
    """`predict` counts the classes from 1."""

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(axis=1) + 1


@faulty("predict-range")
class Abstains(Centroids):
    """`predict` gives -1 to rows that no class is near to, where the head is unsure."""

    def predict(self, embeddings):
        probabilities = self.predict_proba(embeddings)
        sure = probabilities.max(axis=1) > 1.2 / probabilities.shape[1]
        return np.where(sure, self.classes_[probabilities.argmax(axis=1)], -1)


@faulty("proba-shape")
class BackgroundColumn(Centroids):
    """`predict_proba` has a further column, for "none of these"."""

    def predict_proba(self, embeddings):
        scores = self._scores(self._read(embeddings))
        return softmax(np.hstack([scores, np.full((len(scores), 1), -20.0)]))


@faulty("proba-shape")
class ProbaTransposed(Centroids):
    """`predict_proba` returns a row for each class, `[C, n]`."""

    def predict(self, embeddings):
        return self.classes_[self.predict_proba(embeddings).argmax(axis=0)]

    def predict_proba(self, embeddings):
        return super().predict_proba(embeddings).T


@faulty("proba-shape")
class ProbaOfTheWinner(Centroids):
    """`predict_proba` returns only the probability of the predicted class, `[n]`."""

    def predict(self, embeddings):
        return self.classes_[super().predict_proba(embeddings).argmax(axis=1)]

    def predict_proba(self, embeddings):
        return super().predict_proba(embeddings).max(axis=1)


@faulty("proba-dtype")
class ProbaList(Centroids):
    """`predict_proba` returns a list of lists."""

    def predict(self, embeddings):
        return self.classes_[super().predict_proba(embeddings).argmax(axis=1)]

    def predict_proba(self, embeddings):
        return super().predict_proba(embeddings).tolist()


@faulty("proba-dtype")
class ProbaObjects(Centroids):
    """`predict_proba` returns an array of Python objects."""

    def predict(self, embeddings):
        return self.classes_[super().predict_proba(embeddings).argmax(axis=1)]

    def predict_proba(self, embeddings):
        return super().predict_proba(embeddings).astype(object)


@faulty("proba-dtype")
class ProbaOfVotes(Centroids):
    """`predict_proba` returns 0 and 1 as integers, the vote of the one member of an ensemble."""

    def predict(self, embeddings):
        return self.classes_[super().predict_proba(embeddings).argmax(axis=1)]

    def predict_proba(self, embeddings):
        votes = super().predict_proba(embeddings).argmax(axis=1)
        return np.eye(len(self.classes_), dtype=np.int64)[votes]


@faulty("proba-range")
class Extrapolates(Centroids):
    """`predict_proba` sharpens linearly, beyond 0 and 1, where rows still sum to 1."""

    def predict_proba(self, embeddings):
        probabilities = softmax(4 * self._scores(self._read(embeddings)))
        return probabilities + 0.5 * (probabilities - 1 / probabilities.shape[1])


@faulty("proba-range")
class LogProbabilities(Centroids):
    """`predict_proba` returns the logarithms of the probabilities."""

    def predict_proba(self, embeddings):
        return np.log(super().predict_proba(embeddings))


@faulty("proba-sums")
class OneAgainstRest(Centroids):
    """`predict_proba` returns a sigmoid for each class, which nothing normalises."""

    def predict_proba(self, embeddings):
        return 1 / (1 + np.exp(-self._scores(self._read(embeddings))))


@faulty("proba-sums")
class Rounded(Centroids):
    """`predict_proba` rounds to two digits, so that rows sum to 0.99 or 1.01."""

    def predict(self, embeddings):
        return self.classes_[super().predict_proba(embeddings).argmax(axis=1)]

    def predict_proba(self, embeddings):
        return super().predict_proba(embeddings).round(2)


@faulty("argmax-agreement")
class TunedThreshold(Centroids):
    """`predict` prefers the last class from a probability of 0.4 on, `predict_proba` knows nothing of it."""

    def predict(self, embeddings):
        probabilities = self.predict_proba(embeddings)
        ids = np.where(probabilities[:, -1] > 0.4, probabilities.shape[1] - 1, probabilities.argmax(axis=1))
        return self.classes_[ids]


@faulty("argmax-agreement")
class NearestExample(Centroids):
    """`predict` asks the nearest example, `predict_proba` the class means; they differ near boundaries only."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        self.examples_ = np.array(embeddings, dtype=np.float64)
        self.labels_ = np.asarray(labels)
        return self

    def predict(self, embeddings):
        embeddings = self._read(embeddings)
        distances = (self.examples_**2).sum(axis=1) - 2 * embeddings @ self.examples_.T
        return self.labels_[distances.argmin(axis=1)]


@faulty("argmax-agreement")
class CalibratedPerClass(Centroids):
    """`predict_proba` is calibrated class by class and `predict` is not, as in a support-vector machine."""

    def predict(self, embeddings):
        return self.classes_[self._scores(self._read(embeddings)).argmax(axis=1)]

    def predict_proba(self, embeddings):
        scores = self._scores(self._read(embeddings))
        return softmax(scores * np.linspace(0.7, 1.3, scores.shape[1]) + np.linspace(-0.2, 0.2, scores.shape[1]))
