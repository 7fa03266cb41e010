"""Checks of settings: each returns the value, or says what it may be."""

from __future__ import annotations

from typing import Any

from setfit_core.errors import ArgumentError


def is_integer(value: Any) -> bool:
    """Tell whether a value is an integer and no boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Tell whether a value is an integer or float other than NaN, and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def positive_integer(name: str, value: Any, addition: str = "") -> int:
    """Return an integer of 1 or more, or raise `ArgumentError`."""
    if not is_integer(value) or value < 1:
        msg = f"{name} is {value!r}. Give an integer of 1 or more{addition}."
        raise ArgumentError(msg)
    return int(value)


def count(name: str, value: Any) -> int:
    """Return an integer of 0 or more, or raise `ArgumentError`."""
    if not is_integer(value) or value < 0:
        msg = f"{name} is {value!r}. Give an integer of 0 or more; 0 leaves a phase out."
        raise ArgumentError(msg)
    return int(value)


def rate(name: str, value: Any) -> float:
    """Return a finite number of 0 or more as a float, or raise `ArgumentError`."""
    if not is_number(value) or not 0 <= value < float("inf"):
        msg = f"{name} is {value!r}. Give a number of 0 or more."
        raise ArgumentError(msg)
    return float(value)


def seed_value(value: Any) -> int:
    """Return a seed, or raise `ArgumentError`."""
    if not is_integer(value) or not 0 <= value < 2**32:
        msg = f"seed is {value!r}. Give an integer from 0 to 2**32 - 1."
        raise ArgumentError(msg)
    return int(value)


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise `ArgumentError` unless a value is one of the choices."""
    if value not in choices:
        msg = f"{name} is {value!r}. It is one of {', '.join(repr(choice) for choice in choices)}."
        raise ArgumentError(msg)
