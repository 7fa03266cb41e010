"""Scoring on many machines: Ray Data brings the rows to workers, each of which holds the model. The extra `ray`."""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from setfit_core.embedding.batching import CHUNK_TEXTS
from setfit_core.embedding.cache import embedded_once
from setfit_core.embedding.precision import Precision
from setfit_core.errors import ArgumentError, InputError, SetFitError
from setfit_core.model import SetFitModel
from setfit_core.tables import TEXT_NAMES, find_column, probability_columns, text_problem
from setfit_core.values import is_integer, is_number, positive_integer

if TYPE_CHECKING:
    import ray

#: The content of each file of a saved model, as bytes uint8 that Ray shares between processes without copies.
Files: TypeAlias = Mapping[str, npt.NDArray[np.uint8]]

#: What errors call the rows.
_NAME: Final = "The data set"
#: Characters of a row that an error shows.
_SHOWN: Final = 300


def score_dataset(
    model: SetFitModel | str | os.PathLike[str],
    dataset: ray.data.Dataset,
    *,
    text_column: str | None = None,
    label_column: str = "label",
    probabilities: bool = False,
    skip_bad_rows: bool = False,
    num_workers: int | tuple[int, int] | None = None,
    num_cpus: float = 1,
    num_gpus: float = 0,
    batch_size: int = CHUNK_TEXTS,
    trusted: Sequence[str] = (),
) -> ray.data.Dataset:
    """Add the label of each text to a Ray data set.

    Each worker loads the model once, and gets it through Ray: the machines need no file system in common, but each
    needs this library and the plugin of the model's head. Rows keep their columns. A worker that dies is started
    again, and what it had in hand is scored again: no row is lost, and none comes twice.

    Like every transformation of a Ray data set this one is lazy: rows are scored when the result is consumed, by
    `write_parquet` for instance. Arguments, columns and the model are checked at once.

    Args:
        model: A trained model, or where one is saved: a folder, or an id on the hub, that this process can read.
        dataset: The rows.
        text_column: The column of the texts; None for the one with a usual name, such as `text` or `sentence`.
        label_column: What to call the new column. For several labels a text, it holds lists of strings.
        probabilities: Whether to add a column `probability LABEL` for each label: float64, rounded to 6 digits.
        skip_bad_rows: Whether to leave rows without a text out, instead of giving up.
        num_workers: How many workers; a pair for the fewest and the most. None for one at first, and for more while
            rows are waiting and the cluster has room.
        num_cpus: CPUs for each worker, which computes with as many threads.
        num_gpus: GPUs for each worker; with 0, it computes on its CPUs.
        batch_size: Rows that a worker gets at once, and that are scored again if it dies; also the rows of a block of
            the result. From them, the worker makes batches of texts of like length that suit the body.
        trusted: As in `SetFitModel.from_pretrained`: names of further types that the saved head may hold.

    Returns:
        The rows with the new columns. They are in the order of `dataset` only if Ray is told to keep it: by
        `ray.data.DataContext.get_current().execution_options.preserve_order = True`, before `dataset` is made.

    Raises:
        SetFitError: If Ray isn't installed.
        ArgumentError: If an argument has no meaning, or the workers would leave no CPU for reading and writing.
        InputError: If nothing says which column holds the texts, if it can't hold strings, or if a new column is there
            already. While rows are scored: if one has no text; Ray wraps this error in one of its own.
        UnfittedHeadError: If the model hasn't been trained.
        NoProbabilitiesError: If probabilities are wanted, and the head has none.
        PersistenceError: If the model can't be found, saved, or loaded from what was saved.
    """
    installed = _installed_ray()
    positive_integer("batch_size", batch_size)
    fewest, most = _workers(num_workers)
    _check_room(installed.cluster_resources(), fewest, num_cpus, num_gpus)
    if not isinstance(dataset, installed.data.Dataset):
        msg = f"dataset is a {type(dataset).__name__}. Give a ray.data.Dataset, such as ray.data.read_parquet(folder)."
        raise InputError(msg)
    text_column = _text_column(dataset, text_column)
    if not isinstance(model, SetFitModel):
        model = SetFitModel.from_pretrained(model, device="cpu", trusted=trusted)
    _check_new(_rehearsed(model, label_column, probabilities=probabilities), dataset)
    settings = _Settings(
        text_column=text_column,
        label_column=label_column,
        probabilities=probabilities,
        skip_bad_rows=skip_bad_rows,
        threads=max(1, int(num_cpus)),
        device=None if num_gpus else "cpu",
        precision=model.precision,
        trusted=tuple(trusted),
    )
    files = installed.put(_saved(model, trusted))
    # A block becomes a task. Without this, a file that Ray reads as one block would keep one worker busy alone.
    scored: ray.data.Dataset = dataset.repartition(target_num_rows_per_block=batch_size).map_batches(
        _Worker,
        fn_constructor_args=(settings, files),
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=installed.data.ActorPoolStrategy(min_size=fewest, max_size=most),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        udf_modifying_row_count=skip_bad_rows,
    )
    return scored


