"""Array heads that change the process they run in, write to standard output, or share state between heads."""

from __future__ import annotations

import functools
import logging
import os
import sys
import tempfile
import warnings

import numpy as np

from .centroids import Centroids, softmax
from .registry import add_faulty, faulty


@faulty("global-state")
class WritesTheEnvironment(Centroids):
    """`fit` sets an environment variable, to keep a library from using several threads."""

    def fit(self, embeddings, labels):
        os.environ["SPECIMEN_NUM_THREADS"] = "1"
        return super().fit(embeddings, labels)


@faulty("global-state")
class SilencesWarnings(Centroids):
    """`predict_proba` switches off all warnings, and leaves them off."""

    def predict_proba(self, embeddings):
        warnings.filterwarnings("ignore")
        return super().predict_proba(embeddings)


@faulty("global-state")
class ChangesTheFolder(Centroids):
    """`fit` changes to the folder for temporary files, where it would keep its cache."""

    def fit(self, embeddings, labels):
        os.chdir(tempfile.gettempdir())
        return super().fit(embeddings, labels)


@faulty("global-state")
class ReplacesStandardOutput(Centroids):
    """`fit` replaces `sys.stdout` to be quiet, and doesn't put it back."""

    def fit(self, embeddings, labels):
        sys.stdout = _Nowhere()
        return super().fit(embeddings, labels)


class _Nowhere:
    def write(self, text):
        return len(text)

    def flush(self):
        return None


@faulty("global-state")
class SetsPrintOptions(Centroids):
    """`fit` changes how NumPy prints arrays."""

    def fit(self, embeddings, labels):
        np.set_printoptions(precision=3, suppress=True)
        return super().fit(embeddings, labels)


@faulty("global-state")
class ConfiguresLogging(Centroids):
    """`fit` sets the level of the root logger."""

    def fit(self, embeddings, labels):
        logging.getLogger().setLevel(logging.DEBUG)
        return super().fit(embeddings, labels)


@faulty("global-state")
class ExtendsTheModulePath(Centroids):
    """Building a head puts a folder on `sys.path`."""

    def __init__(self):
        sys.path.append(f"{tempfile.gettempdir()}/specimen-models")


@faulty("quiet")
class PrintsAtTheLowLevel(Centroids):
    """`fit` writes to standard output as a C library does, past `sys.stdout`."""

    def fit(self, embeddings, labels):
        os.write(1, b"[specimen] 1 iteration\n")
        return super().fit(embeddings, labels)


@faulty("quiet")
class PrintsForManyRows(Centroids):
    """`predict_proba` shows its progress on standard output from 1000 rows on."""

    def predict_proba(self, embeddings):
        if len(embeddings) >= 1000:
            print(f"predicted {len(embeddings)} rows")
        return super().predict_proba(embeddings)


@faulty("fresh-heads")
class SharesItsClasses(Centroids):
    """What is learned is kept in a dictionary of the class, which all heads share."""

    learned: dict = {}  # noqa: RUF012  # the fault

    def fit(self, embeddings, labels):
        super().fit(embeddings, labels)
        self.learned.update(mean=self.mean_, centroids=self.centroids_, classes=self.classes_, scale=self.scale_)
        return self

    def predict_proba(self, embeddings):
        if self.learned:
            self.mean_, self.centroids_ = self.learned["mean"], self.learned["centroids"]
            self.classes_, self.scale_ = self.learned["classes"], self.learned["scale"]
        return super().predict_proba(embeddings)


@faulty("fresh-heads")
class MutableDefault(Centroids):
    """The default of a parameter is a list, which all heads fill."""

    def __init__(self, examples=[]):  # noqa: B006  # the fault
        self.examples = examples

    def fit(self, embeddings, labels):
        rows = self._finite(embeddings)
        self.examples[:] = [row for row in self.examples[-200:] if len(row[0]) == rows.shape[1]]
        self.examples.extend(zip(rows.tolist(), labels, strict=True))
        known = set(labels)
        usable = [(row, label) for row, label in self.examples if label in known]
        return super().fit([row for row, _ in usable], [label for _, label in usable])


@functools.lru_cache(maxsize=1)
def _the_head():
    return Centroids()


@faulty("fresh-heads")
def one_head_for_all():
    """The factory is cached and gives the same head each time."""
    return _the_head()


@faulty("unfitted")
class GuessesUnfitted(Centroids):
    """A head that wasn't trained predicts the first of two classes."""

    def _read(self, embeddings):
        return super()._read(embeddings) if hasattr(self, "mean_") else self._finite(embeddings)

    def predict(self, embeddings):
        return super().predict(embeddings) if hasattr(self, "mean_") else np.zeros(len(embeddings), dtype=np.int64)

    def predict_proba(self, embeddings):
        if hasattr(self, "mean_"):
            return super().predict_proba(embeddings)
        return softmax(np.zeros((len(embeddings), 2)))


@faulty("unfitted")
class NoneUnfitted(Centroids):
    """A head that wasn't trained logs a warning and returns None."""

    def predict(self, embeddings):
        return self._if_trained(super().predict, embeddings)

    def predict_proba(self, embeddings):
        return self._if_trained(super().predict_proba, embeddings)

    def _if_trained(self, method, embeddings):
        if not hasattr(self, "classes_"):
            logging.getLogger(__name__).debug("not trained")
            return None
        return method(embeddings)


add_faulty(
    "SlowImport",
    "specimens.slow_import:SlowImport",
    "Importing its module computes a table for seconds, which only prediction needs.",
    "import-time",
)
