"""The checks, one module a topic, and the list of all of them."""

from __future__ import annotations

import difflib
from types import ModuleType
from typing import Final

from setfit_core.errors import ArgumentError
from setfit_core.protocols import Contract
from setfit_core.testing.check import SUITE_VERSION, Check
from setfit_core.testing.checks import (
    batches,
    capabilities,
    forward,
    further_answers,
    gradients,
    inputs,
    isolation,
    labels,
    learning,
    moves,
    outputs,
    persistence,
    properties,
    sizes,
    structure,
    threads,
)

__all__ = ["find_check", "list_checks"]

_TOPICS: Final[tuple[ModuleType, ...]] = (
    structure,
    outputs,
    sizes,
    inputs,
    labels,
    learning,
    isolation,
    threads,
    persistence,
    properties,
    capabilities,
    further_answers,
    forward,
    gradients,
    moves,
    batches,
)

_ALL: Final[tuple[Check, ...]] = tuple(
    value for topic in _TOPICS for value in vars(topic).values() if isinstance(value, Check)
)


def list_checks(contract: Contract | None = None, *, suite_version: int = SUITE_VERSION) -> tuple[Check, ...]:
    """Return the checks, in the order in which they are run.

    Args:
        contract: Those of this contract alone; None for those of both.
        suite_version: Those that this version of the suite had.
    """
    return tuple(
        check for check in _ALL if check.since <= suite_version and (contract is None or contract in check.contracts)
    )


def find_check(identifier: str, *, suite_version: int = SUITE_VERSION) -> Check:
    """Return a check by its id.

    Args:
        identifier: The id.
        suite_version: The version of the suite that must have it.

    Raises:
        ArgumentError: If there is none of this id in this version of the suite.
    """
    checks = {check.id: check for check in list_checks(suite_version=suite_version)}
    if identifier in checks:
        return checks[identifier]
    close = difflib.get_close_matches(str(identifier), checks, 1)
    meant = f" Did you mean {close[0]!r}?" if close else f" The checks are {', '.join(checks)}."
    raise ArgumentError(f"There is no check {identifier!r} in version {suite_version} of the suite.{meant}")