def _installed_ray() -> ModuleType:
    try:
        import ray.data
    except ImportError as error:
        msg = 'Scoring a Ray data set needs Ray. Install it: pip install "setfit-core[ray]"'
        raise SetFitError(msg) from error
    return ray


# What is checked before the cluster works


def _workers(num_workers: Any) -> tuple[int, int | None]:
    """Return the fewest workers, and the most; None for as many as there is room for."""
    if num_workers is None:
        return 1, None
    pair = num_workers if isinstance(num_workers, tuple) else (num_workers, num_workers)
    if len(pair) != 2 or not all(map(is_integer, pair)) or not 1 <= pair[0] <= pair[1]:
        msg = f"num_workers is {num_workers!r}. Give an integer of 1 or more, or a pair of the fewest and the most."
        raise ArgumentError(msg)
    return pair


def _check_room(cluster: Mapping[str, float], workers: int, num_cpus: Any, num_gpus: Any) -> None:
    """Refuse workers that would make Ray wait forever.

    Args:
        cluster: What the cluster has at the moment. Of what it has nothing, it may get some when that is asked for.
        workers: The fewest workers.
        num_cpus: CPUs for each.
        num_gpus: GPUs for each.
    """
    for name, value in (("num_cpus", num_cpus), ("num_gpus", num_gpus)):
        if not is_number(value) or value < 0:
            raise ArgumentError(f"{name} is {value!r}. Give a number of 0 or more.")
    for resource, needed in (("CPU", workers * num_cpus + 1), ("GPU", workers * num_gpus)):
        there = cluster.get(resource, 0)
        if 0 < there < needed:
            reading = ", 1 of them to read and write rows" if resource == "CPU" else ""
            msg = (
                f"{workers} workers need {needed:g} {resource}s{reading}, and the cluster has {there:g}. Give a "
                "smaller num_workers, or less to each; on a cluster that grows, num_workers=(1, N)."
            )
            raise ArgumentError(msg)


def _text_column(dataset: ray.data.Dataset, named: str | None) -> str:
    schema = dataset.schema()
    types = {} if schema is None else dict(zip(schema.names, schema.types, strict=True))
    column = find_column(list(types), named, TEXT_NAMES, what="texts", table=_NAME, option="text_column =")
    if not _may_hold_strings(types[column]):
        raise InputError(f"The column {column!r} holds {types[column]}, not strings. Name another one, or convert it.")
    return column


def _may_hold_strings(kind: Any) -> bool:
    if not isinstance(kind, pa.DataType) or isinstance(kind, pa.BaseExtensionType):
        return True  # Python objects of any kind: each is looked at when its row is scored
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _rehearsed(model: SetFitModel, label_column: str, *, probabilities: bool) -> list[str]:
    """Raise what would be raised for any text, and return the names of the new columns."""
    model.predict("A text.", show_progress_bar=False)
    if not probabilities:
        return [label_column]
    model.predict_proba("A text.", show_progress_bar=False)
    return [label_column, *probability_columns(model.labels or ())]


