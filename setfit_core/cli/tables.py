"""Tables on stdout: for eyes in a terminal, aligned columns in a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, status: str, good: str) -> None:
    """Print rows under their titles.

    Args:
        columns: The titles.
        rows: The cells.
        status: The column that is coloured in a terminal.
        good: Its value that is good news.
    """
    if sys.stdout.isatty():
        _print_for_eyes(columns, rows, columns.index(status), good)
    else:
        _print_plain([columns, *rows])


def _print_for_eyes(columns: Sequence[str], rows: Sequence[Sequence[str]], coloured: int, good: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in columns:
        table.add_column(title, overflow="fold")
    for row in rows:
        style = "green" if row[coloured] == good else "red"
        table.add_row(*(Text(cell, style=style if index == coloured else "") for index, cell in enumerate(row)))
    Console().print(table)


def _print_plain(rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns, each row on one line whatever its length: what a pipe gets."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
