r"""Anybody's text as Markdown that means this text and nothing else.

Escapes such as `\*` and `&#42;` don't suffice: several renderers of the hub and of GitHub make links of what stands
there once the escapes are resolved (`www.x.com`, `a@b.c`). In a code span nothing is resolved. The two characters
that could end one, the backtick and (in a table) the bar, are put between two code spans.
"""

from __future__ import annotations

import re
from typing import Any, Final

_ELLIPSIS: Final = "…"
#: Letters of several languages need these two to be written right; they change no other character's place.
_JOINERS: Final = "\u200c\u200d"
_ENDING: Final = {"`": "&#96;", "|": "&#124;"}
#: Words that mean themselves anywhere in a line: no mark-up, nothing that becomes a link.
_HARMLESS: Final = re.compile(r"[^\W_](?:[^\W_]|[ ,'()+-]|\.(?=[0-9]))*")


def visible(text: str) -> str:
    r"""Return a text on one line in which every character can be seen: others as escapes, such as `\u202e`."""
    return "".join(
        char if char.isprintable() or char in _JOINERS else char.encode("unicode_escape").decode() for char in text
    )


def shorten(text: str, length: int) -> str:
    """Return a text on one line, with single spaces, cut to at most `length` characters."""
    # Escapes make it longer, so what will not be seen is not looked at.
    line = visible(" ".join(text[: 20 * length].split()))
    if len(line) <= length and len(text) <= 20 * length:
        return line
    cut = line[: length - 1]
    # At the end of a word, if there is one near.
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > length // 2 else cut).rstrip() + _ELLIPSIS


def code(text: str) -> str:
    """Return a text as code spans, for any place in a line, a table's cell included."""
    spans = "".join(
        _ENDING[part] if part in _ENDING else f"`{_padded(part)}`" for part in re.split("([`|])", visible(text)) if part
    )
    return spans or "*(empty)*"


def _padded(part: str) -> str:
    # A code span loses one space at either end, if it has them at both and holds something else.
    return f" {part} " if part.startswith(" ") and part.endswith(" ") and part.strip(" ") else part


def inline(text: str) -> str:
    """Return a text as it is if it is plain words, otherwise as code spans."""
    return text if _HARMLESS.fullmatch(text) and visible(text) == text else code(text)


def label_text(label: Any, length: int = 100) -> str:
    """Return how a label is shown: a string without quotes, unless something in it could not be seen."""
    if not isinstance(label, str):
        return repr(label)
    shown = label if label.strip() == label and visible(label) == label and label else repr(label)
    return shown if len(shown) <= length else shown[: length - 1] + _ELLIPSIS


def string_literal(text: str) -> str:
    """Return a text as a Python string literal that can stand in a fenced code block."""
    return repr(text).replace("`", "\\x60")


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
