"""Reading the facts of a card back from JSON that somebody else may have written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from setfit_core.errors import ModelFormatError


def damaged(where: str, value: Any, expected: str) -> NoReturn:
    """Refuse a value.

    Raises:
        ModelFormatError: Always.
    """
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:80] + "…"
    raise ModelFormatError(
        f"The facts for the model card can't be read: {where} must be {expected} and is {shown}. config_setfit.json "
        "is damaged; download or save the model again."
    )


def take_object(value: Any, where: str) -> Mapping[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        damaged(where, value, "an object")
    return value


def take_list(value: Any, where: str) -> list[Any]:
    """Return a JSON array."""
    if not isinstance(value, list):
        damaged(where, value, "a list")
    return value


def take_text(value: Any, where: str) -> str:
    """Return a string."""
    if not isinstance(value, str):
        damaged(where, value, "a string")
    return value


def take_optional_text(value: Any, where: str) -> str | None:
    """Return a string or None."""
    return None if value is None else take_text(value, where)


def take_count(value: Any, where: str) -> int:
    """Return an integer of 0 or more."""
    if type(value) is not int or value < 0:
        damaged(where, value, "an integer of 0 or more")
    return value


def take_flag(value: Any, where: str) -> bool:
    """Return a boolean."""
    if type(value) is not bool:
        damaged(where, value, "true or false")
    return value


def take_number(value: Any, where: str) -> float:
    """Return a finite number."""
    if type(value) not in (int, float) or not math.isfinite(value):
        damaged(where, value, "a finite number")
    return value  # type: ignore[no-any-return]  # an int or a float, as it was written


def take_settings(value: Any, where: str) -> dict[str, Any] | None:
    """Return a flat object of strings, finite numbers, booleans and nulls; None for null."""
    if value is None:
        return None
    settings = dict(take_object(value, where))
    for name, setting in settings.items():
        if isinstance(setting, float):
            take_number(setting, f"{where}.{name}")
        elif setting is not None and type(setting) not in (str, int, bool):
            damaged(f"{where}.{name}", setting, "a string, number, boolean or null")
    return settings
