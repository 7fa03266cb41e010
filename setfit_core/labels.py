"""Any labels <-> the contiguous class ids that heads work with.

Three numberings meet here and nowhere else:

- a **label** is what the user has: a string, an integer (sparse ones too), a boolean, a float;
- a **column** is a label's place in `model.labels`, and so in the columns of `SetFitModel.predict_proba`;
- a **class id** is what a head is trained on and predicts: `0..C-1` for the C classes seen in training.

With several labels a text (`multi_label`), a class is a column of an indicator matrix instead.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from setfit_core.errors import LabelError
from setfit_core.texts import lone_surrogate

Label: TypeAlias = "str | int | float | bool"
IntArray: TypeAlias = npt.NDArray[np.int64]
RowKind: TypeAlias = Literal["members", "columns", "indicators", "names"]

logger = logging.getLogger(__name__)

_KINDS: Final = {str: "strings", bool: "booleans", int: "integers", float: "numbers"}


def plain_label(value: Any, where: str) -> Label:
    """Return a label as a plain Python scalar.

    Args:
        value: A string, boolean, integer or float, also as a NumPy or zero-dimensional torch scalar.
        where: Where the label stands, for the error message, such as `"row 3"`.

    Raises:
        LabelError: If the label is missing (None, NaN), an integer beyond 64 bits, a string that is no Unicode text, or
            of another type.
    """
    item = getattr(value, "item", None)
    if not isinstance(value, str | int | float) and callable(item):
        with contextlib.suppress(ValueError, RuntimeError, TypeError):  # not a scalar: refused below
            value = item()
    # Subclasses (np.float64, np.str_, IntEnum, a str Enum) become the plain type, without asking their own __str__.
    if isinstance(value, str):
        text = str.__str__(value)
        if (half := lone_surrogate(text)) is not None:
            msg = f"The label in {where} has {half!r}, half of a surrogate pair, which no file can hold. Correct it."
            raise LabelError(msg)
        return text
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        msg = f"The label in {where} is {value!r}: it is missing. Give the text a label or leave the row out."
        raise LabelError(msg)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            msg = f"The label in {where} is {int(value)}, which does not fit into 64 bits. Use strings for such labels."
            raise LabelError(msg)
        return int(value)
    if isinstance(value, float):
        return float(value)
    msg = (
        f"The label in {where} is {value!r}, a {type(value).__name__}. A label is a string, an integer, a boolean "
        "or a float; for several labels a text, set multi_target_strategy on the model."
    )
    raise LabelError(msg)


def _plain_labels(values: Iterable[Any]) -> list[Label]:
    labels = [plain_label(value, f"row {row}") for row, value in enumerate(values)]
    kinds = {type(label) for label in labels}
    if kinds <= {int, float} and len(kinds) == 2:
        return [float(label) for label in labels]
    if len(kinds) > 1:
        first = {kind: next(r for r, x in enumerate(labels) if type(x) is kind) for kind in kinds}
        seen = ", ".join(f"{_KINDS[kind]} (row {row})" for kind, row in sorted(first.items(), key=lambda i: i[1]))
        msg = f"The labels mix types: {seen}. Labels of one data set must have one type; convert them first."
        raise LabelError(msg)
    return labels


def label_rows(values: Any, what: str = "The labels") -> list[Any]:
    """Return labels as a list with one entry a text (a label, or a row of several), not looking at the entries.

    Args:
        values: A list, array, tensor, pandas series or another iterable with an order.
        what: How the error names them.

    Raises:
        LabelError: If it is a string, a mapping, a set, a frame, or not iterable.
    """
    frame = hasattr(values, "iloc") and values.ndim > 1  # iterating gives the names of its columns
    if frame or isinstance(values, Mapping | set | frozenset) or not is_column(values):
        msg = f"{what} are a {type(values).__name__}, not a list. Give a list with one entry a text, in their order."
        raise LabelError(msg)
    return list(values)


def is_column(values: Any) -> bool:
    """Tell whether something can be read entry by entry: no string, and no array without dimensions."""
    return isinstance(values, Iterable) and not isinstance(values, str | bytes) and getattr(values, "ndim", 1) != 0


def check_label_names(labels: Iterable[Any], *, multi_label: bool = False) -> tuple[Label, ...]:
    """Check the labels that a user names for a model, in the order of the columns.

    Raises:
        LabelError: If there are fewer than two (one, for several labels a text), one twice, types are mixed, or it is
            no list (a mapping and a set are none).
    """
    if isinstance(labels, Mapping):
        msg = "labels is a mapping. Give a list in the order of the ids; from id to label, list(labels.values())."
        raise LabelError(msg)
    if isinstance(labels, set | frozenset):
        msg = "labels is a set, which has no order. Give a list: its order is that of the probability columns."
        raise LabelError(msg)
    if not is_column(labels):
        kind = "string" if isinstance(labels, str) else type(labels).__name__
        msg = f"labels is the {kind} {labels!r}. Give a list with one label a class, such as ['no', 'yes']."
        raise LabelError(msg)
    names = tuple(_plain_labels(labels))
    twice = sorted(repr(name) for name, count in Counter(names).items() if count > 1)
    if twice:
        msg = f"labels names {', '.join(twice)} more than once. Every class needs a label of its own."
        raise LabelError(msg)
    if len(names) < (1 if multi_label else 2):
        needs = "one" if multi_label else "two"
        msg = f"labels has the length {len(names)}. A classifier needs at least {needs}; give one label a class."
        raise LabelError(msg)
    return names


@dataclass(frozen=True)
class LabelCodec:
    """The labels of one trained model, and how they map to the class ids of its head.

    Attributes:
        labels: The model's labels in the order of its probability columns.
        classes: The column of each class id: `classes[i]` is the place in `labels` of the head's class i.
        multi_label: Whether a text may have several labels.
        given: Whether the user named the labels (rather than the training data).
        rows: How training rows were written. Single label: `"members"` of `labels`, or `"columns"` (indices
            into named labels). Multi-label: `"indicators"` (0/1 a column) or `"names"` (the labels that apply).
        always: Multi-label only: columns that are set in every training row, so that nothing was to be learnt.
        head_classes: What the head itself predicts for each class id, for a head that was fitted elsewhere;
            None for heads trained here, which predict the ids.
    """

    labels: tuple[Label, ...]
    classes: tuple[int, ...]
    multi_label: bool = False
    given: bool = False
    rows: RowKind = "members"
    always: tuple[int, ...] = ()
    head_classes: tuple[Label, ...] | None = None

    @property
    def num_classes(self) -> int:
        """How many classes the head was trained on."""
        return len(self.classes)

    def columns(self, labels: Sequence[Any], *, number_unknown: bool = False) -> IntArray:
        """Return the column of each label, shape `[n]`; multi-label: 0/1 indicators, shape `[n, len(labels)]`.

        Args:
            labels: The labels, written as in training.
            number_unknown: Whether labels that the model does not know get numbers of their own, from
                `len(self.labels)` on, as long as it knows some of them. For evaluation, where they count as
                mistakes. Single label and `rows="members"` only: a wrong place is no unknown label.

        Raises:
            LabelError: If a label is not one of the model's.
        """
        labels = label_rows(labels)
        if self.multi_label:
            return _indicators(labels, self.labels, self.rows)
        plain = _plain_labels(labels)
        if number_unknown and self.rows == "members":
            unknown = sorted(set(plain) - set(self.labels))
            if unknown and len(unknown) < len(set(plain)):
                logger.warning("The model was not trained on %s: such texts count as mistakes.", listed(unknown))
                number = {label: len(self.labels) + index for index, label in enumerate(unknown)}
                rows = [row for row, label in enumerate(plain) if label not in number]
                columns = np.asarray([number.get(label, 0) for label in plain], dtype=np.int64)
                columns[rows] = _single_columns([plain[row] for row in rows], self.labels, self.rows)
                return columns
        return _single_columns(plain, self.labels, self.rows)

    def class_ids(self, columns: IntArray) -> IntArray:
        """Return the head's training targets for columns: ids `[n]`, or indicators `[n, num_classes]`."""
        if self.multi_label:
            return np.ascontiguousarray(columns[:, list(self.classes)])
        lookup = np.full(len(self.labels), -1, dtype=np.int64)
        lookup[list(self.classes)] = np.arange(self.num_classes)
        return lookup[columns]

    def extended(self, labels: Sequence[Any]) -> tuple[LabelCodec, IntArray]:
        """Return the codec that knows the labels of further training texts, too, and their training targets.

        New labels get the columns and class ids behind the others, which keep theirs.

        Raises:
            LabelError: If a label is new although the user named the model's, or is of another type; or if a text has
                a new one among several.
        """
        labels = label_rows(labels)
        if self.multi_label:
            columns = _indicators(labels, self.labels, self.rows)
            fixed = np.zeros(len(self.labels), dtype=np.int64)
            fixed[list(self.always)] = 1
            learnt = np.isin(np.arange(len(self.labels)), self.classes)
            if (columns != fixed)[:, ~learnt].any():
                column = int(np.flatnonzero((columns != fixed).any(axis=0) & ~learnt)[0])
                msg = (
                    f"The head was never trained to tell texts with the label {self.labels[column]!r} from texts "
                    "without it, and can't begin to. Train the model anew on all texts."
                )
                raise LabelError(msg)
            return self, self.class_ids(columns)
        plain = _plain_labels(labels)
        new = sorted(set(plain) - set(self.labels)) if self.rows == "members" else []
        if new and (self.given or type(new[0]) is not type(self.labels[0])):
            msg = (
                f"The labels {listed(new)} are new, but the model's were named, or are of another type: "
                f"{listed(list(self.labels))}. Correct them, or train the model anew."
            )
            raise LabelError(msg)
        codec = replace(self, labels=(*self.labels, *new))
        columns = _single_columns(plain, codec.labels, codec.rows)
        unseen = [column for column in np.unique(columns).tolist() if column not in codec.classes]
        codec = replace(codec, classes=(*codec.classes, *unseen))
        return codec, codec.class_ids(columns)

    def expand_class_ids(self, class_ids: IntArray) -> IntArray:
        """Return columns for a head's predictions; multi-label: indicators `[n, len(labels)]`."""
        if not self.multi_label:
            return np.asarray(self.classes, dtype=np.int64)[class_ids]
        indicators = np.zeros((len(class_ids), len(self.labels)), dtype=np.int64)
        indicators[:, list(self.classes)] = class_ids
        indicators[:, list(self.always)] = 1
        return indicators

    def expand_probabilities(self, probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return `[n, len(labels)]` for a head's `[n, num_classes]`: an unseen class is a column of zeros."""
        if self.classes == tuple(range(len(self.labels))):
            return probabilities
        full = np.zeros((len(probabilities), len(self.labels)), dtype=probabilities.dtype)
        full[:, list(self.classes)] = probabilities
        full[:, list(self.always)] = 1
        return full

    def decode(self, columns: IntArray) -> list[Any] | npt.NDArray[Any]:
        """Return the labels of columns: a list for strings, an array for the other types.

        Multi-label rows come back as they were given: indicators as an array, names as a list of lists.
        """
        if self.multi_label:
            if self.rows == "indicators":
                return columns
            return [[self.labels[column] for column in np.flatnonzero(row)] for row in columns]
        if isinstance(self.labels[0], str):
            return [self.labels[column] for column in columns]
        return np.asarray(self.labels)[columns]

    def to_json(self) -> dict[str, Any]:
        """Return the codec as plain JSON values."""
        return {
            "names": list(self.labels),
            "classes": list(self.classes),
            "multi_label": self.multi_label,
            "given": self.given,
            "rows": self.rows,
            "always": list(self.always),
            "head_classes": None if self.head_classes is None else list(self.head_classes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LabelCodec:
        """Rebuild a codec from `to_json`.

        Raises:
            LabelError: If the mapping is not one that `to_json` wrote.
        """
        try:
            codec = cls(
                labels=tuple(_plain_labels(data["names"])),
                classes=tuple(int(column) for column in data["classes"]),
                multi_label=bool(data["multi_label"]),
                given=bool(data["given"]),
                rows=data["rows"],
                always=tuple(int(column) for column in data["always"]),
                head_classes=None if data["head_classes"] is None else tuple(_plain_labels(data["head_classes"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            msg = f"The saved labels can't be read ({error!r}). The model's configuration is damaged; save it again."
            raise LabelError(msg) from error
        places = (*codec.classes, *codec.always)
        known_rows = ("indicators", "names") if codec.multi_label else ("members", "columns")
        if (
            not codec.classes
            or codec.rows not in known_rows
            or len(set(places)) != len(places)
            or not all(0 <= column < len(codec.labels) for column in places)
        ):
            msg = "The saved labels contradict themselves. The model's configuration is damaged; save it again."
            raise LabelError(msg)
        return codec


def learn_labels(
    values: Sequence[Any], *, names: Sequence[Label] | None = None, multi_label: bool = False
) -> tuple[LabelCodec, IntArray]:
    """Learn how training labels map to class ids.

    Args:
        values: The training labels, one a text. Multi-label: a row a text, either 0/1 a column or the names of
            the labels that apply.
        names: The labels that the user named for the model, in column order; None to take them from `values`.
            Integer training labels may be members of `names` or, if no name is an integer, places in it.
        multi_label: Whether a row may have several labels.

    Returns:
        The codec, and the head's training targets (`LabelCodec.class_ids`), int64.

    Raises:
        LabelError: If a label is missing, mixed in type or not one of `names`, if there is only one class, or if
            `values` is no list.
    """
    values = label_rows(values)
    if len(values) == 0:
        msg = "There are no labels: the training data is empty. Give at least one example for each of two classes."
        raise LabelError(msg)
    given = names is not None
    if multi_label:
        labels, rows = _multi_label_names(values, names)
        codec = LabelCodec(labels, (), multi_label=True, given=given, rows=rows)
        return _fit_multi_label(codec, codec.columns(values))
    plain = _plain_labels(values)
    labels = tuple(names) if names is not None else tuple(sorted(set(plain)))
    rows = "columns" if given and isinstance(plain[0], int) and names_may_be_places(labels) else "members"
    columns = _single_columns(plain, labels, rows)
    classes = tuple(int(column) for column in np.unique(columns))
    if len(classes) < 2:
        msg = (
            f"All {len(plain)} training texts have the label {labels[classes[0]]!r}. A classifier needs examples of "
            "at least two classes; add texts with another label."
        )
        raise LabelError(msg)
    codec = LabelCodec(labels, classes, given=given, rows=rows)
    return codec, codec.class_ids(columns)


def names_may_be_places(names: Sequence[Label]) -> bool:
    """Tell whether integers among the data's labels are places in these names: no name is a number itself."""
    return not any(isinstance(name, int | float) for name in names)


def _single_columns(values: Sequence[Label], labels: tuple[Label, ...], rows: RowKind) -> IntArray:
    if rows == "columns" and all(isinstance(value, int) for value in values):
        for row, value in enumerate(values):
            if not 0 <= int(value) < len(labels):
                msg = (
                    f"The label in row {row} is {value}, but the model's {len(labels)} labels have the places 0 to "
                    f"{len(labels) - 1}. Integers count from 0; use the labels themselves ({listed(labels)}) or "
                    "renumber them."
                )
                raise LabelError(msg)
        return np.asarray([int(value) for value in values], dtype=np.int64)
    place = {label: column for column, label in enumerate(labels)}
    for row, value in enumerate(values):
        if value not in place:
            raise LabelError(_unknown_label(value, row, labels))
    return np.asarray([place[value] for value in values], dtype=np.int64)


def _unknown_label(value: Label, row: int, labels: tuple[Label, ...]) -> str:
    if isinstance(value, str) != isinstance(labels[0], str):
        return (
            f"The label in row {row} is {value!r}, but the model's labels are {_KINDS[type(labels[0])]}: "
            f"{listed(labels)}. Labels that were given new names are written with these; convert the data's labels."
        )
    close = difflib.get_close_matches(str(value), [str(label) for label in labels], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return (
        f"The label in row {row} is {value!r}, which is not one of the model's labels ({listed(labels)}).{hint} "
        "Correct the row, or name every label with labels=[...] when the model is made."
    )


def listed(labels: Sequence[Label], most: int = 10) -> str:
    """Return labels for a message, the first ones if there are many."""
    shown = ", ".join(repr(label) for label in labels[:most])
    return shown if len(labels) <= most else f"{shown}, … {len(labels)} in all"


# Several labels a text


def _multi_label_names(rows: Sequence[Any], names: Sequence[Label] | None) -> tuple[tuple[Label, ...], RowKind]:
    members = [_row_members(row, index) for index, row in enumerate(rows)]
    values = {value for row in members for value in row}
    same_length = len({len(row) for row in members}) == 1
    if same_length and all(isinstance(value, int | float) and value in (0, 1) for value in values) and values:
        width = len(members[0])
        if names is not None and len(names) != width:
            msg = (
                f"The label rows have {width} columns but the model has {len(names)} labels ({listed(tuple(names))}). "
                "Give one column a label, in the order of labels."
            )
            raise LabelError(msg)
        return (tuple(names) if names is not None else tuple(range(width))), "indicators"
    if all(isinstance(value, str) for value in values):
        return (tuple(names) if names is not None else tuple(sorted(values))), "names"
    msg = (
        "The label rows are neither 0/1 indicators of one length nor lists of label names. With several labels a "
        "text, write each row as [0, 1, 0, ...] with one column a label, or as a list of strings."
    )
    raise LabelError(msg)


def _row_members(row: Any, index: int) -> list[Label]:
    if isinstance(row, str | bytes) or not isinstance(row, Iterable):
        msg = (
            f"The label in row {index} is {row!r}, but the model was made for several labels a text "
            "(multi_target_strategy). Write each row as a list, also for a single label."
        )
        raise LabelError(msg)
    return [plain_label(value, f"row {index}") for value in row]


def _indicators(rows: Sequence[Any], labels: tuple[Label, ...], kind: RowKind) -> IntArray:
    place = {label: column for column, label in enumerate(labels)}
    matrix = np.zeros((len(rows), len(labels)), dtype=np.int64)
    for index, row in enumerate(rows):
        members = _row_members(row, index)
        if kind == "indicators":
            if len(members) != len(labels) or any(value not in (0, 1) for value in members):
                msg = f"The label in row {index} is not a row of {len(labels)} zeros and ones, one a label."
                raise LabelError(msg)
            matrix[index] = [int(value) for value in members]
            continue
        for value in members:
            if value not in place:
                raise LabelError(_unknown_label(value, index, labels))
            matrix[index, place[value]] = 1
    return matrix


def _fit_multi_label(codec: LabelCodec, indicators: IntArray) -> tuple[LabelCodec, IntArray]:
    counts = indicators.sum(axis=0)
    varying = tuple(int(column) for column in np.flatnonzero((counts > 0) & (counts < len(indicators))))
    always = tuple(int(column) for column in np.flatnonzero(counts == len(indicators)))
    if not varying:
        msg = "No label sets some training texts apart from others. Give texts with a label and texts without it."
        raise LabelError(msg)
    if always:
        named = listed([codec.labels[column] for column in always])
        logger.warning("Every training text has the label %s: it will be predicted for every text.", named)
    codec = replace(codec, classes=varying, always=always)
    return codec, codec.class_ids(indicators)


def adopt_labels(head_classes: Iterable[Any], names: Sequence[Label] | None) -> LabelCodec:
    """Return the codec of a head that was fitted elsewhere and knows its classes.

    Args:
        head_classes: The head's `classes_`, in the order of its `predict_proba` columns.
        names: The labels that the user named for the model. If every class is among them, they give the order of
            the columns. If the classes are integers and no name is a number, classes are places in `names`.
            Otherwise they are new names in the order of `head_classes`: as many, and no class among them. None to
            take the head's.

    Raises:
        LabelError: If `names` is none of these.
    """
    known = tuple(_plain_labels(head_classes))
    if names is None:
        return LabelCodec(known, tuple(range(len(known))), head_classes=known)
    labels = tuple(names)
    place = {label: column for column, label in enumerate(labels)}
    classes: tuple[int, ...]
    rows: RowKind = "members"
    in_order = tuple(range(len(known)))
    if all(label in place for label in known):
        classes = tuple(place[label] for label in known)
    elif _all_places(known, labels) and (len(known) != len(labels) or known == in_order):
        classes, rows = tuple(int(label) for label in known), "columns"
    elif len(known) == len(labels) and not any(label in place for label in known):
        classes = in_order
    else:
        msg = (
            f"The head was fitted with the {len(known)} classes {listed(known)}, which don't fit the {len(labels)} "
            f"labels {listed(labels)}. Name every class of the head, or give {len(known)} new names in their order."
        )
        raise LabelError(msg)
    return LabelCodec(labels, classes, given=True, rows=rows, head_classes=known)


def _all_places(values: Sequence[Label], names: Sequence[Label]) -> bool:
    return names_may_be_places(names) and all(isinstance(v, int) and 0 <= v < len(names) for v in values)
