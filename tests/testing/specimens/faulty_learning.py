"""Array heads that don't learn, or not from every set of examples, or not the same twice."""

from __future__ import annotations

import time

import numpy as np

from .centroids import Centroids, softmax
from .registry import faulty


@faulty("learns-separable")
class IgnoresEmbeddings(Centroids):
    """Every row gets the shares of the classes in training, as from scikit-learn's `DummyClassifier`."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        shares = np.unique(np.asarray(labels), return_counts=True)[1]
        self.shares_ = shares / shares.sum()
        return self

    def predict_proba(self, embeddings):
        return np.tile(self.shares_, (len(self._read(embeddings)), 1))


@faulty("learns-separable")
class LabelsOneRowOff(Centroids):
    """Each row is trained with the label of the row before."""

    def fit(self, embeddings, labels):
        labels = list(labels)
        return super().fit(embeddings, labels[-1:] + labels[:-1])


@faulty("learns-separable")
class ClassesOneOff(Centroids):
    """`predict` and the columns of `predict_proba` are off by one class, and agree with each other."""

    def predict_proba(self, embeddings):
        return np.roll(super().predict_proba(embeddings), 1, axis=1)


@faulty("learns-separable")
class StopsTooSoon(Centroids):
    """Gradient descent from random weights stops after one tiny step."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        start = np.random.default_rng(0).normal(0, self.scale_**0.5, self.centroids_.shape)
        self.centroids_ = start + 1e-3 * (self.centroids_ - start)
        return self


@faulty("imbalanced-classes")
class SharesDecide(Centroids):
    """The logarithm of a class's share is added once for each example, so that a small class is never predicted."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        counts = np.unique(np.asarray(labels), return_counts=True)[1]
        self.prior_ = np.log(counts / counts.sum()) * counts.sum()
        return self

    def _scores(self, embeddings):
        return super()._scores(embeddings) + self.prior_


@faulty("imbalanced-classes")
class MovesToTheMajority(Centroids):
    """Class means are shrunk towards the mean of all, by so much that only a class with many examples resists."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        counts = np.unique(np.asarray(labels), return_counts=True)[1]
        largest = self.centroids_[counts.argmax()]
        keep = np.where(counts * 3 >= counts.max(), 1.0, 0.0)[:, None]
        self.centroids_ = keep * self.centroids_ + (1 - keep) * largest
        return self


@faulty("single-example-class")
class VarianceOfOne(Centroids):
    """Each class has a variance of its own, which is NaN for a class with one example."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        embeddings, labels = np.asarray(embeddings, dtype=np.float64), np.asarray(labels)
        with np.errstate(invalid="ignore", divide="ignore"):
            groups = [embeddings[labels == each] - self.mean_ for each in self.classes_]
            spreads = [((group - group.mean(axis=0)) ** 2).sum() / np.float64(len(group) - 1) for group in groups]
        self.spreads_ = np.array(spreads) + 1e-9
        return self

    def _scores(self, embeddings):
        centred = embeddings - self.mean_
        distances = (centred**2).sum(axis=1, keepdims=True) - 2 * centred @ self.centroids_.T
        return -(distances + (self.centroids_**2).sum(axis=1)) / (self.spreads_ + self.scale_)


@faulty("single-example-class")
class DropsRareClasses(Centroids):
    """Classes with one example are taken for noise and left out, and their columns are missing."""

    def fit(self, embeddings, labels):
        names, counts = np.unique(np.asarray(labels), return_counts=True)
        common = set(names[counts > 1].tolist()) or set(names.tolist())
        kept = [row for row, label in enumerate(labels) if label in common]
        return super().fit(np.asarray(embeddings)[kept], [labels[row] for row in kept])


@faulty("single-example-class")
class HoldsOneOut(Centroids):
    """An example of each class is held out for calibration, so that a class with one example can't be trained."""

    def fit(self, embeddings, labels):
        names, first, counts = np.unique(np.asarray(labels), return_index=True, return_counts=True)
        if counts.min() < 2:
            raise ValueError(f"the class {names[counts.argmin()]} has too few members, the least is 2")
        kept = np.setdiff1d(np.arange(len(labels)), first)
        return super().fit(np.asarray(embeddings)[kept], [labels[row] for row in kept])


@faulty("determinism")
class UnseededProjection(Centroids):
    """Embeddings are projected by random numbers of a generator that has no seed."""

    def fit(self, embeddings, labels):
        size = np.shape(embeddings)[1]
        self.projection_ = np.eye(size) + np.random.default_rng().normal(0, 0.2 / size**0.5, (size, size))
        return super().fit(self._finite(embeddings) @ self.projection_, labels)

    def _read(self, embeddings):
        return super()._read(self._finite(embeddings) @ self.projection_)


@faulty("determinism")
class SeedsFromTheClock(Centroids):
    """The examples that are averaged are drawn with the time as the seed."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        noise = np.random.default_rng(time.perf_counter_ns()).normal(0, 0.02, self.centroids_.shape)
        self.centroids_ = self.centroids_ + noise * self.scale_**0.5
        return self


@faulty("few-shot-problems")
class DividesByTheDeviation(Centroids):
    """Features are divided by their deviation, which is zero where all examples agree."""

    def fit(self, embeddings, labels):
        embeddings = self._finite(embeddings)
        self.deviation_ = embeddings.std(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = embeddings / self.deviation_
        classes, ids = np.unique(np.asarray(labels), return_inverse=True)
        self.mean_, self.classes_ = scaled.mean(axis=0), classes
        with np.errstate(invalid="ignore"):
            self.centroids_ = np.stack(
                [(scaled - self.mean_)[ids == each].mean(axis=0) for each in range(len(classes))]
            )
        self.scale_ = float(embeddings.shape[1])
        return self

    def _scores(self, embeddings):
        with np.errstate(invalid="ignore", divide="ignore"):
            return super()._scores(embeddings / self.deviation_)


@faulty("few-shot-problems")
class PooledVariance(Centroids):
    """The variance is divided by rows minus classes, which is zero where each class has one example."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        ids = np.searchsorted(self.classes_, np.asarray(labels))
        rest = self._finite(embeddings) - self.mean_ - self.centroids_[ids]
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = (rest**2).sum() / np.float64(len(ids) - len(self.classes_))
        self.scale_ = self.scale_ + variance
        return self


@faulty("few-shot-problems")
class HoldsOutEveryFifth(Centroids):
    """Every fifth row is held out to see how well the head does, and of fewer rows there is no fifth."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        held_out = list(range(4, len(embeddings), 5))
        self.right_ = float((self.predict(np.asarray(embeddings)[held_out]) == labels[held_out[0]]).mean())
        return self


@faulty("random-state")
class ReseedsPython(Centroids):
    """`fit` seeds Python's own generator."""

    def fit(self, embeddings, labels):
        import random

        random.seed(42)
        return super().fit(embeddings, labels)


@faulty("random-state")
class DrawsToBreakTies(Centroids):
    """`predict_proba` draws from NumPy's global generator to break ties."""

    def predict_proba(self, embeddings):
        scores = self._scores(self._read(embeddings))
        return softmax(scores + 1e-13 * np.random.random(scores.shape))


@faulty("random-state")
class SeedsAndRestoresTooMuch(Centroids):
    """`predict` restores a state of NumPy's global generator that is as old as the training."""

    def fit(self, embeddings, labels):
        self.state_ = np.random.get_state()[1].copy()
        return super().fit(embeddings, labels)

    def predict(self, embeddings):
        np.random.set_state(("MT19937", self.state_, 0))
        return super().predict(embeddings)
