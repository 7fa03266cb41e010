"""From whatever names a head (a string, a class, a function) and its parameters to a head that is built.

A head is built with keywords only: what the user gave and, where the signature names them and the user gave
nothing, `in_features`, `out_features`, `device`, `random_state`, `multi_label` and `multitarget` from the core.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import keyword
import reprlib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from setfit_core.conformance import check_contract
from setfit_core.errors import (
    ArgumentError,
    BrokenHeadError,
    HeadError,
    HeadParameterError,
    SetFitError,
    UnknownHeadError,
)
from setfit_core.heads.auto import AUTO, AutoHead
from setfit_core.registry import HeadInfo, LoadedHead, get_head, list_heads
from setfit_core.registry.discovery import normalize_distribution
from setfit_core.registry.loading import PASSED_THROUGH, named

__all__ = ["HeadRecipe", "builds_head", "head_recipe", "import_object", "is_import_path"]

_DEFAULT_SEED: Final = 42
_DEFAULT_OUT_FEATURES: Final = 2
_SIZES: Final = ("in_features", "out_features")
_NAMED_KINDS: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
# Callables that are surely not a head that happens to be callable, as every torch module is.
_FUNCTIONS: Final = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial)


@dataclass(frozen=True)
class HeadRecipe:
    """How to build a head, as often as need be.

    Attributes:
        factory: The class or function.
        params: The user's keyword arguments for it (`head_params`).
        info: What is known about the entry point that the factory came from; None if the user passed it.

    Raises:
        HeadParameterError: If the factory doesn't take one of the parameters, or if it is the class of a
            differentiable head and names neither `in_features` nor `out_features`.
    """

    factory: Callable[..., Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    info: HeadInfo | None = None

    def __post_init__(self) -> None:
        params: object = self.params
        if not isinstance(params, Mapping):
            raise HeadParameterError(
                f"head_params must be a mapping such as {{'max_iter': 300}}, not a {type(params).__name__}."
            )
        object.__setattr__(self, "params", dict(params))
        signature = _signature(self.factory)
        if signature is not None:
            self._check_names(signature)
            self._check_sizes(signature)

    def accepts(self, parameter: str) -> bool:
        """Return whether the factory's signature names a parameter, `**kwargs` not counted."""
        signature = _signature(self.factory)
        return signature is not None and parameter in _parameters(signature)

    def build(
        self,
        *,
        in_features: int | None = None,
        out_features: int | None = None,
        device: str | None = None,
        random_state: int | None = None,
        multi_label: bool = False,
    ) -> tuple[Any, dict[str, Any]]:
        """Build a head. The same arguments give the same head, and no global random state is disturbed.

        What the core knows is passed where the signature names it and the user hasn't given it. A required
        `out_features` that nobody knows becomes 2.

        Args:
            in_features: Size of one embedding.
            out_features: Number of classes.
            device: Torch device, such as `"cpu"`.
            random_state: Seed, for a parameter of that name and for what the factory draws at random while
                building. The parameter is left alone without it, and the rest is seeded with 42.
            multi_label: Whether a text may have several labels; passed as `multi_label` and `multitarget`.

        Returns:
            The head, and the keyword arguments it was built with.

        Raises:
            HeadParameterError: A required parameter is missing, or the factory refused the parameters with a
                `TypeError` or a `ValueError`. Whatever else it raises passes through.
            NonConformingHeadError: What was built keeps neither contract. A lacking `predict_proba` is let
                through.
            AmbiguousHeadError: What was built could be either kind of head.
        """
        offered = {
            "in_features": in_features,
            "out_features": out_features,
            "device": device,
            "random_state": random_state,
            "multi_label": True if multi_label else None,
            "multitarget": True if multi_label else None,
        }
        keywords = self._keywords(offered)
        seed = keywords.get("random_state", random_state)
        # Imported late: it loads torch, and a recipe is also made where nothing is built.
        from setfit_core.randomness import isolated_random_state

        with isolated_random_state(seed % 2**32 if type(seed) is int else _DEFAULT_SEED):
            head = self._call(keywords)
        self._check_built(head)
        return head, keywords

    def _keywords(self, offered: Mapping[str, Any]) -> dict[str, Any]:
        signature = _signature(self.factory)
        if signature is None:
            return dict(self.params)
        parameters = _parameters(signature)
        from_core = {name: value for name, value in offered.items() if value is not None and name in parameters}
        keywords = {**from_core, **self.params}
        missing = [name for name, parameter in parameters.items() if _is_required(parameter) and name not in keywords]
        if "out_features" in missing:
            missing.remove("out_features")
            keywords["out_features"] = _DEFAULT_OUT_FEATURES
        if missing:
            raise HeadParameterError(
                f"The {self._label} can't be built: it needs {_listed(missing)}, which nobody has given. Pass "
                f"head_params={{{', '.join(f'{name!r}: ...' for name in missing)}}}."
            )
        return keywords

    def _call(self, keywords: dict[str, Any]) -> Any:
        try:
            return self.factory(**keywords)
        except SetFitError:
            raise
        except (TypeError, ValueError) as error:
            given = ", ".join(f"{name}={reprlib.repr(value)}" for name, value in keywords.items())
            raise HeadParameterError(
                f"The {self._label} can't be built with ({given}), it raised {named(error)}. Correct head_params."
            ) from error

    def _check_names(self, signature: inspect.Signature) -> None:
        parameters = _parameters(signature)
        positional = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_ONLY and _is_required(p)]
        if positional:
            raise HeadParameterError(
                f"The {self._label} can't be built: it takes {_listed(positional)} by position only, and heads are "
                "built with keywords. Wrap it in a function that takes keywords."
            )
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
        unknown = [name for name in self.params if name not in parameters]
        if takes_any or not unknown:
            return
        accepts = f"It accepts {_listed(parameters)}." if parameters else "It accepts no parameters."
        close = [
            f"Did you mean {match[0]!r} by {name!r}?"
            for name in unknown
            if (match := difflib.get_close_matches(str(name), parameters, 1))
        ]
        raise HeadParameterError(" ".join([f"The {self._label} doesn't accept {_listed(unknown)}.", *close, accepts]))

    def _check_sizes(self, signature: inspect.Signature) -> None:
        if not isinstance(self.factory, type) or any(name in _parameters(signature) for name in _SIZES):
            return
        if check_contract(self.factory).contract == "differentiable":
            raise HeadParameterError(
                f"The {self._label} is the class of a differentiable head whose constructor names neither "
                "'in_features' nor 'out_features', so its size can't be set. Give these names to its parameters, "
                "or pass an instance, or a function that builds one."
            )

    def _check_built(self, head: Any) -> None:
        if isinstance(head, type):
            raise HeadParameterError(
                f"The {self._label} gave the class {head.__qualname__} instead of a head. Return an instance of it."
            )
        report = check_contract(head)
        if report.usable:
            return
        try:
            report.raise_for_problems()
        except HeadError as error:
            raise type(error)(f"What the {self._label} built can't be used as a head. {error}") from None

    @property
    def _label(self) -> str:
        if self.info is not None:
            return f"head {self.info.qualified_name!r}"
        name = getattr(self.factory, "__qualname__", None)
        return f"head {name or repr(self.factory)}"


