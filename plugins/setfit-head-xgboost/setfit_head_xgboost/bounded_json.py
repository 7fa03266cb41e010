"""JSON from anybody, within bounds: none takes much more memory than its bytes, much time, or the stack."""

from __future__ import annotations

import itertools
import json
import re
import stat
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["parse", "read_bytes"]

MAX_NESTING: Final = 20
#: Small objects take some ten times the bytes that they have in the file.
MAX_CONTAINERS: Final = 2_000_000
MAX_STRINGS: Final = 5_000_000
#: Python before 3.10.7 takes a time that is the square of their number.
MAX_DIGITS: Final = 1000


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a file.

    Raises:
        OSError: It can't be read.
        ValueError: It is no regular file, such as a pipe that would never end, or is longer than the limit.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        content = file.read(limit + 1)
    _check_size(content, limit)
    return content


def parse(content: bytes, limit: int) -> Any:
    """Return what JSON holds.

    Raises:
        ValueError: It is no JSON in UTF-8, longer than the limit, nested beyond reason, or holds very many values or
            digits.
    """
    _check_size(content, limit)
    text = content.decode()
    _check_nesting(text)
    return json.loads(text, parse_int=_integer)


def _check_size(content: bytes, limit: int) -> None:
    if len(content) > limit:
        raise ValueError(f"it has more than {limit // 2**20} MB, the most that is read")


def _check_nesting(text: str) -> None:
    unescaped = text.replace("\\\\", "").replace('\\"', "")
    if unescaped.count('"') > 2 * MAX_STRINGS:
        raise ValueError(f"it holds more than {MAX_STRINGS} strings")
    bare = "".join(unescaped.split('"')[::2])
    if sum(map(bare.count, "[]{}")) > 2 * MAX_CONTAINERS:
        raise ValueError(f"it holds more than {MAX_CONTAINERS} lists and objects")
    brackets = re.sub(r"[^\[\]{}]+", "", bare)
    if max(itertools.accumulate(1 if bracket in "[{" else -1 for bracket in brackets), default=0) > MAX_NESTING:
        raise ValueError(f"it is nested more than {MAX_NESTING} deep")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"it holds an integer of {len(text)} digits")
    return int(text)
