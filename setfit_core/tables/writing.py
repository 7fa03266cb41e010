"""Writing tables row by row: a file beside its place, which takes it when all is written."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

from setfit_core.errors import InputError
from setfit_core.tables.formats import Format, format_of
from setfit_core.tables.reading import Row, Table

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

#: Parquet is written in groups of rows of about so many bytes: the file's end has an entry for each, which is in memory
#: until then.
_GROUP_BYTES: Final = 2**24


class TableWriter(Protocol):
    """What rows are given to."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows, from column to value.

        Raises:
            InputError: If a row has a column that the table hasn't, or a value that doesn't fit.
        """


def check_place(file: Path, *, overwrite: bool) -> None:
    """Make sure that a file can be written, before anything is done.

    Args:
        file: The file.
        overwrite: Whether it may be there already.

    Raises:
        InputError: If it can't.
    """
    folder = file.parent
    if not folder.is_dir():
        problem = f"there is no folder {str(folder)!r}. Create it first."
    elif file.is_dir():
        problem = "it is a folder. Give the name of a file."
    elif file.exists() and not overwrite:
        problem = "it is there already. Name another file, or replace it: --overwrite."
    elif not os.access(folder, os.W_OK):
        problem = f"nothing can be written to the folder {str(folder)!r}. Choose another one."
    else:
        return
    raise InputError(f"{file} can't be written: {problem}")


@contextlib.contextmanager
def written_whole(file: Path) -> Iterator[Path]:
    """Give a place beside a file for what is to be the file; it takes the file's place when the block ends.

    After an error, nothing is left of it.

    Raises:
        InputError: If it can't be written.
    """
    beside = file.with_name(f".{os.getpid()}-{file.name}")  # the suffix stays, which some libraries look at
    try:
        yield beside
        beside.replace(file)
    except OSError as error:
        raise InputError(f"{file} can't be written: {error.strerror or error}. Nothing is left of it.") from error
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def write_table(
    target: Path | None,
    table: Table,
    added: Mapping[str, Any],
    format: Format | None = None,  # noqa: A002
) -> Iterator[TableWriter]:
    """Write a table that has all columns of another one, and some more.

    A file is written beside its place and takes it when the block ends; after an error, nothing is left of it.

    Args:
        target: The file; None for standard output.
        table: The table whose columns are kept.
        added: The columns that are added, each with an example of its values.
        format: The format; None for what the file's suffix says.

    Raises:
        InputError: If the file can't be written.
    """
    columns = [*table.columns, *added]
    if target is None:
        yield _TextWriter(sys.stdout.buffer, columns, format or "csv", table.name)
        return
    format = format or format_of(target)  # noqa: A001
    with written_whole(target) as beside, beside.open("wb") as stream:
        if format == "parquet":
            with _ParquetWriter(stream, table, added) as writer:
                yield writer
        else:
            yield _TextWriter(stream, columns, format, table.name)


def _check_columns(rows: Sequence[Row], columns: Sequence[str], name: str, kept_by: str) -> None:
    known = set(columns)
    for row in rows:
        if unknown := set(row) - known:
            raise InputError(
                f"A row of {name} has the column {sorted(unknown)[0]!r}, which its first row hasn't. {kept_by} keeps "
                "rows as they are; or give the first row all columns."
            )


class _TextWriter:
    """Writes CSV or JSON Lines, UTF-8."""

    def __init__(self, stream: BinaryIO, columns: Sequence[str], format: Format, name: str) -> None:  # noqa: A002
        self._stream, self._columns, self._name = stream, columns, name
        self._as_csv = format != "jsonl"
        if self._as_csv:
            self._put(self._csv([columns]))

    def write(self, rows: Sequence[Row]) -> None:
        if self._as_csv:
            _check_columns(rows, self._columns, self._name, "JSON Lines (.jsonl, --to jsonl)")
            self._put(self._csv([[_cell(row.get(column)) for column in self._columns] for row in rows]))
        else:
            self._put("".join(f"{json.dumps(_finite(row), ensure_ascii=False, default=str)}\n" for row in rows))

    def _csv(self, rows: Sequence[Sequence[Any]]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()

    def _put(self, text: str) -> None:
        self._stream.write(text.encode("utf-8", "backslashreplace"))  # half of a surrogate pair has no UTF-8
        self._stream.flush()


def _finite(row: Row) -> Row:
    return {column: None if _is_infinite(value) else value for column, value in row.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return None if _is_infinite(value) else value


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


class _ParquetWriter:
    """Writes Parquet; a context manager, as the end of the file says what is in it."""

    def __init__(self, stream: BinaryIO, table: Table, added: Mapping[str, Any]) -> None:
        self._stream, self._table, self._added = stream, table, added
        self._columns = [*table.columns, *added]
        self._file: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []

    def __enter__(self) -> _ParquetWriter:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None and self._file is None:
            self._open(())
        if self._file is not None:
            try:
                if error is None:
                    self._write_group(self._file)
            finally:
                self._file.close()

    def write(self, rows: Sequence[Row]) -> None:
        import pyarrow as pa

        _check_columns(rows, self._columns, self._table.name, "JSON Lines (.jsonl)")
        try:
            file = self._file or self._open(rows)
            self._waiting.append(pa.Table.from_pylist(list(rows), schema=file.schema))
            if sum(table.nbytes for table in self._waiting) >= _GROUP_BYTES:
                self._write_group(file)
        except UnicodeEncodeError as error:
            raise InputError(
                f"A row of {self._table.name} holds {error.object[error.start]!r}, half of a surrogate pair, which "
                "Parquet has no bytes for. JSON Lines (.jsonl) keeps rows as they are."
            ) from error
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise InputError(
                f"A row of {self._table.name} has another type than the first ones, and a column of Parquet has one: "
                f"{error}. JSON Lines (.jsonl) keeps rows as they are."
            ) from error

    def _write_group(self, file: pq.ParquetWriter) -> None:
        import pyarrow as pa

        if self._waiting:
            file.write_table(pa.concat_tables(self._waiting))
            self._waiting.clear()

    def _open(self, rows: Sequence[Row]) -> pq.ParquetWriter:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = self._table.schema
        if schema is None:  # CSV has strings alone, and so it may be with a table without rows
            strings = pa.schema([(column, pa.string()) for column in self._table.columns])
            schema = pa.Table.from_pylist([{c: row.get(c) for c in self._table.columns} for row in rows]).schema
            schema = schema if rows else strings
        for column, example in self._added.items():
            schema = schema.append(pa.field(column, pa.array([example]).type))
        self._file = pq.ParquetWriter(self._stream, schema)
        return self._file
