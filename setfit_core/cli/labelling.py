"""What `predict` adds to each row: its label, and what else was asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from setfit_core.embedding.cache import embedded_once
from setfit_core.errors import ArgumentError
from setfit_core.tables import probability_columns

if TYPE_CHECKING:
    from setfit_core.heads.abilities import Vote
    from setfit_core.model import SetFitModel

EXPLANATION: Final = "explanation"


class Labeller:
    """Labels texts.

    Args:
        model: A trained model.
        column: The column of the label.
        probabilities: Whether to add the probability of each label.
        none_label: The label of a text that belongs to none; None if each has one of the labels.
        explain: Whether to add the training texts that a prediction rests on.

    Attributes:
        added: The columns that are added, each with an example of its values.

    Raises:
        ArgumentError: If `none_label` is one of the labels.
    """

    def __init__(
        self, model: SetFitModel, column: str, *, probabilities: bool, none_label: str | None, explain: bool
    ) -> None:
        self._model, self._column, self._none_label, self._explain = model, column, none_label, explain
        self._several = model.multi_target_strategy is not None
        labels = list(model.labels or ())
        # A column has one type, and --none-label is a text.
        self._labels = [str(label) for label in labels] if self._several or none_label is not None else labels
        if none_label in self._labels:
            raise ArgumentError(f"--none-label {none_label!r} is one of the model's labels. Give another name.")
        self._columns = probability_columns(labels) if probabilities else []
        label = self._labels[:1] if self._several else self._labels[0]
        vote = {"text": "", "label": label, "similarity": 0.0, "weight": 0.0}
        self.added: Mapping[str, Any] = {
            column: label,
            **dict.fromkeys(self._columns, 0.5),
            **({EXPLANATION: [vote]} if explain else {}),
        }

    def rehearse(self) -> None:
        """Raise what would be raised, before anything is written."""
        self.label(["A text."])

    def label(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Return what is added for each text."""
        if not texts:
            return []
        with embedded_once(self._model) if self._columns or self._explain else contextlib.nullcontext():
            added: list[dict[str, Any]] = [{self._column: label} for label in self._predicted(texts)]
            if self._columns:
                rows = self._model.predict_proba(texts, as_numpy=True, show_progress_bar=False).tolist()
                for new, row in zip(added, rows, strict=True):
                    new |= {name: round(value, 6) for name, value in zip(self._columns, row, strict=True)}
            if self._explain:
                for new, votes in zip(added, self._model.explain(texts), strict=True):
                    new[EXPLANATION] = [self._told(vote) for vote in votes]
        return added

    def _predicted(self, texts: Sequence[str]) -> list[Any]:
        if self._none_label is not None:
            found = self._model.predict(texts, none_label=self._none_label, show_progress_bar=False)
            return [str(label) for label in found]
        places = self._model.predict(texts, use_labels=False, as_numpy=True, show_progress_bar=False)
        if self._several:
            return [[self._labels[place] for place in row.nonzero()[0]] for row in places]
        return [self._labels[place] for place in places]

    def _told(self, vote: Vote) -> dict[str, Any]:
        label = vote.label
        if self._several:
            named = all(isinstance(part, str) for part in label)
            label = label if named else [self._labels[place] for place, part in enumerate(label) if part]
        elif self._none_label is not None:
            label = str(label)
        return {
            "text": vote.text,
            "label": label,
            "similarity": round(vote.similarity, 6),
            "weight": round(vote.weight, 6),
        }
