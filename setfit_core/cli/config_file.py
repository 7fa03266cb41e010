"""`--config FILE.toml`: options from a file, with a table for each command, `[train]` or `[heads.doctor]`.

A value of the file takes the place of an option's default, so it is read, typed and refused like one of the command
line, which wins over it.
"""

from __future__ import annotations

import difflib
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NOT_IN_FILES = ("--config", "--debug", "--help")


def _read_config(context: typer.Context, file: Path | None) -> None:
    if file is None or context.resilient_parsing:
        return
    names = _names_of(context)
    command: Any = context.find_root().command
    table: Any = _parsed(file)
    _check_known(table, command.commands, file, "command")
    for depth, name in enumerate(names, start=1):
        command, table = command.commands[name], table.get(name, {})
        if not isinstance(table, dict):
            raise typer.BadParameter(f"{name!r} in {file} is no table. Write it as [{'.'.join(names[:depth])}].")
        known = [*_options(command), *getattr(command, "commands", ())]
        _check_known(table, known, file, f"option of {' '.join(names[:depth])}")
    options = _options(command)
    context.default_map = {
        options[key].name: _as_typed(value, options[key], f"{key!r} in {file}")
        for key, value in table.items()
        if key in options
    }


#: Options that are given come before those that are not, so that these find the values of the file.
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        help="Take options from this command's table in a file; the command line wins.",
        callback=_read_config,
    ),
]


def _names_of(context: typer.Context) -> list[str]:
    names: list[str] = []
    node: Any = context
    while node.parent is not None:
        names.insert(0, node.command.name)
        node = node.parent
    return names


def _parsed(file: Path) -> dict[str, Any]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        parsed: dict[str, Any] = toml.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"{str(file)!r} can't be read: {error.strerror}. Give a TOML file.") from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise typer.BadParameter(f"{str(file)!r} is no TOML: {error}. Correct it there.") from error
    return parsed


def _options(command: Any) -> dict[str, Any]:
    """Return the parameters of a command by their names in a file: `--text-column` and DATA as text-column and data."""
    options: dict[str, Any] = {}
    for parameter in command.params:
        name = max(parameter.opts, key=len)
        if name not in _NOT_IN_FILES:
            options[name.removeprefix("--").replace("_", "-")] = parameter
    return options


def _check_known(table: Mapping[str, Any], known: Iterable[str], file: Path, what: str) -> None:
    known = sorted(known)
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            raise typer.BadParameter(f"{key!r} in {file} is no {what}.{meant} There are {', '.join(known)}.")


def _as_typed(value: Any, parameter: Any, what: str) -> Any:
    """Return a value as it would have been typed: text, or a list of texts for what may be given several times."""
    if isinstance(value, bool) and getattr(parameter, "is_flag", False):
        return value
    if getattr(parameter, "multiple", False):
        if isinstance(value, dict):  # head-param = {C = 10.0}
            return [f"{name}={json.dumps(item, default=str)}" for name, item in value.items()]
        return [_text(item) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, list | dict):
        raise typer.BadParameter(f"{what} takes one value, not several.")
    return _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
