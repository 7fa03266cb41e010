"""Estimators of scikit-learn, pickled as `setfit` needs them."""

from __future__ import annotations

import copy
import io
import pickle
import types
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from setfit_core.errors import UnsavableHeadError

if TYPE_CHECKING:
    from setfit_core.labels import LabelCodec

__all__ = ["pickled_estimator"]

#: What is installed wherever setfit is.
KNOWN_PACKAGES: Final = frozenset(
    {"_codecs", "builtins", "collections", "copyreg", "joblib", "numpy", "scipy", "sklearn"}
)
#: How many random embeddings show whether a head predicts other labels than before.
PROBES: Final = 64


def pickled_estimator(head: Any, codec: LabelCodec) -> bytes:
    """Return the joblib pickle of a head that predicts what `setfit` expects.

    Raises:
        UnsavableHeadError: If users of `setfit` can't unpickle it, or if `setfit` can't predict the same with it.
    """
    import joblib  # type: ignore[import-untyped]  # it has no annotations

    name = type(head).__name__
    foreign = _foreign_packages(head)
    if foreign:
        raise UnsavableHeadError(
            f"The head {name} can't be saved for setfit: whoever loads it would need {', '.join(sorted(foreign))} "
            "besides setfit. Save the model without setfit_compatible=True, or train it with a head of scikit-learn."
        )
    content = io.BytesIO()
    joblib.dump(_with_multi_class(_as_setfit_reads(head, codec)), content)
    return content.getvalue()


class _Witness(pickle.Pickler):
    """Notes down which packages a pickle would need."""

    def __init__(self) -> None:
        super().__init__(_Nowhere())
        self.packages: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        named = obj if isinstance(obj, type | types.FunctionType | types.BuiltinFunctionType) else type(obj)
        self.packages.add((named.__module__ or "builtins").partition(".")[0])
        return NotImplemented


class _Nowhere:
    def write(self, content: Any) -> int:
        return len(content)


def _foreign_packages(head: Any) -> set[str]:
    witness = _Witness()
    try:
        witness.dump(head)
    except Exception as error:
        raise UnsavableHeadError(
            f"The head {type(head).__name__} can't be saved for setfit, because it can't be pickled: "
            f"{type(error).__name__}: {error}. Remove what can't be pickled, such as lambdas and open files."
        ) from error
    return witness.packages - KNOWN_PACKAGES


def _as_setfit_reads(head: Any, codec: LabelCodec) -> Any:
    """Return the head, or a copy that predicts places in the list of labels."""
    name = type(head).__name__
    places = tuple(range(len(codec.labels)))
    if codec.multi_label:
        if codec.classes != places:
            missing = [codec.labels[place] for place in places if place not in codec.classes]
            raise UnsavableHeadError(
                f"The head {name} can't be saved for setfit: no training text, or every one, had the labels "
                f"{missing!r}, so the head has no output for them, and setfit needs one for each label. Train without "
                "these labels, or with texts that have them and texts that don't."
            )
        if len(places) == 1:
            raise UnsavableHeadError(
                f"The head {name} can't be saved for setfit: for a single label scikit-learn doesn't predict rows, and "
                "setfit would take its answers for places in the list of labels. Train it with two labels a text or "
                "more, or without multi_target_strategy."
            )
        return head
    predicted = tuple(range(codec.num_classes)) if codec.head_classes is None else codec.head_classes
    if _reads_strings(head):
        understood = predicted == tuple(codec.labels[column] for column in codec.classes)
    else:
        understood = predicted == codec.classes
    return head if understood else _relabelled(head, predicted, codec.classes)


def _with_multi_class(head: Any) -> Any:
    """Return a copy whose logistic regressions have what scikit-learn before 1.8 needs to compute probabilities."""
    from sklearn.linear_model import LogisticRegression

    def lacking(head: Any) -> list[Any]:
        parts = (head, *getattr(head, "estimators_", ()))
        return [part for part in parts if type(part) is LogisticRegression and not hasattr(part, "multi_class")]

    if lacking(head):
        head = copy.deepcopy(head)
        for regression in lacking(head):
            regression.multi_class = "auto"
    return head


def _reads_strings(head: Any) -> bool:
    """Tell whether a head predicts strings as NumPy has them, which `setfit` returns as they are."""
    classes = getattr(head, "classes_", None)
    return isinstance(classes, np.ndarray) and classes.dtype.kind == "U"


def _relabelled(head: Any, predicted: tuple[Any, ...], columns: tuple[int, ...]) -> Any:
    """Return a copy of a head that predicts columns; tried on random embeddings, as estimators differ in how."""
    place = dict(zip(predicted, columns, strict=True))
    try:
        changed = copy.deepcopy(head)
        changed.classes_ = np.array(columns)
        probes = np.random.default_rng(0).normal(size=(PROBES, head.n_features_in_)).astype(np.float32)
        same = [place[label] for label in head.predict(probes).tolist()] == changed.predict(probes).tolist()
    except Exception as error:
        raise UnsavableHeadError(_not_relabelled(head)) from error
    if not same:
        raise UnsavableHeadError(_not_relabelled(head))
    return changed


def _not_relabelled(head: Any) -> str:
    return (
        f"The head {type(head).__name__} can't be saved for setfit: its labels are not in the order that it was "
        "trained in, or some were not in the training data, and it doesn't let its classes be renumbered as setfit "
        "needs it. Train the model without labels=, or with labels in sorted order that all have training texts."
    )
