"""The heads that are to be compared: whatever names them becomes recipes, each under a name of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from setfit_core.errors import ArgumentError, HeadError, SetFitError
from setfit_core.heads.construction import HeadRecipe, head_recipe
from setfit_core.registry import list_heads
from setfit_core.registry.loading import named

#: What names a head, and a head with parameters.
Head: TypeAlias = "str | type | Callable[..., Any]"
HeadChoice: TypeAlias = "Head | tuple[Head, Mapping[str, Any]]"
#: The heads of a comparison: in a mapping, each under a name that the user gives it.
Heads: TypeAlias = "Sequence[HeadChoice] | Mapping[str, HeadChoice]"


@dataclass(frozen=True)
class Candidate:
    """A head to compare.

    Attributes:
        name: What it is called in the comparison.
        recipe: What builds it; None if it can't be found or doesn't take its parameters.
        error: Why there is no recipe, on one line.
    """

    name: str
    recipe: HeadRecipe | None
    error: str | None = None


def read_candidates(heads: Heads | None) -> tuple[Candidate, ...]:
    """Find out what builds each head; nothing is built.

    Args:
        heads: Heads, each as `head_recipe` takes it or as a pair of that and its parameters; in a mapping, under names
            of their own. None for every installed head that isn't switched off.

    Raises:
        ArgumentError: If there are none, one has no name of its own, or one is neither a head nor a pair.
    """
    if heads is None:
        heads = installed_heads()
    if isinstance(heads, str) or not isinstance(heads, Iterable):
        msg = f"heads is {heads!r}. Give a list, such as ['logistic', ('logistic', {{'C': 10.0}})], or a mapping."
        raise ArgumentError(msg)
    if isinstance(heads, Mapping):
        candidates = tuple(_candidate(str(name), *_pair(choice)) for name, choice in heads.items())
    else:
        candidates = tuple(_candidate(_name(*_pair(choice)), *_pair(choice)) for choice in heads)
    if not candidates:
        msg = "heads is empty. Name the heads to compare, or leave it out for all that are installed."
        raise ArgumentError(msg)
    twice = [name for name, times in Counter(candidate.name for candidate in candidates).items() if times > 1]
    if twice:
        msg = (
            f"heads has {', '.join(map(repr, twice))} more than once. Leave one out, or give each a name of its own: "
            "heads={'first': ..., 'second': ...}."
        )
        raise ArgumentError(msg)
    return candidates


def installed_heads() -> dict[str, str]:
    """Return the qualified names of all installed heads that aren't switched off, by what they are called here."""
    return {
        info.name if info.status == "available" else info.qualified_name: info.qualified_name
        for info in list_heads()
        if info.status != "disabled"
    }


def one_line(error: BaseException) -> str:
    """Return what an exception says on one line; the type is left out where the text is written for users."""
    return " ".join((str(error) if isinstance(error, SetFitError) else named(error)).split())


def _candidate(name: str, head: Head, params: Mapping[str, Any]) -> Candidate:
    try:
        return Candidate(name, head_recipe(head, params))
    except HeadError as error:
        return Candidate(name, None, one_line(error))


def _pair(choice: Any) -> tuple[Head, Mapping[str, Any]]:
    if isinstance(choice, tuple | list):
        if len(choice) == 2 and isinstance(choice[1], Mapping):
            return choice[0], choice[1]
        msg = f"heads has {choice!r}. A head with parameters is a pair, such as ('logistic', {{'C': 10.0}})."
        raise ArgumentError(msg)
    return choice, {}


def _name(head: Head, params: Mapping[str, Any]) -> str:
    name = head if isinstance(head, str) else getattr(head, "__qualname__", None) or repr(head)
    return f"{name} ({', '.join(f'{key}={value!r}' for key, value in params.items())})" if params else name
