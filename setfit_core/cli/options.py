"""What the commands share: the state of one run, and options that every command takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


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
