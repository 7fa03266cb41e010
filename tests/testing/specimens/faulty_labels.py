"""Array heads that are wrong about labels: how they come, what type they have, and in which order columns are."""

from __future__ import annotations

from collections import Counter

import numpy as np

from .centroids import Centroids
from .registry import faulty


@faulty("fit-takes-a-list")
class AsksLabelsForTheirType(Centroids):
    """`fit` asks the labels for their `dtype`, which a list hasn't got."""

    def fit(self, embeddings, labels):
        if labels.dtype.kind == "f":
            raise ValueError("labels must not be floats")
        return super().fit(embeddings, labels)


@faulty("fit-takes-a-list")
class ComparesTheList(Centroids):
    """Rows of a class are found by comparing all labels with it at once, which is False for a list."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        centred = self._finite(embeddings) - self.mean_
        groups = [centred[labels == each] for each in self.classes_]
        # A list compares as False, of which NumPy makes an empty array with one more axis.
        self.centroids_ = np.stack([group.reshape(-1, len(self.mean_)).sum(axis=0) for group in groups])
        return self


@faulty("column-order")
class OrderOfAppearance(Centroids):
    """Columns are in the order in which the classes appear, and `predict` counts columns."""

    def fit(self, embeddings, labels):
        order = list(dict.fromkeys(labels))
        return super().fit(embeddings, [order.index(label) for label in labels])


@faulty("column-order")
class OrderOfAppearanceAndNames(Centroids):
    """Columns are in the order in which the classes appear, and `predict` gives the right labels."""

    def fit(self, embeddings, labels):
        order = list(dict.fromkeys(labels))
        super().fit(embeddings, [order.index(label) for label in labels])
        self.classes_ = np.array(order)
        return self


@faulty("column-order")
class OrderOfFrequency(Centroids):
    """Columns are in the order of how many examples the classes have, as a value count gives them."""

    def fit(self, embeddings, labels):
        order = [label for label, _ in Counter(labels).most_common()]
        super().fit(embeddings, [order.index(label) for label in labels])
        self.classes_ = np.array(order)
        return self


@faulty("string-labels")
class LosesStateOnStrings(Centroids):
    """Labels that are strings are refused after what was learned before is gone."""

    def fit(self, embeddings, labels):
        self.centroids_ = None
        return super().fit(embeddings, [label if isinstance(label, bool) else int(label) for label in labels])


@faulty("string-labels")
class FoldsCase(Centroids):
    """Names that differ in capitals are one class, but have a column each."""

    def predict(self, embeddings):
        labels = super().predict(embeddings)
        return np.char.lower(labels) if labels.dtype.kind == "U" else labels


@faulty("string-labels")
class FirstNameDecidesLength(Centroids):
    """Predicted names are cut to the length of the first one."""

    def predict(self, embeddings):
        labels = super().predict(embeddings)
        return labels.astype(f"<U{len(self.classes_[0])}") if labels.dtype.kind == "U" else labels


@faulty("sparse-integer-labels")
class CountsToTheLargest(Centroids):
    """There are as many columns as the largest label says, and those without examples are zero."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        self.width_ = int(max(labels)) + 1 if self.classes_.dtype.kind == "i" else len(self.classes_)
        return self

    def predict_proba(self, embeddings):
        probabilities = super().predict_proba(embeddings)
        if self.classes_.dtype.kind != "i":
            return probabilities
        wide = np.zeros((len(probabilities), self.width_))
        wide[:, self.classes_] = probabilities
        return wide

    def predict(self, embeddings):
        ids = self.predict_proba(embeddings).argmax(axis=1)
        return ids if self.classes_.dtype.kind == "i" else self.classes_[ids]


@faulty("sparse-integer-labels")
class PredictsPlaces(Centroids):
    """`predict` gives the places of whole numbers among the classes instead of the numbers."""

    def predict(self, embeddings):
        ids = self.predict_proba(embeddings).argmax(axis=1)
        return ids if self.classes_.dtype.kind == "i" else self.classes_[ids]


@faulty("boolean-labels")
class FalseIsUnlabelled(Centroids):
    """False counts as not labelled, like None, and such rows are left out."""

    def fit(self, embeddings, labels):
        kept = [row for row, label in enumerate(labels) if label is not None and label is not False]
        return super().fit(np.asarray(embeddings)[kept], [labels[row] for row in kept])


@faulty("boolean-labels")
class PredictsTheNamesOfBooleans(Centroids):
    """Booleans come back as the strings "False" and "True"."""

    def predict(self, embeddings):
        labels = super().predict(embeddings)
        return labels.astype(str) if labels.dtype.kind == "b" else labels


@faulty("boolean-labels")
class LosesStateOnBooleans(Centroids):
    """Labels that are booleans are refused after the classes have been changed."""

    def fit(self, embeddings, labels):
        self.classes_ = np.unique(np.asarray(labels))
        if self.classes_.dtype.kind == "b":
            raise TypeError("labels must not be booleans")
        return super().fit(embeddings, labels)
