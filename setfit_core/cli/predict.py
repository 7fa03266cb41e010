"""`setfit-core predict`: a table of texts, with the label of each."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from setfit_core.cli.config_file import ConfigOption
from setfit_core.cli.options import DebugOption, OverwriteOption, TextColumnOption
from setfit_core.cli.screen import is_terminal, progress
from setfit_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from setfit_core.model import SetFitModel
    from setfit_core.tables import Table

_CHUNK = 1024


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A trained model: a folder, or an id on the hub.")],
    data: Annotated[
        Path | None,
        typer.Argument(metavar="DATA", help="Texts: .csv, .jsonl, .parquet or .txt. Standard input if left out."),
    ] = None,
    text_column: TextColumnOption = None,
    label_column: Annotated[
        str, typer.Option("--label-column", metavar="NAME", help="What to call the column that is added.")
    ] = "label",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add a column for each label, with its probability.")
    ] = False,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave rows without a text out, instead of giving up.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write here: .csv, .jsonl or .parquet.")
    ] = None,
    overwrite: OverwriteOption = False,
    source_format: Annotated[
        Literal["csv", "jsonl", "parquet", "text"] | None,
        typer.Option("--format", help="What DATA is, if its name doesn't say; text is one text a line."),
    ] = None,
    to: Annotated[
        Literal["csv", "jsonl"] | None,
        typer.Option("--to", help="What is written to standard output; csv if left out."),
    ] = None,
    _config: ConfigOption = None,
    _debug: DebugOption = False,
) -> None:
    """Predict the label of each text, and write it beside all columns.

    The table is read and written in parts, so it may be larger than memory.
    """
    from setfit_core.tables import TEXT_NAMES, check_place, find_column, format_of, open_table, write_table

    if out is not None:
        if to is not None:
            raise typer.BadParameter("the suffix of --out says it. Leave one of the two out.", param_hint="--to")
        if format_of(out) == "text":
            raise InputError(f"{out} would be plain text, which has no columns. Name a .csv, .jsonl or .parquet file.")
        check_place(out, overwrite=overwrite)
    source = None if data is None or str(data) == "-" else data
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(open_table(source, source_format))
        column = find_column(
            table.columns, text_column, TEXT_NAMES, what="texts", table=table.name, option="--text-column"
        )
        _check_free(table, label_column, "--label-column")
        from setfit_core.cli.models import trained_model

        work = _Work(trained_model(model), column, label_column, probabilities=probabilities, name=table.name)
        for added in work.added():
            _check_free(table, added)
        if source is None and is_terminal(sys.stdin):
            typer.echo("Type texts, one a line; Ctrl-D ends.", err=True)
        writer = stack.enter_context(write_table(out, table, work.added(), to))
        bar = stack.enter_context(progress("rows"))
        for chunk in table.chunks(_CHUNK):
            writer.write(work.labelled(chunk, skip_bad_rows=skip_bad_rows))
            bar.update(len(chunk))
    if work.skipped:
        typer.echo(f"Left out {work.skipped} of {work.seen} rows, which have no text.", err=True)


def _check_free(table: Table, column: str, option: str | None = None) -> None:
    if column in table.columns:
        way = "Rename it." if option is None else f"Call the new one otherwise: {option} NAME."
        raise InputError(f"{table.name} has a column {column!r} already, and none is replaced. {way}")


class _Work:
    """Labels rows, and counts them.

    Attributes:
        seen: Rows so far.
        skipped: Rows that were left out.
    """

    def __init__(self, model: SetFitModel, text: str, label: str, *, probabilities: bool, name: str) -> None:
        self._model, self._text, self._label, self._name = model, text, label, name
        self._probabilities = probabilities
        self._labels = list(model.labels or ())
        self._several = model.multi_target_strategy is not None
        self.seen = self.skipped = 0

    def added(self) -> dict[str, Any]:
        """Return the columns that are added, each with an example."""
        example = [str(self._labels[0])] if self._several else self._labels[0]
        columns = {f"probability {label}": 0.5 for label in self._labels} if self._probabilities else {}
        return {self._label: example, **columns}

    def labelled(self, rows: Sequence[dict[str, Any]], *, skip_bad_rows: bool) -> list[dict[str, Any]]:
        """Return rows with their labels."""
        from setfit_core.cli.models import embedded_once
        from setfit_core.tables import text_problem

        good = []
        for number, row in enumerate(rows, start=self.seen + 1):
            problem = text_problem(row.get(self._text))
            if problem is None:
                good.append(row)
            elif not skip_bad_rows:
                raise InputError(
                    f"{self._name}: the text in row {number} {problem}. Correct the row, or leave such rows out: "
                    "--skip-bad-rows."
                )
        self.seen += len(rows)
        self.skipped += len(rows) - len(good)
        if not good:
            return []
        texts = [row[self._text] for row in good]
        with embedded_once(self._model) if self._probabilities else contextlib.nullcontext():
            added: list[dict[str, Any]] = [{self._label: label} for label in self._predicted(texts)]
            if self._probabilities:
                found = self._model.predict_proba(texts, as_numpy=True, show_progress_bar=False)
                for new, values in zip(added, found.tolist(), strict=True):
                    new |= {
                        f"probability {name}": round(value, 6) for name, value in zip(self._labels, values, strict=True)
                    }
        return [{**row, **new} for row, new in zip(good, added, strict=True)]

    def _predicted(self, texts: Sequence[str]) -> list[Any]:
        places = self._model.predict(texts, use_labels=False, as_numpy=True, show_progress_bar=False)
        if self._several:
            return [[str(self._labels[place]) for place in row.nonzero()[0]] for row in places]
        return [self._labels[place] for place in places]
