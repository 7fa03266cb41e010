"""Read one member of a head or of its class without running it, and judge whether a contract can call it.

No property and no other data descriptor is ever run. What Python would do to call a method is worked out
from the class's own dictionaries. The one thing that is bound for real is a descriptor that wraps a method,
such as scikit-learn's `available_if`: only binding it tells whether the method is there.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DefectKind: TypeAlias = Literal[
    "missing", "unavailable", "not-a-method", "not-callable", "abstract", "asynchronous", "signature"
]

MISSING: Final = object()
_PLACEHOLDER: Final = object()
_PROPERTIES: Final = (property, functools.cached_property)
_STORES: Final = {"_modules": "submodule", "_parameters": "parameter", "_buffers": "buffer"}


@dataclass(frozen=True)
class Defect:
    """What keeps one member from being called as a contract calls it."""

    kind: DefectKind
    message: str
    hint: str = ""


@dataclass(frozen=True)
class _Call:
    """Something callable, and what stands before the contract's own arguments (`self`, partial arguments)."""

    function: Any
    before: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)


class Subject:
    """The object or class under examination, read statically.

    Args:
        obj: A head, or a class whose instances are meant to be heads.
    """

    def __init__(self, obj: Any) -> None:
        # type() rather than isinstance(): the latter falls back to `obj.__class__`, which can be a property.
        self.is_class: Final = issubclass(type(obj), type)
        self.obj: Final = obj
        self.cls: Final[type] = obj if self.is_class else type(obj)

    def __str__(self) -> str:
        name = f"{self.cls.__module__}.{self.cls.__qualname__}"
        if self.is_class:
            return f"class {name}"
        if issubclass(self.cls, (types.FunctionType, types.BuiltinFunctionType)):
            return f"function {self.obj.__module__}.{self.obj.__qualname__}"
        return f"{name.removeprefix('builtins.')} object"

    def find(self, name: str) -> tuple[Any, bool]:
        """Return a member as it is stored (or `MISSING`), and whether the instance itself holds it."""
        on_class = next((vars(base)[name] for base in self.cls.__mro__ if name in vars(base)), MISSING)
        if self.is_class:
            return on_class, False
        found = inspect.getattr_static(self.obj, name, MISSING)
        return found, found is not on_class

    def stored_by_torch(self, name: str) -> str:
        """Say what a member is that an `nn.Module` keeps in a dictionary of its own; empty if it's none."""
        for store, what in _STORES.items():
            values = inspect.getattr_static(self.obj, store, None)
            if isinstance(values, dict) and name in values:
                return what
        return ""

    def answers_any_name(self) -> bool:
        """Whether the class defines a `__getattr__` other than the one of `torch.nn.Module`."""
        home = next((base for base in self.cls.__mro__ if "__getattr__" in vars(base)), None)
        return home is not None and home.__module__ != "torch.nn.modules.module"

    def similar_name(self, name: str) -> str:
        """Return a public member whose name was probably meant to be `name`; empty if there is none."""
        # `predict_log_proba` is no misspelling of `predict_proba`.
        names = {word for word in self._names() if not word.startswith("_") and "log" not in word}
        return next(iter(difflib.get_close_matches(name, sorted(names), 1, 0.75)), "")

    def _names(self) -> Iterator[str]:
        for base in self.cls.__mro__:
            yield from vars(base)
        stored = MISSING if self.is_class else inspect.getattr_static(self.obj, "__dict__", MISSING)
        if isinstance(stored, types.GetSetDescriptorType):  # and no property that takes its place
            yield from stored.__get__(self.obj)


def find_defect(subject: Subject, name: str, arguments: tuple[str, ...]) -> Defect | None:
    """Judge whether `name` can be called with as many positional arguments as `arguments` names.

    Args:
        subject: The head or the class.
        name: The member.
        arguments: What the contract calls the positional arguments, `self` not counted.

    Returns:
        What is wrong with it, or None.
    """
    stored, own = subject.find(name)
    if stored is MISSING:
        return _missing(subject, name)
    call = _held_call(stored, name) if own else _class_call(subject, stored, name)
    if isinstance(call, Defect):
        return call
    if inspect.getattr_static(call.function, "__isabstractmethod__", False) is True:
        return Defect("abstract", f"`{name}` is abstract, nothing implements it")
    if (what := _asynchronous(call.function)) is not None:
        return Defect("asynchronous", f"`{name}` is {what}, it must be an ordinary method that returns its result")
    return _signature_defect(call, name, arguments)


def _missing(subject: Subject, name: str) -> Defect:
    if what := subject.stored_by_torch(name):
        return Defect("not-a-method", f"`{name}` is a {what} of the module, it must be a method")
    if subject.answers_any_name():
        hint = f"A name that only `__getattr__` answers isn't seen; define `{name}`, if only to pass it on."
    elif subject.is_class:
        hint = "If `__init__` sets it, pass an instance, or a function that builds one, instead of the class."
    else:
        hint = ""
    return Defect("missing", f"`{name}` is missing", hint)


def _held_call(value: Any, name: str) -> _Call | Defect:
    """Judge a value that Python uses as it is: one that the instance holds, or no descriptor."""
    if callable(value):
        return _Call(value)
    shown = repr(value) if type(value) in (int, float, bool, str, type(None)) else type(value).__qualname__
    return Defect("not-callable", f"`{name}` is not callable (it is {_shortened(shown)}), it must be a method")


