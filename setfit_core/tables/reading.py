"""Reading tables row by row."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from setfit_core.errors import InputError
from setfit_core.tables.formats import Format, format_of

if TYPE_CHECKING:
    import pyarrow as pa

Row: TypeAlias = dict[str, Any]

_PARQUET_ROWS: Final = 1024


@dataclass(frozen=True)
class Table:
    """A table that is being read.

    Attributes:
        name: How errors call it.
        columns: The names of its columns; of JSON Lines, those of the first row.
        rows: Its rows, from column to value. Those of CSV are strings.
        schema: The types of the columns where the file says them, which only Parquet does.
    """

    name: str
    columns: tuple[str, ...]
    rows: Iterator[Row]
    schema: pa.Schema | None = None

    def chunks(self, size: int) -> Iterator[list[Row]]:
        """Yield the rows, so many at a time."""
        while chunk := list(islice(self.rows, size)):
            yield chunk


@contextlib.contextmanager
def open_table(source: Path | None, format: Format | None = None) -> Iterator[Table]:  # noqa: A002  # it is the format
    """Open a table.

    Args:
        source: The file; None for standard input.
        format: Its format; None for what the file's suffix says, and plain text on standard input.

    Raises:
        InputError: If it can't be read, has no columns, or one twice. While rows are read: if one of them is broken;
            the message names its line.
    """
    if source is None:
        name, format = "Standard input", format or "text"  # noqa: A001
        if format == "parquet":
            raise InputError(
                "Parquet can't be read from standard input, since its end says what is in it. Give a file."
            )
        if sys.stdin is None:
            raise InputError("There is no standard input. Give a file.")
        opened: Any = contextlib.nullcontext(sys.stdin.buffer)
    else:
        name, format = str(source), format or format_of(source)  # noqa: A001
        opened = _opened(source)
    with opened as stream:
        table = _READERS[format](stream, name)
        twice = [repr(column) for column, count in Counter(table.columns).items() if count > 1]
        if twice:
            raise InputError(f"{name} has several columns of the name {', '.join(twice)}. Rename all but one.")
        yield table


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise InputError(f"{file} can't be read: {error.strerror}. Check the path.") from error


def _lines(stream: BinaryIO, name: str) -> Iterator[str]:
    """Yield the lines of a stream with their ends, and say where one is not UTF-8."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        yield from text
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8: {error.reason}. Convert it to UTF-8 first.") from error
    finally:
        with contextlib.suppress(ValueError):  # the stream is closed already
            text.detach()


def _read_csv(stream: BinaryIO, name: str) -> Table:
    reader = csv.reader(_lines(stream, name), strict=True)

    def records() -> Iterator[list[str]]:
        try:
            yield from reader
        except csv.Error as error:
            raise InputError(f"{name}, line {reader.line_num}: {error}. Correct the file.") from error

    lines = records()
    columns = tuple(next(lines, ()))
    if not columns:
        raise InputError(f"{name} is empty. A CSV file starts with a line that names the columns.")

    def rows() -> Iterator[Row]:
        for cells in lines:
            if not cells and len(columns) > 1:
                continue  # a blank line; in a table of one column, it is a row without a text
            values = cells or [""]
            if len(values) != len(columns):
                raise InputError(
                    f"{name}, line {reader.line_num}: there are {len(values)} values for {len(columns)} columns. "
                    'Values with a comma or a quote are written in quotes: "yes, please".'
                )
            yield dict(zip(columns, values, strict=True))

    return Table(name, columns, rows())


def _read_jsonl(stream: BinaryIO, name: str) -> Table:
    def rows() -> Iterator[Row]:
        for number, line in enumerate(_lines(stream, name), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{name}, line {number} is no JSON: {error}. Correct the file.") from error
            if not isinstance(row, dict):
                raise InputError(f'{name}, line {number} is no JSON object. Write each row as {{"text": "..."}}.')
            yield row

    found = rows()
    first = next(found, None)
    if not first:
        raise InputError(f"{name} is empty. Each line of JSON Lines is a row, an object with the columns as keys.")
    return Table(name, tuple(first), chain([first], found))


def _read_parquet(stream: BinaryIO, name: str) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(stream)
    except pa.ArrowException as error:
        raise InputError(f"{name} is no Parquet file: {error}. Check which format it has.") from error

    def rows() -> Iterator[Row]:
        try:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{name} is damaged: {error}. Write it again.") from error

    return Table(name, tuple(file.schema_arrow.names), rows(), file.schema_arrow)


def _read_text(stream: BinaryIO, name: str) -> Table:
    return Table(name, ("text",), ({"text": line.rstrip("\r\n")} for line in _lines(stream, name)))


_READERS: Final = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet, "text": _read_text}
