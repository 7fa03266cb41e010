"""The command line, `setfit-core ...`: one module for each command.

This module and the modules of the commands import nothing heavy at the top. A command imports what it needs when
it runs, so that `--help` and the listing of heads load neither torch nor any plugin.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated

import typer

from setfit_core import __version__
from setfit_core.cli import check, compare, convert, evaluate, heads, new_head, predict, search, train
from setfit_core.cli.options import DebugOption, Session
from setfit_core.errors import SetFitError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "main"]

# Help and usage errors are plain text, the same in a terminal, a pipe and the documentation.
app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(heads.app, name="heads")
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("compare")(compare.compare)
app.command("search")(search.search)
app.command("check")(check.check)
app.command("new-head")(new_head.new_head)
app.command("convert")(convert.convert)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The arguments after the program's name; None takes them from `sys.argv`.

    Returns:
        1 after an error, of which stderr has one line.

    Raises:
        SystemExit: In all other cases: status 0 when the command has done its work, 2 if it was called wrongly, 130
            if it was interrupted.
    """
    session = Session()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            app(args=None if arguments is None else list(arguments), prog_name="setfit-core", obj=session)
    except Exception as error:
        if session.debug:
            raise
        typer.echo(f"Error: {_told(error)}", err=True)
        return 1
    return 0


def _told(error: Exception) -> str:
    said = " ".join(str(error).split())
    if isinstance(error, SetFitError):
        return said
    name = type(error).__name__
    return f"{name}: {said.rstrip('.')}. That is a bug, here or in a plugin: run again with --debug for the traceback."


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    typer.echo(f"Warning: {message}", err=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"setfit-core {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version),
    ] = False,
    _debug: DebugOption = False,
) -> None:
    """Few-shot text classification in which every classification head is a plugin."""
