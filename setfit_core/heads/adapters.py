"""One view on heads of both contracts: embeddings in, checked class ids and probabilities out.

Nothing else in the core asks which contract a head keeps in order to predict with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from setfit_core.errors import HeadError, HeadOutputError, NoProbabilitiesError, UnfittedHeadError
from setfit_core.forking import fork_safe_lock
from setfit_core.heads.outputs import check_class_ids, check_probabilities, head_name
from setfit_core.labels import IntArray, Label, LabelCodec

_switching = fork_safe_lock()
#: For each module that some thread has in evaluation mode, by its id: how many do, and which parts were not in it.
_evaluated: dict[int, tuple[int, list[nn.Module]]] = {}


class HeadAdapter(Protocol):
    """What the model asks of a head, whichever contract it keeps."""

    def class_ids(self, embeddings: Any, codec: LabelCodec) -> IntArray:
        """Return checked class ids `[n]`, or 0/1 indicators `[n, num_classes]` for several labels a text."""

    def probabilities(self, embeddings: Any, codec: LabelCodec) -> npt.NDArray[Any]:
        """Return checked probabilities `[n, num_classes]`, a column a class id."""


def adapter_for(head: Any) -> HeadAdapter:
    """Return the view on a head."""
    return DifferentiableAdapter(head) if isinstance(head, nn.Module) else ArrayAdapter(head)


def to_array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """Return a tensor as an array on the CPU; half precision, of which NumPy and heads know little, as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy()


class ArrayAdapter:
    """A non-differentiable head: NumPy arrays, as scikit-learn's classifiers take them."""

    def __init__(self, head: Any) -> None:
        self.head = head

    def class_ids(self, embeddings: npt.NDArray[Any], codec: LabelCodec) -> IntArray:
        """Return checked class ids for embeddings `[n, embedding_size]`."""
        if not len(embeddings):  # scikit-learn refuses to predict nothing
            return np.zeros((0, codec.num_classes) if codec.multi_label else 0, dtype=np.int64)
        raw = np.asarray(self._ask("predict", embeddings))
        if codec.head_classes is not None:
            raw = _class_ids_of(raw, codec.head_classes)
        if codec.multi_label:
            raw = _whole(raw.reshape(-1, 1) if codec.num_classes == 1 else raw)
        n, classes = len(embeddings), codec.num_classes
        return check_class_ids(raw, self.head, (n, classes) if codec.multi_label else (n,), classes)

    def probabilities(self, embeddings: npt.NDArray[Any], codec: LabelCodec) -> npt.NDArray[Any]:
        """Return checked probabilities for embeddings `[n, embedding_size]`."""
        if not callable(getattr(self.head, "predict_proba", None)):
            raise NoProbabilitiesError(no_probabilities(self.head))
        if not len(embeddings):
            return np.zeros((0, codec.num_classes), dtype=embeddings.dtype)
        raw = self._ask("predict_proba", embeddings)
        if codec.multi_label and isinstance(raw, list):
            raw = _stack_outputs(raw, self.head, codec.num_classes)
        elif codec.multi_label and codec.num_classes == 1:  # scikit-learn takes one label for a binary problem
            raw = np.asarray(raw)[:, -1:]
        return check_probabilities(raw, self.head, len(embeddings), codec.num_classes, multi_label=codec.multi_label)

    def _ask(self, method: str, embeddings: npt.NDArray[Any]) -> Any:
        from sklearn.exceptions import NotFittedError  # 1 s of import that differentiable heads spare

        try:
            return getattr(self.head, method)(embeddings)
        except NotFittedError as error:
            raise UnfittedHeadError(unfitted(self.head)) from error
        except Exception as error:
            raise HeadError(failed(self.head, method, error)) from error


