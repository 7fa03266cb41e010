"""The head: the nearest training examples vote, each by its similarity."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from setfit_head_knn.examples import Examples, directions
from setfit_head_knn.labels import class_array
from setfit_head_knn.neighbours import BLOCK, Neighbours

__all__ = ["INDEXES", "KNNHead"]

#: Values of the parameter `index`.
INDEXES: Final = ("auto", "exact", "approximate")
#: Examples up to which "auto" searches exactly. A graph takes minutes to build from a tenth of them, at each loading,
#: and the exact search of a single text some 70 ms among so many.
MOST_EXACT: Final = 500_000
#: Inputs at a time.
INPUTS: Final = 1024
#: Below, logits get so large that the rounding of a cosine decides.
LEAST_TEMPERATURE: Final = 1e-9
NUMBERS: Final = (int, float, np.integer, np.floating)


class KNNHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no annotations
    """The `n_neighbors` training examples nearest to a text, by the cosine of their embeddings, vote for its class.

    A vote is worth `sample_weight * exp(similarity / temperature)`, divided by the sum of all votes. The probability of
    a class is `(1 - smoothing) * share + smoothing / num_classes`, where its share is the sum of its votes; so classes
    are in the order of their shares, and none has the probability 0. With several labels a text, the probability of a
    label is `(1 - smoothing) * share + smoothing / 2`, and it is predicted above one half.

    Args:
        n_neighbors: How many examples vote; all, if there are no more.
        temperature: A smaller one gives more to the nearest; in the unit of the cosine, at least 1e-9.
        smoothing: The part of the probability that is spread evenly over the classes, at least 0 and below 1.
        index: How neighbours are found: `"exact"` by comparing with every example, `"approximate"` through a graph,
            `"auto"` exactly up to 500,000 examples. It counts when examples are added, and in `build_index`.
        keep_texts: Whether the training texts are kept, and saved with the head, for `explain`.

    Attributes:
        classes_: The labels seen in training, sorted, `[num_classes]`; numbers from 0 for several labels a text.
        examples_: The training examples, see `setfit_head_knn.examples.Examples`.
        neighbours_: What finds the nearest of them.
        n_features_in_: Size of one embedding.

    Raises:
        ValueError: A parameter has a value that it can't have.
    """

    setfit_head: ClassVar[Mapping[str, Any]] = {
        "api": 1,
        "explain": True,
        "multi_label": True,
        "partial_fit": True,
        "sample_weight": True,
        "search_space": {
            "n_neighbors": {"low": 1, "high": 50, "log": True},
            "temperature": {"low": 0.02, "high": 0.5, "log": True},
        },
    }

    classes_: npt.NDArray[Any]
    examples_: Examples
    neighbours_: Neighbours
    n_features_in_: int

    def __init__(
        self,
        *,
        n_neighbors: int = 20,
        temperature: float = 0.08,
        smoothing: float = 0.03,
        index: str = "auto",
        keep_texts: bool = True,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.temperature = temperature
        self.smoothing = smoothing
        self.index = index
        self.keep_texts = keep_texts
        _check_params(**self.get_params())

    def set_params(self, **params: Any) -> KNNHead:
        """Set parameters: `index` and `keep_texts` for what is learned next, the others at once.

        Raises:
            ValueError: A parameter is none of the head's, or has a value that it can't have; nothing is set.
        """
        known = self.get_params()
        unknown = sorted(params.keys() - known.keys())
        if unknown:
            raise ValueError(f"There is no parameter {', '.join(unknown)}. There are {', '.join(known)}.")
        _check_params(**{**known, **params})
        super().set_params(**params)
        return self

    def fit(
        self,
        embeddings: npt.ArrayLike,
        labels: Sequence[Any],
        *,
        sample_weight: npt.ArrayLike | None = None,
        texts: Sequence[str | None] | None = None,
    ) -> KNNHead:
        """Keep examples, forgetting earlier ones.

        Args:
            embeddings: Finite numbers, `[num_inputs, embedding_size]`; only their directions count.
            labels: A label for each row, all strings, integers, booleans or whole floats; or a row of zeros and ones
                for each, `[num_inputs, num_labels]`.
            sample_weight: What the votes are multiplied by, `[num_inputs]`; an example of weight 0 isn't kept.
            texts: The text of each row, or None where there is none.

        Returns:
            The head.

        Raises:
            ValueError: Something can't be used; the head is as it was.
        """
        self._keep(Examples.checked(embeddings, labels, None, sample_weight, self._texts(texts)), None)
        return self

    def partial_fit(
        self,
        embeddings: npt.ArrayLike,
        labels: Sequence[Any],
        classes: Sequence[Any] | None = None,
        *,
        sample_weight: npt.ArrayLike | None = None,
        texts: Sequence[str | None] | None = None,
    ) -> KNNHead:
        """Keep more examples, of new classes too; the head is then what `fit` on all of them would have made it.

        Args:
            embeddings: See `fit`.
            labels: See `fit`.
            classes: Labels that are to have a column before they have an example; None for those that have one.
            sample_weight: See `fit`.
            texts: See `fit`.

        Returns:
            The head.

        Raises:
            ValueError: Something can't be used, or doesn't fit what was learned; the head is as it was.
        """
        later = Examples.checked(embeddings, labels, classes, sample_weight, self._texts(texts))
        if hasattr(self, "examples_"):
            self._keep(self.examples_.joined(later), self.neighbours_)
        else:
            self._keep(later, None)
        return self

    def build_index(self) -> KNNHead:
        """Search from now on as the parameter `index` says, among the examples that are there.

        It is for a head that was loaded without its graph, and after `set_params(index=...)`.

        Returns:
            The head.

        Raises:
            NotFittedError: The head isn't fitted.
        """
        check_is_fitted(self, "examples_")
        self._keep(self.examples_, None)
        return self

    def predict(self, embeddings: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the class with the largest probability for each row, the first of equal ones.

        Args:
            embeddings: Finite numbers, `[num_inputs, embedding_size]`.

        Returns:
            Members of `classes_`, `[num_inputs]`; for several labels a text, zeros and ones `[num_inputs, num_labels]`.

        Raises:
            NotFittedError: The head isn't fitted.
            ValueError: The embeddings can't be used, or are of another size than in `fit`.
        """
        check_is_fitted(self, "examples_")
        parts = self._probabilities(embeddings)
        if self.examples_.multi_label:
            return np.concatenate([(part > 0.5).astype(np.int64) for part in parts])
        labels: npt.NDArray[Any] = self.classes_[np.concatenate([part.argmax(axis=1) for part in parts])]
        return labels

    def predict_proba(self, embeddings: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probability of every class, in the order of `classes_`.

        Args:
            embeddings: Finite numbers, `[num_inputs, embedding_size]`.

        Returns:
            An array `[num_inputs, num_classes]` whose rows sum to 1; not so for several labels a text.

        Raises:
            NotFittedError: The head isn't fitted.
            ValueError: The embeddings can't be used, or are of another size than in `fit`.
        """
        return np.concatenate(list(self._probabilities(embeddings)))

    def explain(self, embeddings: npt.ArrayLike, limit: int = 5) -> list[list[dict[str, Any]]]:
        """Return the examples that predictions rest on.

        Args:
            embeddings: Finite numbers, `[num_inputs, embedding_size]`.
            limit: How many examples to return at most for each row.

        Returns:
            For each row its neighbours, the weightiest first, as mappings: `"text"`, None if it wasn't kept; `"label"`;
            `"similarity"`, the cosine; `"weight"`, its share of the vote. The weights of all neighbours sum to 1, and
            those of a class to the share from which its probability is made.

        Raises:
            NotFittedError: The head isn't fitted.
            ValueError: The embeddings can't be used, or are of another size than in `fit`; or the limit is no whole
                number from 1 on.
        """
        if not isinstance(limit, (int, np.integer)) or limit < 1:
            raise ValueError(f"limit={limit!r} is no number of examples. Give a whole number from 1 on.")
        explanations = []
        for indices, similarities, weights in self._votes(embeddings):
            order = np.argsort(-weights, axis=1, kind="stable")[:, :limit]
            for row, columns in enumerate(order):
                explanations.append(
                    [
                        {
                            "text": self.examples_.texts[index] if self.examples_.texts is not None else None,
                            "label": self._label(index),
                            "similarity": float(similarities[row, column]),
                            "weight": float(weights[row, column]),
                        }
                        for column, index in zip(columns, indices[row, columns].tolist(), strict=True)
                    ]
                )
        return explanations

    def _label(self, index: int) -> Any:
        target = self.examples_.targets[index]
        return target.tolist() if self.examples_.multi_label else self.examples_.classes[target]

    def _texts(self, texts: Sequence[str | None] | None) -> Sequence[str | None] | None:
        return texts if self.keep_texts else None

    def _keep(self, examples: Examples, earlier: Neighbours | None) -> None:
        if not len(examples.vectors):
            raise ValueError("There is no example to learn from, or all are of weight 0.")
        approximate = self.index == "approximate" or (self.index == "auto" and len(examples.vectors) > MOST_EXACT)
        if earlier is None:
            self.restore(examples, Neighbours(examples.vectors, approximate=approximate))
        else:
            self.restore(examples, earlier.extended(examples.vectors, approximate=approximate))

    def restore(self, examples: Examples, neighbours: Neighbours) -> None:
        """Take examples that were checked, and what finds the nearest of them, as what was learned."""
        self.examples_, self.neighbours_ = examples, neighbours
        self.classes_, self.n_features_in_ = class_array(examples.classes), examples.vectors.shape[1]

    def _probabilities(self, embeddings: npt.ArrayLike) -> Iterator[npt.NDArray[np.float64]]:
        for indices, _, weights in self._votes(embeddings):
            targets, num_classes = self.examples_.targets[indices], len(self.classes_)
            if self.examples_.multi_label:
                shares, even = np.einsum("ij,ijk->ik", weights, targets.astype(np.float64)), 1 / 2
            else:
                cells = targets + num_classes * np.arange(len(targets))[:, None]
                sums = np.bincount(cells.ravel(), weights.ravel(), len(targets) * num_classes)
                shares, even = sums.reshape(-1, num_classes), 1 / num_classes
            yield (1 - self.smoothing) * shares.clip(0, 1) + self.smoothing * even

    def _votes(
        self, embeddings: npt.ArrayLike
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
        """Yield, for some inputs at a time, the indices, similarities and weights of the neighbours, nearest first."""
        check_is_fitted(self, "examples_")
        queries = directions(embeddings, size=self.n_features_in_)
        count = min(self.n_neighbors, len(self.neighbours_))
        step = max(1, min(INPUTS, BLOCK // (count * len(self.classes_))))
        for i in range(0, max(1, len(queries)), step):  # no inputs are one part without rows
            indices, similarities = self.neighbours_.find(queries[i : i + step], count)
            logits = similarities / self.temperature + np.log(self.examples_.weights[indices])
            votes = np.exp(logits - logits.max(axis=1, keepdims=True))
            yield indices, similarities, votes / votes.sum(axis=1, keepdims=True)


def _check_params(*, n_neighbors: Any, temperature: Any, smoothing: Any, index: Any, keep_texts: Any) -> None:
    if not isinstance(n_neighbors, (int, np.integer)) or n_neighbors < 1:
        raise ValueError(f"n_neighbors={n_neighbors!r} is no number of neighbours. Give a whole number from 1 on.")
    if not (isinstance(temperature, NUMBERS) and LEAST_TEMPERATURE <= temperature <= sys.float_info.max):
        raise ValueError(f"temperature={temperature!r} is no finite number from {LEAST_TEMPERATURE} on.")
    if not (isinstance(smoothing, NUMBERS) and 0 <= smoothing < 1):
        raise ValueError(f"smoothing={smoothing!r} is no part of a probability. Give a number from 0 on and below 1.")
    if index not in INDEXES:
        raise ValueError(f"index={index!r} is none of {', '.join(map(repr, INDEXES))}.")
    if keep_texts not in (True, False):
        raise ValueError(f"keep_texts={keep_texts!r} is neither True nor False.")
