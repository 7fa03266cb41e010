"""Array heads that change what they are given, or that can't read every array that holds embeddings."""

from __future__ import annotations

import numpy as np

from .centroids import Centroids, softmax
from .registry import faulty


@faulty("non-contiguous-input")
class ReadsInMemoryOrder(Centroids):
    """Embeddings are read in the order in which they lie in memory, whatever their strides."""

    @staticmethod
    def _finite(embeddings):
        embeddings = np.asarray(embeddings)
        return Centroids._finite(embeddings.ravel(order="K").reshape(embeddings.shape))


@faulty("non-contiguous-input")
class NeedsOneBlockOfMemory(Centroids):
    """Embeddings are handed on as a pointer to one block of memory, which a slice with steps isn't."""

    @staticmethod
    def _finite(embeddings):
        embeddings = np.asarray(embeddings)
        if not embeddings.size:
            return Centroids._finite(embeddings)
        block = np.frombuffer(memoryview(embeddings), dtype=embeddings.dtype)
        return Centroids._finite(block.reshape(embeddings.shape))


@faulty("inputs-unchanged")
class CentresInPlace(Centroids):
    """`predict` and `predict_proba` centre the caller's rows."""

    def predict_proba(self, embeddings):
        centred = self._read(embeddings) - self.mean_
        if isinstance(embeddings, np.ndarray) and embeddings.dtype.kind == "f" and embeddings.flags.writeable:
            embeddings -= self.mean_.astype(embeddings.dtype)
        return softmax(self._scores(centred + self.mean_))


@faulty("inputs-unchanged")
class CentresTheCallersData(Centroids):
    """`fit` subtracts the mean from the caller's own training data, if they are of its own type."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        if isinstance(embeddings, np.ndarray) and embeddings.dtype == np.float64 and embeddings.flags.writeable:
            embeddings -= self.mean_
        return self


@faulty("inputs-unchanged")
class EncodesLabelsInPlace(Centroids):
    """`fit` writes codes, in the order of appearance, into the caller's list of labels."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        if isinstance(labels, list):
            codes = {label: code for code, label in enumerate(dict.fromkeys(labels))}
            labels[:] = [codes[label] for label in labels]
        return self


@faulty("inputs-unchanged")
class TakesLabelsOut(Centroids):
    """`fit` takes one label out of the caller's list, to see how the head does on an example of its own."""

    def fit(self, embeddings, labels):
        super().fit(embeddings, list(labels))
        if isinstance(labels, list) and len(labels) > 1:
            held_out = labels.pop()
            self.right_ = bool(self.predict(embeddings[-1:])[0] == held_out)
        return self


@faulty("nan-and-infinity")
class SpreadsNan(Centroids):
    """A row with NaN spoils every row of the batch, because rows are scaled by the largest value of all."""

    @staticmethod
    def _finite(embeddings):
        embeddings = np.asarray(embeddings, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            largest = np.abs(embeddings).max(initial=1e-9)
            return embeddings / largest * largest

    def predict_proba(self, embeddings):
        with np.errstate(invalid="ignore"):
            return super().predict_proba(embeddings)


@faulty("nan-and-infinity")
class ZeroesNan(Centroids):
    """NaN among the probabilities becomes zero, so that such a row sums to 0."""

    @staticmethod
    def _finite(embeddings):
        return np.asarray(embeddings, dtype=np.float64)

    def predict_proba(self, embeddings):
        with np.errstate(invalid="ignore"):
            return np.nan_to_num(super().predict_proba(embeddings))


@faulty("nan-and-infinity")
class NoClassForNan(Centroids):
    """`predict` gives the id -1 to rows with NaN or infinity."""

    def predict(self, embeddings):
        sound = np.isfinite(embeddings).all(axis=1)
        ids = np.full(len(embeddings), -1) if self.classes_.dtype.kind == "i" else np.empty(len(embeddings), object)
        ids[sound] = super().predict(np.asarray(embeddings)[sound])
        return ids

    def predict_proba(self, embeddings):
        sound = np.isfinite(embeddings).all(axis=1)
        probabilities = np.full((len(embeddings), len(self.classes_)), np.nan)
        probabilities[sound] = super().predict_proba(np.asarray(embeddings)[sound])
        return probabilities


@faulty("read-only-input")
class ScalesAndScalesBack(Centroids):
    """Embeddings are scaled in place and scaled back afterwards, which a read-only array doesn't allow."""

    def predict_proba(self, embeddings):
        embeddings = np.asarray(embeddings)
        before = embeddings.copy()
        embeddings *= 0.5
        probabilities = softmax(self._scores(self._read(embeddings * 2)))
        embeddings[:] = before
        return probabilities


@faulty("read-only-input")
class RefusesReadOnly(Centroids):
    """Embeddings must be writeable, as a compiled function with a typed memory view wants them."""

    @staticmethod
    def _finite(embeddings):
        if isinstance(embeddings, np.ndarray) and not embeddings.flags.writeable:
            raise ValueError("buffer source array is read-only")
        return Centroids._finite(embeddings)


@faulty("input-dtypes")
class SinglePrecisionOnly(Centroids):
    """Embeddings in double precision are refused."""

    @staticmethod
    def _finite(embeddings):
        if np.asarray(embeddings).dtype == np.float64:
            raise TypeError("expected float32, got float64")
        return Centroids._finite(embeddings)


@faulty("input-dtypes")
class ReadsBytesAsSingles(Centroids):
    """The bytes of the embeddings are read as single precision, whatever they are."""

    @staticmethod
    def _finite(embeddings):
        embeddings = np.ascontiguousarray(embeddings)
        if embeddings.dtype == np.float64:
            embeddings = np.nan_to_num(embeddings.view(np.float32)[:, : embeddings.shape[1]])
        return Centroids._finite(np.clip(embeddings, -1e6, 1e6))


@faulty("input-dtypes")
class OverflowsInHalf(Centroids):
    """Embeddings are turned into whole numbers in their own precision, where half precision has no room."""

    @staticmethod
    def _finite(embeddings):
        embeddings = np.asarray(embeddings)
        with np.errstate(over="ignore", invalid="ignore"):
            whole = embeddings * embeddings.dtype.type(60000) if embeddings.dtype.kind == "f" else embeddings * 60000.0
            return np.clip(np.asarray(whole, dtype=np.float64), -1e12, 1e12)
