"""Prototypes: each class is the mean direction of its examples, and a text belongs to the nearest one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from setfit_head_prototype.calibration import Calibration, log_odds, sums
from setfit_head_prototype.examples import Examples, matrix, unit
from setfit_head_prototype.labels import class_array, encoded

__all__ = ["PrototypeHead", "check_parameters", "check_size"]

MOST_EXAMPLES: Final = 2**20
MOST_CLASSES: Final = 2**16
MOST_COLUMNS: Final = 2**16
#: Classes times embedding size, and examples times labels: 128 MiB in float64.
MOST_NUMBERS: Final = 2**24
#: Examples times labels times embedding size: seconds.
MOST_PRODUCTS: Final = 2**34
#: The likeliest class of smaller ones has the probability 1, too.
LEAST_TEMPERATURE: Final = 1e-6


class PrototypeHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no annotations
    """The nearest class mean by the cosine, with a temperature.

    As in Prototypical Networks (Snell et al. 2017, https://arxiv.org/abs/1703.05175), a class is the mean of its
    examples and probabilities are a softmax; here of the cosine divided by a temperature. Embeddings are scaled to
    length 1 first. With several labels a text, a label's probability is the same softmax over two classes, the texts
    with it and those without, times how frequent the two are: most labels are rare.

    The head keeps its examples, so that whatever it derives is exact after `partial_fit`: it equals a head that was
    fitted on all of them at once.

    Args:
        temperature: Smaller ones make the probabilities sharper. `"auto"` takes the one with which the examples are
            likeliest, each compared with the means of the others.
        false_rejection_rate: The share of texts of the known classes that `is_known` may reject, at least 0 and
            below 1.

    Attributes:
        classes_: The classes, sorted, `[num_classes]`; with several labels a text, their positions.
        prototypes_: Mean directions, float64 `[num_classes, embedding_size]`; zeros for a class without examples.
        temperature_: The temperature in use.
        novelty_threshold_: What is more novel belongs to none of the classes; infinite if the examples are too few.
        examples_: The examples, each once.
        n_features_in_: Size of one embedding.
    """

    setfit_head: ClassVar[Mapping[str, Any]] = {
        "api": 1,
        "multi_label": True,
        "open_set": True,
        "partial_fit": True,
        "sample_weight": True,
        "search_space": {"temperature": {"low": 0.02, "high": 0.5, "log": True}},
    }

    classes_: npt.NDArray[Any]
    prototypes_: npt.NDArray[np.float64]
    temperature_: float
    novelty_threshold_: float
    examples_: Examples
    n_features_in_: int

    def __init__(self, temperature: float | Literal["auto"] = "auto", false_rejection_rate: float = 0.05) -> None:
        self.temperature = temperature
        self.false_rejection_rate = false_rejection_rate

    def fit(
        self, embeddings: npt.ArrayLike, labels: Iterable[Any], sample_weight: npt.ArrayLike | None = None
    ) -> PrototypeHead:
        """Train, forgetting what was learned before.

        Args:
            embeddings: Numbers, `[num_inputs, embedding_size]`.
            labels: A label for each row (strings, integers, booleans or whole floats), or, for several labels a text,
                rows of 0 and 1, `[num_inputs, num_labels]`.
            sample_weight: What each row counts, `[num_inputs]`; None for 1. A weight of 2 is the same as the row twice.

        Returns:
            The head.

        Raises:
            ValueError: A parameter, the embeddings, labels or weights can't be used, or all weights are 0; the head is
                as it was.
        """
        return self._learn(_examples(embeddings, labels, None, sample_weight))

    def partial_fit(
        self,
        embeddings: npt.ArrayLike,
        labels: Iterable[Any],
        classes: Iterable[Any] | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> PrototypeHead:
        """Learn further examples, of known or of new classes, as if they had been there from the beginning.

        Args:
            embeddings: As in `fit`.
            labels: As in `fit`, of the same kind as before.
            classes: Classes that there will be; they need not have examples yet, and have the probability 0 until
                they do. Unlike with scikit-learn's classifiers, they may be left out, and later calls may bring others.
            sample_weight: As in `fit`; if all are 0, the head only gets to know the classes.

        Returns:
            The head.

        Raises:
            ValueError: A parameter, the embeddings, labels or weights can't be used, or all weights so far are 0; the
                head is as it was.
        """
        examples = _examples(embeddings, labels, classes, sample_weight)
        return self._learn(self.examples_.joined(examples) if hasattr(self, "examples_") else examples)

    def predict(self, embeddings: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the likeliest class of each row, or which labels are likelier than not.

        Args:
            embeddings: Numbers, `[num_inputs, embedding_size]`.

        Returns:
            Members of `classes_`, `[num_inputs]`; with several labels a text, rows of 0 and 1, int64
            `[num_inputs, num_labels]`.

        Raises:
            NotFittedError: The head isn't fitted.
            ValueError: The embeddings have another size than in training, or are not finite.
        """
        probabilities = self.predict_proba(embeddings)
        if self.examples_.multi_label:
            return (probabilities > 0.5).astype(np.int64)
        labels: npt.NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def predict_proba(self, embeddings: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probability of each class, in the order of `classes_`.

        Args:
            embeddings: Numbers, `[num_inputs, embedding_size]`.

        Returns:
            An array `[num_inputs, num_classes]`. Its rows sum to 1, unless a text may have several labels.

        Raises:
            NotFittedError: The head isn't fitted.
            ValueError: The embeddings have another size than in training, or are not finite.
        """
        rows = self._rows(embeddings)
        probabilities: npt.NDArray[np.float64]
        if self.examples_.multi_label:
            gaps = rows @ (self.prototypes_ - self._counterparts).T
            probabilities = expit(gaps / self.temperature_ + log_odds(self.examples_))
        else:
            probabilities = softmax(self._similarities(rows) / self.temperature_, axis=1)
        return probabilities

    def novelty(self, embeddings: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return how far each row is from the nearest class: 1 minus the largest cosine, from 0 to 2.

        Args:
            embeddings: Numbers, `[num_inputs, embedding_size]`.

        Returns:
            An array `[num_inputs]`, infinite if no label has an example.

        Raises:
            NotFittedError: The head isn't fitted.
            ValueError: The embeddings have another size than in training, or are not finite.
        """
        distances: npt.NDArray[np.float64] = 1 - self._similarities(self._rows(embeddings)).max(axis=1)
        return distances

    def is_known(self, embeddings: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return whether each row belongs to one of the classes; `novelty` decides, by `novelty_threshold_`.

        Args:
            embeddings: Numbers, `[num_inputs, embedding_size]`.

        Returns:
            Booleans `[num_inputs]`. Of texts of the classes, at most the share `false_rejection_rate` is False on
            average, if they are drawn as the examples were, and embedded by a body that wasn't tuned on these.

        Raises:
            NotFittedError: The head isn't fitted.
            ValueError: The embeddings have another size than in training, or are not finite.
        """
        return self.novelty(embeddings) <= self.novelty_threshold_

    def _learn(self, examples: Examples) -> PrototypeHead:
        check_parameters(self.get_params())
        if not len(examples.rows):
            raise ValueError(
                "All of sample_weight are 0, so there is nothing to learn. Give one example a weight above 0."
            )
        check_size(len(examples.rows), len(examples.classes), examples.rows.shape[1], examples.multi_label)
        having, lacking = sums(examples)
        calibration = Calibration(examples, having, lacking)
        temperature = calibration.temperature() if self.temperature == "auto" else float(self.temperature)
        threshold = calibration.novelty_threshold(self.false_rejection_rate)
        prototypes = unit(having)
        if lacking is not None:
            self._counterparts = unit(lacking)
        self.examples_, self.prototypes_ = examples, prototypes
        self.temperature_, self.novelty_threshold_ = temperature, threshold
        self.classes_, self.n_features_in_ = class_array(examples.classes), examples.rows.shape[1]
        return self

    def _rows(self, embeddings: npt.ArrayLike) -> npt.NDArray[np.float64]:
        check_is_fitted(self, "examples_")
        return unit(matrix(embeddings, self.n_features_in_))

    def _similarities(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return cosines `[num_inputs, num_classes]`; minus infinity for a class without examples."""
        similarities: npt.NDArray[np.float64] = rows @ self.prototypes_.T
        targets = self.examples_.targets
        used = targets.any(axis=0) if self.examples_.multi_label else np.isin(np.arange(len(self.classes_)), targets)
        similarities[:, ~used] = -np.inf
        return similarities


def check_parameters(params: Mapping[str, Any]) -> None:
    """Refuse parameters that have no meaning.

    Raises:
        ValueError: The temperature is no number of at least 1e-6, or the rate none from 0 up to 1.
    """
    temperature, rate = params["temperature"], params["false_rejection_rate"]
    if temperature != "auto" and not (_is_number(temperature) and temperature >= LEAST_TEMPERATURE):
        raise ValueError(f"temperature={temperature!r} is neither 'auto' nor a number of at least {LEAST_TEMPERATURE}.")
    if not (_is_number(rate) and 0 <= rate < 1):
        raise ValueError(f"false_rejection_rate={rate!r} is no number of at least 0 and below 1.")


def check_size(num_examples: int, num_classes: int, embedding_size: int, multi_label: bool) -> None:
    """Refuse what would take gigabytes or minutes.

    Raises:
        ValueError: The embeddings are too wide, or there are too many classes or examples, at all or together.
    """
    if embedding_size > MOST_COLUMNS:
        raise ValueError(f"Embeddings of size {embedding_size} are too wide: at most {MOST_COLUMNS} can be kept.")
    most = min(MOST_CLASSES, MOST_NUMBERS // embedding_size)
    if num_classes > most:
        raise ValueError(
            f"{num_classes} classes are too many: with embeddings of size {embedding_size}, at most {most} can be kept."
        )
    most = MOST_EXAMPLES
    if multi_label:
        most = min(most, min(MOST_NUMBERS, MOST_PRODUCTS // embedding_size) // num_classes)
    if num_examples > most:
        raise ValueError(
            f"{num_examples} examples are too many: with embeddings of size {embedding_size} and {num_classes} "
            f"{'labels a text' if multi_label else 'classes'}, at most {most} can be kept."
        )


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, (int, float, np.number)) and type(value) is not bool and math.isfinite(value)
    except (OverflowError, TypeError):  # an integer beyond floats, a complex number
        return False


def _examples(
    embeddings: npt.ArrayLike, labels: Iterable[Any], classes: Iterable[Any] | None, weight: npt.ArrayLike | None
) -> Examples:
    rows = matrix(embeddings)
    known, targets = encoded(labels, classes)
    if len(rows) != len(targets):
        raise ValueError(f"There are {len(rows)} embeddings but {len(targets)} labels. Give one for each row.")
    if not len(rows):
        raise ValueError("There are no embeddings. Give one example at least.")
    weights = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)
    if weights.shape != targets.shape[:1] or not (weights >= 0).all():
        raise ValueError(f"sample_weight must be {len(rows)} numbers, one for each row, and none below 0.")
    counted = weights > 0
    return Examples(unit(rows[counted]).astype(np.float32), weights[counted], targets[counted], known).merged()
