"""`setfit-core heads doctor`: load every installed head, each in a process of its own, and say how it went."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from setfit_core.cli.config_file import ConfigOption
from setfit_core.cli.options import DebugOption
from setfit_core.cli.screen import print_table

if TYPE_CHECKING:
    from setfit_core.registry.diagnosis import Diagnosis

_COLUMNS = ("name", "distribution", "version", "status", "contract", "import seconds", "exit code")


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=1, help="Seconds after which a head is given up.")
    ] = 120,
    _config: ConfigOption = None,
    _debug: DebugOption = False,
) -> None:
    """Load each head in a process of its own, and tell how it went.

    The exit status is 1 if one of them has a problem.
    """
    from setfit_core.registry import list_heads
    from setfit_core.registry.diagnosis import diagnose

    found = list(diagnose(list_heads(), time_limit=time_limit))
    if as_json:
        typer.echo(json.dumps([_as_json(diagnosis) for diagnosis in found], indent=2))
    else:
        print_table(_COLUMNS, [_row(diagnosis) for diagnosis in found], good="ok", status="status")
        for diagnosis in found:
            if diagnosis.message:
                typer.echo(f"\n{' '.join(diagnosis.message.split())}")
    if any(diagnosis.status not in ("ok", "disabled") for diagnosis in found):
        raise typer.Exit(1)


def _row(diagnosis: Diagnosis) -> tuple[str, ...]:
    info = diagnosis.info
    seconds = "-" if diagnosis.seconds is None else f"{diagnosis.seconds:.2f}"
    exit_code = "-" if diagnosis.exit_code is None else str(diagnosis.exit_code)
    contract = diagnosis.contract or "-"
    return info.name, info.distribution, info.version or "-", diagnosis.status, contract, seconds, exit_code


def _as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    info = diagnosis.info
    return {
        "name": info.name,
        "distribution": info.distribution,
        "version": info.version,
        "status": diagnosis.status,
        "contract": diagnosis.contract,
        "message": diagnosis.message,
        "seconds": diagnosis.seconds,
        "exit_code": diagnosis.exit_code,
    }