def builds_head(head: Any) -> TypeGuard[str | type | Callable[..., Any]]:
    """Tell whether this is something for `head_recipe`, and not a head itself: torch modules are callable, too."""
    return isinstance(head, (str, type, functools.partial)) or inspect.isroutine(head)


def head_recipe(head: str | type | Callable[..., Any], params: Mapping[str, Any] | None = None, /) -> HeadRecipe:
    """Find out what builds a head, and check the parameters against it; nothing is built.

    Args:
        head: The name of an installed head, `"distribution:name"`, `"package.module:Name"`, `"auto"` for one that is
            chosen later, a class that keeps a contract, or a function that returns a head. Before a colon, the name of
            an installed distribution with heads comes before a module of the same name.
        params: Keyword arguments for the head.

    Raises:
        UnknownHeadError: No installed distribution offers a head of this name.
        BrokenHeadError: The module can't be imported or has no such attribute; or the plugin is broken.
        HeadParameterError: The head doesn't take one of the parameters; see `HeadRecipe`.
        NonConformingHeadError: The class keeps neither contract. A lacking `predict_proba` is let through.
        AmbiguousHeadError: The class could be either kind of head, or several distributions claim the name.
        ArgumentError: `head` is a head that is built already, or nothing that could build one.
        HeadError: The registry refuses the head for another reason, see `setfit_core.registry`.
    """
    params = {} if params is None else params
    if not isinstance(head, str):
        return _recipe_of_object(head, params, f"head={reprlib.repr(head)}")
    if head == AUTO:
        return HeadRecipe(AutoHead, params)
    if is_import_path(head):
        return _recipe_of_object(import_object(head), params, repr(head))
    loaded = _registered(head)
    return HeadRecipe(loaded.factory, params, loaded.info)


