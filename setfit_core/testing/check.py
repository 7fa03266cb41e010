"""What a check of the conformance suite is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from setfit_core.testing.verdicts import CheckFailed, CheckSkipped

if TYPE_CHECKING:
    from setfit_core.protocols import Contract
    from setfit_core.testing.trial import Trial

__all__ = ["ARRAYS", "BOTH", "MODULES", "SUITE_VERSION", "Check", "CheckFailed", "CheckSkipped", "check"]

#: The version of the list of checks. It grows when a check is added or asks for more.
SUITE_VERSION: Final = 1

ARRAYS: Final[frozenset[Contract]] = frozenset({"non-differentiable"})
MODULES: Final[frozenset[Contract]] = frozenset({"differentiable"})
BOTH: Final[frozenset[Contract]] = ARRAYS | MODULES


@dataclass(frozen=True)
class Check:
    """One promise of the head contracts, and what tries whether a head keeps it.

    Attributes:
        id: The name by which it is selected and expected to fail; it never changes.
        title: What it means: the promise, in one sentence.
        remedy: How a head that breaks it is usually mended.
        contracts: The contracts that it belongs to.
        since: The suite version that introduced it.
        run: Tries a head. Returns a note for the report, or nothing; raises `CheckFailed` or `CheckSkipped`.
    """

    id: str
    title: str
    remedy: str
    contracts: frozenset[Contract]
    since: int
    run: Callable[[Trial], str | None] = field(repr=False, compare=False)


def check(
    identifier: str,
    title: str,
    *,
    remedy: str,
    contracts: frozenset[Contract] = BOTH,
    since: int = 1,
) -> Callable[[Callable[[Trial], str | None]], Check]:
    """Make a check of a function; see `Check` for the arguments."""

    def decorate(function: Callable[[Trial], str | None]) -> Check:
        return Check(identifier, title, remedy, contracts, since, function)

    return decorate
