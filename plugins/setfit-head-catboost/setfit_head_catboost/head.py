"""`CatBoostClassifier` as a head: any labels, fewer trees than its default, nothing changed by a failed `fit`."""

from __future__ import annotations

import difflib
import operator
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from catboost import CatBoost, CatBoostClassifier  # type: ignore[import-untyped]
from scipy.special import log_expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from setfit_head_catboost.labels import class_array
from setfit_head_catboost.trees import model_from, trees_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CatBoostHead"]

#: What else CatBoostClassifier takes and a head can use. Left out are those that read or write files, make other trees
#: than oblivious ones of numbers, talk, or need an evaluation set.
PARAMETERS: Final = (
    "auto_class_weights",
    "bagging_temperature",
    "boost_from_average",
    "boosting_type",
    "bootstrap_type",
    "border_count",
    "class_weights",
    "diffusion_temperature",
    "feature_border_type",
    "l2_leaf_reg",
    "langevin",
    "leaf_estimation_backtracking",
    "leaf_estimation_iterations",
    "leaf_estimation_method",
    "learning_rate",
    "loss_function",
    "model_shrink_mode",
    "model_shrink_rate",
    "mvs_reg",
    "posterior_sampling",
    "random_score_type",
    "random_strength",
    "sampling_frequency",
    "scale_pos_weight",
    "score_function",
    "subsample",
)
#: CatBoost's second names, and those that scikit-learn has for the same.
SYNONYMS: Final = {
    "colsample_bylevel": "rsm",
    "eta": "learning_rate",
    "max_bin": "border_count",
    "max_depth": "depth",
    "n_estimators": "iterations",
    "n_jobs": "thread_count",
    "num_boost_round": "iterations",
    "num_trees": "iterations",
    "objective": "loss_function",
    "random_seed": "random_state",
    "reg_lambda": "l2_leaf_reg",
}
#: For three classes and more; for two it is Logloss.
LOSSES: Final = ("MultiClass", "MultiClassOneVsAll")
MAX_CLASSES: Final = 100_000
ALWAYS: Final = {"logging_level": "Silent", "allow_writing_files": False}


class CatBoostHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no annotations
    """Gradient-boosted oblivious trees that turn embeddings into classes.

    Prokhorenkova et al. 2018, "CatBoost: unbiased boosting with categorical features". Every `fit` trains anew, and
    one that fails leaves the head as it was.

    Args:
        depth: Levels of each tree; CatBoost's own default is 6.
        iterations: How many trees; CatBoost's own default is 1000.
        rsm: Share of the columns that each split looks at; CatBoost's own default is all.
        thread_count: Threads; -1 means one for each processor, and there are never more. One is the fastest for few
            examples, and with one the same seed gives the same head on every machine.
        random_state: Seed for what CatBoost draws at random.
        params: Other arguments of `catboost.CatBoostClassifier`, those in `PARAMETERS`.

    Attributes:
        model_: The trained model, whose classes are those that `trained_` lists.
        classes_: The labels seen in `fit`, sorted, `[num_classes]`.
        n_features_in_: Size of one embedding.
        loss_: What was minimised: `"Logloss"`, `"MultiClass"` or `"MultiClassOneVsAll"`.
        trained_: Positions in `classes_` of the classes that had an example of a weight above 0, in order.

    Raises:
        TypeError: A parameter is none of CatBoost's or one that a head can't use, or `class_weights` is a mapping.
        ValueError: `loss_function` is none of `LOSSES`.
    """

    setfit_head: ClassVar[Mapping[str, Any]] = {
        "api": 1,
        "multi_label": False,
        "partial_fit": False,
        "sample_weight": True,
    }

    model_: CatBoost
    classes_: npt.NDArray[Any]
    n_features_in_: int
    loss_: str
    trained_: list[int]

    def __init__(
        self,
        *,
        depth: int = 3,
        iterations: int = 300,
        rsm: float = 0.1,
        thread_count: int = 1,
        random_state: int | None = None,
        **params: Any,
    ) -> None:
        _check_params(params)
        self.depth = depth
        self.iterations = iterations
        self.rsm = rsm
        self.thread_count = thread_count
        self.random_state = random_state
        self.params = params

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters that have a default here, and those that were given."""
        return {**super().get_params(deep), **self.params}

    def set_params(self, **params: Any) -> CatBoostHead:
        """Set parameters for the next `fit`. What was trained before predicts as before.

        Raises:
            TypeError: A parameter is none that the head takes; nothing is set.
            ValueError: A value is none that the head takes; nothing is set.
        """
        self.__dict__.update(vars(type(self)(**{**self.get_params(), **params})))
        return self

    def fit(
        self, embeddings: npt.ArrayLike, y: Iterable[Any], sample_weight: npt.ArrayLike | None = None
    ) -> CatBoostHead:
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
            CatBoostError: CatBoost refuses a parameter's value, or the embeddings are all alike; the head is as it was.
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
        loss = "Logloss" if len(trained) == 2 else self.params.get("loss_function", "MultiClass")
        settings = {
            **self.get_params(),
            **ALWAYS,
            "loss_function": loss,
            "thread_count": _threads(self.thread_count),
        }
        if (given := self.params.get("class_weights")) is not None:
            if len(given) != len(classes):
                raise ValueError(f"There are {len(given)} class_weights for {len(classes)} classes. Give one for each.")
            settings["class_weights"] = [given[number] for number in trained]
        model = CatBoostClassifier(**settings)
        model.fit(rows[used], ids, sample_weight=weights[used])
        self.model_, self.classes_, self.loss_ = model, classes, loss
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
            embeddings: Numbers, `[num_inputs, embedding_size]`. CatBoost takes NaN for less than any border.

        Returns:
            An array `[num_inputs, num_classes]` whose rows sum to 1.

        Raises:
            NotFittedError: The head isn't fitted.
            ValueError: The embeddings have another shape than in `fit`.
        """
        check_is_fitted(self, "model_")
        rows = _matrix(embeddings)
        if rows.shape[1] != self.n_features_in_:
            raise ValueError(
                f"These embeddings have {rows.shape[1]} columns, but the head was trained on {self.n_features_in_}. "
                "Use the body that it was trained with, or train it again."
            )
        probabilities = np.zeros((len(rows), len(self.classes_)))
        if len(rows):  # CatBoost would refuse none
            probabilities[:, self.trained_] = self._shares(rows)
        return probabilities

    def _shares(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the probabilities of the classes in `trained_`."""
        scores = self.model_.predict(rows, prediction_type="RawFormulaVal", thread_count=_threads(self.thread_count))
        if self.loss_ == "Logloss":
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        elif self.loss_ == "MultiClassOneVsAll":
            scores = log_expit(scores)  # whose softmax are the shares of the logistic functions
        shares: npt.NDArray[np.float64] = softmax(scores, axis=1)
        return shares

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, with arrays in the place of the model."""
        state = {**vars(self)}
        if "model_" in state:
            state["trees_"] = trees_of(state.pop("model_"))
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
        _threads(state["thread_count"])
        if trees is not None:
            classes = np.asarray(state["classes_"], dtype=object).tolist()
            state["classes_"] = class_array(classes)
            if state["classes_"].tolist() != classes:
                raise ValueError("its classes are not in order, or one is there twice")
            trained = _positions(state["trained_"], len(classes))
            state["model_"] = model_from(trees, state["loss_"], state["n_features_in_"], len(trained))
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


def _threads(thread_count: int) -> int:
    """Return a number of threads from 1 to that of the processors."""
    wanted, processors = operator.index(thread_count), os.cpu_count() or 1
    return min(wanted, processors) if wanted > 0 else processors


def _check_params(params: Mapping[str, Any]) -> None:
    known = sorted({*PARAMETERS, "depth", "iterations", "random_state", "rsm", "thread_count"})
    for name in params.keys() - {*PARAMETERS}:
        close = [SYNONYMS[name]] if name in SYNONYMS else difflib.get_close_matches(name, known, 1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise TypeError(f"CatBoostHead has no parameter {name[:40]!r}.{meant} It has: {', '.join(known)}.")
    if params.get("loss_function", "MultiClass") not in LOSSES:
        raise ValueError(
            f"loss_function={params['loss_function']!r} is none of {', '.join(LOSSES)}. Leave it out: it is Logloss "
            "for two classes and MultiClass for more."
        )
    if isinstance(params.get("class_weights"), Mapping):
        raise TypeError("class_weights is a list of weights in the order of the sorted classes, not a mapping.")
