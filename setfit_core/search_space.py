"""Search spaces: which parameters of a head are worth trying, and within which bounds; plain data, no library."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

__all__ = ["Choices", "Range", "SearchSpace", "checked_search_space"]

_RANGE_KEYS: Final = frozenset({"low", "high", "log"})


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: whole numbers if both bounds are.

    Attributes:
        low: The smallest value.
        high: The largest value.
        log: Whether they are drawn evenly on a logarithmic scale.
    """

    low: int | float
    high: int | float
    log: bool = False

    @property
    def extremes(self) -> tuple[int | float, int | float]:
        """Both bounds."""
        return self.low, self.high

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class Choices:
    """Values without an order: None, booleans, numbers and strings."""

    values: tuple[bool | int | float | str | None, ...]

    @property
    def extremes(self) -> tuple[bool | int | float | str | None, ...]:
        """All values, as none lies between others."""
        return self.values


SearchSpace: TypeAlias = Mapping[str, Range | Choices]


def checked_search_space(space: Any) -> SearchSpace:
    """Return a search space that was declared as plain data.

    Args:
        space: From the name of a parameter to `{"low": 0.01, "high": 100.0}`, with `"log": True` where wanted, or to
            `{"choices": [...]}`.

    Raises:
        ValueError: It is something else; the message is the second half of a sentence whose first half names the place.
    """
    if not isinstance(space, Mapping):
        raise ValueError(  # noqa: TRY004  # one exception for whatever is wrong with a declaration
            f"is of the type {type(space).__qualname__}, it must be a mapping of parameters to their values"
        )
    return types.MappingProxyType({_name(name): _domain(name, domain) for name, domain in space.items()})


def _name(name: Any) -> str:
    if not (isinstance(name, str) and name.isidentifier()):
        raise ValueError(f"names {name!r}, which can't be the name of a parameter")
    return name


def _domain(name: str, domain: Any) -> Range | Choices:
    if isinstance(domain, Mapping) and set(domain) == {"choices"}:
        values = domain["choices"]
        if isinstance(values, (list, tuple)) and values and all(map(_is_plain, values)):
            return Choices(tuple(values))
        raise ValueError(f"has {domain!r} for {name!r}: choices are a list of None, booleans, numbers and strings")
    if not isinstance(domain, Mapping) or not {"low", "high"} <= set(domain) <= _RANGE_KEYS:
        raise ValueError(
            f"has {domain!r} for {name!r}, it must be {{'low': ..., 'high': ...}}, with 'log': True where wanted, or "
            "{'choices': [...]}"
        )
    low, high, log = domain["low"], domain["high"], domain.get("log", False)
    if not (_is_number(low) and _is_number(high) and low <= high and type(log) is bool and (low > 0 or not log)):
        raise ValueError(
            f"has {domain!r} for {name!r}: low and high are finite numbers in this order, above 0 if 'log' is True"
        )
    return Range(low, high, log)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, str)) or _is_number(value)
