"""What the suite is pointed at: from whatever names a head to something that builds as many of it as checks need."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from setfit_core.conformance import ContractReport, check_contract, declared_capabilities
from setfit_core.errors import (
    AmbiguousHeadError,
    ArgumentError,
    HeadError,
    HeadParameterError,
    NonConformingHeadError,
)
from setfit_core.heads.construction import HeadRecipe, builds_head, head_recipe
from setfit_core.registry.loading import PASSED_THROUGH, named

__all__ = ["Target", "resolve_target"]

#: Sizes of the head that is built to see which contract it keeps.
PROBE_EMBEDDING_SIZE: Final = 16
PROBE_NUM_CLASSES: Final = 3


@dataclass(frozen=True)
class Target:
    """The head under examination.

    Attributes:
        subject: How the report names it.
        recipe: What builds it; None if it can't be built.
        report: What the contract check says about a built one; None if none could be built.
        refusal: Why none could be built; empty if one was.
        capabilities: What it declares beyond its contract; empty if the declaration is no good.
        declaration_problem: What is wrong with the declaration; empty if nothing is.
        owner: The module that importing it imports; empty if that is unknown.
    """

    subject: str
    recipe: HeadRecipe | None
    report: ContractReport | None
    refusal: str
    capabilities: Mapping[str, Any]
    declaration_problem: str
    owner: str


def resolve_target(make_head: Any, capabilities: Mapping[str, Any] | None = None) -> Target:
    """Find out what builds a head, and build one.

    Args:
        make_head: A name, a class, a function, or a head.
        capabilities: Takes the place of what the head's class declares.

    Raises:
        ArgumentError: If `capabilities` can't be read.
        SetFitError: If a name leads to no installed head.
    """
    if capabilities is not None:
        _check_capabilities(capabilities)
    subject, owner = _named_as(make_head)
    try:
        recipe = _recipe(make_head)
        head = recipe.build(
            in_features=PROBE_EMBEDDING_SIZE, out_features=PROBE_NUM_CLASSES, device="cpu", random_state=0
        )[0]
    except (NonConformingHeadError, AmbiguousHeadError, HeadParameterError) as error:
        return Target(subject, None, None, _refusal(make_head, error), {}, "", owner)
    except HeadError:
        raise
    except PASSED_THROUGH:
        raise
    except BaseException as error:  # a constructor may raise or exit in any way; that is a finding, too
        return Target(subject, None, None, f"Building the head raised {named(error)}", {}, "", owner)
    if recipe.info is not None:
        owner = recipe.info.target.partition(":")[0].strip()
    declared, problem = _declared(head, capabilities)
    return Target(subject, recipe, check_contract(head), "", declared, problem, owner)


def _refusal(make_head: Any, error: HeadError) -> str:
    """Say what is wrong with an object or class itself, rather than with what would have been built of it."""
    if isinstance(make_head, str) or isinstance(error, HeadParameterError):
        return str(error)
    report = check_contract(make_head)
    return str(error) if report.usable else str(report)


def _recipe(make_head: Any) -> HeadRecipe:
    if builds_head(make_head):
        return head_recipe(make_head)
    report = check_contract(make_head)
    if report.contract is None and not report.ambiguous and callable(make_head):
        return head_recipe(make_head)
    return HeadRecipe(_copies_of(make_head))


def _copies_of(head: Any) -> Callable[[], Any]:
    def copy_of_head() -> Any:
        return copy.deepcopy(head)

    return copy_of_head


def _named_as(make_head: Any) -> tuple[str, str]:
    """Return how to call it, and the module that it comes from."""
    if isinstance(make_head, str):
        return make_head, make_head.partition(":")[0] if "." in make_head.partition(":")[0] else ""
    kind = make_head if hasattr(make_head, "__qualname__") else type(make_head)
    return f"{kind.__module__}:{kind.__qualname__}", kind.__module__


def _declared(head: Any, capabilities: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], str]:
    try:
        declared = declared_capabilities(head)
    except HeadError as error:
        return {}, str(error)
    return (declared if capabilities is None else dict(capabilities)), ""


def _check_capabilities(capabilities: Mapping[str, Any]) -> None:
    try:
        declared_capabilities(type("capabilities", (), {"setfit_head": capabilities}))
    except HeadError as error:
        raise ArgumentError(f"The argument capabilities can't be used. {error}") from None