def _class_call(subject: Subject, stored: Any, name: str) -> _Call | Defect:
    """Judge what the class holds, the way Python would bind it."""
    if inspect.ismemberdescriptor(stored):
        return _slot_call(subject, stored, name)
    call = _bound(stored, (_PLACEHOLDER,))
    kind = type(call.function)
    if isinstance(call.function, (types.FunctionType, functools.partial)):
        return call
    if isinstance(call.function, _PROPERTIES):
        what = "a property" if isinstance(call.function, property) else "a cached property"
        return Defect("not-a-method", f"`{name}` is {what}, it must be a method")
    if not _defines(kind, "__get__"):
        return _held_call(call.function, name)
    if _defines(kind, "__set__") or _defines(kind, "__delete__"):
        return _descriptor_defect(call.function, name)
    wrapped = inspect.getattr_static(call.function, "__wrapped__", None)
    if not callable(call.function):
        if not (isinstance(wrapped, types.FunctionType) and _takes_arguments(wrapped)):
            # Nothing tells this from a home-made cached property, which must not run.
            return _descriptor_defect(call.function, name)
        call = _Call(wrapped, call.before, call.keywords)
    return call if subject.is_class else _available(subject, stored, name) or call


def _bound(stored: Any, before: tuple[Any, ...]) -> _Call:
    """Take off the wrappers of the standard library whose way of binding is known."""
    if isinstance(stored, staticmethod):
        return _bound(stored.__func__, before[1:])
    if isinstance(stored, classmethod):
        return _bound(stored.__func__, before)
    if isinstance(stored, functools.singledispatchmethod):
        return _bound(stored.func, before)
    if isinstance(stored, functools.partialmethod):
        inner = _bound(stored.func, before)
        return _Call(inner.function, (*inner.before, *stored.args), {**inner.keywords, **stored.keywords})
    if isinstance(stored, functools.partial):
        # Up to Python 3.13 a partial that a class holds isn't given `self`.
        return _Call(stored, before if sys.version_info >= (3, 14) else ())
    return _Call(stored, before if _defines(type(stored), "__get__") else ())


def _slot_call(subject: Subject, stored: Any, name: str) -> _Call | Defect:
    if subject.is_class:
        return Defect("not-a-method", f"`{name}` is a slot that only an instance fills, it must be a method")
    try:
        value = stored.__get__(subject.obj, subject.cls)
    except AttributeError:
        return Defect("missing", f"`{name}` is a slot that nothing has filled")
    return _held_call(value, name)


def _available(subject: Subject, stored: Any, name: str) -> Defect | None:
    """Bind a descriptor that wraps a method, as Python does on access, and say why that fails if it does."""
    try:
        type(stored).__get__(stored, subject.obj, subject.cls)
    except AttributeError as error:
        reasons = [str(error)]
        if error.__cause__ is not None:
            reasons.append(str(error.__cause__))
        return Defect("unavailable", f"`{name}` is not available: {': '.join(reasons)}")
    except Exception as error:  # a foreign descriptor may raise anything; it must not end the examination
        return Defect("not-a-method", f"`{name}` raises {type(error).__qualname__} when it is looked up: {error}")
    return None


def _descriptor_defect(descriptor: Any, name: str) -> Defect:
    kind = type(descriptor).__qualname__
    return Defect("not-a-method", f"`{name}` is a {kind}, a descriptor that computes a value; it must be a method")


def _asynchronous(function: Any) -> str | None:
    for candidate in (function, inspect.getattr_static(type(function), "__call__", None)):
        if inspect.iscoroutinefunction(candidate):
            return "an `async def`"
        if inspect.isgeneratorfunction(candidate) or inspect.isasyncgenfunction(candidate):
            return "a generator function"
    return None


def _signature_defect(call: _Call, name: str, arguments: tuple[str, ...]) -> Defect | None:
    try:
        signature = inspect.signature(call.function)
    except Exception:  # builtins without a text signature; a foreign `__signature__` may raise anything
        return None
    given = (*call.before, *(_PLACEHOLDER for _ in arguments))
    wanted = f"{name}({', '.join(arguments)})"
    try:
        partly = signature.bind_partial(*given, **call.keywords)
    except TypeError:
        names = [parameter.name for parameter in _positional(signature)]
        forgotten = bool(call.before) and len(names) == len(arguments) and names[:1] != ["self"]
        hint = "`self` is missing from its parameters." if forgotten else ""
        message = f"`{name}` takes {_counted(len(names) - len(call.before))}, but it is called as {wanted}"
        return Defect("signature", message, hint)
    lacking = [
        repr(parameter.name)
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.name not in partly.arguments
    ]
    if lacking:
        message = f"`{name}` needs more than the contract gives: {', '.join(lacking)}; it is called as {wanted}"
        return Defect("signature", message, "Give what is beyond the contract a default.")
    return None


def _takes_arguments(function: types.FunctionType) -> bool:
    """Whether a function takes anything besides `self`, which a property's function doesn't."""
    signature = inspect.signature(function)
    star = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    return star or len(_positional(signature)) > 1


def _positional(signature: inspect.Signature) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter for parameter in signature.parameters.values() if parameter.kind in kinds]


def _defines(cls: type, name: str) -> bool:
    return any(name in vars(base) for base in cls.__mro__)


def _counted(number: int) -> str:
    if number < 1:
        return "no positional argument"
    return f"{number} positional argument{'s' if number > 1 else ''}"


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
