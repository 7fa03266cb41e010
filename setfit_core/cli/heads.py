"""`setfit-core heads`: what is installed, without importing any of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from setfit_core.cli.options import DebugOption
from setfit_core.cli.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from setfit_core.registry import HeadInfo

_FIELDS = ("name", "distribution", "version", "target", "api", "status", "reason")
_COLUMNS = ("name", "distribution", "version", "target", "status")
_NOTHING = (
    "No heads are installed. Heads come as Python distributions, usually named setfit-head-NAME. From a folder of "
    "wheels, install one with: pip install --no-index --find-links FOLDER setfit-head-logistic"
)


def heads(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
    _debug: DebugOption = False,
) -> None:
    """List the installed heads; none of them is imported."""
    from setfit_core.registry import list_heads

    found = list_heads()
    if as_json:
        typer.echo(json.dumps([_as_json(info) for info in found], indent=2))
    elif found:
        _print_table(found)
    else:
        typer.echo(_NOTHING)


def _as_json(info: HeadInfo) -> dict[str, Any]:
    return {field: getattr(info, field) for field in _FIELDS}


def _print_table(found: Sequence[HeadInfo]) -> None:
    rows = [(info.name, info.distribution, info.version or "-", info.target, info.status) for info in found]
    print_table(_COLUMNS, rows, status="status", good="available")
    for info in found:
        if info.status != "available":
            typer.echo(f"\n{' '.join(str(info.error()).split())}")
