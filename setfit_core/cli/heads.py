"""`setfit-core heads`: what is installed, without importing any of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from setfit_core.cli.config_file import ConfigOption
from setfit_core.cli.doctor import doctor
from setfit_core.cli.info import info
from setfit_core.cli.options import DebugOption
from setfit_core.cli.screen import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from setfit_core.registry import HeadInfo

_FIELDS = ("name", "distribution", "version", "target", "api", "status", "reason")
_COLUMNS = ("name", "distribution", "version", "target", "status")
_NOTHING = (
    "No heads are installed. Heads come as Python distributions, usually named setfit-head-NAME. From a folder of "
    "wheels, install one with: pip install --no-index --find-links FOLDER setfit-head-logistic"
)

app = typer.Typer(rich_markup_mode=None)
app.command("info")(info)
app.command("doctor")(doctor)


@app.callback(invoke_without_command=True)
def heads(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
    _config: ConfigOption = None,
    _debug: DebugOption = False,
) -> None:
    """List the installed heads; tell about one; try them all."""
    if context.invoked_subcommand is not None:
        if as_json:
            raise typer.BadParameter(f"write it behind {context.invoked_subcommand}.", param_hint="--json")
        return
    from setfit_core.registry import list_heads

    found = list_heads()
    if as_json:
        typer.echo(json.dumps([_as_json(head) for head in found], indent=2))
    elif found:
        _print_table(found)
    else:
        typer.echo(_NOTHING)


def _as_json(head: HeadInfo) -> dict[str, Any]:
    return {field: getattr(head, field) for field in _FIELDS}


def _print_table(found: Sequence[HeadInfo]) -> None:
    rows = [(head.name, head.distribution, head.version or "-", head.target, head.status) for head in found]
    print_table(_COLUMNS, rows, status="status", good="available")
    for head in found:
        if head.status != "available":
            typer.echo(f"\n{' '.join(str(head.error()).split())}")
