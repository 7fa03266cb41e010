"""What a string must be to be a text: Unicode that can be written down."""

from __future__ import annotations


def lone_surrogate(text: str) -> str | None:
    """Return the first half of a surrogate pair in a string; None if it is a text, which has no such halves.

    Python lets them stand in strings, but UTF-8 has no bytes for them, so neither tokenizers nor files take them.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return text[error.start]
    return None
