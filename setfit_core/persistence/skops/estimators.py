"""Are the loaded estimators what scikit-learn would have made of data?

A file can say anything about what an estimator has learned. Most of that ends in an ordinary exception; but
scikit-learn's compiled code follows the indices of a tree, of neighbours and of support vectors wherever they lead.
Whatever such code reads is checked here, by looking at attributes: no method or property of a head is run.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.neighbors import BallTree, KDTree
from sklearn.neighbors._base import NeighborsBase
from sklearn.svm._base import BaseLibSVM
from sklearn.tree import BaseDecisionTree
from sklearn.tree._tree import Tree

from setfit_core.errors import ModelFormatError, UntrustedTypesError
from setfit_core.persistence.skops.compiled import (
    FalseStateError,
    array_of,
    check_index_tree,
    check_predictor,
    check_random_state,
    check_tree,
    require,
    whole,
)

_CONTAINERS: Final = (list, tuple, set, frozenset, Mapping, np.ndarray)
_TREES: Final = (Tree, TreePredictor)
_LEAVES: Final = (str, bytes, bytearray, int, float, complex, type(None), type, slice, np.generic)
_KERNELS: Final = ("linear", "poly", "rbf", "sigmoid")
#: A head that asks for more neighbours than it has texts is odd; this many would only fill the memory.
_MAX_NEIGHBORS: Final = 10_000


class UncheckedStateError(FalseStateError):
    """What an estimator holds may be right, but can't be told from what isn't."""

    def __init__(self, reason: str, kind: type) -> None:
        super().__init__(reason)
        self.kind = kind


def check_estimator_state(head: Any, where: str, trusted: Collection[str] = ()) -> None:
    """Check everything in a loaded head that compiled code would follow blindly.

    What belongs to the machine that saved a head doesn't come along: more jobs than there are processors become as
    many as there are, and the cache of a pipeline is dropped.

    Args:
        head: The head as it was loaded.
        where: The file it was loaded from, for the message.
        trusted: Qualified names of types whose state the caller answers for, where it can't be checked.

    Raises:
        UntrustedTypesError: If something in it can't be checked, and its type isn't trusted.
        ModelFormatError: If something in it isn't what scikit-learn makes of data.
    """
    try:
        _Walk(trusted).over(head)
    except UncheckedStateError as error:
        name = f"{error.kind.__module__}.{error.kind.__qualname__}"
        raise UntrustedTypesError(
            f"The head in {where} holds a {name} whose state can't be checked ({error}); a false one could crash the "
            f"process. If you trust whoever saved the model, pass trusted={[name]!r}.",
            (name,),
        ) from error
    except Exception as error:
        reason = str(error) if isinstance(error, FalseStateError) else f"{type(error).__name__}: {error}"
        raise ModelFormatError(
            f"The head in {where} can't be used: {reason}. It is damaged, or was made to do harm. Download the model "
            "again, or save it again with the installed version of scikit-learn."
        ) from error


class _Walk:
    """Goes over every object of a head once."""

    def __init__(self, trusted: Collection[str]) -> None:
        self._trusted = {*trusted}
        self._seen: dict[int, Any] = {}  # holds what it has seen, so that no number is given twice
        #: From a container or tree to the containers that it lies in.
        self._within: dict[int, list[int]] = {}

    def over(self, head: Any) -> None:
        """Check the head and everything in it, whatever holds it."""
        stack = [head]
        while stack:
            item = stack.pop()
            if isinstance(item, _LEAVES) or id(item) in self._seen:
                continue
            self._seen[id(item)] = item
            parts = self._parts(item)
            if isinstance(item, _CONTAINERS):
                for part in parts:
                    if isinstance(part, (*_CONTAINERS, *_TREES)):
                        self._within.setdefault(id(part), []).append(id(item))
            stack.extend(parts)
        self._trees_in_their_places(head)

    def _trees_in_their_places(self, head: Any) -> None:
        """Refuse a tree wherever it could be taken for an estimator: it would be handed texts of any width."""
        holding = {number for number, item in self._seen.items() if isinstance(item, _TREES)}
        waiting = [*holding]
        while waiting:
            for number in self._within.get(waiting.pop(), ()):
                if number not in holding:
                    holding.add(number)
                    waiting.append(number)
        require(id(head) not in holding, "a tree stands where a head belongs")
        for item in self._seen.values():
            if isinstance(item, (*_CONTAINERS, *_TREES)):
                continue
            for name, value in _state(item).items():
                if id(value) not in holding:
                    continue
                if not _of_scikit_learn(item):
                    self._needs_trust(item, f"it holds a tree in {name!r}")
                else:
                    # What these hold in these places was checked with them.
                    in_place = (isinstance(item, BaseDecisionTree) and name == "tree_" and type(value) is Tree) or (
                        isinstance(item, BaseHistGradientBoosting) and name == "_predictors"
                    )
                    require(in_place, f"a tree stands in {name!r}, where none belongs")

    def _parts(self, item: Any) -> Collection[Any]:
        if isinstance(item, Mapping):
            return [*item.keys(), *item.values()]
        if isinstance(item, (list, tuple, set, frozenset)):
            return [*item]
        if isinstance(item, np.ndarray):
            return item.ravel().tolist() if item.dtype.hasobject else ()
        if isinstance(item, np.random.RandomState):
            check_random_state(item)
        elif isinstance(item, Tree):
            check_tree(item)
        elif isinstance(item, TreePredictor):
            check_predictor(item)
        elif isinstance(item, (KDTree, BallTree)):
            check_index_tree(item)
        state = _state(item)
        if isinstance(item, BaseEstimator):
            self._estimator(item, state)
        return list(state.values())

    def _estimator(self, estimator: Any, state: dict[str, Any]) -> None:
        if _of_scikit_learn(estimator):
            _drop_what_is_of_the_machine(state)
        _check_counts(estimator, state)
        if isinstance(estimator, BaseDecisionTree):
            self._decision_tree(state)
        elif isinstance(estimator, BaseForest):
            _check_forest(state)
        elif isinstance(estimator, BaseGradientBoosting):
            self._gradient_boosting(estimator, state)
        elif isinstance(estimator, BaseHistGradientBoosting):
            self._histogram_boosting(estimator, state)
        elif isinstance(estimator, NeighborsBase):
            _check_neighbors(state)
        elif isinstance(estimator, BaseLibSVM):
            _check_support_vectors(state)

    def _decision_tree(self, state: dict[str, Any]) -> None:
        if "tree_" not in state:
            return  # not trained
        tree: Any = state["tree_"]
        require(type(tree) is Tree, "a decision tree has no tree")
        require(whole(state, "n_features_in_") == tree.n_features, "a tree takes texts of another width")
        require(whole(state, "n_outputs_") == tree.n_outputs, "a tree has other outputs")

    def _gradient_boosting(self, estimator: Any, state: dict[str, Any]) -> None:
        if "estimators_" not in state:
            return
        trees = state["estimators_"]
        require(isinstance(trees, np.ndarray) and trees.ndim == 2 and trees.size > 0, "its boosting has no trees")
        columns = trees.shape[1]
        width = whole(state, "n_features_in_")
        for tree in trees.ravel().tolist():
            require(isinstance(tree, BaseDecisionTree), "its boosting is of something other than trees")
            inner = _state(tree)
            require(type(inner.get("tree_")) is Tree, "a decision tree has no tree")
            require(whole(inner, "n_features_in_") == width, "a tree takes texts of another width")
            # The leaf of a tree is read as one number.
            require(whole(inner, "n_outputs_") == 1 and inner["tree_"].max_n_classes == 1, "a tree has other outputs")
        if not isinstance(estimator, GradientBoostingClassifier):
            self._needs_trust(estimator, "it is no classifier")
            return
        classes = array_of(state, "classes_", dimensions=1)
        require(columns == (1 if len(classes) == 2 else len(classes)), "its boosting has other classes than trees")
        require(whole(state, "n_trees_per_iteration_") == columns, "its boosting has other classes than trees")
        _check_loss(state.get("_loss"), columns)
        self._first_guess(estimator, state.get("init_"), len(classes))

    def _first_guess(self, estimator: Any, first: Any, classes: int) -> None:
        """The trees add to what the first estimator says, in as many columns as they have themselves."""
        if isinstance(first, str) and first == "zero":
            return
        if type(first) is not DummyClassifier:
            self._needs_trust(estimator, f"it starts from a {type(first).__name__}")
            return
        state = _state(first)
        require(state.get("_strategy") == "prior", "its boosting starts from no prior")
        require(whole(state, "n_outputs_") == 1, "its boosting starts from other classes")
        require(
            array_of(state, "class_prior_", dimensions=1).shape == (classes,), "its boosting starts from other classes"
        )

    def _needs_trust(self, estimator: Any, reason: str) -> None:
        kind = type(estimator)
        if f"{kind.__module__}.{kind.__qualname__}" not in self._trusted:
            raise UncheckedStateError(reason, kind)

    def _histogram_boosting(self, estimator: Any, state: dict[str, Any]) -> None:
        if "_predictors" not in state:
            return
        require("_in_fit" not in state, "its boosting is being trained")
        if isinstance(estimator, HistGradientBoostingClassifier):
            classes = array_of(state, "classes_", dimensions=1)
            columns = 1 if len(classes) == 2 else len(classes)
        else:
            columns = 1
        require(whole(state, "n_trees_per_iteration_") == columns, "its boosting has other classes than trees")
        width = whole(state, "n_features_in_")
        categorical = np.asarray(_state(state.get("_bin_mapper")).get("is_categorical_"))
        require(categorical.shape == (width,) and categorical.dtype.kind in "bu", "its bins are of another width")
        predictors = state["_predictors"]
        require(isinstance(predictors, list), "its boosting has no trees")
        for row in predictors:
            require(isinstance(row, list) and len(row) == columns, "its boosting has other classes than trees")
            for predictor in row:
                require(type(predictor) is TreePredictor, "its boosting is of something other than trees")
                nodes = predictor.__dict__["nodes"]
                inner = nodes[nodes["is_leaf"] == 0]
                features = inner["feature_idx"]
                require(not len(features) or (features.min() >= 0 and features.max() < width), "a tree leaves the text")
                chosen = features[inner["is_categorical"] != 0]
                require(bool(np.all(categorical[chosen])), "a tree takes a number for a category")


def _check_forest(state: dict[str, Any]) -> None:
    trees = state.get("estimators_")
    if trees is None:
        return
    require(isinstance(trees, list), "its forest has no trees")
    for tree in trees:
        require(isinstance(tree, BaseDecisionTree) and "tree_" in _state(tree), "its forest has no trees")
        inner = _state(tree)
        require(whole(inner, "n_features_in_") == whole(state, "n_features_in_"), "a tree takes texts of another width")
        require(whole(inner, "n_outputs_") == whole(state, "n_outputs_"), "a tree has other outputs than its forest")


def _check_loss(loss: Any, columns: int) -> None:
    """The loss says whether the first guess is a column for each class, and its link keeps them."""
    names = ("HalfBinomialLoss", "ExponentialLoss") if columns == 1 else ("HalfMultinomialLoss",)
    links = ("LogitLink", "HalfLogitLink") if columns == 1 else ("MultinomialLogit",)
    require(_of_scikit_learn(loss) and type(loss).__name__ in names, "its boosting has the loss of another task")
    link = _state(loss).get("link")
    require(_of_scikit_learn(link) and type(link).__name__ in links, "its boosting has the link of another task")


def _check_neighbors(state: dict[str, Any]) -> None:
    method = state.get("_fit_method")
    if method is None and "_fit_X" not in state:
        return
    require(state.get("metric") != "precomputed", "its distances are computed by somebody else")
    data = array_of(state, "_fit_X", dimensions=2, kinds="biuf")
    require(data.flags.c_contiguous, "its neighbours lie in the wrong order")
    require(
        data.shape == (whole(state, "n_samples_fit_"), whole(state, "n_features_in_")),
        "its neighbours are of another width",
    )
    if state.get("n_neighbors") is not None:
        require(
            whole(state, "n_neighbors") <= max(len(data), _MAX_NEIGHBORS), "it asks for more neighbours than there are"
        )
    kinds = {"brute": type(None), "kd_tree": KDTree, "ball_tree": BallTree}
    require(isinstance(method, str) and method in kinds, "its method is unknown")
    tree = state.get("_tree")
    require(type(tree) is kinds[str(method)], "its tree is of another kind than its method")
    require(tree is None or np.asarray(tree.data).shape == data.shape, "its tree is of other neighbours")
    if "_y" not in state:
        return
    labels = array_of(state, "_y", kinds="iu")
    classes = state.get("classes_")
    outputs: Any = [classes] if labels.ndim == 1 else classes
    require(
        isinstance(outputs, list) and labels.ndim in (1, 2) and len(labels) == len(data),
        "its neighbours have no classes",
    )
    columns = labels.reshape(len(labels), -1)
    require(bool(state.get("outputs_2d_")) == (labels.ndim == 2), "its neighbours have other classes")
    for column, names in zip(columns.T, outputs, strict=True):
        require(isinstance(names, np.ndarray) and names.ndim == 1, "its neighbours have no classes")
        require(
            0 <= column.min(initial=0) <= column.max(initial=0) < len(names),
            "a neighbour is of a class that isn't there",
        )


def _check_support_vectors(state: dict[str, Any]) -> None:
    if "support_vectors_" not in state:
        return
    require(state.get("_sparse") is False, "its support vectors are sparse")
    kernel = state.get("kernel")
    require(isinstance(kernel, str) and kernel in _KERNELS, "its kernel is computed by somebody else")
    vectors = array_of(state, "support_vectors_", dimensions=2, kinds="f")
    require(vectors.shape[1] == whole(state, "n_features_in_"), "its support vectors are of another width")
    require(
        array_of(state, "support_", kinds="i").shape == (len(vectors),), "its support vectors are of another number"
    )
    counts = array_of(state, "_n_support", dimensions=1, kinds="i")
    classes = array_of(state, "classes_", dimensions=1)
    require(len(counts) == len(classes) >= 2, "its support vectors are of other classes")
    require(counts.min() >= 0 and sum(counts.tolist()) == len(vectors) > 0, "its support vectors are of another number")
    pairs = len(classes) * (len(classes) - 1) // 2
    require(
        array_of(state, "_dual_coef_", kinds="f").shape == (len(classes) - 1, len(vectors)),
        "its support vectors have other weights",
    )
    require(array_of(state, "_intercept_", kinds="f").shape == (pairs,), "its intercepts are of another number")
    for name in ("_probA", "_probB"):
        require(array_of(state, name, kinds="f").shape in ((0,), (pairs,)), "its probabilities are of another number")
    require(state["_probA"].shape == state["_probB"].shape, "its probabilities are of another number")


def _check_counts(estimator: Any, state: dict[str, Any]) -> None:
    """Room for this many classes is made for each text."""
    classes, count = state.get("classes_"), state.get("n_classes_")
    if isinstance(classes, np.ndarray) and isinstance(count, (int, np.integer)):
        require(count == len(classes), f"a {type(estimator).__name__} has {count} classes, and names {len(classes)}")


def _drop_what_is_of_the_machine(state: dict[str, Any]) -> None:
    jobs = state.get("n_jobs")
    if isinstance(jobs, (int, np.integer)) and jobs > (processors := os.cpu_count() or 1):
        state["n_jobs"] = processors
    require(isinstance(state.get("n_jobs"), (int, np.integer, type(None))), "its number of jobs is no number")
    if state.get("memory") is not None:
        state["memory"] = None


def _of_scikit_learn(item: Any) -> bool:
    return type(item).__module__.startswith("sklearn.")


def _state(item: Any) -> dict[str, Any]:
    """Return the attributes of an object, without asking its class."""
    try:
        state = object.__getattribute__(item, "__dict__")
    except AttributeError:
        return {}
    return state if type(state) is dict else {}
