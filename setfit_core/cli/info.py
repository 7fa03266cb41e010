"""`setfit-core heads info`: everything about one installed head."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from setfit_core.cli.config_file import ConfigOption
from setfit_core.cli.options import DebugOption, complete_head

if TYPE_CHECKING:
    from setfit_core.registry import LoadedHead


def info(
    name: Annotated[
        str, typer.Argument(help="An installed head, NAME or DISTRIBUTION:NAME.", autocompletion=complete_head)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of lines.")] = False,
    _config: ConfigOption = None,
    _debug: DebugOption = False,
) -> None:
    """Show what a head is and which parameters it takes; it is loaded."""
    from setfit_core.registry import get_head

    told = _described(get_head(name))
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    width = max(map(len, told))
    for key, value in told.items():
        lines = _lines(value)
        typer.echo(f"{key.replace('_', ' '):<{width}}  {lines[0]}")
        for line in lines[1:]:
            typer.echo(f"{'':<{width}}  {line}")


def _described(loaded: LoadedHead) -> dict[str, Any]:
    from setfit_core.conformance import check_contract, declared_capabilities

    # What a function builds is only known once it is built, and building is not this command's business.
    kind = loaded.factory if isinstance(loaded.factory, type) else None
    return {
        "name": loaded.info.name,
        "distribution": loaded.info.distribution,
        "version": loaded.info.version,
        "target": loaded.info.target,
        "api": list(loaded.info.api),
        "builds": _qualified(loaded.factory),
        "contract": None if kind is None else check_contract(kind).contract,
        "capabilities": None if kind is None else dict(declared_capabilities(kind)),
        "parameters": _parameters(loaded),
    }


def _qualified(factory: Any) -> str:
    named = factory if hasattr(factory, "__qualname__") else type(factory)
    return f"{named.__module__}:{named.__qualname__}"


def _parameters(loaded: LoadedHead) -> dict[str, str] | None:
    """Return the default of each parameter as text, empty for one that has to be given."""
    try:
        parameters = inspect.signature(loaded.factory).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return None
    return {
        ("**" if parameter.kind is parameter.VAR_KEYWORD else "") + parameter.name: (
            "" if parameter.default is parameter.empty else repr(parameter.default)
        )
        for parameter in parameters
    }


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}={default}" if default != "" else key for key, default in value.items()] or ["none"]
    if isinstance(value, list):
        return [", ".join(map(str, value))]
    return ["-" if value in (None, "") else str(value)]
