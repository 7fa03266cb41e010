"""Parameters of a head that come from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_parameters"]

MAX_THREADS: Final = 1024
MAX_TEXT: Final = 10_000
MAX_NAME: Final = 40


def check_parameters(params: Mapping[str, Any]) -> None:
    """Refuse parameters with which loading or predicting would fail, or take what it shouldn't.

    The others have their effect in the next `fit`, where XGBoost refuses what it doesn't take.

    Raises:
        ValueError: One has a value that it can't have.
    """
    n_jobs, verbosity = params.get("n_jobs"), params.get("verbosity")
    if n_jobs is not None and (type(n_jobs) is not int or abs(n_jobs) > MAX_THREADS):
        raise ValueError(f"n_jobs is no number of threads up to {MAX_THREADS}")
    if verbosity is not None and (type(verbosity) is not int or not 0 <= verbosity <= 3):
        raise ValueError("verbosity is none of 0, 1, 2 and 3")
    if type(params.get("missing", 0.0)) not in (int, float):
        raise ValueError("missing is no number")
    if params.get("callbacks"):
        raise ValueError("callbacks are Python functions, which no file holds")
    for name, value in params.items():
        if len(name) > MAX_NAME or not _is_plain(value):
            raise ValueError(f"its parameter {name[:MAX_NAME]!r} is, or holds, too long a text or integer")


def _is_plain(value: Any) -> bool:
    if type(value) is list:
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(map(_is_plain, (*value, *value.values())))
    return not (type(value) is int and abs(value) >= 2**63) and not (type(value) is str and len(value) > MAX_TEXT)
