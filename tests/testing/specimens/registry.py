"""The tables that the modules of heads fill: what is faulty and which check names the fault, and what is correct."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = ["CORRECT", "FAULTY", "Correct", "Faulty", "add_correct", "add_faulty", "correct", "faulty"]

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Faulty:
    """A head with one fault.

    Attributes:
        name: Its name in the matrix.
        make_head: What `check_head` is given.
        fault: The fault, in one sentence.
        check: The id of the check that names the fault.
        passes_scikit_learn: Whether scikit-learn's own `check_estimator` lets it through.
        options: Further keyword arguments for `check_head`.
    """

    name: str
    make_head: Any
    fault: str
    check: str
    passes_scikit_learn: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Correct:
    """A head without a fault.

    Attributes:
        name: Its name in the matrix.
        make_head: What `check_head` is given.
        about: What sort of head it is, in one sentence.
        options: Further keyword arguments for `check_head`.
    """

    name: str
    make_head: Any
    about: str
    options: Mapping[str, Any] = field(default_factory=dict)


FAULTY: dict[str, Faulty] = {}
CORRECT: dict[str, Correct] = {}


def add_faulty(
    name: str, make_head: Any, fault: str, check: str, *, passes_scikit_learn: bool = False, **options: Any
) -> None:
    """Enter a faulty head that is no class or function of its own, such as one that is given by its name."""
    _enter(FAULTY, Faulty(name, make_head, _sentence(fault), check, passes_scikit_learn, options))


def add_correct(name: str, make_head: Any, about: str, **options: Any) -> None:
    """Enter a correct head that is no class or function of its own."""
    _enter(CORRECT, Correct(name, make_head, _sentence(about), options))


def faulty(check: str, *, passes_scikit_learn: bool = False, **options: Any) -> Callable[[T], T]:
    """Enter a class, or a function that builds a head; its docstring says the fault, `check` names it."""

    def enter(make_head: T) -> T:
        add_faulty(
            make_head.__name__,
            make_head,
            make_head.__doc__ or "",
            check,
            passes_scikit_learn=passes_scikit_learn,
            **options,
        )
        return make_head

    return enter


def correct(**options: Any) -> Callable[[T], T]:
    """Enter a class, or a function that builds a head; its docstring says what sort of head it is."""

    def enter(make_head: T) -> T:
        add_correct(make_head.__name__, make_head, make_head.__doc__ or "", **options)
        return make_head

    return enter


def _enter(table: dict[str, Any], specimen: Any) -> None:
    if specimen.name in table:
        raise ValueError(f"there are two specimens named {specimen.name}")
    table[specimen.name] = specimen


def _sentence(text: str) -> str:
    sentence = " ".join(text.split())
    if not sentence.endswith("."):
        raise ValueError(f"a specimen is described by a sentence, not by {text!r}")
    return sentence
