"""What the commands share: the state of one run, and options that several of them take."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from setfit_core.errors import SetFitError


@dataclass
class Session:
    """The state of one run of the command line.

    Attributes:
        debug: Whether an error shows its traceback.
    """

    debug: bool = False


def _remember_debug(context: typer.Context, wanted: bool) -> None:
    if wanted:
        context.ensure_object(Session).debug = True


#: `--debug` is understood before and after the command's name.
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", callback=_remember_debug)]

TextColumnOption = Annotated[
    str | None, typer.Option("--text-column", metavar="NAME", help="The column of the texts, if its name doesn't say.")
]
LabelColumnOption = Annotated[
    str | None,
    typer.Option("--label-column", metavar="NAME", help="The column of the labels, if its name doesn't say."),
]
MultiLabelOption = Annotated[
    bool,
    typer.Option(
        "--multi-label",
        help='A text may have several labels: "a|b" in the label column, or a list where it can be one.',
    ),
]


def complete_head(incomplete: str) -> list[tuple[str, str]]:
    """Return the installed heads whose name goes on from what was typed, and where they come from."""
    from setfit_core.registry import list_heads

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            heads = list_heads()
        except SetFitError:  # the command itself will say it
            return []
    return [(info.name, info.distribution) for info in heads if info.name.startswith(incomplete)]


def pairs(given: Sequence[str], option: str, form: str) -> dict[str, str]:
    """Return what an option of the form NAME=VALUE was given, as often as it was.

    Args:
        given: The texts.
        option: The option, for errors.
        form: Its form, for errors.

    Raises:
        BadParameter: If one is not of this form, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise typer.BadParameter(f"{text!r} is not of the form {form}.", param_hint=option)
        if name in found:
            raise typer.BadParameter(f"{name!r} is given twice.", param_hint=option)
        found[name] = value
    return found


def value_of(text: str) -> Any:
    """Return a value as JSON reads it (`10`, `true`, `null`, `[1, 2]`; also `True` and `None`), or the text itself."""
    try:
        return json.loads({"True": "true", "False": "false", "None": "null"}.get(text, text))
    except ValueError:
        return text
