"""`LGBMClassifier` as a head: any labels, defaults for few examples, nothing changed by a failed `fit`."""

from __future__ import annotations

import difflib
import operator
import os
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from lightgbm import Booster, LGBMClassifier
from scipy.special import log_expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from setfit_head_lightgbm.labels import class_array
from setfit_head_lightgbm.trees import booster_from, trees_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["LightGBMHead"]

#: Parameters of LightGBM that LGBMClassifier takes without naming them. Those that read or write files, make other
#: trees than of numbers, or talk, are left out.
NATIVE: Final = (
    "data_sample_strategy",
    "drop_rate",
    "feature_fraction_bynode",
    "is_unbalance",
    "max_bin",
    "max_delta_step",
    "max_drop",
    "other_rate",
    "path_smooth",
    "scale_pos_weight",
    "skip_drop",
    "top_rate",
    "uniform_drop",
    "xgboost_dart_mode",
)
KNOWN: Final = frozenset({*LGBMClassifier().get_params(), "extra_trees", "min_data_in_bin", *NATIVE})
BOOSTINGS: Final = ("gbdt", "dart")
#: For three classes and more; for two it is binary.
OBJECTIVES: Final = ("multiclass", "multiclassova")
MAX_CLASSES: Final = 100_000
#: LightGBM would choose between rows and columns by measuring the time, and so train otherwise now and then.
ALWAYS: Final = {"verbosity": -1, "deterministic": True, "force_col_wise": True}


class LightGBMHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no annotations
    """Gradient-boosted trees that turn embeddings into classes.

    Ke et al. 2017, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree". Every `fit` trains anew, and one
    that fails leaves the head as it was. LightGBM's own defaults, given below, learn little or nothing from a few
    examples a class.

    Args:
        colsample_bytree: Share of the columns that each tree looks at (LightGBM: 1.0).
        extra_trees: Whether the thresholds of splits are drawn at random (LightGBM: False).
        min_child_samples: Fewest examples in a leaf (LightGBM: 20).
        min_data_in_bin: Fewest examples between two thresholds that are tried (LightGBM: 3).
        n_jobs: Threads; -1 means one for each processor, and there are never more. One is the fastest for few
            examples, and with one the same seed gives the same head on every machine.
        num_leaves: Most leaves of a tree (LightGBM: 31).
        random_state: Seed for what LightGBM draws at random.
        params: The other arguments of `lightgbm.LGBMClassifier`, and those in `NATIVE`.

    Attributes:
        booster_: The trained `lightgbm.Booster`, whose classes are those that `trained_` lists.
        classes_: The labels seen in `fit`, sorted, `[num_classes]`.
        n_features_in_: Size of one embedding.
        objective_: What was minimised: `"binary"`, `"multiclass"` or `"multiclassova"`.
        trained_: Positions in `classes_` of the classes that had an example of a weight above 0, in order.

    Raises:
        TypeError: A parameter is none of LightGBM's, or one that a head can't use.
        ValueError: `objective` is none of `OBJECTIVES`, `boosting_type` none of `BOOSTINGS`, or `class_weight`
            neither None nor `"balanced"`.
    """

    setfit_head: ClassVar[Mapping[str, Any]] = {
        "api": 1,
        "multi_label": False,
        "partial_fit": False,
        "sample_weight": True,
    }

    booster_: Booster
    classes_: npt.NDArray[Any]
    n_features_in_: int
    objective_: str
    trained_: list[int]

    def __init__(
        self,
        *,
        colsample_bytree: float = 0.1,
        extra_trees: bool = True,
        min_child_samples: int = 1,
        min_data_in_bin: int = 1,
        num_leaves: int = 4,
        n_jobs: int = 1,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        **params: Any,
    ) -> None:
        _check_params(params)
        self.colsample_bytree = colsample_bytree
        self.extra_trees = extra_trees
        self.min_child_samples = min_child_samples
        self.min_data_in_bin = min_data_in_bin
        self.num_leaves = num_leaves
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.params = params

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters that have a default here, and those that were given."""
        return {**super().get_params(deep), **self.params}

    def set_params(self, **params: Any) -> LightGBMHead:
        """Set parameters for the next `fit`. What was trained before predicts as before.

        Raises:
            TypeError: A parameter is none that the head takes; nothing is set.
            ValueError: A value is none that the head takes; nothing is set.
        """
        self.__dict__.update(vars(type(self)(**{**self.get_params(), **params})))
        return self

    def fit(
        self, embeddings: npt.ArrayLike, y: Iterable[Any], sample_weight: npt.ArrayLike | None = None
    ) -> LightGBMHead:
        """Train, forgetting what was trained before.

        Args:
            embeddings: Finite numbers, `[num_inputs, embedding_size]`.
            y: A label for each row: strings, integers, booleans or whole floats; two different ones at least.
            sample_weight: A weight of at least 0 for each row, `[num_inputs]`; None weighs all alike. A row of weight
                0 trains nothing; a class of which all have it is always predicted with probability 0.

        Returns:
            The head.

        Raises:
            ValueError: The embeddings, labels or weights can't be used; the head is as it was.
            LightGBMError: LightGBM refuses a parameter's value; the head is as it was.
        """
        rows = _matrix(embeddings)
        labels = [label.item() if isinstance(label, np.generic) else label for label in y]
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            weights = np.asarray(np.ones(len(rows)) if sample_weight is None else sample_weight).astype(np.float32)
        if not len(rows) == len(labels) == weights.size or weights.ndim != 1:
            raise ValueError(
                f"There are {len(rows)} embeddings, {len(labels)} labels and weights {list(weights.shape)}. Give one "
                "label and one weight for each row."
            )
        if not (np.isfinite(rows).all() and np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError(
                "The embeddings or weights hold NaN, infinity, a number beyond those of 32 bits, or a weight below 0. "
                "Leave such rows out."
            )
        classes = class_array(labels)
        position = {label: number for number, label in enumerate(classes.tolist())}
        used = np.flatnonzero(weights)
        trained, ids = np.unique([position[labels[row]] for row in used], return_inverse=True)
        if len(trained) < 2:
            found = repr(labels[used[0]]) if len(used) else "none"
            raise ValueError(f"Of the classes, {found} has examples of a weight above 0. Two are the least.")
        objective = "binary" if len(trained) == 2 else self.params.get("objective", "multiclass")
        settings = {**self.get_params(), **ALWAYS, "objective": objective, "n_jobs": _threads(self.n_jobs)}
        model = LGBMClassifier(**settings)
        model.fit(rows[used], ids, sample_weight=weights[used])
        self.booster_, self.classes_, self.objective_ = model.booster_, classes, objective
        self.n_features_in_, self.trained_ = rows.shape[1], trained.tolist()
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
            embeddings: Numbers, `[num_inputs, embedding_size]`. LightGBM takes NaN for 0.

        Returns:
            An array `[num_inputs, num_classes]` whose rows sum to 1.

        Raises:
            NotFittedError: The head isn't fitted.
            ValueError: The embeddings have another shape than in `fit`.
        """
        check_is_fitted(self, "booster_")
        rows = _matrix(embeddings)
        if rows.shape[1] != self.n_features_in_:
            raise ValueError(
                f"These embeddings have {rows.shape[1]} columns, but the head was trained on {self.n_features_in_}. "
                "Use the body that it was trained with, or train it again."
            )
        probabilities = np.zeros((len(rows), len(self.classes_)))
        if len(rows):  # LightGBM would refuse none
            probabilities[:, self.trained_] = self._shares(rows)
        return probabilities

    def _shares(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the probabilities of the classes in `trained_`."""
        scores = np.asarray(self.booster_.predict(rows, raw_score=True, num_threads=_threads(self.n_jobs)))
        if self.objective_ == "binary":
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        elif self.objective_ == "multiclassova":
            scores = log_expit(scores)  # whose softmax are the shares of the logistic functions
        shares: npt.NDArray[np.float64] = softmax(scores, axis=1)
        return shares

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, with arrays in the place of the booster."""
        state = {**vars(self)}
        if "booster_" in state:
            state["trees_"] = trees_of(state.pop("booster_"))
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Take over attributes that `__getstate__` returned, or that somebody else made up.

        Raises:
            TypeError: A parameter is none that the head takes.
            ValueError: What should be trees, classes or a value of a parameter is none.
        """
        state = {**state}
        trees = state.pop("trees_", None)
        _check_params(state["params"])
        _threads(state["n_jobs"])
        if trees is not None:
            classes = np.asarray(state["classes_"], dtype=object).tolist()
            state["classes_"] = class_array(classes)
            if state["classes_"].tolist() != classes:
                raise ValueError("its classes are not in order, or one is there twice")
            trained = _positions(state["trained_"], len(classes))
            state["booster_"] = booster_from(trees, state["objective_"], state["n_features_in_"], len(trained))
        self.__dict__.update(state)


def _matrix(embeddings: npt.ArrayLike) -> npt.NDArray[np.float32]:
    rows = np.asarray(embeddings)
    if rows.ndim != 2 or rows.dtype.kind not in "fiub":
        raise ValueError(
            f"Embeddings must be an array of numbers [num_inputs, embedding_size], not {rows.dtype} {list(rows.shape)}."
        )
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite
        return np.ascontiguousarray(rows, dtype=np.float32)


def _positions(trained: Any, num_classes: int) -> list[int]:
    """Return the positions of the trained classes, if they are some of `num_classes`."""
    if type(trained) is not list or {*map(type, trained)} != {int} or trained != sorted(set(trained)):
        raise ValueError("`trained_` is no list of different positions in order")
    if len(trained) < 2 or not 0 <= trained[0] < trained[-1] < num_classes <= MAX_CLASSES:
        raise ValueError(
            f"`trained_` names a class that isn't there or fewer than two, or there are more than {MAX_CLASSES} classes"
        )
    return trained


def _threads(n_jobs: int) -> int:
    """Return a number of threads from 1 to that of the processors."""
    wanted, processors = operator.index(n_jobs), os.cpu_count() or 1
    return min(wanted, processors) if wanted > 0 else processors


def _check_params(params: Mapping[str, Any]) -> None:
    for name in params.keys() - KNOWN:
        close = difflib.get_close_matches(name, KNOWN, 1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise TypeError(f"LightGBMHead has no parameter {name[:40]!r}.{meant} It has: {', '.join(sorted(KNOWN))}.")
    if params.get("objective", "multiclass") not in OBJECTIVES:
        raise ValueError(
            f"objective={params['objective']!r} is none of {', '.join(OBJECTIVES)}. Leave it out: it is binary for two "
            "classes and multiclass for more."
        )
    if params.get("boosting_type", "gbdt") not in BOOSTINGS:
        raise ValueError(f"boosting_type={params['boosting_type']!r} is none of {', '.join(BOOSTINGS)}.")
    if params.get("class_weight") not in (None, "balanced"):
        raise ValueError(
            "class_weight is 'balanced' or None. Give other weights with the examples, as sample_weight, or as "
            "class_weight of setfit-core's TrainingArguments."
        )