def _recipe_of_object(target: Any, params: Mapping[str, Any], asked: str) -> HeadRecipe:
    if isinstance(target, _FUNCTIONS):
        return HeadRecipe(target, params)
    report = check_contract(target)
    if isinstance(target, type):
        if not report.usable:
            report.raise_for_problems()
        return HeadRecipe(target, params)
    if report.contract is not None or report.ambiguous:
        raise ArgumentError(
            f"{asked} is a head that is built already, an object of the class {type(target).__qualname__}. Pass it "
            "as SetFitModel(model_body, model_head), or pass its class together with head_params."
        )
    if not callable(target):
        raise ArgumentError(
            f"{asked} is of the type {type(target).__qualname__}, which builds no head. Give the name of an "
            "installed head, 'package.module:Name', a class, or a function that returns a head."
        )
    return HeadRecipe(target, params)


def is_import_path(head: str) -> bool:
    """Tell whether a string is `"package.module:Name"` and not `"distribution:name"`."""
    before, _, after = head.partition(":")
    if not (_is_dotted_name(before) and _is_dotted_name(after)):
        return False
    distribution = normalize_distribution(before)
    return all(info.distribution != distribution for info in list_heads())


def _is_dotted_name(text: str) -> bool:
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in text.split("."))


def _registered(head: str) -> LoadedHead:
    try:
        return get_head(head)
    except UnknownHeadError as error:
        module, dot, name = head.rpartition(".")
        if not (dot and _is_dotted_name(head)):
            raise
        raise UnknownHeadError(f"{error} To import a class or function, write {f'{module}:{name}'!r}.") from None


def import_object(head: str) -> Any:
    """Import what `"package.module:Name"` leads to.

    Raises:
        BrokenHeadError: The module can't be imported or has no such attribute.
    """
    module_name, _, path = head.partition(":")
    try:
        target = importlib.import_module(module_name)
    except PASSED_THROUGH:
        raise
    except BaseException as error:  # a module that exits while it is imported must not end the program
        raise BrokenHeadError(
            f"{head!r} can't be imported: importing {module_name!r} raised {named(error)}. Check the spelling and "
            f"that it is installed. (No installed distribution named {normalize_distribution(module_name)!r} offers "
            "heads, so this was taken for a module.)"
        ) from error
    try:
        return functools.reduce(getattr, path.split("."), target)
    except PASSED_THROUGH:
        raise
    except BaseException as error:
        owner, attribute = getattr(error, "obj", target), getattr(error, "name", None) or path
        close = difflib.get_close_matches(attribute, dir(owner), 1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise BrokenHeadError(
            f"{head!r} can't be imported: looking up {path!r} raised {named(error)}.{meant} Correct the name."
        ) from error


def _signature(factory: Callable[..., Any]) -> inspect.Signature | None:
    """Return a factory's signature, or None if it can't be read, as that of some builtins."""
    try:
        return inspect.signature(factory)
    except (TypeError, ValueError):
        return None


def _parameters(signature: inspect.Signature) -> dict[str, inspect.Parameter]:
    """Return the parameters that can be given by keyword."""
    return {parameter.name: parameter for parameter in signature.parameters.values() if parameter.kind in _NAMED_KINDS}


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(repr, names))
