"""What a model's card says about its training and about what was measured."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from itertools import zip_longest
from typing import Any, Final

from setfit_core.labels import IntArray
from setfit_core.model_card.markdown import shorten
from setfit_core.model_card.reading import (
    take_count,
    take_flag,
    take_list,
    take_number,
    take_object,
    take_optional_text,
    take_settings,
    take_text,
)

#: Example texts that are kept for each label, and their greatest length in characters.
EXAMPLES_A_LABEL: Final = 3
EXAMPLE_LENGTH: Final = 120

_DISTRIBUTIONS: Final = ("setfit-core", "sentence-transformers", "transformers", "torch", "scikit-learn", "datasets")


@dataclass(frozen=True)
class DataSource:
    """Where data come from, as far as the data set itself says so.

    Attributes:
        id: The id of the data set on the hub.
        name: Its name.
        config: The name of its configuration.
        split: The split that the texts were taken from.
        revision: The commit of the data set on the hub.
        rows: How many rows the whole split has.
    """

    id: str | None = None
    name: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    rows: int | None = None

    @classmethod
    def from_json(cls, value: Any, where: str) -> DataSource | None:
        """Rebuild a source; None for null. Raises `ModelFormatError` if it is damaged."""
        if value is None:
            return None
        content = take_object(value, where)
        names = ("id", "name", "config", "split", "revision")
        rows = content.get("rows")
        return cls(
            **{name: take_optional_text(content.get(name), f"{where}.{name}") for name in names},
            rows=None if rows is None else take_count(rows, f"{where}.rows"),
        )


@dataclass(frozen=True)
class LabelTexts:
    """The training texts of one label.

    Attributes:
        count: How many there are.
        examples: A few of them, cut to `EXAMPLE_LENGTH` characters.
    """

    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """One metric, measured on one data set.

    Attributes:
        metric: The name of the metric.
        value: Its value.
        texts: How many texts it was measured on.
        options: Keyword arguments of the metric, such as `{"average": "macro"}`.
        source: The data set, if it says what it is.
        on_training_data: Whether these were the texts that the model was trained on.
    """

    metric: str
    value: float
    texts: int
    options: Mapping[str, Any] = field(default_factory=dict)
    source: DataSource | None = None
    on_training_data: bool = False

    @classmethod
    def from_json(cls, value: Any, where: str) -> Measurement:
        """Rebuild a measurement. Raises `ModelFormatError` if it is damaged."""
        content = take_object(value, where)
        return cls(
            metric=take_text(content.get("metric"), f"{where}.metric"),
            value=take_number(content.get("value"), f"{where}.value"),
            texts=take_count(content.get("texts"), f"{where}.texts"),
            options=take_settings(content.get("options"), f"{where}.options") or {},
            source=DataSource.from_json(content.get("source"), f"{where}.source"),
            on_training_data=take_flag(content.get("on_training_data"), f"{where}.on_training_data"),
        )


@dataclass(frozen=True)
class TrainingRecord:
    """What is known about the training of a model: facts only, nothing estimated, and no time of day.

    Attributes:
        texts: How many texts the head was trained on; None if that isn't known.
        labels: For each of `model.labels`, in their order, its training texts; None if they aren't known.
        source: The training data set, if it says what it is.
        embedding_phase: The training arguments that mattered to the embedding phase; None if none ran.
        head_phase: Those that mattered to the head phase; None for a head that was not trained by a `Trainer`.
        measurements: What `Trainer.evaluate` measured on this model.
        versions: The versions that the model was trained with, by distribution; Python's as `"python"`.
    """

    texts: int | None = None
    labels: tuple[LabelTexts, ...] | None = None
    source: DataSource | None = None
    embedding_phase: Mapping[str, Any] | None = None
    head_phase: Mapping[str, Any] | None = None
    measurements: tuple[Measurement, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def with_measurements(self, measured: Sequence[Measurement]) -> TrainingRecord:
        """Return the record with further measurements; a newer one of the same metric and data replaces the older."""
        kept = {_what_was_measured(each): each for each in self.measurements}
        for each in measured:
            kept.pop(_what_was_measured(each), None)
            kept[_what_was_measured(each)] = each
        return replace(self, measurements=tuple(kept.values()))

    def joined(self, further: TrainingRecord) -> TrainingRecord:
        """Return the record of a head that was trained further: on more texts, perhaps with more labels.

        What was measured before no longer holds, and a data set alone is no longer the source.
        """
        known = self.labels or ()
        labels = tuple(
            LabelTexts(old.count + new.count, tuple(dict.fromkeys(old.examples + new.examples))[:EXAMPLES_A_LABEL])
            for old, new in zip_longest(known, further.labels or (), fillvalue=LabelTexts(0))
        )
        return replace(
            self,
            texts=None if self.texts is None else self.texts + (further.texts or 0),
            labels=None if self.labels is None else labels,
            source=None,
            measurements=(),
            versions=further.versions,
        )

    def without_examples(self) -> TrainingRecord:
        """Return the record without any training text."""
        if self.labels is None:
            return self
        return replace(self, labels=tuple(LabelTexts(label.count) for label in self.labels))

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        content = asdict(self)
        content["measurements"] = list(content["measurements"])
        if self.labels is not None:
            content["labels"] = [{"count": label.count, "examples": list(label.examples)} for label in self.labels]
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrainingRecord:
        """Rebuild a record from `to_json`.

        Raises:
            ModelFormatError: If it is not what `to_json` wrote.
        """
        content = take_object(content, "training")
        texts, labels, versions = content.get("texts"), content.get("labels"), content.get("versions")
        return cls(
            texts=None if texts is None else take_count(texts, "training.texts"),
            labels=None if labels is None else tuple(map(_label_texts, take_list(labels, "training.labels"))),
            source=DataSource.from_json(content.get("source"), "training.source"),
            embedding_phase=take_settings(content.get("embedding_phase"), "training.embedding_phase"),
            head_phase=take_settings(content.get("head_phase"), "training.head_phase"),
            measurements=tuple(
                Measurement.from_json(each, "training.measurements")
                for each in take_list(content.get("measurements"), "training.measurements")
            ),
            versions={
                name: take_text(version, f"training.versions.{name}")
                for name, version in take_object(versions, "training.versions").items()
            },
        )


def record_training(texts: Sequence[str], columns: IntArray, num_labels: int) -> TrainingRecord:
    """Return the record of a head that was trained on these texts.

    The examples of a label are its first texts that differ once they are cut.

    Args:
        texts: The training texts, `[n]`.
        columns: The place of each text's label in `model.labels`, `[n]`; 0/1 indicators `[n, num_labels]` for
            several labels a text.
        num_labels: How many labels the model has.
    """
    counts = [0] * num_labels
    examples: list[dict[str, None]] = [{} for _ in range(num_labels)]  # an ordered set
    for text, row in zip(texts, columns, strict=True):
        for column in row.nonzero()[0] if columns.ndim == 2 else (row,):
            counts[column] += 1
            if len(examples[column]) < EXAMPLES_A_LABEL:
                examples[column].setdefault(shorten(text, EXAMPLE_LENGTH))
    return TrainingRecord(
        texts=len(texts),
        labels=tuple(LabelTexts(count, tuple(seen)) for count, seen in zip(counts, examples, strict=True)),
        versions=installed_versions(),
    )


def installed_versions() -> dict[str, str]:
    """Return the version of Python and of each distribution that training depends on, if it is installed."""
    found = {name: _installed_version(name) for name in _DISTRIBUTIONS}
    return {"python": platform.python_version()} | {name: version for name, version in found.items() if version}


def _installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # run from a source tree, or an optional one
        return None


def _what_was_measured(measurement: Measurement) -> tuple[Any, ...]:
    options = tuple(sorted((name, repr(value)) for name, value in measurement.options.items()))
    return measurement.source, measurement.on_training_data, measurement.metric, options


def _label_texts(value: Any) -> LabelTexts:
    where = "training.labels"
    content = take_object(value, where)
    examples = [take_text(text, f"{where}.examples") for text in take_list(content.get("examples"), where)]
    # Cut here too: another program may have written them.
    shown = tuple(shorten(text, EXAMPLE_LENGTH) for text in examples[:EXAMPLES_A_LABEL])
    return LabelTexts(take_count(content.get("count"), f"{where}.count"), shown)
