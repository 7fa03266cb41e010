"""Array heads that are right for some numbers of classes, features or rows, and wrong for others."""

from __future__ import annotations

import numpy as np

from .centroids import Centroids, softmax
from .registry import faulty


@faulty("two-classes")
class OneColumnForTwo(Centroids):
    """With two classes `predict_proba` returns one column, the probability of class 1."""

    def predict(self, embeddings):
        return self.classes_[super().predict_proba(embeddings).argmax(axis=1)]

    def predict_proba(self, embeddings):
        probabilities = super().predict_proba(embeddings)
        return probabilities[:, 1:] if len(self.classes_) == 2 else probabilities


@faulty("two-classes")
class SwapsTwo(Centroids):
    """With two classes the columns are the wrong way round, because the score of class 1 counts for class 0."""

    def predict_proba(self, embeddings):
        probabilities = super().predict_proba(embeddings)
        if probabilities.shape[1] > 2:
            return probabilities
        positive = probabilities[:, 1]
        return np.column_stack([positive, 1 - positive])


@faulty("several-classes")
class SortsIdsAsText(Centroids):
    """Class ids are sorted as text, so that 10 comes before 2."""

    def fit(self, embeddings, labels):
        order = sorted(set(labels), key=str)
        super().fit(embeddings, [order.index(label) for label in labels])
        return self


@faulty("several-classes")
class TopTen(Centroids):
    """Only the ten most probable classes keep a probability, and nothing normalises the rest."""

    def predict_proba(self, embeddings):
        probabilities = super().predict_proba(embeddings)
        kept = np.sort(probabilities, axis=1)[:, -10:][:, :1]
        return np.where(probabilities >= kept, probabilities, 0)


@faulty("many-classes")
class EightBitIds(Centroids):
    """Columns are numbered in 8 bits, so that those above 127 become negative and count from the end."""

    def predict(self, embeddings):
        return self.classes_[self.predict_proba(embeddings).argmax(axis=1).astype(np.int8)]


@faulty("many-classes")
class HundredColumns(Centroids):
    """Room is made for 100 classes, and the ids of others are wrapped into it."""

    def fit(self, embeddings, labels):
        return super().fit(embeddings, [label % 100 if isinstance(label, int) else label for label in labels])


@faulty("embedding-sizes")
class SqueezesFeatures(Centroids):
    """Embeddings of one feature are squeezed to a vector, which the head then refuses."""

    @staticmethod
    def _finite(embeddings):
        embeddings = np.asarray(embeddings)
        return Centroids._finite(np.squeeze(embeddings, axis=1) if embeddings.shape[1] == 1 else embeddings)


@faulty("embedding-sizes")
class PairsOfFeatures(Centroids):
    """Features are read in pairs, and of an odd number of them the last one is lost."""

    def fit(self, embeddings, labels):
        self.size_ = np.shape(embeddings)[1]
        return super().fit(self._in_pairs(embeddings), labels)

    def _read(self, embeddings):
        if np.shape(embeddings)[1] != self.size_:
            raise ValueError("wrong number of features")
        return super()._read(self._in_pairs(embeddings))

    @staticmethod
    def _in_pairs(embeddings):
        rows, size = np.shape(embeddings)
        return np.asarray(embeddings)[:, : size // 2 * 2].reshape(rows, size // 2, 2).reshape(rows, size // 2 * 2)


@faulty("large-embeddings")
class UnstableSoftmax(Centroids):
    """The softmax doesn't subtract the maximum, so that it overflows on the products of long embeddings."""

    def _scores(self, embeddings):
        centred = embeddings - self.mean_
        return centred @ self.centroids_.T - (self.centroids_**2).sum(axis=1) / 2

    def predict_proba(self, embeddings):
        with np.errstate(over="ignore", invalid="ignore"):
            powers = np.exp(self._scores(self._read(embeddings)))
            return powers / powers.sum(axis=1, keepdims=True)


@faulty("large-embeddings")
class First256Features(Centroids):
    """Only the first 256 features are read, as the size of the table of statistics allows."""

    def fit(self, embeddings, labels):
        self.size_ = np.shape(embeddings)[1]
        return super().fit(np.asarray(embeddings)[:, :256], labels)

    def _read(self, embeddings):
        if np.shape(embeddings)[1] != self.size_:
            raise ValueError("wrong number of features")
        return super()._read(np.asarray(embeddings)[:, :256])


@faulty("single-row")
class SqueezesPredictions(Centroids):
    """`predict` squeezes, so that one row gives a number instead of an array."""

    def predict(self, embeddings):
        return np.squeeze(super().predict(embeddings)[:, None])


@faulty("single-row")
class SqueezesProbabilities(Centroids):
    """`predict_proba` returns `[C]` instead of `[1, C]` for one row."""

    def predict(self, embeddings):
        return self.classes_[super().predict_proba(embeddings).argmax(axis=1)]

    def predict_proba(self, embeddings):
        probabilities = super().predict_proba(embeddings)
        return probabilities[0] if len(probabilities) == 1 else probabilities


@faulty("empty-input")
class RowByRow(Centroids):
    """Rows are predicted one by one, and of no rows NumPy makes a vector without columns."""

    def predict_proba(self, embeddings):
        return np.array([super(RowByRow, self).predict_proba(row[None])[0] for row in self._read(embeddings)])

    def predict(self, embeddings):
        return np.array([self.classes_[row.argmax()] for row in self.predict_proba(embeddings)], self.classes_.dtype)


@faulty("empty-input")
class NothingForNothing(Centroids):
    """No rows give None."""

    def predict(self, embeddings):
        return super().predict(embeddings) if len(embeddings) else None

    def predict_proba(self, embeddings):
        return super().predict_proba(embeddings) if len(embeddings) else None


@faulty("many-rows")
class WholeBlocksOnly(Centroids):
    """More than 1000 rows are predicted in blocks, and the last one that isn't full is left at zero."""

    block = 1000

    def predict_proba(self, embeddings):
        embeddings = self._read(embeddings)
        if len(embeddings) <= self.block:
            return softmax(self._scores(embeddings))
        probabilities = np.zeros((len(embeddings), len(self.classes_)))
        for start in range(0, len(embeddings) - self.block + 1, self.block):
            rows = slice(start, start + self.block)
            probabilities[rows] = softmax(self._scores(embeddings[rows]))
        return probabilities


@faulty("many-rows")
class OverlappingBlocks(Centroids):
    """Blocks of 512 rows start at the wrong place, so that later rows get the answers of their neighbours."""

    block = 512

    def predict_proba(self, embeddings):
        embeddings = self._read(embeddings)
        probabilities = np.empty((len(embeddings), len(self.classes_)))
        for number, start in enumerate(range(0, len(embeddings), self.block)):
            rows = embeddings[start : start + self.block]
            probabilities[start : start + len(rows)] = softmax(self._scores(np.roll(rows, number, axis=0)))
        return probabilities


@faulty("wrong-width")
class CropsAndPads(Centroids):
    """Embeddings of another width are cropped, or filled up with zeros, without a word."""

    def _read(self, embeddings):
        embeddings = self._finite(embeddings)
        missing = max(0, len(self.mean_) - embeddings.shape[1])
        return np.pad(embeddings, ((0, 0), (0, missing)))[:, : len(self.mean_)]
