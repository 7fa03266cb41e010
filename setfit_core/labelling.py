"""The labels of one model over its life: named by the user, learnt from training data, or known to its head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from setfit_core.errors import LabelError
from setfit_core.labels import (
    IntArray,
    Label,
    LabelCodec,
    RowKind,
    adopt_labels,
    check_label_names,
    learn_labels,
    names_may_be_places,
)


class Labelling:
    """Keeps a model's labels, whether it was trained yet or not.

    Args:
        names: The labels that the user named, in column order; None if the training data name them.
        multi_label: Whether a text may have several labels.

    Attributes:
        names: As above, checked.
        codec: How labels map to the class ids of the trained head; None before training.
    """

    def __init__(self, names: Sequence[Any] | None, *, multi_label: bool) -> None:
        self.names: tuple[Label, ...] | None = (
            None if names is None else check_label_names(names, multi_label=multi_label)
        )
        self.multi_label = multi_label
        self.codec: LabelCodec | None = None

    @property
    def labels(self) -> list[Label] | None:
        """The labels in column order; None before they are named or learnt."""
        if self.codec is not None:
            return list(self.codec.labels)
        return None if self.names is None else list(self.names)

    def learn(self, labels: Sequence[Any]) -> tuple[LabelCodec, IntArray]:
        """Return what training labels mean (`learn_labels`), without taking it over."""
        return learn_labels(labels, names=self.names, multi_label=self.multi_label)

    def rename(self, labels: Sequence[Any] | None) -> None:
        """Name the labels, or give those of a trained model other names, in the order of the columns.

        From then on data are read under the new names. Data that still have the old ones are refused, with one
        exception: if the model was trained on the integers `0..n-1` and the new names are not numbers, the
        integers go on meaning the same columns. Other integers (3, 7, 9) must be converted to the new names.

        A head that was fitted elsewhere knows its own classes until the model is trained: see
        `setfit_core.labels.adopt_labels` for what names mean then.

        Raises:
            LabelError: If the number of labels differs from that in training.
        """
        names = None if labels is None else check_label_names(labels, multi_label=self.multi_label)
        if self.codec is not None:
            known = self.codec.labels
            if names is None or len(names) != len(known):
                msg = f"The model was trained with {len(known)} labels ({list(known)}). Give as many new names."
                raise LabelError(msg)
            rows = self.codec.rows if self.multi_label else self._rows_after_renaming(self.codec, names)
            self.codec = replace(self.codec, labels=names, given=True, rows=rows)
        self.names = names

    @staticmethod
    def _rows_after_renaming(codec: LabelCodec, names: tuple[Label, ...]) -> RowKind:
        if not names_may_be_places(names):
            return "members"
        # Training integers go on meaning the same columns under names of another type.
        return "columns" if codec.labels == tuple(range(len(codec.labels))) else codec.rows

    def known_to(self, head: Any, *, differentiable: bool) -> LabelCodec | None:
        """Return the labels of a head that was fitted elsewhere; None if nothing says that it was.

        Raises:
            LabelError: If the names don't fit the head's classes (`adopt_labels`).
        """
        if differentiable:
            if self.names is None:
                return None
            single: RowKind = "columns" if names_may_be_places(self.names) else "members"
            rows: RowKind = "indicators" if self.multi_label else single
            places = tuple(range(len(self.names)))
            return LabelCodec(self.names, places, multi_label=self.multi_label, given=True, rows=rows)
        classes = getattr(head, "classes_", None)
        if classes is None:
            return None
        if self.multi_label:
            places = tuple(range(len(classes)))
            if self.names is not None and len(self.names) != len(places):
                msg = f"The head knows {len(places)} labels, but labels names {len(self.names)}. Name as many."
                raise LabelError(msg)
            names = self.names or places
            return LabelCodec(names, places, multi_label=True, given=self.names is not None, rows="indicators")
        return adopt_labels(classes, self.names)

    def to_json(self) -> dict[str, Any] | None:
        """Return the labels as JSON values; None if there are none yet."""
        if self.codec is not None:
            return self.codec.to_json()
        return None if self.names is None else {"names": list(self.names)}

    def restore(self, saved: Mapping[str, Any] | None, *, with_classes: bool) -> None:
        """Take over what `to_json` returned; `with_classes` unless the head was not trained on them.

        Raises:
            LabelError: If the saved labels are damaged.
        """
        if saved is None:
            return
        if with_classes and "classes" in saved:
            self.codec = LabelCodec.from_json(saved)
            self.names = self.codec.labels if self.codec.given else None
        else:
            self.names = check_label_names(saved.get("names", ()), multi_label=self.multi_label)
