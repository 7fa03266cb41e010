"""What the suite is pointed at: from whatever names a head to something that builds as many of it as checks need."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from setfit_core.conformance import (
    ContractReport,
    Problem,
    check_contract,
    declared_capabilities,
    validated_capabilities,
)
from setfit_core.errors import (
    AmbiguousHeadError,
    ArgumentError,
    HeadError,
    HeadParameterError,
    NonConformingHeadError,
)
from setfit_core.heads.construction import HeadRecipe, builds_head, head_recipe, import_object, is_import_path
from setfit_core.registry.loading import PASSED_THROUGH, named

__all__ = ["Copies", "Finding", "Target", "resolve_target"]

#: Sizes of the head that is built to see which contract it keeps.
PROBE_EMBEDDING_SIZE: Final = 16
PROBE_NUM_CLASSES: Final = 3


@dataclass(frozen=True)
class Finding:
    """What was seen, and how to mend it (empty if the check's own remedy says it)."""

    seen: str
    remedy: str = ""


@dataclass(frozen=True)
class Target:
    """The head under examination.

    Attributes:
        subject: How the report names it.
        owner: The module that importing it imports; empty if that is unknown.
        recipe: What builds it; None if it can't be built.
        report: What the contract check says about it; None if there is nothing to examine.
        obstacles: What keeps it from being tried, by the id of the check that says so; empty if nothing does.
        capabilities: What it declares beyond its contract.
    """

    subject: str
    owner: str
    recipe: HeadRecipe | None
    report: ContractReport | None
    obstacles: Mapping[str, Finding]
    capabilities: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Copies:
    """Builds heads by copying one that was given as it is."""

    head: Any

    def __call__(self) -> Any:
        """Return a copy."""
        return copy.deepcopy(self.head)


def resolve_target(make_head: Any, capabilities: Mapping[str, Any] | None = None) -> Target:
    """Find out what builds a head, and build one.

    Args:
        make_head: A name, a class, a function, or a head.
        capabilities: Takes the place of what the head's class declares.

    Raises:
        ArgumentError: If `capabilities` can't be read.
        SetFitError: If a name leads to no installed head.
    """
    try:
        given_capabilities = (
            None if capabilities is None else validated_capabilities(capabilities, "The argument capabilities")
        )
    except HeadError as error:
        raise ArgumentError(str(error)) from None
    subject, owner = _named_as(make_head)
    given = import_object(make_head) if isinstance(make_head, str) and is_import_path(make_head) else make_head
    try:
        recipe = _recipe(given)
        head = recipe.build(
            in_features=PROBE_EMBEDDING_SIZE, out_features=PROBE_NUM_CLASSES, device="cpu", random_state=0
        )[0]
    except (NonConformingHeadError, AmbiguousHeadError, HeadParameterError) as error:
        report, obstacles = _obstacles(given, error)
        return Target(subject, owner, None, report, obstacles, {})
    except (HeadError, *PASSED_THROUGH):
        raise
    except BaseException as error:  # a constructor may raise or exit in any way; that is a finding, too
        finding = Finding(
            f"building the head raised {named(error)}", "Let the constructor take what the core passes, and build."
        )
        return Target(subject, owner, None, None, {"contract": finding}, {})
    if recipe.info is not None:
        owner = recipe.info.target.partition(":")[0].strip()
    declared = declared_capabilities(head) if given_capabilities is None else given_capabilities
    return Target(subject, owner, recipe, check_contract(head), {}, declared)


def problems_as_finding(problems: Iterable[Problem]) -> Finding:
    """Put the problems of a contract report into one finding."""
    problems = tuple(problems)
    return Finding("; ".join(problem.message for problem in problems), " ".join(problem.remedy for problem in problems))


def _obstacles(given: Any, error: HeadError) -> tuple[ContractReport | None, Mapping[str, Finding]]:
    """Say what is wrong with an object or class itself, rather than with what would have been built of it."""
    report = None if isinstance(given, str) or isinstance(error, HeadParameterError) else check_contract(given)
    if report is None or report.usable or (report.contract is None and callable(given)):
        return None, {"contract": Finding(str(error))}
    declaration = [problem for problem in report.problems if problem.kind == "declaration"]
    others = [problem for problem in report.problems if problem.kind != "declaration"]
    obstacles = {"contract": problems_as_finding(others), "declaration": problems_as_finding(declaration)}
    return report, {check: finding for check, finding in obstacles.items() if finding.seen}


def _recipe(given: Any) -> HeadRecipe:
    if builds_head(given):
        return head_recipe(given)
    report = check_contract(given)
    if report.contract is None and not report.ambiguous and callable(given):
        return head_recipe(given)
    return HeadRecipe(Copies(given))


def _named_as(make_head: Any) -> tuple[str, str]:
    """Return how to call it, and the module that it comes from."""
    if isinstance(make_head, str):
        module = make_head.partition(":")[0]
        return make_head, module if is_import_path(make_head) else ""
    if isinstance(make_head, functools.partial):
        return _named_as(make_head.func)
    kind = make_head if hasattr(make_head, "__qualname__") else type(make_head)
    return f"{kind.__module__}:{kind.__qualname__}", kind.__module__
