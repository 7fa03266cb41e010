"""From a head's metadata to what builds it: the one place that imports a plugin's code.

Whatever a plugin raises while it is imported or looked at becomes one `BrokenHeadError` with the cause
chained, `SystemExit` included, so that a plugin can't take down a look-up of another head.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import types
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import pluggy
from packaging.requirements import Requirement

import setfit_core.hookspecs as hookspecs
from setfit_core.errors import (
    AmbiguousHeadError,
    BrokenHeadError,
    IncompatibleHeadError,
    NonConformingHeadError,
)
from setfit_core.registry.discovery import is_installed, split_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from setfit_core.registry.discovery import HeadInfo

#: Let through everywhere: the user's own interruption, and a lack of memory, which may be anybody's.
PASSED_THROUGH: Final = (KeyboardInterrupt, MemoryError)

FACTORY_HOOK: Final = "setfit_head_factory"

#: Callables that can't be a built head by mistake.
_PLAIN_CALLABLES = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial)


class HeadPlugin:
    """What the plugin manager holds for one head: its target, and the hooks found on it.

    pluggy compares and hashes plugins. Wrapping the target lets two entry points share one, and keeps a
    target with an `__eq__` or `__hash__` of its own from disturbing the others.
    """

    def __init__(
        self,
        target: Any,
        functions: Mapping[str, Callable[..., Any]],
        options: Mapping[str, pluggy.HookimplOpts],
    ) -> None:
        self.head_target = target
        self.hook_options = options
        vars(self).update(functions)

    def implements(self, hook: str) -> bool:
        """Say whether the target implements a hook."""
        return any((opts.get("specname") or attribute) == hook for attribute, opts in self.hook_options.items())


class HeadPluginManager(pluggy.PluginManager):
    """A plugin manager that takes the hooks of a `HeadPlugin` from what was found on its target."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Return the options of a hook implementation; see the base class."""
        if isinstance(plugin, HeadPlugin):
            return plugin.hook_options.get(name)
        return super().parse_hookimpl_opts(plugin, name)


def broken(info: HeadInfo, why: str) -> BrokenHeadError:
    """Return the error for a head whose code is no good."""
    return BrokenHeadError(
        f"The head {info.qualified_name!r} ({info.target}, version {info.version or 'unknown'}) can't be loaded: {why}"
    )


def named(error: BaseException) -> str:
    """Return an exception's type and message as one text; an exception whose text fails keeps its type."""
    try:
        text = str(error)
    except Exception:  # a foreign exception's text is foreign code too
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def import_target(info: HeadInfo) -> Any:
    """Import what an entry point leads to.

    Raises:
        BrokenHeadError: The import, or looking up the attribute, raised anything at all.
    """
    parts = split_target(info.target)
    if parts is None:
        raise info.error()
    module_name, attribute = parts
    try:
        module = importlib.import_module(module_name)
    except PASSED_THROUGH:
        raise
    except ImportError as error:
        raise broken(info, _failed_import(info, module_name, error)) from error
    except BaseException as error:
        raise broken(
            info,
            f"importing {module_name!r} raised {named(error)}. Other heads aren't affected. Update or "
            f"reinstall {info.distribution}, or tell its authors.",
        ) from error
    try:
        return functools.reduce(getattr, attribute.split(".") if attribute else (), module)
    except PASSED_THROUGH:
        raise
    except BaseException as error:
        raise broken(
            info,
            f"the module {module_name!r} has no usable attribute {attribute!r} ({named(error)}). Update "
            f"{info.distribution}, or tell its authors.",
        ) from error


def find_hooks(manager: pluggy.PluginManager, info: HeadInfo, target: Any) -> HeadPlugin:
    """Collect the hooks on a target and refuse those that could never be called rightly.

    Raises:
        BrokenHeadError: It marks a hook that doesn't exist, or an instance method of a class.
    """
    functions: dict[str, Callable[..., Any]] = {}
    options: dict[str, pluggy.HookimplOpts] = {}
    known = [name for name in vars(manager.hook) if getattr(manager.hook, name).has_spec()]
    for attribute in dir(target):
        opts = manager.parse_hookimpl_opts(target, attribute)
        if opts is None:
            continue
        hook = opts.get("specname") or attribute
        if hook not in known:
            if opts.get("optionalhook"):
                continue
            close = difflib.get_close_matches(hook, known, n=1)
            raise broken(
                info,
                f"it implements the unknown hook {hook!r}. "
                + (f"Was {close[0]!r} meant? " if close else "")
                + f"The hooks are {', '.join(sorted(known))}.",
            )
        if isinstance(target, type) and isinstance(inspect.getattr_static(target, attribute), types.FunctionType):
            raise broken(info, f"the hook {attribute!r} is an instance method of a class; make it a static method.")
        functions[attribute] = getattr(target, attribute)
        options[attribute] = opts
    return HeadPlugin(target, functions, options)