def _check_new(new: Sequence[str], dataset: ray.data.Dataset) -> None:
    taken = set(dataset.columns() or ())
    for column in new:
        if column in taken:
            way = "Call the new one otherwise: label_column." if column == new[0] else "Rename it."
            raise InputError(f"{_NAME} has a column {column!r} already, and none is replaced. {way}")
        taken.add(column)


# What the workers get


@dataclass(frozen=True)
class _Settings:
    """What a worker does; hashable, as Ray tells by it whether two workers do the same."""

    text_column: str
    label_column: str
    probabilities: bool
    skip_bad_rows: bool
    threads: int
    device: str | None
    precision: Precision
    trusted: tuple[str, ...]


def _saved(model: SetFitModel, trusted: Sequence[str]) -> Files:
    """Return the files of a model, from which it can be loaded."""
    with tempfile.TemporaryDirectory(prefix="setfit-core-") as directory:
        folder = model.save_pretrained(Path(directory) / "model")
        SetFitModel.from_pretrained(folder, device="cpu", trusted=trusted)  # what fails in a worker fails here
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): np.fromfile(path, np.uint8) for path in files}


class _Worker:
    """What a worker process holds: the model, with which it adds columns to rows.

    Args:
        settings: What it does.
        files: The files of the model, in Ray's object store.
    """

    def __init__(self, settings: _Settings, files: ray.ObjectRef[Files]) -> None:
        import ray
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no annotations
        torch.set_num_threads(settings.threads)
        os.environ["RAYON_NUM_THREADS"] = str(settings.threads)  # those of the tokenizer
        self._settings = settings
        with tempfile.TemporaryDirectory(prefix="setfit-core-") as folder:
            for name, content in ray.get(files).items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                content.tofile(path)
            self._model = SetFitModel.from_pretrained(
                folder, device=settings.device, precision=settings.precision, trusted=settings.trusted
            )

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return rows with their new columns."""
        settings, model = self._settings, self._model
        texts = rows[settings.text_column].to_pylist()
        problems = [text_problem(text) for text in texts]
        if any(problems):
            if not settings.skip_bad_rows:
                raise InputError(_complaint(rows, problems))
            rows = rows.filter(pa.array([problem is None for problem in problems]))
            texts = rows[settings.text_column].to_pylist()
        if not settings.probabilities:
            return rows.append_column(settings.label_column, _labels(model, texts))
        with embedded_once(model):
            rows = rows.append_column(settings.label_column, _labels(model, texts))
            probabilities = model.predict_proba(texts, as_numpy=True, show_progress_bar=False)
        for name, column in zip(
            probability_columns(model.labels or ()), probabilities.astype(np.float64).round(6).T, strict=True
        ):
            rows = rows.append_column(name, pa.array(column))
        return rows


def _complaint(rows: pa.Table, problems: Sequence[str | None]) -> str:
    """Return what is wrong with the first row that has a problem, which is told by its other columns."""
    place = next(place for place, problem in enumerate(problems) if problem)
    row = textwrap.shorten(repr(rows.slice(place, 1).to_pylist()[0]), _SHOWN)
    return f"The text in the row {row} {problems[place]}. Correct the row, or leave such rows out: skip_bad_rows=True."


def _labels(model: SetFitModel, texts: Sequence[str]) -> pa.Array:
    """Return the label of each text; for several labels a text, a list of strings."""
    places = model.predict(texts, use_labels=False, as_numpy=True, show_progress_bar=False)
    if model.multi_target_strategy is None:
        return pa.array(model.labels).take(pa.array(places))
    names = pa.array([str(label) for label in model.labels or ()])
    ends = np.append(0, places.sum(axis=1).cumsum())
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), names.take(pa.array(places.nonzero()[1])))
