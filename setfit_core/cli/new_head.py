"""`setfit-core new-head`: a package to start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from setfit_core.cli.config_file import ConfigOption
from setfit_core.cli.options import DebugOption


def _checked_author(author: str | None) -> str | None:
    if author is not None and not (author.strip() and author.isprintable()):
        raise typer.BadParameter(f"{author!r} is blank or has control characters. Give a name, such as 'Ada Lovelace'.")
    return author


def new_head(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What users will write: head=NAME.")],
    differentiable: Annotated[
        bool, typer.Option("--differentiable", help="Make a torch module instead of a classifier on NumPy arrays.")
    ] = False,
    directory: Annotated[
        Path | None,
        typer.Option("--directory", metavar="DIR", help="Write here instead of into setfit-head-NAME."),
    ] = None,
    author: Annotated[
        str | None,
        typer.Option(
            "--author", metavar="AUTHOR", help="The author that pyproject.toml names.", callback=_checked_author
        ),
    ] = None,
    _config: ConfigOption = None,
    _debug: DebugOption = False,
) -> None:
    """Write the package of a new head, which works as it is."""
    from setfit_core.errors import ArgumentError
    from setfit_core.registry import list_heads
    from setfit_core.scaffold import HeadNames, write_package

    try:
        names = HeadNames.of(name)
    except ArgumentError as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from error
    for info in list_heads():
        if info.name == names.head or info.distribution == names.distribution:
            raise ArgumentError(
                f"The head {info.qualified_name!r} is installed already, and two of one name get in each other's "
                f"way. Choose another name, or uninstall that one first: pip uninstall {info.distribution}"
            )
    folder = Path(names.distribution) if directory is None else directory
    write_package(names, folder, differentiable=differentiable, author=author)
    typer.echo(
        f"Wrote the head {names.head!r} to {folder}. It works as it is; try it, then make it yours:\n\n"
        f"  cd {shlex.quote(str(folder))}\n"
        '  pip install -e ".[test]"\n'
        f"  setfit-core check {names.head}\n\n"
        f"The head is the class {names.class_name} in {names.package}/__init__.py."
    )
