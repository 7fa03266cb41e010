"""Answers for a stream of texts, in memory that doesn't grow with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from setfit_core.data import checked_text
from setfit_core.errors import SetFitError

#: Texts that are read ahead. More at once are not scored faster: they are tokenised in parts of so many.
CHUNK_SIZE: Final = 1024


def streamed(texts: Iterable[Any], answer: Callable[[list[str]], Iterable[Any]], chunk_size: int) -> Iterator[Any]:
    """Yield the answer for each text of a stream, in order.

    When the stream fails, or a text in it is none, the answers for all texts before that come first.

    Args:
        texts: The stream.
        answer: Gives the answers for a list of texts.
        chunk_size: How many texts are read before they are answered.

    Raises:
        InputError: If a text is not a string; the message names its row, counted from 0 through the stream.
        SetFitError: What `answer` raises, with the row at which its list starts.
    """
    row = 0
    for chunk in _chunks(texts, chunk_size):
        try:
            answers = answer(chunk)
        except SetFitError as error:
            if not row:
                raise
            raise type(error)(f"In the part of the stream that starts at row {row}: {error}") from error
        yield from answers
        row += len(chunk)


def _chunks(texts: Iterable[Any], size: int) -> Iterator[list[str]]:
    chunk: list[str] = []
    try:
        for row, text in enumerate(texts):
            chunk.append(checked_text(text, row))
            if len(chunk) == size:
                yield chunk
                chunk = []
    except Exception:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk
