"""From what `pickled` read to heads: objects of the installed libraries, built anew from checked numbers."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from setfit_core.errors import ModelFormatError, PersistenceError, SetFitError
from setfit_core.persistence.setfit.linear import LinearWeights, build_linear_head
from setfit_core.persistence.setfit.pickled import Record, Tensor

if TYPE_CHECKING:
    import torch

    from setfit_core.heads.construction import HeadRecipe

__all__ = ["ConvertedHead", "convert_head", "torch_head"]

_LOGISTIC: Final = "sklearn.linear_model._logistic.LogisticRegression"
_ONE_VS_REST: Final = "sklearn.multiclass.OneVsRestClassifier"
_CONSTANT: Final = "sklearn.multiclass._ConstantPredictor"
_MULTI_OUTPUT: Final = "sklearn.multioutput.MultiOutputClassifier"
_CHAIN: Final = "sklearn.multioutput.ClassifierChain"
_BINARIZER: Final = "sklearn.preprocessing._label.LabelBinarizer"
_SETFIT_HEAD: Final = "setfit.modeling.SetFitHead"
_LINEAR: Final = "torch.nn.modules.linear.Linear"

#: Constructor arguments that are taken over. Left out: n_jobs and verbose, with which a file could start processes.
_PARAMETERS: Final = (
    "C",
    "dual",
    "fit_intercept",
    "intercept_scaling",
    "max_iter",
    "random_state",
    "solver",
    "tol",
    "warm_start",
)
#: How often the arrays of a file may be copied in all: pickles share what is equal, within reason.
_COPIES: Final = 16
#: More classes than this fit into no head that setfit could train, and each costs an object or more.
MAX_CLASSES: Final = 100_000
#: A OneVsRestClassifier has an estimator for each class.
MAX_ESTIMATORS: Final = 10_000


@dataclass(frozen=True)
class ConvertedHead:
    """A head that `setfit` saved, as a head of this project.

    Attributes:
        head: The head.
        strategy: The `multi_target_strategy` that it predicts with; None for one label a text.
        outputs: How many outputs a torch head has; None for others, which know their classes.
        recipe: What builds another torch head like it; None for others.
        built_with: The keywords that it was built with; None for others.
    """

    head: Any
    strategy: str | None = None
    outputs: int | None = None
    recipe: HeadRecipe | None = None
    built_with: dict[str, Any] | None = None


def convert_head(value: Any, *, where: str, size: int, device: str) -> ConvertedHead:
    """Build a head from what `read_pickle` returned.

    Args:
        value: What it returned.
        where: The place of the file, for messages.
        size: The size of the file in bytes.
        device: Where a torch head goes.

    Raises:
        ModelFormatError: If it is no head, or its numbers don't fit together.
        HeadError: If it is a torch head and no head `linear` is installed.
    """
    conversion = _Conversion(where, size * _COPIES + 4096)
    try:
        if isinstance(value, Record) and value.name == _SETFIT_HEAD:
            return torch_head(conversion.linear_weights(value), device, where)
        return ConvertedHead(*conversion.estimator(value))
    except SetFitError:
        raise
    except Exception as error:  # the file chose every value in there, so whatever goes wrong is its fault
        raise conversion.damaged(f"{type(error).__name__}: {error}") from error


def torch_head(weights: LinearWeights, device: str, where: str) -> ConvertedHead:
    """Build the torch head with these weights (see `build_linear_head`)."""
    head, recipe, built_with = build_linear_head(weights, device, where)
    strategy = "one-vs-rest" if weights.multitarget else None
    return ConvertedHead(head, strategy, len(weights.weight), recipe, built_with)


@dataclass(eq=False)
class _Conversion:
    """One file's way to a head, with what it may still cost."""

    where: str
    copies_left: int
    taken: set[int] = field(default_factory=set)

    def damaged(self, reason: str) -> ModelFormatError:
        return ModelFormatError(
            f"{self.where} holds no head that can predict: {reason}. The file is damaged, or was made by something "
            "other than setfit. Download or save the model again."
        )

    # Reading checked values

    def copy(self, size: int) -> None:
        """Count bytes that are copied."""
        self.copies_left -= size
        if self.copies_left < 0:
            raise self.damaged("it uses the same values many times over")

    def state(self, value: Any, *names: str) -> Mapping[str, Any]:
        """Return the attributes of a record; every record becomes an object once."""
        if type(value) is not Record or value.name not in names:
            found = value.name if type(value) is Record else type(value).__name__
            raise self.damaged(f"{found} stands where {' or '.join(names)} belongs")
        if id(value) in self.taken or not isinstance(value.state, dict):
            raise self.damaged(f"a {value.name} has no attributes of its own")
        self.taken.add(id(value))
        return value.state

    def array(self, value: Any, what: str, kinds: str) -> npt.NDArray[Any]:
        """Return a copy of an array of these kinds of elements, in the byte order of this machine."""
        if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds:
            raise self.damaged(f"{what} is no array of the right type")
        self.copy(value.nbytes)
        return value.astype(value.dtype.newbyteorder("="), order="K", copy=True)

    def floats(self, value: Any, what: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return finite numbers of this shape; -1 stands for any length but 0."""
        array = self.array(value, what, "f")
        fits = len(array.shape) == len(shape) and all(
            length == expected or (expected == -1 and length)
            for length, expected in zip(array.shape, shape, strict=True)
        )
        if not fits or array.dtype.itemsize < 4:
            raise self.damaged(f"{what} has the shape {list(array.shape)} and the type {array.dtype}")
        if not np.isfinite(array).all():
            raise self.damaged(f"{what} holds numbers that are not finite")
        return array

    def classes(self, value: Any) -> npt.NDArray[Any]:
        """Return what a classifier predicts: at least two different labels, sorted."""
        array = self.array(value, "classes_", "biufUO")
        if array.ndim != 1 or not 2 <= len(array) <= MAX_CLASSES:
            raise self.damaged(f"classes_ has the shape {list(array.shape)}")
        if array.dtype.kind == "O":
            if not all(type(label) is str for label in array.tolist()):
                raise self.damaged("classes_ holds something other than labels")
            # NumPy gives each text as much room as the longest one takes.
            self.copy(len(array) * max(map(len, array.tolist())) * 4)
            array = np.array(array.tolist(), dtype=str)
        try:
            labels = array.tolist()  # not every 32 bits are a character
        except (SystemError, ValueError) as error:
            raise self.damaged("classes_ holds text that is none") from error
        if not all(a < b for a, b in itertools.pairwise(labels)):
            raise self.damaged("classes_ is not a sorted list of different labels")
        return array

    def binary_classes(self, value: Any) -> npt.NDArray[Any]:
        """Return the classes of an estimator that decides about one label: 0 and 1."""
        classes = self.classes(value)
        if classes.tolist() != [0, 1]:
            raise self.damaged(f"an estimator for one of several labels knows {len(classes)} classes that are not 0/1")
        return classes

    def items(self, value: Any, what: str) -> Sequence[Any]:
        if type(value) not in (list, tuple) or not value:
            raise self.damaged(f"{what} is no list")
        return value  # type: ignore[no-any-return]  # a list or a tuple, as was just seen

    def size(self, state: Mapping[str, Any], estimator: Any, expected: int) -> None:
        """Set how many numbers an embedding has, which the file may say, too."""
        if state.get("n_features_in_", expected) != expected or not expected:
            raise self.damaged("its parts disagree about the size of an embedding")
        estimator.n_features_in_ = expected

    # scikit-learn's estimators

    def estimator(self, value: Any) -> tuple[Any, str | None]:
        """Return an estimator and its strategy for several labels."""
        builders: dict[str, Callable[[Any], tuple[Any, str | None]]] = {
            _LOGISTIC: lambda record: (self.logistic(record), None),
            _ONE_VS_REST: self.one_vs_rest,
            _MULTI_OUTPUT: self.multi_output,
            _CHAIN: self.chain,
        }
        if type(value) is not Record or value.name not in builders:
            found = value.name if type(value) is Record else type(value).__name__
            raise self.damaged(f"what it holds is of the type {found}, which is no head")
        return builders[value.name](value)

    def logistic(self, value: Any, *, binary: bool = False) -> Any:
        """Return a LogisticRegression; or what predicts as it did, where the installed version would not."""
        from sklearn.linear_model import LogisticRegression

        state = self.state(value, _LOGISTIC)
        estimator = LogisticRegression(**self.parameters(state))
        if "coef_" not in state:
            if binary:
                raise self.damaged("an estimator for one of several labels was not trained")
            return estimator
        classes = self.binary_classes(state.get("classes_")) if binary else self.classes(state.get("classes_"))
        rows = 1 if len(classes) == 2 else len(classes)
        coef = self.floats(state["coef_"], "coef_", (rows, -1))
        intercept = state.get("intercept_")
        if type(intercept) is float and intercept == 0:  # liblinear without an intercept
            intercept = np.zeros(rows)
        intercept = self.floats(intercept, "intercept_", (rows,))
        meaning = self.meaning(state, estimator, len(classes))
        if meaning == "softmax of two":
            # Of the scores -s and s, softmax makes the sigmoid of 2 s.
            coef, intercept = coef * 2, intercept * 2
        fitted = self.fitted_logistic(state, estimator, classes, coef, intercept)
        return self.separately(fitted) if meaning == "one against the rest" else fitted

    def fitted_logistic(
        self,
        state: Mapping[str, Any],
        estimator: Any,
        classes: npt.NDArray[Any],
        coef: npt.NDArray[Any],
        intercept: npt.NDArray[Any],
    ) -> Any:
        estimator.classes_, estimator.coef_, estimator.intercept_ = classes, coef, intercept
        self.size(state, estimator, coef.shape[1])
        if isinstance(state.get("n_iter_"), np.ndarray):
            estimator.n_iter_ = self.array(state["n_iter_"], "n_iter_", "iu")
        return estimator

    def parameters(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the constructor arguments that the installed LogisticRegression takes."""
        from sklearn.linear_model import LogisticRegression

        defaults = {name: p.default for name, p in inspect.signature(LogisticRegression).parameters.items()}
        kept = {name: state[name] for name in _PARAMETERS if name in state}
        if not all(value is None or type(value) in (bool, int, float, str) for value in kept.values()):
            raise self.damaged("a setting of LogisticRegression is neither a number nor a string")
        weights = state.get("class_weight")
        if weights is not None and type(weights) not in (str, dict):
            raise self.damaged("class_weight is no mapping")
        if type(weights) is dict and not all(type(weight) in (int, float) for weight in weights.values()):
            raise self.damaged("class_weight holds something other than numbers")
        kept["class_weight"] = weights
        if state.get("penalty") is not None and type(state["penalty"]) is not str:
            raise self.damaged("the penalty of LogisticRegression is no string")
        return {**kept, **_penalty(state, kept.get("C", 1.0), installed=defaults["penalty"])} | (
            {"multi_class": state["multi_class"]}
            if "multi_class" in defaults and state.get("multi_class") in ("ovr", "multinomial")
            else {}
        )

    def meaning(self, state: Mapping[str, Any], estimator: Any, num_classes: int) -> str:
        """Return what probabilities were when the head was saved, if the installed version makes others.

        Up to 1.7, scikit-learn's LogisticRegression had an argument `multi_class`. From 1.8 on it takes the sigmoid
        for two classes and softmax for more, whatever a file says.
        """
        multi_class = state.get("multi_class", "auto")
        if type(multi_class) is not str or multi_class not in ("auto", "deprecated", "multinomial", "ovr", "warn"):
            raise self.damaged("multi_class of LogisticRegression is none of its values")
        if hasattr(estimator, "multi_class"):
            return "as installed"
        automatic = multi_class in ("auto", "deprecated")
        separate = multi_class in ("ovr", "warn") or (
            automatic and (num_classes == 2 or state.get("solver") == "liblinear")
        )
        if num_classes == 2:
            return "as installed" if separate else "softmax of two"
        return "one against the rest" if separate else "as installed"

    def separately(self, fitted: Any) -> Any:
        """Return a OneVsRestClassifier of the rows of a LogisticRegression."""
        from sklearn.base import clone
        from sklearn.multiclass import OneVsRestClassifier

        if len(fitted.classes_) > MAX_ESTIMATORS:
            raise self.damaged(f"{len(fitted.classes_)} classes, one against the rest, are too many")
        parts = []
        for row in range(len(fitted.classes_)):
            part = clone(fitted)
            part.classes_ = np.array([0, 1])
            part.coef_, part.intercept_ = fitted.coef_[row : row + 1].copy(), fitted.intercept_[row : row + 1].copy()
            part.n_features_in_ = fitted.n_features_in_
            parts.append(part)
        together = OneVsRestClassifier(clone(fitted))
        together.estimators_ = parts
        together.label_binarizer_ = _binarizer(fitted.classes_, "multiclass")
        together.classes_ = fitted.classes_
        together.n_features_in_ = fitted.n_features_in_
        return together

    def one_vs_rest(self, value: Any) -> tuple[Any, str | None]:
        """Return a OneVsRestClassifier; its strategy depends on what it was trained on."""
        from sklearn.multiclass import OneVsRestClassifier

        state = self.state(value, _ONE_VS_REST)
        estimator = OneVsRestClassifier(self.logistic(state.get("estimator")))
        if "estimators_" not in state:
            return estimator, "one-vs-rest"
        binarizer = self.state(state.get("label_binarizer_"), _BINARIZER)
        kind = binarizer.get("y_type_")
        parts = [self.part_of_several(part) for part in self.items(state["estimators_"], "estimators_")]
        if kind == "multilabel-indicator":
            classes = np.arange(len(parts))
            same = self.array(binarizer.get("classes_"), "classes_", "iu").tolist() == classes.tolist()
        elif kind in ("binary", "multiclass"):
            classes = self.classes(binarizer.get("classes_"))
            same = len(parts) == (1 if kind == "binary" else len(classes)) and (len(classes) == 2) == (kind == "binary")
        else:
            raise self.damaged("a OneVsRestClassifier was trained on labels of an unknown kind")
        if not same or binarizer.get("neg_label") != 0 or binarizer.get("pos_label") != 1:
            raise self.damaged("a OneVsRestClassifier has not as many estimators as labels")
        estimator.estimators_ = parts
        estimator.label_binarizer_ = _binarizer(classes, kind)
        estimator.classes_ = classes
        self.sizes(state, estimator, [0] * len(parts))
        return estimator, "one-vs-rest" if kind == "multilabel-indicator" else None

    def part_of_several(self, value: Any) -> Any:
        """Return an estimator that decides about one label, or always gives the same answer."""
        if type(value) is not Record or value.name != _CONSTANT:
            return self.logistic(value, binary=True)
        from sklearn.multiclass import _ConstantPredictor

        state = self.state(value, _CONSTANT)
        estimator = _ConstantPredictor()
        estimator.y_ = self.array(state.get("y_"), "y_", "biu")
        if estimator.y_.shape != (1,) or estimator.y_[0] not in (0, 1):
            raise self.damaged("a constant answer is neither 0 nor 1")
        size = state.get("n_features_in_")
        if type(size) is not int:
            raise self.damaged("its parts disagree about the size of an embedding")
        self.size(state, estimator, size)
        return estimator

    def multi_output(self, value: Any) -> tuple[Any, str]:
        from sklearn.multioutput import MultiOutputClassifier

        state = self.state(value, _MULTI_OUTPUT)
        estimator = MultiOutputClassifier(self.logistic(state.get("estimator")))
        if "estimators_" in state:
            parts = [self.logistic(part, binary=True) for part in self.items(state["estimators_"], "estimators_")]
            estimator.estimators_ = parts
            estimator.classes_ = [part.classes_ for part in parts]
            self.sizes(state, estimator, [0] * len(parts))
        return estimator, "multi-output"

    def chain(self, value: Any) -> tuple[Any, str]:
        from sklearn.multioutput import ClassifierChain

        state = self.state(value, _CHAIN)
        template = state.get("estimator")
        if type(template) is not Record:  # before scikit-learn 1.7 it had another name
            template = state.get("base_estimator")
        first = next(iter(inspect.signature(ClassifierChain).parameters))
        estimator = ClassifierChain(**{first: self.logistic(template)})
        if "estimators_" not in state:
            return estimator, "classifier-chain"
        parts = [self.logistic(part, binary=True) for part in self.items(state["estimators_"], "estimators_")]
        order = state.get("order_")
        order = self.array(order, "order_", "iu").tolist() if isinstance(order, np.ndarray) else order
        if type(order) is not list or not all(type(place) is int for place in order):
            raise self.damaged("the order of a ClassifierChain is no list")
        if sorted(order) != list(range(len(parts))):
            raise self.damaged("the order of a ClassifierChain names other labels than it has")
        method = state.get("chain_method_", "predict")  # not before scikit-learn 1.5
        if method not in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
            raise self.damaged("a ClassifierChain passes on something unknown")
        estimator.estimators_, estimator.order_ = parts, np.array(order)
        if hasattr(estimator, "chain_method"):
            estimator.chain_method = estimator.chain_method_ = method
        elif method != "predict":
            raise PersistenceError(
                f"{self.where} holds a ClassifierChain that passes on what {method} gives, which the installed "
                "scikit-learn can't do. Upgrade it: pip install 'scikit-learn>=1.5'."
            )
        estimator.classes_ = [part.classes_ for part in parts]
        self.sizes(state, estimator, list(range(len(parts))))
        return estimator, "classifier-chain"

    def sizes(self, state: Mapping[str, Any], estimator: Any, more: Sequence[int]) -> None:
        """Set the size of an embedding, to which each part may get some more numbers."""
        sizes = {part.n_features_in_ - extra for part, extra in zip(estimator.estimators_, more, strict=True)}
        if len(sizes) != 1 or min(sizes) < 1:
            raise self.damaged("its parts disagree about the size of an embedding")
        self.size(state, estimator, sizes.pop())

    # setfit's own head

    def linear_weights(self, value: Any) -> LinearWeights:
        state = self.state(value, _SETFIT_HEAD)
        modules = state.get("_modules")
        if type(modules) is not dict or set(modules) != {"linear"}:
            raise self.damaged("a SetFitHead consists of other layers than it should")
        parameters = self.state(modules["linear"], _LINEAR).get("_parameters")
        if type(parameters) is not dict or not {"weight"} <= set(parameters) <= {"weight", "bias"}:
            raise self.damaged("a linear layer has other parameters than it should")
        weight = self.tensor(parameters["weight"], 2)
        bias = None if parameters.get("bias") is None else self.tensor(parameters["bias"], 1)
        if weight.shape[0] > MAX_CLASSES:
            raise self.damaged(f"a SetFitHead has {weight.shape[0]} outputs")
        if bias is not None and (bias.shape[0] != weight.shape[0] or bias.dtype != weight.dtype):
            raise self.damaged("the weight and the bias of a linear layer don't fit together")
        temperature, eps = state.get("temperature", 1.0), state.get("eps", 1e-5)
        if type(temperature) not in (int, float) or type(eps) not in (int, float):
            raise self.damaged("the temperature of a SetFitHead is no number")
        multitarget = state.get("multitarget", False)  # setfit did not always have it
        if type(multitarget) is not bool:
            raise self.damaged("multitarget of a SetFitHead is neither true nor false")
        return LinearWeights(weight, bias, temperature, eps, multitarget)

    def tensor(self, value: Any, dimensions: int) -> torch.Tensor:
        import torch

        if type(value) is not Tensor or value.values.ndim != dimensions:
            raise self.damaged("a linear layer has a parameter of the wrong shape")
        values = self.array(value.values, "a parameter", "fu")
        if value.dtype == "bfloat16":
            return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(values)


def _binarizer(classes: npt.NDArray[Any], kind: str) -> Any:
    from sklearn.preprocessing import LabelBinarizer

    binarizer = LabelBinarizer(sparse_output=True)
    binarizer.y_type_, binarizer.sparse_input_, binarizer.classes_ = kind, False, classes
    return binarizer


def _penalty(state: Mapping[str, Any], strength: Any, *, installed: Any) -> dict[str, Any]:
    """Return the penalty as the installed scikit-learn writes it; since 1.8, C and l1_ratio say it alone."""
    penalty, ratio = state.get("penalty", "deprecated"), state.get("l1_ratio")
    ratio = ratio if type(ratio) in (int, float) else 0.0
    if penalty == "deprecated":
        penalty = "l2" if ratio == 0 else "l1" if ratio == 1 else "elasticnet"
        if strength == math.inf:
            penalty = None
    if penalty in (None, "none"):
        return {"C": math.inf} if installed == "deprecated" else {"penalty": None, "C": 1.0}
    if installed == "deprecated":
        return {"l1_ratio": {"l1": 1.0, "elasticnet": ratio}.get(penalty, 0.0)}
    return {"penalty": penalty, "l1_ratio": ratio if penalty == "elasticnet" else None}