class DifferentiableAdapter:
    """A differentiable head: torch tensors on the head's device, in evaluation mode, without gradients."""

    def __init__(self, head: nn.Module) -> None:
        self.head = head

    def class_ids(self, embeddings: torch.Tensor, codec: LabelCodec) -> IntArray:
        """Return checked class ids for embeddings `[n, embedding_size]`; surplus outputs never win."""
        with evaluation_mode(self.head):
            raw = self._ask("predict", embeddings)
            if not codec.multi_label and raw.size and raw.dtype.kind in "iu" and raw.max() >= codec.num_classes:
                outputs = self._ask("predict_proba", embeddings).shape[-1]
                if raw.max() < outputs:  # a surplus output won: the classes that were trained are asked alone
                    return np.asarray(self.probabilities(embeddings, codec).argmax(axis=1))
        n, classes = len(embeddings), codec.num_classes
        if codec.multi_label:
            raw = _whole(raw[:, :classes] if raw.ndim == 2 else raw)
        return check_class_ids(raw, self.head, (n, classes) if codec.multi_label else (n,), classes)

    def probabilities(self, embeddings: torch.Tensor, codec: LabelCodec) -> npt.NDArray[Any]:
        """Return checked probabilities; surplus outputs are masked and the rest renormalised."""
        with evaluation_mode(self.head):
            raw = self._ask("predict_proba", embeddings)
        classes = codec.num_classes
        checked = check_probabilities(
            raw, self.head, len(embeddings), classes, multi_label=codec.multi_label, at_least=True
        )
        if checked.shape[1] == classes:
            return checked
        kept = checked[:, :classes]
        return kept if codec.multi_label else _renormalised(kept)

    def _ask(self, method: str, embeddings: torch.Tensor) -> npt.NDArray[Any]:
        try:
            output = getattr(self.head, method)(self._placed(embeddings))
        except Exception as error:
            raise HeadError(failed(self.head, method, error)) from error
        if not isinstance(output, torch.Tensor):
            msg = (
                f"{head_name(self.head)}.{method} returned {type(output).__name__}; a differentiable head returns a "
                "torch.Tensor."
            )
            raise HeadOutputError(msg)
        return to_array(output)

    def _placed(self, embeddings: torch.Tensor) -> torch.Tensor:
        parameter = next(self.head.parameters(), None)
        if parameter is None:
            return embeddings
        return embeddings.to(device=parameter.device, dtype=parameter.dtype)


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode without gradients, and every submodule back into its own mode after.

    Of several threads that do so at once, the last one puts them back.
    """
    with _switching:
        users, training = _evaluated.get(id(module), (0, []))
        training = [*training, *(part for part in module.modules() if part.training)]
        if training:
            module.eval()
        _evaluated[id(module)] = users + 1, training
    try:
        with torch.no_grad():
            yield
    finally:
        with _switching:
            users, training = _evaluated.pop(id(module))
            if users > 1:
                _evaluated[id(module)] = users - 1, training
            else:
                for part in training:
                    part.training = True


def unfitted(head: Any) -> str:
    """Return the message for a head that is asked before it was trained."""
    return (
        f"The head {head_name(head)} has not been trained, so it can't predict. Train the model with Trainer.train() "
        "or model.fit(texts, labels), or load a trained one with SetFitModel.from_pretrained(folder)."
    )


def failed(head: Any, method: str, error: Exception) -> str:
    """Return the message for a head that raised when it was asked about embeddings."""
    return f"{head_name(head)}.{method} failed on the embeddings with {type(error).__name__}: {error}"


def no_probabilities(head: Any) -> str:
    """Return the message for a head that is asked for probabilities and has none."""
    name = head_name(head)
    return (
        f"The head {name} has no predict_proba, so there are no probabilities; predict() works. For probabilities, "
        f"wrap it: SetFitModel(body, sklearn.calibration.CalibratedClassifierCV({name}()))."
    )


def _class_ids_of(raw: npt.NDArray[Any], classes: Sequence[Label]) -> npt.NDArray[Any]:
    """Translate the members of `classes_` that a head predicts into their places; unknown ones become -1."""
    place = {label: index for index, label in enumerate(classes)}
    return np.asarray([place.get(label, -1) for label in raw.tolist()], dtype=np.int64)


def _whole(indicators: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return 0/1 indicators as integers; scikit-learn's ClassifierChain and sigmoid heads give floats or booleans."""
    exact = indicators.dtype.kind == "b" or (indicators.dtype.kind == "f" and np.isin(indicators, (0, 1)).all())
    return indicators.astype(np.int64) if exact else indicators


def _stack_outputs(outputs: list[Any], head: Any, num_classes: int) -> npt.NDArray[Any]:
    """Turn a list with `[n, 2]` a label (multi-output estimators) into `[n, num_classes]`: the share of 1."""
    arrays = [np.asarray(output) for output in outputs]
    if len(arrays) != num_classes or any(array.ndim != 2 or array.shape[1] != 2 for array in arrays):
        msg = (
            f"{head_name(head)}.predict_proba returned a list with the shapes {[list(a.shape) for a in arrays]}; "
            f"expected {num_classes} arrays of shape [n, 2], one a label."
        )
        raise HeadOutputError(msg)
    return np.stack([array[:, 1] for array in arrays], axis=1)


def _renormalised(probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
    sums = probabilities.sum(axis=1, keepdims=True)
    # A row whose whole mass lies on outputs that no class uses says nothing about the classes.
    even = np.full_like(probabilities, 1 / probabilities.shape[1])
    return np.where(sums > 0, probabilities / np.where(sums > 0, sums, 1), even)
