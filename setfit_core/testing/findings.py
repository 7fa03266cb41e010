"""What a run of the conformance suite found, as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from setfit_core.protocols import Contract
from setfit_core.testing.check import Check

__all__ = ["CheckResult", "Findings", "Status"]

Status: TypeAlias = Literal["passed", "failed", "skipped", "xfailed", "xpassed"]


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        check: The check.
        status: `"passed"`, `"failed"` or `"skipped"`; `"xfailed"` if it failed as expected, `"xpassed"` if it passed
            although it was expected to fail, which counts as a failure.
        seen: What was seen; for a skipped check the reason, for a passed one a note or nothing.
        remedy: How to mend it; empty unless the check failed.
        reason: Why it was expected to fail; empty if it wasn't.
        seconds: Duration, seconds of the wall clock.
    """

    check: Check
    status: Status
    seen: str = ""
    remedy: str = ""
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Findings:
    """What a run of the conformance suite found.

    Attributes:
        subject: The head, as it was named.
        distribution: The distribution that offers it; None for a head that no entry point leads to.
        version: That distribution's version.
        contract: The contract that it was examined for; None if it keeps neither well enough to be examined.
        capabilities: What it declares beyond the contract.
        suite_version: The version of the list of checks.
        seed: The seed.
        max_examples: How many examples were drawn for each property.
        complete: Whether all checks of the list were run, and not a selection.
        environment: Versions of what took part.
        results: The outcome of each check of the contract, in the order of the list.
    """

    subject: str
    distribution: str | None
    version: str | None
    contract: Contract | None
    capabilities: Mapping[str, Any]
    suite_version: int
    seed: int
    max_examples: int
    complete: bool
    environment: Mapping[str, str]
    results: tuple[CheckResult, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed, and none passed that was expected to fail."""
        return not self.failures

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that failed, and those that passed although they were expected to fail."""
        return tuple(result for result in self.results if result.status in ("failed", "xpassed"))

    @property
    def counts(self) -> Mapping[Status, int]:
        """How many checks have each status; a status that none has is left out."""
        return Counter(result.status for result in self.results)

    @property
    def seconds(self) -> float:
        """Duration of all checks, seconds of the wall clock."""
        return sum(result.seconds for result in self.results)
