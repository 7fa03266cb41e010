"""What the commands share: the state of one run, and options that several of them take."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

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


def complete_head() -> list[tuple[str, str]]:
    """Return the installed heads and where they come from; the shell takes those that go on from what was typed."""
    from setfit_core.registry import list_heads

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            heads = list_heads()
        except SetFitError:  # the command itself will say it
            return []
    return [(info.name, info.distribution) for info in heads]


def complete_head_or_auto() -> list[tuple[str, str]]:
    """Return what `complete_head` does, and "auto"."""
    return [*complete_head(), ("auto", "chosen from the texts")]


def complete_heads(incomplete: str) -> list[tuple[str, str]]:
    """Return how a list of heads, separated by commas, may go on."""
    before, comma, _ = incomplete.rpartition(",")
    return [(f"{before}{comma}{head}", origin) for head, origin in complete_head()]


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
BodyOption = Annotated[
    str | None,
    typer.Option("--body", metavar="MODEL", help="A folder or an id on the hub; the embedded model if left out."),
]
SeedOption = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Seed of all that is drawn.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of a table.")]
HeadsOption = Annotated[
    str, typer.Option("--heads", metavar="A,B|all", help="The heads to try.", autocompletion=complete_heads)
]
HeadsParamOption = Annotated[
    list[str] | None,
    typer.Option("--head-param", metavar="HEAD.NAME=VALUE", help="A parameter of a head; may be repeated."),
]
MetricOption = Annotated[Literal["accuracy", "macro_f1", "log_loss"], typer.Option("--metric", help="What decides.")]
FoldsOption = Annotated[
    int, typer.Option("--folds", metavar="N", min=2, help="Into how many parts the texts are divided.")
]
RepeatsOption = Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="How often they are divided.")]


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
