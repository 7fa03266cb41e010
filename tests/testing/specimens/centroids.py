"""The correct array head that most faulty ones are made of."""

from __future__ import annotations

import numpy as np

from .registry import correct


@correct()
class Centroids:
    """Softmax over the distances to the class means: a NumPy head that takes labels of any type."""

    def fit(self, embeddings, labels):
        embeddings = self._finite(embeddings)
        classes, ids = np.unique(np.asarray(labels), return_inverse=True)
        if len(embeddings) != len(ids):
            raise ValueError(f"{len(embeddings)} embeddings and {len(ids)} labels")
        mean = embeddings.mean(axis=0)
        centred = embeddings - mean
        means = np.stack([centred[ids == each].mean(axis=0) for each in range(len(classes))])
        self.mean_, self.centroids_, self.classes_ = mean, means, classes
        self.scale_ = float((centred**2).sum(axis=1).mean()) + 1e-9
        return self

    def predict(self, embeddings):
        return self.classes_[self.predict_proba(embeddings).argmax(axis=1)]

    def predict_proba(self, embeddings):
        return softmax(self._scores(self._read(embeddings)))

    def _scores(self, embeddings):
        """Return a score for each class: minus half the squared distance, without what all classes share."""
        centred = embeddings - self.mean_
        return (centred @ self.centroids_.T - (self.centroids_**2).sum(axis=1) / 2) / self.scale_

    def _read(self, embeddings):
        embeddings = self._finite(embeddings)
        if embeddings.shape[1] != len(self.mean_):
            raise ValueError(f"{embeddings.shape[1]} features, but the head was fitted on {len(self.mean_)}")
        return embeddings

    @staticmethod
    def _finite(embeddings):
        embeddings = np.asarray(embeddings, dtype=np.float64)
        if embeddings.ndim != 2 or not np.isfinite(embeddings).all():
            raise ValueError("embeddings must be finite numbers [num_inputs, embedding_size]")
        return embeddings


def softmax(scores):
    """Return probabilities whose rows sum to 1."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=1, keepdims=True)
