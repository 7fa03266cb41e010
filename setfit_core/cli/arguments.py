"""`--arg NAME=VALUE`: any field of `TrainingArguments`, read as the type that it has there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from setfit_core.cli.options import value_of

if TYPE_CHECKING:
    from setfit_core.training.arguments import TrainingArguments

_OPTION = "--arg"
_NULL = "null"


def training_arguments(given: Mapping[str, str], options: Mapping[str, Any]) -> TrainingArguments:
    """Return the arguments of a training.

    Args:
        given: What `--arg` says, by name.
        options: Arguments that have an option of their own, by name; None where it was not given.

    Raises:
        BadParameter: If a name is unknown, a value is of another type, or something is said twice.
        ArgumentError: If a value has no meaning.
    """
    from setfit_core.training.arguments import TrainingArguments

    types = get_type_hints(TrainingArguments)
    names = [field.name for field in fields(TrainingArguments)]
    values = {name: value for name, value in options.items() if value is not None}
    for name, text in given.items():
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            _refuse(f"{name!r} is no training argument.{meant} There are {', '.join(names)}.")
        if name in values:
            _refuse(f"{name!r} is given by an option of its own, too. Leave one of the two out.")
        values[name] = _typed(name, text, types[name])
    return TrainingArguments(**values)


def _typed(name: str, text: str, hint: Any) -> Any:
    for value in (value_of(text), text):
        if _fits(value, hint):
            return value
    forms = dict.fromkeys(_forms(hint))
    if not forms.keys() - {_NULL}:
        _refuse(f"{name!r} is an object of Python. Set it in a program: TrainingArguments({name}=...).")
    return _refuse(f"{name} is {text!r}. It is {' or '.join(forms)}.")


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in inner)
    if origin is Literal:
        return isinstance(value, str)  # which ones there are, TrainingArguments says
    if origin is tuple:
        return isinstance(value, list) and len(value) == len(inner) and all(map(_fits, value, inner))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, dict)
    if isinstance(origin, type) and issubclass(list, origin):
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return hint in (bool, int, str, NoneType) and type(value) is hint


def _forms(hint: Any) -> list[str]:
    """Return how values of a type are written; nothing for what can't be written."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return [form for option in inner for form in _forms(option)]
    if origin is Literal:
        return [repr(choice) for choice in inner]
    if origin is tuple:
        return ["a pair such as [1, 2]"]
    forms = {bool: "true or false", int: "an integer", float: "a number", str: "a text", NoneType: _NULL}
    return [forms[hint]] if hint in forms else []


def _refuse(problem: str) -> Any:
    raise typer.BadParameter(problem, param_hint=_OPTION)
