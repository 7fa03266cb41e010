"""Correct array heads, as unlike one another as they can be."""

from __future__ import annotations

import math

import numpy as np

from .centroids import Centroids, softmax
from .registry import correct


@correct()
class Minimal:
    """Nothing but the three methods; it takes contiguous ids and refuses other labels."""

    def fit(self, embeddings, labels):
        ids = np.array(labels)
        if ids.dtype.kind != "i" or set(labels) != set(range(len(set(labels)))):
            raise ValueError("labels must be the ids 0, 1, 2, …")
        self.weights = np.array([np.mean(embeddings[ids == each], axis=0) for each in range(max(labels) + 1)])

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(axis=1)

    def predict_proba(self, embeddings):
        near = -((embeddings[:, None].astype(float) - self.weights) ** 2).mean(axis=2)
        if embeddings.shape[1] != self.weights.shape[1]:
            raise ValueError("wrong number of features")
        powers = np.exp(near - near.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


@correct()
class Slots:
    """A head with `__slots__` and no dictionary of attributes."""

    __slots__ = ("_labels", "_means")

    def __getstate__(self):
        return {name: getattr(self, name) for name in self.__slots__ if hasattr(self, name)}

    def __setstate__(self, state):
        for name, value in state.items():
            setattr(self, name, value)

    def fit(self, embeddings, labels):
        rows = np.asarray(embeddings, dtype=np.float64)
        order = sorted(set(labels))
        places = np.array([order.index(label) for label in labels])
        means = np.stack([rows[places == place].mean(axis=0) for place in range(len(order))])
        self._labels, self._means = order, means

    def predict(self, embeddings):
        return np.asarray(self._labels)[self.predict_proba(embeddings).argmax(axis=1)]

    def predict_proba(self, embeddings):
        if np.shape(embeddings)[1] != self._means.shape[1]:
            raise ValueError("wrong number of features")
        products = np.asarray(embeddings, dtype=np.float64) @ self._means.T - (self._means**2).sum(axis=1) / 2
        return softmax(products / max(1.0, float(np.abs(self._means).max())))

    @property
    def classes_(self):
        return np.asarray(self._labels)


@correct()
class PlainPython:
    """What is learned is kept in plain lists and dictionaries, and a sum runs over them in Python."""

    def fit(self, embeddings, labels):
        sums, counts = {}, {}
        for row, label in zip(np.asarray(embeddings, dtype=np.float64), labels, strict=True):
            sums[label] = sums[label] + row if label in sums else row
            counts[label] = counts.get(label, 0) + 1
        self.names = sorted(counts)
        self.means = [(sums[name] / counts[name]).tolist() for name in self.names]

    @property
    def classes_(self):
        return np.array(self.names)

    def predict(self, embeddings):
        best = [max(range(len(row)), key=row.__getitem__) for row in self.predict_proba(embeddings).tolist()]
        return np.array([self.names[place] for place in best], dtype=self.classes_.dtype)

    def predict_proba(self, embeddings):
        means = np.array(self.means)
        rows = np.asarray(embeddings, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != means.shape[1] or not np.isfinite(rows).all():
            raise ValueError("embeddings don't fit")
        out = np.empty((len(rows), len(means)))
        scores = rows @ means.T - (means**2).sum(axis=1) / 2
        for place, row in enumerate((scores / (1 + np.abs(means).mean())).tolist()):
            top = max(row)
            powers = [math.exp(value - top) for value in row]
            total = sum(powers)
            out[place] = [power / total for power in powers]
        return out


@correct()
class NearestNeighbours:
    """All examples are kept, and the nearer ones have more votes."""

    def fit(self, embeddings, labels):
        examples = np.array(embeddings, dtype=np.float64)
        self.classes_, ids = np.unique(np.asarray(labels), return_inverse=True)
        self.examples, self.votes = examples, np.eye(len(self.classes_))[ids]
        self.width = float(np.var(examples)) * examples.shape[1] + 1e-9
        return self

    def predict(self, embeddings):
        return self.classes_[self.predict_proba(embeddings).argmax(axis=1)]

    def predict_proba(self, embeddings):
        rows = np.asarray(embeddings, dtype=np.float64)
        squares = (rows**2).sum(axis=1, keepdims=True) - 2 * rows @ self.examples.T + (self.examples**2).sum(axis=1)
        return softmax(-8 * squares / self.width) @ self.votes


@correct()
class LeastSquares:
    """Ridge regression on one-hot targets in closed form, with a softmax on top."""

    def __init__(self, penalty: float = 1e-3):
        self.penalty = penalty

    def get_params(self, deep=True):
        return {"penalty": self.penalty}

    def set_params(self, **params):
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def fit(self, embeddings, labels):
        rows = self._with_ones(embeddings)
        self.classes_, ids = np.unique(np.asarray(labels), return_inverse=True)
        # The smaller of the two systems of equations is solved: as many as rows, or as many as features.
        targets = np.eye(len(self.classes_))[ids]
        strength = self.penalty * max(float((rows**2).mean()), 1e-9)
        if len(rows) < rows.shape[1]:
            self.coef_ = rows.T @ np.linalg.solve(rows @ rows.T + strength * np.eye(len(rows)), targets)
        else:
            self.coef_ = np.linalg.solve(rows.T @ rows + strength * np.eye(rows.shape[1]), rows.T @ targets)
        return self

    def predict(self, embeddings):
        return self.classes_[self.predict_proba(embeddings).argmax(axis=1)]

    def predict_proba(self, embeddings):
        return softmax(4 * self._with_ones(embeddings) @ self.coef_)

    @staticmethod
    def _with_ones(embeddings):
        if not np.isfinite(embeddings).all():
            raise ValueError("embeddings must be finite")
        return np.hstack([np.asarray(embeddings, dtype=np.float64), np.ones((len(embeddings), 1))])


@correct()
class CosineInSinglePrecision(Centroids):
    """Cosines with the class means, with probabilities in single precision and ids in 32 bits."""

    def fit(self, embeddings, labels):
        rows = np.asarray(embeddings, dtype=np.float64)
        # One constant feature more keeps the length of an embedding from being lost altogether.
        self.floor_ = float(np.abs(rows).mean()) + 1e-9
        super().fit(self._directions(rows), labels)
        if self.classes_.dtype.kind == "i" and np.abs(self.classes_).max() < 2**31:
            self.classes_ = self.classes_.astype(np.int32)
        return self

    def predict_proba(self, embeddings):
        if np.shape(embeddings)[1] != len(self.mean_) - 1:
            raise ValueError("wrong number of features")
        return super().predict_proba(self._directions(embeddings)).astype(np.float32)

    def _directions(self, embeddings):
        rows = np.asarray(embeddings, dtype=np.float64)
        rows = np.hstack([rows, np.full((len(rows), 1), self.floor_)])
        with np.errstate(invalid="ignore"):
            return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@correct()
class SoftmaxRegression:
    """Softmax regression by gradient descent, with start weights from `random_state`."""

    def __init__(self, steps=60, random_state=None):
        self.steps = steps
        self.random_state = random_state

    def fit(self, embeddings, labels):
        rows = np.asarray(embeddings, dtype=np.float64)
        self.classes_, ids = np.unique(np.asarray(labels), return_inverse=True)
        targets = np.eye(len(self.classes_))[ids]
        self.mean_, self.width_ = (
            rows.mean(axis=0),
            float(np.sqrt(((rows - rows.mean(axis=0)) ** 2).sum(1).mean())) + 1e-9,
        )
        rows = (rows - self.mean_) / self.width_
        start = np.random.default_rng(self.random_state or 0).normal(0, 1e-3, (rows.shape[1], len(self.classes_)))
        self.weights_, self.bias_ = start, np.zeros(len(self.classes_))
        for _ in range(self.steps):
            slope = (softmax(rows @ self.weights_ + self.bias_) - targets) / np.bincount(ids)[ids, None]
            self.weights_ = self.weights_ - 2 * rows.T @ slope
            self.bias_ = self.bias_ - 0.2 * slope.sum(axis=0)

    def predict(self, embeddings):
        return self.classes_[self.predict_proba(embeddings).argmax(axis=1)]

    def predict_proba(self, embeddings):
        if np.shape(embeddings)[1] != len(self.mean_):
            raise ValueError("wrong number of features")
        rows = (np.asarray(embeddings, dtype=np.float64) - self.mean_) / self.width_
        return softmax(rows @ self.weights_ + self.bias_)


@correct()
class DelegatesToAnother:
    """A wrapper whose members pass everything on, with arguments of its own that have defaults."""

    setfit_head = {"api": 1, "contract": "non-differentiable"}  # noqa: RUF012  # as the documentation shows it

    def __init__(self, **options):
        self.options = options

    def fit(self, X, y, /, verbose=False):
        self.inner = Centroids().fit(X, y)
        return

    def predict(self, X, *, batch_size=1000):
        return self._in_batches(self.inner.predict, X, batch_size)

    def predict_proba(self, X, *, batch_size=1000):
        return self._in_batches(self.inner.predict_proba, X, batch_size)

    @property
    def classes_(self):
        return self.inner.classes_

    def _in_batches(self, method, rows, size):
        return np.concatenate([method(rows[start : start + size]) for start in range(0, max(1, len(rows)), size)])


@correct()
class TrainsInSteps(Centroids):
    """`partial_fit` and sample weights are declared and kept: sums and weights grow with each call."""

    setfit_head = {"api": 1, "partial_fit": True, "sample_weight": True}  # noqa: RUF012  # as documented

    def fit(self, embeddings, labels, sample_weight=None):
        vars(self).clear()
        return self.partial_fit(embeddings, labels, sample_weight=sample_weight)

    def partial_fit(self, embeddings, labels, classes=None, sample_weight=None):
        rows = self._finite(embeddings)
        weights = np.ones(len(rows)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if not hasattr(self, "classes_"):
            self.classes_ = np.unique(np.asarray(labels) if classes is None else np.asarray(classes))
            self.sums_ = np.zeros((len(self.classes_), rows.shape[1]))
            self.weights_, self.squares_ = np.zeros(len(self.classes_)), 0.0
        ids = np.searchsorted(self.classes_, np.asarray(labels))
        np.add.at(self.sums_, ids, weights[:, None] * rows)
        np.add.at(self.weights_, ids, weights)
        self.squares_ += float((weights * (rows**2).sum(axis=1)).sum())
        total = max(float(self.weights_.sum()), 1e-9)
        self.mean_ = self.sums_.sum(axis=0) / total
        means = self.sums_ / np.maximum(self.weights_, 1e-9)[:, None]
        self.centroids_ = np.where(self.weights_[:, None] > 0, means - self.mean_, 0)
        self.scale_ = max(self.squares_ / total - float((self.mean_**2).sum()), 0) + 1e-9
        return self


@correct()
class SeveralLabels(Centroids):
    """Several labels a text are declared and kept: each label has a mean of its own and a sigmoid."""

    setfit_head = {"api": 1, "multi_label": True}  # noqa: RUF012  # as the documentation shows it

    def fit(self, embeddings, labels):
        labels = np.asarray(labels)
        self.heads_ = []
        if labels.ndim == 1:
            return super().fit(embeddings, labels)
        self.heads_ = [Centroids().fit(embeddings, column) for column in labels.T]
        return self

    def predict(self, embeddings):
        if not self.heads_:
            return super().predict(embeddings)
        return np.stack([head.predict(embeddings) for head in self.heads_], axis=1).astype(np.int64)

    def predict_proba(self, embeddings):
        if not self.heads_:
            return super().predict_proba(embeddings)
        columns = []
        for head in self.heads_:
            share = head.predict_proba(embeddings)
            columns.append(share[:, 1] if len(head.classes_) == 2 else np.full(len(share), float(head.classes_[0])))
        return np.stack(columns, axis=1)


@correct()
class KnowsItsClasses(Centroids):
    """Open sets are declared and kept: what is farther from all class means than the examples are is unknown."""

    setfit_head = {"api": 1, "open_set": True}  # noqa: RUF012  # as the documentation shows it

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        self.radius_ = self._distances(embeddings).max()
        return self

    def is_known(self, embeddings):
        return self._distances(embeddings) <= self.radius_

    def _distances(self, embeddings):
        centred = self._read(embeddings) - self.mean_
        return np.linalg.norm(centred[:, None] - self.centroids_, axis=2).min(axis=1)


@correct()
class ExplainsItself(Centroids):
    """Explanations are declared and kept: the nearest examples, the nearer ones with larger shares of the vote."""

    setfit_head = {"api": 1, "explain": True}  # noqa: RUF012  # as the documentation shows it

    def fit(self, embeddings, labels, texts=None):
        super().fit(embeddings, labels)
        self.rows_, self.given_, self.texts_ = np.array(embeddings, dtype=np.float64), list(labels), texts
        return self

    def explain(self, embeddings, limit):
        nearness = self._nearness(embeddings)
        nearest = nearness.argsort(axis=1)[:, ::-1][:, :limit]
        weights = 1 / (1 + np.arange(nearest.shape[1]))
        return [
            [
                {
                    "text": self.texts_[place] if self.texts_ else None,
                    "label": self.given_[place],
                    "similarity": float(row[place]),
                    "weight": float(weight),
                }
                for place, weight in zip(places, weights / weights.sum(), strict=True)
            ]
            for row, places in zip(nearness, nearest, strict=True)
        ]

    def _nearness(self, embeddings):
        return -np.linalg.norm(self._read(embeddings)[:, None] - self.rows_, axis=2)


@correct()
class Searched(Centroids):
    """A search space is declared, with a range and with choices."""

    setfit_head = {  # noqa: RUF012  # as the documentation shows it
        "api": 1,
        "search_space": {
            "sharpness": {"low": 0.1, "high": 10.0, "log": True},
            "centred": {"choices": [True, False]},
        },
    }

    def __init__(self, sharpness=1.0, centred=True):
        self.sharpness = sharpness
        self.centred = centred

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        if not self.centred:
            self.centroids_ = self.centroids_ + self.mean_
            self.mean_ = np.zeros_like(self.mean_)
        return self

    def _scores(self, embeddings):
        return self.sharpness * super()._scores(embeddings)


@correct()
class OneLabelOnly(Centroids):
    """All that may be declared is declared impossible, and refused or not there."""

    setfit_head = {  # noqa: RUF012  # as the documentation shows it
        "api": 1,
        "explain": False,
        "multi_label": False,
        "open_set": False,
        "partial_fit": False,
        "sample_weight": False,
    }

    def fit(self, embeddings, labels):
        if np.ndim(labels) != 1:
            raise ValueError("one label a row, please")
        return super().fit(embeddings, labels)


@correct()
class RefusesWhatItMay(Centroids):
    """Empty input, half precision and labels that are no integers are refused before anything changes."""

    def fit(self, embeddings, labels):
        if not all(type(label) is int for label in labels):
            raise TypeError("labels must be whole numbers")
        return super().fit(embeddings, labels)

    def _read(self, embeddings):
        if not len(embeddings):
            raise ValueError("no rows to predict")
        return super()._read(embeddings)

    @staticmethod
    def _finite(embeddings):
        if np.asarray(embeddings).dtype == np.float16:
            raise TypeError("half precision is not supported")
        return Centroids._finite(embeddings)


@correct()
class NeedsFiveExamples(Centroids):
    """Fewer than five examples in all are refused with a `ValueError`, as nearest neighbours do it."""

    def fit(self, embeddings, labels):
        if len(embeddings) < 5:
            raise ValueError(f"5 examples are needed, and these are {len(embeddings)}")
        return super().fit(embeddings, labels)


@correct()
class StretchesOneFeature(Centroids):
    """Embeddings of one feature are stretched by NumPy's broadcasting; other sizes than in training are refused."""

    def _read(self, embeddings):
        return self._finite(embeddings)


@correct()
class NanPassesThrough(Centroids):
    """Rows with NaN or infinity get a row of NaN, and other rows are answered as ever."""

    @staticmethod
    def _finite(embeddings):
        return np.asarray(embeddings, dtype=np.float64)

    def _scores(self, embeddings):
        sound = np.isfinite(embeddings).all(axis=1)
        scores = np.full((len(embeddings), len(self.classes_)), np.nan)
        scores[sound] = super()._scores(embeddings[sound])
        return scores


@correct()
class AlwaysSure(Centroids):
    """Probabilities are 0 and 1 as floats: a head need not be calibrated."""

    def predict_proba(self, embeddings):
        scores = self._scores(self._read(embeddings))
        return np.eye(len(self.classes_), dtype=np.float32)[scores.argmax(axis=1)]


@correct()
def made_by_a_function(random_state=None):
    """A factory that takes a seed, and gives a head that was configured after it was built."""
    head = SoftmaxRegression(random_state=random_state)
    head.steps = 80
    return head
