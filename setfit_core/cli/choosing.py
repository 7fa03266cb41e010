"""What `compare` and `search` share: which heads are tried, on which texts, and how the result is shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

import typer

from setfit_core.cli.options import pairs, value_of
from setfit_core.cli.screen import is_terminal

Chosen: TypeAlias = dict[str, tuple[str, dict[str, Any]]]

ALL: Final = "all"


class Result(Protocol):
    """What was found out."""

    def to_json(self) -> dict[str, Any]: ...  # noqa: D102
    def to_markdown(self) -> str: ...  # noqa: D102


def chosen_heads(heads: str, head_params: Sequence[str]) -> Chosen:
    """Return the heads that are to be tried, with their parameters.

    Args:
        heads: What `--heads` says: names separated by commas, or "all" for those that are installed.
        head_params: What `--head-param` says, HEAD.NAME=VALUE each.

    Raises:
        BadParameter: If there are none, or a parameter is for none of them.
    """
    from setfit_core.choosing.candidates import installed_heads

    names = installed_heads() if heads.strip() == ALL else {name.strip(): name.strip() for name in heads.split(",")}
    names.pop("", None)
    if not names:
        raise typer.BadParameter("there is none. Name heads, such as logistic,linear.", param_hint="--heads")
    params = _parameters(head_params)
    for head in params:
        if head not in names:
            raise typer.BadParameter(
                f"{head!r} is none of the heads that are tried ({', '.join(names)}).", param_hint="--head-param"
            )
    return {name: (head, params.get(name, {})) for name, head in names.items()}


def check_output(*, as_json: bool, as_markdown: bool) -> None:
    """Refuse two forms of output at once."""
    if as_json and as_markdown:
        raise typer.BadParameter("it excludes --markdown. Give one of the two.", param_hint="--json")


def announce(heads: Mapping[str, Any], texts: Sequence[str]) -> None:
    """Say on stderr what is going on, if there is somebody to read it."""
    if is_terminal(sys.stderr):
        typer.echo(f"Trying {', '.join(heads)} on {len(texts)} texts ...", err=True)


def print_result(result: Result, *, as_json: bool, as_markdown: bool) -> None:
    """Print what was found out; in a terminal as a table of rich, in a pipe as plain text."""
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    elif as_markdown:
        typer.echo(result.to_markdown(), nl=False)
    elif is_terminal(sys.stdout):
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(result.to_markdown()))
    else:
        typer.echo(str(result))


def _parameters(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, text in pairs(given, "--head-param", "HEAD.NAME=VALUE").items():
        head, _, parameter = name.rpartition(".")
        if not (head and parameter):
            raise typer.BadParameter(f"{name!r} names no head. Write HEAD.NAME=VALUE.", param_hint="--head-param")
        found.setdefault(head, {})[parameter] = value_of(text)
    return found
