"""What a trainer knows for the model card: its arguments, where its data come from, what it measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from setfit_core.data import Examples
from setfit_core.model_card import DataSource, Measurement
from setfit_core.training.arguments import TrainingArguments
from setfit_core.training.objective import Objective

#: Names of loaders in the library `datasets`. It gives them as the name of a data set that has none.
_LOADERS: Final = frozenset(
    {"arrow", "csv", "generator", "hdf5", "json", "pandas", "parquet", "spark", "sql", "text", "webdataset", "xml"}
)
_HUB_DATASETS: Final = "hf://datasets/"


def embedding_arguments(args: TrainingArguments, objective: Objective) -> dict[str, Any]:
    """Return the arguments that decide what the embedding phase does, as JSON values."""
    chosen = objective.on_single_pairs and args.num_iterations is None
    return {
        "batch_size": objective.batch_size,
        "num_epochs": objective.num_epochs,
        "max_steps": args.max_steps,
        "gradient_accumulation_steps": args.gradient_accumulation_steps,
        "samples_per_label": args.samples_per_label if objective.on_texts else None,
        "sampling_strategy": args.pair_sampling if chosen else None,
        "num_iterations": args.num_iterations,
        "body_learning_rate": objective.learning_rate,
        "loss": type(objective.loss).__name__,
        "precision": args.precision,
        "use_amp": args.use_amp,
        "warmup_proportion": args.warmup_proportion,
        "l2_weight": objective.l2_weight,
        "max_length": args.max_length,
        "load_best_model_at_end": args.load_best_model_at_end,
        "seed": args.seed,
    }


def selection_arguments(args: TrainingArguments) -> dict[str, Any]:
    """Return what else decides which body the embedding phase ends with, as JSON values."""
    return {
        "margin": args.margin,
        "distance_metric": getattr(args.distance_metric, "__qualname__", type(args.distance_metric).__qualname__),
        "eval_strategy": args.eval_strategy,
        "eval_steps": args.eval_steps,
        "metric_for_best_model": args.metric_for_best_model,
    }


def head_arguments(args: TrainingArguments, *, differentiable: bool) -> dict[str, Any]:
    """Return the arguments that decide what the head phase does, as JSON values: few for a head that has `fit`."""
    arguments: dict[str, Any] = {"max_length": args.max_length, "seed": args.seed}
    if args.class_weight is not None:
        balanced = args.class_weight == "balanced"
        arguments["class_weight"] = "balanced" if balanced else "by label"
    if args.sample_weight is not None:
        arguments["sample_weight"] = "by text"
    if differentiable:
        arguments |= {
            "batch_size": args.classifier_batch_size,
            "num_epochs": args.classifier_num_epochs,
            "head_learning_rate": args.head_learning_rate,
            "end_to_end": args.end_to_end,
            "l2_weight": args.classifier_l2_weight,
        }
    if differentiable and args.end_to_end:
        arguments["body_learning_rate"] = args.body_classifier_learning_rate
    return arguments


def data_source(dataset: Any) -> DataSource | None:
    """Return what a `datasets.Dataset` says about where it comes from; None if it says nothing, or is none.

    The id is that of the files it was downloaded from. Nothing is guessed from paths, which don't appear at all.
    """
    info = getattr(dataset, "info", None)
    if info is None or not hasattr(info, "dataset_name"):  # a frame has a method of this name
        return None
    repository, revision = _hub_repository(getattr(info, "download_checksums", None) or {})
    name = info.dataset_name
    named = name is not None and name not in _LOADERS
    if not named and repository is None:
        return None
    split = None if dataset.split is None else str(dataset.split)
    sizes = info.splits or {}
    return DataSource(
        id=repository,
        name=name if named else None,
        config=info.config_name,
        split=split,
        revision=revision,
        rows=sizes[split].num_examples if split in sizes else None,
    )


def _hub_repository(files: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the repository and the commit that downloaded files came from, such as `hf://datasets/a/b@c0ffee/x`."""
    found = set()
    for file in files:
        repository, at, rest = file.removeprefix(_HUB_DATASETS).partition("@")
        if not file.startswith(_HUB_DATASETS) or not at:
            return None, None
        found.add((repository, rest.partition("/")[0]))
    return found.pop() if len(found) == 1 else (None, None)


def measurements(
    metric: str | Callable[..., Any],
    metrics: Mapping[str, Any],
    options: Mapping[str, Any],
    examples: Examples,
    source: DataSource | None,
    training: Examples | None,
) -> list[Measurement]:
    """Return the metrics that are finite numbers as measurements; others, such as a value a class, are left out.

    Args:
        metric: The metric or its name.
        metrics: Values by name, as `compute_metric` returned them.
        options: Keyword arguments of the metric.
        examples: What they were measured on.
        source: Where that comes from.
        training: What the model was trained on.
    """
    base = Measurement(
        metric="",
        value=0.0,
        texts=len(examples.texts),
        options={name: _json_value(value) for name, value in options.items()},
        source=source,
        on_training_data=training is not None and set(examples.texts) <= set(training.texts),
    )
    own_name = getattr(metric, "__name__", "<")
    if list(metrics) == ["metric"] and not own_name.startswith("<"):  # "<lambda>" is no name
        metrics = {own_name: metrics["metric"]}
    return [
        replace(base, metric=name, value=number)
        for name, value in metrics.items()
        if (number := _finite(value)) is not None
    ]


def _finite(value: Any) -> float | None:
    if isinstance(value, np.generic) or getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _json_value(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    # Other objects may show an address in memory.
    return repr(value) if isinstance(value, float | list | tuple) else type(value).__name__
