"""The formats of tables, and how a file's name says which one it has."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeAlias

from setfit_core.errors import InputError

Format: TypeAlias = Literal["csv", "jsonl", "parquet", "text"]

FORMATS: Final[tuple[Format, ...]] = ("csv", "jsonl", "parquet", "text")
_SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
}


def format_of(file: Path) -> Format:
    """Return the format that a file's suffix names.

    Raises:
        InputError: If it names none.
    """
    try:
        return _SUFFIXES[file.suffix.lower()]
    except KeyError:
        raise InputError(
            f"The name {file.name!r} doesn't say which format the file has. Known are {', '.join(_SUFFIXES)}."
        ) from None