def factory_without_hook(info: HeadInfo, target: Any) -> Callable[..., Any]:
    """Return the class or function that an entry point leads to.

    Raises:
        BrokenHeadError: It leads to a module or another object that can't build a head.
        NonConformingHeadError: It leads to a head that is built already.
    """
    if isinstance(target, types.ModuleType):
        hint = (
            f"its {FACTORY_HOOK} lacks that marker"
            if hasattr(target, FACTORY_HOOK)
            else "it has no function of that name"
        )
        raise broken(
            info,
            "the entry point leads to a module, so a function of that module has to be named "
            f"{FACTORY_HOOK} and marked with pluggy.HookimplMarker({hookspecs.PROJECT!r}); {hint}. To offer "
            "a class or function directly, let the entry point say 'module:attribute'.",
        )
    if isinstance(target, (type, *_PLAIN_CALLABLES)):
        return target
    if _is_built_head(target):
        raise NonConformingHeadError(
            f"The entry point of {info.qualified_name!r} leads to a head that is built already "
            f"({_kind(target)}), which every model would share. Let it lead to the class, or to a function "
            "that builds one."
        )
    if callable(target):
        return target  # type: ignore[no-any-return]  # Any by nature; callable() made sure
    raise broken(
        info,
        f"it leads to {_kind(target)}, which is neither a class nor a function and has no hook "
        f"{FACTORY_HOOK} marked with pluggy.HookimplMarker({hookspecs.PROJECT!r}).",
    )


def check_head_class(info: HeadInfo, factory: Callable[..., Any]) -> None:
    """Check a class against the contracts; what another factory builds can be checked only when it is built.

    A class that lacks nothing but `predict_proba` is let through, as it can train and predict.

    Raises:
        AmbiguousHeadError: The class could be either kind of head.
        IncompatibleHeadError: The class declares another head API.
        NonConformingHeadError: The class keeps neither contract, or declares capabilities that make no sense.
    """
    if not isinstance(factory, type):
        return
    # Imported late, so that listing heads stays cheap.
    from setfit_core.conformance import check_contract, declared_capabilities

    try:
        declared_capabilities(factory)
        report = check_contract(factory)
        if not report.usable:
            report.raise_for_problems()
    except (AmbiguousHeadError, IncompatibleHeadError, NonConformingHeadError) as error:
        raise type(error)(f"The head {info.qualified_name!r} ({info.target}): {error}") from error


def _is_built_head(target: Any) -> bool:
    from setfit_core.conformance import check_contract

    report = check_contract(target)
    return report.usable or report.ambiguous


def _kind(target: Any) -> str:
    return f"an object of the class {type(target).__module__}.{type(target).__qualname__}"


def _failed_import(info: HeadInfo, module_name: str, error: ImportError) -> str:
    """Say which module is missing and, where the metadata tell, what brings it."""
    absent = error.name if isinstance(error, ModuleNotFoundError) else None
    if absent and (absent == module_name or module_name.startswith(f"{absent}.")):
        return (
            f"{info.distribution} has no module {absent!r}, although its entry point says so. Reinstall it, or "
            "tell its authors."
        )
    lacking = " ".join(f'"{requirement}"' for requirement in _lacking_requirements(info))
    if lacking:
        advice = f"{info.distribution} requires what isn't installed; install it with: pip install {lacking}"
    else:
        advice = "Install the distribution that brings it, in a version that fits."
    what = f"the module {absent!r} is missing" if absent else "something it needs is missing"
    return f"importing {module_name!r} raised {named(error)}: {what}. {advice}"


def _lacking_requirements(info: HeadInfo) -> Iterator[Requirement]:
    """Yield what the distribution requires, extras left aside, and what isn't installed at all."""
    try:
        texts = metadata.requires(info.distribution) or ()
    except Exception:  # the metadata were damaged or removed since the scan; only advice is at stake
        return
    for text in texts:
        try:
            requirement = Requirement(text)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        except ValueError:  # the other requirements may still help
            continue
        if applies and not is_installed(requirement.name):
            requirement.marker = None
            yield requirement
