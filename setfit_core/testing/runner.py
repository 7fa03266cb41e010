"""Running the checks on a head, each on its own, and never stopping at a failure."""

from __future__ import annotations

import contextlib
import io
import platform
import time
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final

import torch

from setfit_core.errors import ArgumentError
from setfit_core.protocols import Contract
from setfit_core.randomness import isolated_random_state
from setfit_core.registry.loading import PASSED_THROUGH
from setfit_core.testing.check import SUITE_VERSION, Check, CheckFailed, CheckSkipped
from setfit_core.testing.checks import find_check, list_checks
from setfit_core.testing.findings import CheckResult
from setfit_core.testing.process_state import kept_settings
from setfit_core.testing.report import Report
from setfit_core.testing.target import Finding, Target, resolve_target
from setfit_core.testing.trial import Trial, told
from setfit_core.values import is_number, positive_integer, seed_value

__all__ = ["Examination", "check_head"]

_LIBRARIES: Final = ("setfit-core", "numpy", "scikit-learn", "torch", "hypothesis")


def check_head(
    make_head: Any,
    *,
    capabilities: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    seed: int = 0,
    max_examples: int = 20,
    suite_version: int | None = None,
    only: Collection[str] | None = None,
    embedding_size: int | None = None,
    num_classes: int | None = None,
    import_budget: float = 2.0,
) -> Report:
    """Run the conformance suite on a head, to the end, whatever fails.

    Args:
        make_head: The name of an installed head (`"name"` or `"distribution:name"`), `"package.module:Class"`, a
            class, a function that builds a head from keywords, or a head, of which each check gets a copy.
        capabilities: What the head can do beyond its contract, where its class can't carry `setfit_head`.
        expected_failures: Checks that are known to fail, by id, and why. One that passes counts as a failure.
        seed: Seed of everything that is drawn.
        max_examples: How many examples hypothesis draws for a property.
        suite_version: Run the list of checks of this version of the suite; None for the newest.
        only: Run these checks alone.
        embedding_size: The only size of embedding that a differentiable head takes, where it can't be chosen.
        num_classes: The number of outputs of a differentiable head, where it can't be chosen.
        import_budget: Seconds that importing the head's module may take.

    Returns:
        The report.

    Raises:
        ArgumentError: If an argument has no meaning, such as an expected failure of an unknown check.
        SetFitError: If a name leads to no installed head.
    """
    if only is not None:
        _check_only(only, _suite_version(suite_version))
    examination = Examination.of(
        make_head,
        capabilities=capabilities,
        expected_failures=expected_failures,
        seed=seed,
        max_examples=max_examples,
        suite_version=suite_version,
        embedding_size=embedding_size,
        num_classes=num_classes,
        import_budget=import_budget,
    )
    chosen = examination.checks()
    if only is not None:
        chosen = tuple(check for check in chosen if check.id in only)
        if not chosen:
            raise ArgumentError(
                f"None of the checks {', '.join(only)} applies to a {examination.contract} head. Choose others."
            )
    results = tuple(examination.outcome(check) for check in chosen)
    return examination.report(results, complete=only is None)


