"""`setfit-core predict`: a table of texts, with the label of each."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from setfit_core.cli.config_file import ConfigOption
from setfit_core.cli.options import DebugOption, OverwriteOption, TextColumnOption
from setfit_core.cli.screen import is_terminal, progress
from setfit_core.errors import InputError

if TYPE_CHECKING:
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
    none_label: Annotated[
        str | None,
        typer.Option("--none-label", metavar="NAME", help="The label of a text that belongs to none of the labels."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Add a column with the training texts that each prediction rests on.")
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

    The table is read and written in parts, so it may be larger than memory. --none-label needs a head that can tell,
    such as prototype, and --explain one such as knn.
    """
    from setfit_core.tables import (
        TEXT_NAMES,
        check_place,
        find_column,
        format_of,
        open_table,
        text_problem,
        write_table,
    )

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
        from setfit_core.cli.labelling import Labeller
        from setfit_core.cli.models import trained_model

        labeller = Labeller(
            trained_model(model), label_column, probabilities=probabilities, none_label=none_label, explain=explain
        )
        for added in labeller.added:
            _check_free(table, added)
        labeller.rehearse()
        if source is None and is_terminal(sys.stdin):
            typer.echo("Type texts, one a line; Ctrl-D ends.", err=True)
        writer = stack.enter_context(write_table(out, table, labeller.added, to))
        bar = stack.enter_context(progress("rows"))
        seen = skipped = 0
        for chunk in table.chunks(_CHUNK):
            good = []
            for number, row in enumerate(chunk, start=seen + 1):
                problem = text_problem(row.get(column))
                if problem is None:
                    good.append(row)
                elif not skip_bad_rows:
                    raise InputError(
                        f"{table.name}: the text in row {number} {problem}. Correct the row, or leave such rows out: "
                        "--skip-bad-rows."
                    )
            labelled = labeller.label([row[column] for row in good])
            writer.write([{**row, **new} for row, new in zip(good, labelled, strict=True)])
            seen += len(chunk)
            skipped += len(chunk) - len(good)
            bar.update(len(chunk))
    if skipped:
        typer.echo(f"Left out {skipped} of {seen} rows, which have no text.", err=True)


def _check_free(table: Table, column: str, option: str | None = None) -> None:
    if column in table.columns:
        way = "Rename it." if option is None else f"Call the new one otherwise: {option} NAME."
        raise InputError(f"{table.name} has a column {column!r} already, and none is replaced. {way}")
