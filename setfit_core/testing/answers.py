"""Questions to trained heads, what is wrong with their answers, and where two answers to one question differ.

The functions named `..._flaw`, and `difference`, return what they found as a sentence without its full stop, or an
empty text if they found nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from setfit_core.heads.outputs import HALF_SUM_TOLERANCE, SUM_TOLERANCE
from setfit_core.testing.problems import Problem
from setfit_core.testing.trial import Array, Trained, as_array, as_tensor, shown
from setfit_core.testing.verdicts import CheckFailed

__all__ = [
    "HALF_TOLERANCE",
    "TOLERANCE",
    "Answers",
    "admits_ignorance",
    "answers",
    "asked_rows",
    "difference",
    "given",
    "ids_range_flaw",
    "ids_shape_flaw",
    "ids_type_flaw",
    "in_parts",
    "probabilities_range_flaw",
    "probabilities_shape_flaw",
    "probabilities_sum_flaw",
    "probabilities_type_flaw",
    "require_unmoved",
    "require_valid",
    "row_text",
    "saying",
    "share",
    "winner_flaw",
]

#: How far two probabilities may lie apart that ought to be the same.
TOLERANCE: Final = 1e-4
#: The same, where embeddings or probabilities have half precision.
HALF_TOLERANCE: Final = 1e-2
#: Below this multiple of what guessing gives, the largest probabilities of rows say that the head knows nothing.
_NO_IDEA: Final = 1.3


@dataclass(frozen=True)
class Answers:
    """What a head says about some embeddings.

    Attributes:
        ids: What `predict` returned, `[num_inputs]`.
        probabilities: What `predict_proba` returned, `[num_inputs, num_classes]`.
    """

    ids: Array
    probabilities: Array

    def __getitem__(self, rows: Any) -> Answers:
        return Answers(self.ids[rows], self.probabilities[rows])


def answers(trained: Trained, embeddings: Array | torch.Tensor) -> Answers:
    """Ask a head for both, and copy what it returns, which may be a buffer of its own."""
    return Answers(trained.ids(embeddings).copy(), trained.probabilities(embeddings).copy())


def asked_rows(problem: Problem, seed: int) -> Array:
    """Return rows to ask about, half of them between the classes, where a small change shows."""
    return np.concatenate([problem.unseen, problem.between(len(problem.unseen), seed)])


def in_parts(trained: Trained, rows: Array, size: int) -> Answers:
    """Ask about a few rows at a time."""
    parts = [answers(trained, rows[start : start + size]) for start in range(0, len(rows), size)]
    columns = {part.probabilities.shape[1] for part in parts}
    if len(columns) > 1:
        raise CheckFailed(f"predict_proba returned {' and '.join(map(str, sorted(columns)))} columns, by turns")
    return Answers(np.concatenate([part.ids for part in parts]), np.concatenate([part.probabilities for part in parts]))


def given(trained: Trained, rows: Array) -> Any:
    """Return rows as what the head is given, a copy of its own dtype, laid out in memory as they are.

    A tensor can't be laid out backwards; it is contiguous then.
    """
    if trained.contract == "non-differentiable":
        return np.copy(rows, order="C") if rows.flags.c_contiguous else rows
    if rows.flags.c_contiguous or any(stride < 0 for stride in rows.strides):
        return as_tensor(np.ascontiguousarray(rows), trained.head)
    tensor = as_tensor(rows, trained.head)
    strides = [stride // rows.itemsize for stride in rows.strides]
    return torch.empty_strided(rows.shape, strides, dtype=tensor.dtype).copy_(tensor)


def admits_ignorance(probabilities: Array) -> bool:
    """Tell whether probabilities hardly differ between several classes.

    A learner that is too weak for so many classes, such as boosted stumps, says so in this way, and its contract is
    kept. Exactly even probabilities are no answer at all.
    """
    num_classes: int = probabilities.shape[1]
    sure = float(probabilities.max(axis=1).mean()) * num_classes
    return num_classes > 3 and 1.001 < sure < _NO_IDEA


@contextmanager
def saying(circumstances: str) -> Iterator[None]:
    """Begin the text of a failure in this block with the circumstances."""
    try:
        yield
    except CheckFailed as failure:
        raise CheckFailed(f"{circumstances}, {failure.seen}", failure.remedy) from failure


def require_unmoved(
    trained: Trained, rows: Array | torch.Tensor, before: Answers, when: str, tolerance: float = TOLERANCE
) -> None:
    """Fail the check unless the head answers as before, something having happened in between."""
    with saying(when):
        flaw = difference(before, answers(trained, rows), tolerance)
        if flaw:
            raise CheckFailed(flaw)


def require_valid(trained: Trained, embeddings: Array, num_classes: int, where: str) -> Answers:
    """Ask a head for both, and fail the check if they break any promise about outputs.

    Args:
        trained: The head.
        embeddings: Float `[num_inputs, embedding_size]`.
        num_classes: How many classes it was trained on.
        where: The circumstances, with which the text begins, such as `"With 150 classes"`.
    """
    rows = len(embeddings)
    ids, probabilities = trained.raw("predict", embeddings), trained.raw("predict_proba", embeddings)
    flaw = ids_shape_flaw(ids, rows) or ids_type_flaw(ids, trained) or ids_range_flaw(ids, num_classes)
    flaw = flaw or probabilities_shape_flaw(probabilities, rows, num_classes)
    flaw = flaw or probabilities_type_flaw(probabilities, trained)
    flaw = flaw or probabilities_range_flaw(probabilities) or probabilities_sum_flaw(probabilities)
    found = Answers(as_array(ids), as_array(probabilities))
    flaw = flaw or winner_flaw(found)
    if flaw:
        raise CheckFailed(f"{where}, {flaw}")
    return found


def ids_shape_flaw(output: Any, rows: int) -> str:
    """Judge whether `predict` returned one value for each of `rows` rows."""
    if as_array(output).shape == (rows,):
        return ""
    return f"predict returned {_described(output)} for {_rows(rows)}, not [{rows}]"


def ids_type_flaw(output: Any, trained: Trained) -> str:
    """Judge whether `predict` returned an array, or a tensor, of integers."""
    if not isinstance(output, _container(trained)):
        return f"predict returned {shown(output)}, not {_container_name(trained)}"
    if isinstance(output, torch.Tensor):
        whole = not (output.is_floating_point() or output.is_complex() or output.dtype == torch.bool)
    else:
        whole = output.dtype.kind in "iu"
    return "" if whole else f"predict returned {shown(output)}, such as {as_array(output).ravel()[:3].tolist()}"


def ids_range_flaw(output: Any, num_classes: int) -> str:
    """Judge whether `predict` returned nothing but `0..num_classes-1`."""
    ids = as_array(output).ravel()
    if ids.dtype.kind not in "iufb":
        return f"predict returned {shown(output)}, such as {ids[:3].tolist()}, which are no class ids"
    wrong = np.flatnonzero(~((ids >= 0) & (ids < num_classes)))
    if not wrong.size:
        return ""
    return (
        f"predict returned {ids[wrong[0]]} for row {wrong[0]} ({share(wrong.size, ids.size)} are out of range), and "
        f"the class ids are 0 to {num_classes - 1}"
    )


def probabilities_shape_flaw(output: Any, rows: int, num_classes: int) -> str:
    """Judge whether `predict_proba` returned one row for each of `rows` rows, with a column a class."""
    if as_array(output).shape == (rows, num_classes):
        return ""
    return (
        f"predict_proba returned {_described(output)} for {_rows(rows)} and {num_classes} classes, not "
        f"[{rows}, {num_classes}]"
    )


def probabilities_type_flaw(output: Any, trained: Trained) -> str:
    """Judge whether `predict_proba` returned an array, or a tensor, of floats."""
    if not isinstance(output, _container(trained)):
        return f"predict_proba returned {shown(output)}, not {_container_name(trained)}"
    floats = output.is_floating_point() if isinstance(output, torch.Tensor) else output.dtype.kind == "f"
    return "" if floats else f"predict_proba returned {shown(output)}, such as {row_text(as_array(output)[0])}"


def probabilities_range_flaw(output: Any) -> str:
    """Judge whether all that `predict_proba` returned is finite and in [0, 1], up to rounding."""
    probabilities = _numbers(output)
    if probabilities is None:
        return f"predict_proba returned {shown(output)}, which are no numbers"
    slack = HALF_SUM_TOLERANCE if _is_half(output) else 1e-5
    for wrong, what in (
        (~np.isfinite(probabilities), "NaN or infinity"),
        ((probabilities < -slack) | (probabilities > 1 + slack), "a value outside [0, 1]"),
    ):
        rows = np.flatnonzero(wrong.any(axis=-1)) if probabilities.ndim == 2 else np.flatnonzero(wrong)
        if rows.size:
            return (
                f"predict_proba returned {what} in {share(rows.size, len(probabilities))}; row {rows[0]} is "
                f"{row_text(probabilities[rows[0]])}"
            )
    return ""


def probabilities_sum_flaw(output: Any) -> str:
    """Judge whether every row that `predict_proba` returned sums to 1, rows with NaN or infinity left aside."""
    probabilities = _numbers(output)
    if probabilities is None or probabilities.ndim != 2:
        return f"predict_proba returned {shown(output)}, which has no rows of numbers"
    tolerance = HALF_SUM_TOLERANCE if _is_half(output) else SUM_TOLERANCE
    with np.errstate(invalid="ignore"):  # infinities of both signs
        off = np.abs(probabilities.sum(axis=1) - 1)
    off[~np.isfinite(off)] = 0
    wrong = np.flatnonzero(off > tolerance)
    if not wrong.size:
        return ""
    worst = int(off.argmax())
    return (
        f"{share(wrong.size, len(off))} of predict_proba do not sum to 1; row {worst} is "
        f"{row_text(probabilities[worst])} and sums to {probabilities[worst].sum():.4g}"
    )


def winner_flaw(found: Answers) -> str:
    """Judge whether `predict` gives a class of the largest probability, which several have up to rounding."""
    ids, probabilities = found.ids, found.probabilities
    ids = ids.astype(np.int64) if ids.dtype.kind in "iufb" and np.isfinite(ids).all() else np.full(len(ids), -1)
    judged = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    inside = (ids >= 0) & (ids < probabilities.shape[1])
    given = np.where(inside[judged], probabilities[judged, np.where(inside, ids, 0)[judged]], -np.inf)
    wrong = judged[given < probabilities[judged].max(axis=1, initial=-np.inf) - TOLERANCE]
    if not wrong.size:
        return ""
    row = wrong[0]
    return (
        f"predict is not the argmax of predict_proba in {share(wrong.size, len(ids))}; for row {row} predict gives "
        f"{found.ids[row]}, and the probabilities are {row_text(probabilities[row])}"
    )


def difference(expected: Answers, found: Answers, tolerance: float = TOLERANCE) -> str:
    """Compare two answers to what ought to be the same question.

    Probabilities may lie apart by `tolerance`. Where the two largest of a row lie that close together, either of
    their classes may be predicted.
    """
    if found.ids.shape != expected.ids.shape or found.probabilities.shape != expected.probabilities.shape:
        return (
            f"predict gives shape {list(found.ids.shape)} instead of {list(expected.ids.shape)}, and predict_proba "
            f"{list(found.probabilities.shape)} instead of {list(expected.probabilities.shape)}"
        )
    if found.ids.dtype.kind != expected.ids.dtype.kind:
        return f"predict gives {found.ids.dtype} instead of {expected.ids.dtype}"
    with np.errstate(invalid="ignore"):
        close = np.isclose(found.probabilities, expected.probabilities, rtol=0, atol=tolerance, equal_nan=True)
    wrong = np.flatnonzero(~close.all(axis=1))
    if wrong.size:
        row = wrong[0]
        return (
            f"predict_proba gives something else for {share(wrong.size, len(close))}; row {row} is "
            f"{row_text(found.probabilities[row])} instead of {row_text(expected.probabilities[row])}"
        )
    wrong = np.flatnonzero((found.ids != expected.ids) & ~_undecided(expected.probabilities, 2 * tolerance))
    if wrong.size:
        row = wrong[0]
        return (
            f"predict gives something else for {share(wrong.size, len(close))}; for row {row} it gives "
            f"{found.ids[row]} instead of {expected.ids[row]}"
        )
    return ""


def _is_half(output: Any) -> bool:
    """Tell whether an output has less than single precision."""
    if isinstance(output, torch.Tensor):
        return output.is_floating_point() and output.element_size() < 4
    return bool(isinstance(output, np.ndarray) and output.dtype == np.float16)


def row_text(row: Array) -> str:
    """Return one row of probabilities as a short text."""
    values = np.atleast_1d(row)
    if values.dtype.kind != "f":
        return str(values[:5].tolist())
    text = ", ".join(f"{value:.4g}" for value in values[:5])
    return f"[{text}, ...]" if len(values) > 5 else f"[{text}]"


def share(number: int, of: int) -> str:
    """Return "3 of 64 rows"."""
    return f"{number} of {_rows(of)}"


def _rows(number: int) -> str:
    return f"{number} row" if number == 1 else f"{number} rows"


def _described(output: Any) -> str:
    array = as_array(output)
    if isinstance(output, (np.ndarray, torch.Tensor)) or array.dtype == object:
        return shown(output)
    return f"{shown(output)} with the shape {list(array.shape)}"


def _container(trained: Trained) -> Any:
    return torch.Tensor if trained.contract == "differentiable" else np.ndarray


def _container_name(trained: Trained) -> str:
    return "a torch.Tensor" if trained.contract == "differentiable" else "a numpy.ndarray"


def _numbers(output: Any) -> Array | None:
    array = as_array(output)
    try:
        return array.astype(np.float64) if array.ndim else None
    except (TypeError, ValueError):
        return None


def _undecided(probabilities: Array, tolerance: float) -> Array:
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities), dtype=bool)
    largest = np.sort(probabilities, axis=1)[:, -2:]
    undecided: Array = ~(largest[:, 1] - largest[:, 0] > tolerance)
    return undecided
