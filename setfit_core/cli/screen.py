"""What is shown: tables on stdout, progress on stderr; for eyes in a terminal, plain in a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence


def is_terminal(stream: Any) -> bool:
    """Tell whether a stream is a terminal; there is none if the caller has closed it."""
    return stream is not None and stream.isatty()


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, status: str | None = None, good: str = ""
) -> None:
    """Print rows under their titles.

    Args:
        columns: The titles.
        rows: The cells.
        status: The column that is coloured in a terminal.
        good: Its value that is good news.
    """
    if is_terminal(sys.stdout):
        _print_for_eyes(columns, rows, None if status is None else columns.index(status), good)
    else:
        _print_plain([columns, *rows])


def progress(unit: str) -> Any:
    """Return a bar of tqdm on stderr that counts what has no known total; silent outside a terminal."""
    from tqdm import tqdm

    return tqdm(unit=f" {unit}", file=sys.stderr, disable=not is_terminal(sys.stderr))


def _print_for_eyes(columns: Sequence[str], rows: Sequence[Sequence[str]], coloured: int | None, good: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in columns:
        table.add_column(title, overflow="fold")
    for row in rows:
        style = "" if coloured is None else "green" if row[coloured] == good else "red"
        table.add_row(*(Text(cell, style=style if index == coloured else "") for index, cell in enumerate(row)))
    Console().print(table)


def _print_plain(rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns, each row on one line whatever its length: what a pipe gets."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