@dataclass(frozen=True)
class Examination:
    """A head and the settings with which the checks are run on it.

    Attributes:
        target: The head.
        contract: The contract that it is examined for; None if it can't be examined.
        obstacles: Why it can't, by the id of the check that says so; empty if it can.
        trial: What the checks get; None if it can't be examined.
        expected_failures: Reasons by check id.
        seed: The seed.
        max_examples: Examples a property.
        suite_version: The version of the list of checks.
    """

    target: Target
    contract: Contract | None
    obstacles: Mapping[str, Finding]
    trial: Trial | None
    expected_failures: Mapping[str, str]
    seed: int
    max_examples: int
    suite_version: int

    @classmethod
    def of(
        cls,
        make_head: Any,
        *,
        capabilities: Mapping[str, Any] | None,
        expected_failures: Mapping[str, str] | None,
        seed: int,
        max_examples: int,
        suite_version: int | None,
        embedding_size: int | None,
        num_classes: int | None,
        import_budget: float,
    ) -> Examination:
        """Check the settings, and build a head to see which contract it is examined for; see `check_head`."""
        seed_value(seed)
        positive_integer("max_examples", max_examples)
        for name, size in (("embedding_size", embedding_size), ("num_classes", num_classes)):
            if size is not None:
                positive_integer(name, size)
        if not is_number(import_budget) or import_budget <= 0:
            raise ArgumentError(f"import_budget is {import_budget!r}. Give a number of seconds above 0.")
        version = _suite_version(suite_version)
        expected = _expected_failures(expected_failures or {}, version)
        with _undisturbed(seed):
            target = resolve_target(make_head, capabilities)
            contract = None if target.report is None else target.report.contract
            trial, obstacles = None, target.obstacles
            if target.recipe is not None and contract is not None:
                trial = Trial(
                    target, target.recipe, contract, seed, max_examples, import_budget, embedding_size, num_classes
                )
                try:
                    trial = trial.with_found_sizes()
                except CheckFailed as failure:
                    trial, obstacles = None, {"contract": Finding(failure.seen, failure.remedy)}
        return cls(target, contract, obstacles, trial, expected, seed, max_examples, version)

    def checks(self) -> tuple[Check, ...]:
        """Return the checks of the contract, or those of both if there is none."""
        return list_checks(self.contract, suite_version=self.suite_version)

    def outcome(self, check: Check) -> CheckResult:
        """Run one check."""
        start = time.perf_counter()
        status, seen, remedy = self._tried(check)
        seconds = time.perf_counter() - start
        reason = self.expected_failures.get(check.id, "")
        if reason and status == "failed":
            return CheckResult(check, "xfailed", seen, "", reason, seconds)
        if reason and status == "passed":
            seen = "it passes, although it was expected to fail"
            remedy = f"Take {check.id!r} out of the expected failures."
            return CheckResult(check, "xpassed", seen, remedy, reason, seconds)
        return CheckResult(check, status, seen, remedy, "", seconds)

    def report(self, results: tuple[CheckResult, ...], *, complete: bool) -> Report:
        """Put results together."""
        info = None if self.target.recipe is None else self.target.recipe.info
        return Report(
            subject=self.target.subject,
            distribution=None if info is None else info.distribution,
            version=None if info is None else info.version,
            contract=self.contract,
            capabilities=self.target.capabilities,
            suite_version=self.suite_version,
            seed=self.seed,
            max_examples=self.max_examples,
            complete=complete,
            environment=_environment(),
            results=results,
        )

    def _tried(self, check: Check) -> tuple[Any, str, str]:
        if self.trial is None:
            if (obstacle := self.obstacles.get(check.id)) is not None:
                return "failed", obstacle.seen, obstacle.remedy or check.remedy
            return "skipped", f"there is no head to try, see {' and '.join(map(repr, self.obstacles))}", ""
        with _undisturbed(self.seed):
            try:
                return "passed", check.run(self.trial) or "", ""
            except CheckFailed as failure:
                return "failed", failure.seen, failure.remedy or check.remedy
            except CheckSkipped as skip:
                return "skipped", skip.reason, ""
            except PASSED_THROUGH:
                raise
            except BaseException as error:  # a head may raise or exit anywhere, also where nobody expects it
                return "failed", f"the head raised {told(error)}", check.remedy


@contextlib.contextmanager
def _undisturbed(seed: int) -> Any:
    """Let nothing that a head does to the process outlive this block, nor the caller's settings reach into it."""
    with (
        kept_settings(),
        isolated_random_state(seed),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        # The problems are so small that threads would only wait for one another, on a busy machine for long.
        torch.set_num_threads(1)
        yield


def _suite_version(version: int | None) -> int:
    if version is None:
        return SUITE_VERSION
    if type(version) is not int or not 1 <= version <= SUITE_VERSION:
        raise ArgumentError(
            f"suite_version is {version!r}. This release knows the versions 1 to {SUITE_VERSION}; a newer one needs a "
            "newer setfit-core."
        )
    return version


def _check_only(only: Collection[str], suite_version: int) -> None:
    if isinstance(only, str):
        raise ArgumentError(f"only is {only!r}. Give a list of check ids, such as [{only!r}].")
    for identifier in only:
        find_check(identifier, suite_version=suite_version)


def _expected_failures(expected: Mapping[str, str], suite_version: int) -> Mapping[str, str]:
    if not isinstance(expected, Mapping):
        raise ArgumentError("expected_failures must map check ids to reasons, such as {'quiet': 'prints progress'}.")
    for identifier, reason in expected.items():
        find_check(identifier, suite_version=suite_version)
        if not isinstance(reason, str) or not reason.strip():
            raise ArgumentError(
                f"The expected failure {identifier!r} has no reason. Say why it can't be mended: "
                f"{{{identifier!r}: '...'}}."
            )
    return dict(expected)


def _environment() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    return versions | {name: metadata.version(name) for name in _LIBRARIES}
