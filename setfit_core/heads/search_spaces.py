"""Which parameters of a head a search tries: asked of the head's hook first, then of its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from setfit_core.conformance import declared_capabilities
from setfit_core.errors import NonConformingHeadError
from setfit_core.heads.construction import HeadRecipe
from setfit_core.registry import HeadInfo, default_registry
from setfit_core.registry.loading import PASSED_THROUGH, named
from setfit_core.search_space import SearchSpace, checked_search_space

__all__ = ["search_space_of"]

_HOOK: Final = "setfit_search_space"


def search_space_of(recipe: HeadRecipe, declared: Mapping[str, Any] | None = None) -> SearchSpace:
    """Return the search space of a head.

    The hook `setfit_search_space` of the entry point comes first. Without one, or if it returns None, the mapping
    `setfit_head` of the class counts. A function is not called for the class that it builds.

    Args:
        recipe: What builds the head.
        declared: Takes the place of what the class declares; see `setfit_core.conformance.declared_capabilities`.

    Returns:
        Each parameter with its values; empty if the head has no search space.

    Raises:
        NonConformingHeadError: The hook raised, what it returned is no search space, or the class declares none that
            can be read.
        HeadError: The entry point can't be loaded any more; see `setfit_core.registry.HeadRegistry.get`.
    """
    space = None if recipe.info is None else _from_hook(recipe.info)
    if space is not None or not isinstance(recipe.factory, type):
        return space or {}
    if declared is None:
        declared = declared_capabilities(recipe.factory)
    return checked_search_space(declared.get("search_space", {}))  # a declaration is checked where it is read


def _from_hook(info: HeadInfo) -> SearchSpace | None:
    registry = default_registry()
    registry.get(info.qualified_name)
    manager = registry.plugin_manager
    others = [plugin for name, plugin in manager.list_name_plugin() if name != info.qualified_name]
    where = f"hook {_HOOK} of the head {info.qualified_name!r}"
    try:
        space = manager.subset_hook_caller(_HOOK, others)()
    except PASSED_THROUGH:
        raise
    except BaseException as error:  # a plugin may raise or exit in any way
        raise NonConformingHeadError(f"The {where} raised {named(error)}. Update it, or tell its authors.") from error
    try:
        return None if space is None else checked_search_space(space)
    except ValueError as error:
        raise NonConformingHeadError(f"The search space from the {where} {error}.") from error
