"""`XGBClassifier` as a head: any labels, one way to refuse each mistake, nothing changed by a failed `fit`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from xgboost import XGBClassifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["OBJECTIVES", "XGBoostHead", "check_labels", "class_array"]

#: Arguments for dropping trees (the booster dart) and for gblinear, which XGBClassifier takes without naming them.
BOOSTER_PARAMETERS: Final = (
    "feature_selector",
    "normalize_type",
    "one_drop",
    "rate_drop",
    "sample_type",
    "skip_drop",
    "top_k",
    "updater",
)
#: In an array of strings; a file of a few megabytes could ask for gigabytes.
MAX_CHARACTERS: Final = 2**22
#: XGBoost's objectives whose predictions are probabilities of classes.
OBJECTIVES: Final = ("binary:hinge", "binary:logistic", "multi:softmax", "multi:softprob", "reg:logistic")


class XGBoostHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no annotations
    """Gradient-boosted trees (or what else XGBoost boosts) that turn embeddings into classes.

    Every `fit` trains a new `XGBClassifier` on contiguous class ids, so nothing of an earlier training is left, and
    a training that fails leaves the head as it was.

    Args:
        random_state: Seed for what XGBoost draws at random, such as `subsample` and `colsample_bynode`.
        params: The other arguments of `xgboost.XGBClassifier`, and those of the boosters `dart` and `gblinear`.

    Attributes:
        classes_: The labels seen in `fit`, sorted, `[num_classes]`.
        model_: The trained `XGBClassifier`, whose classes are the positions in `classes_`.
        n_features_in_: Size of one embedding.

    Raises:
        TypeError: A parameter is none of XGBoost's.
        ValueError: The objective is one that gives no probabilities.
    """

    setfit_head: ClassVar[Mapping[str, Any]] = {
        "api": 1,
        "multi_label": False,
        "partial_fit": False,
        "sample_weight": True,
    }

    classes_: npt.NDArray[Any]
    model_: XGBClassifier
    n_features_in_: int

    def __init__(
        self, *, random_state: int | np.random.RandomState | np.random.Generator | None = None, **params: Any
    ) -> None:
        _check_params(params)
        self.random_state = random_state
        self.params = params

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002  # scikit-learn's signature
        """Return `random_state` and the parameters that were given; the others have XGBoost's defaults."""
        return {"random_state": self.random_state, **self.params}

    def set_params(self, **params: Any) -> XGBoostHead:
        """Set parameters for the next `fit`. What was trained before predicts as before.

        Raises:
            TypeError: A parameter is none of XGBoost's; nothing is set.
            ValueError: The objective is one that gives no probabilities; nothing is set.
        """
        merged = {**self.get_params(), **params}
        random_state = merged.pop("random_state")
        _check_params(merged)
        self.random_state, self.params = random_state, merged
        return self

    def fit(
        self, embeddings: npt.ArrayLike, y: Iterable[Any], sample_weight: npt.ArrayLike | None = None
    ) -> XGBoostHead:
        """Train, forgetting what was trained before.

        Args:
            embeddings: Numbers, `[num_inputs, embedding_size]`. NaN counts as missing.
            y: A label for each row: strings, integers, booleans or whole floats; two different ones at least.
            sample_weight: A weight for each row, `[num_inputs]`; None weighs all alike.

        Returns:
            The head.

        Raises:
            ValueError: The embeddings or labels can't be used; the head is as it was.
            XGBoostError: XGBoost refuses a parameter's value or the numbers; the head is as it was.
        """
        rows = _matrix(embeddings)
        classes, ids = _encoded(y)
        if len(rows) != len(ids):
            raise ValueError(f"There are {len(rows)} embeddings but {len(ids)} labels. Give one label for each row.")
        params = self.get_params()
        if len(classes) == 2 and str(params.get("objective")).startswith("multi:"):
            params["num_class"] = 2  # XGBClassifier gives it from three classes on
        model = XGBClassifier(**params)
        model.fit(rows, ids, sample_weight=sample_weight)
        self.model_, self.classes_, self.n_features_in_ = model, classes, rows.shape[1]
        return self

    def predict(self, embeddings: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the likeliest class of each row, a member of `classes_`.

        Args:
            embeddings: Numbers, `[num_inputs, embedding_size]`.

        Returns:
            An array `[num_inputs]` of the dtype of `classes_`.

        Raises:
            NotFittedError: The head isn't fitted.
            ValueError: The embeddings have another shape than in `fit`.
        """
        best = self.predict_proba(embeddings).argmax(axis=1)
        labels: npt.NDArray[Any] = self.classes_[best]
        return labels

    def predict_proba(self, embeddings: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probability of every class, in the order of `classes_`.

        Args:
            embeddings: Numbers, `[num_inputs, embedding_size]`.

        Returns:
            An array `[num_inputs, num_classes]` whose rows sum to 1.

        Raises:
            NotFittedError: The head isn't fitted.
            ValueError: The embeddings have another shape than in `fit`.
        """
        check_is_fitted(self, "model_")
        rows = _matrix(embeddings, width=self.n_features_in_)
        if not len(rows):  # XGBoost would give two columns, however many classes there are
            return np.zeros((0, len(self.classes_)))
        probabilities = self.model_.predict_proba(rows).astype(np.float64)
        normalized: npt.NDArray[np.float64] = probabilities / probabilities.sum(axis=1, keepdims=True)
        return normalized


def check_labels(labels: Sequence[Any]) -> None:
    """Refuse labels that are not of one kind, or of a kind that is no class.

    Raises:
        ValueError: They aren't all strings, all integers, all booleans or all whole floats.
    """
    kinds = {type(label) for label in labels}
    if len(kinds) != 1 or not kinds <= {str, int, bool, float}:
        found = ", ".join(sorted(kind.__name__ for kind in kinds)) or "nothing"
        raise ValueError(
            "The labels must be all strings, all integers, all booleans or all whole floats, one for each row, but "
            f"they hold {found}. Convert them to one of these kinds."
        )
    if float in kinds and not all(label.is_integer() for label in labels):
        raise ValueError("The labels hold fractions or NaN, which are no classes. Give each row a class name or id.")


def class_array(classes: Sequence[Any]) -> npt.NDArray[Any]:
    """Return sorted labels as an array that holds exactly them.

    NumPy silently changes a few: it cuts NULs off the end of strings, and makes floats of some sets of large
    integers. Such labels stay Python objects. So do very long strings: an array gives each string, in predictions too,
    the room of the longest.
    """
    longest = max((len(label) for label in classes if isinstance(label, str)), default=0)
    if longest * max(len(classes), 1000) > MAX_CHARACTERS:
        return np.array(classes, dtype=object)
    array = np.array(classes)
    unchanged = [*map(repr, array.tolist())] == [*map(repr, classes)]
    return array if unchanged else np.array(classes, dtype=object)


def _encoded(y: Iterable[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return the classes, and for each label its position in them."""
    labels = [label.item() if isinstance(label, np.generic) else label for label in y]
    check_labels(labels)
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise ValueError(f"All labels are {classes[0]!r}. Add examples of another class: two are the least.")
    ids = {label: number for number, label in enumerate(classes)}
    return class_array(classes), np.array([ids[label] for label in labels], dtype=np.int64)


def _matrix(embeddings: npt.ArrayLike, *, width: int | None = None) -> npt.NDArray[np.float32]:
    """Return embeddings in the precision that XGBoost works in."""
    rows = np.asarray(embeddings)
    if rows.ndim != 2 or rows.dtype.kind not in "fiub":
        raise ValueError(
            f"Embeddings must be an array of numbers [num_inputs, embedding_size], not {rows.dtype} {list(rows.shape)}."
        )
    if width is not None and rows.shape[1] != width:
        raise ValueError(
            f"These embeddings have {rows.shape[1]} columns, but the head was trained on {width}. Use the body that "
            "it was trained with, or train it again."
        )
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, as in XGBoost itself
        return np.ascontiguousarray(rows, dtype=np.float32)


def _check_params(params: Mapping[str, Any]) -> None:
    known = sorted({*XGBClassifier().get_params(), *BOOSTER_PARAMETERS})
    for name in params.keys() - known:
        close = difflib.get_close_matches(name, known, 1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise TypeError(f"XGBClassifier has no parameter {name!r}.{meant} It has: {', '.join(known)}.")
    objective = params.get("objective", "binary:logistic")
    if not callable(objective) and objective not in OBJECTIVES:
        raise ValueError(
            f"objective={objective!r} does not give the probabilities of classes. Leave it out, or take one of "
            f"{', '.join(OBJECTIVES)}."
        )
