"""`setfit-core convert`: a saved model, read once more and written in today's format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from setfit_core.cli.config_file import ConfigOption
from setfit_core.cli.options import DebugOption

_SHOWN = 3


def convert(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A saved model: a folder, or an id on the hub.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Where to write it: a folder that is empty or not there.")],
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="REV", help="Branch, tag or commit of OLD on the hub.")
    ] = None,
    setfit_compatible: Annotated[
        bool, typer.Option("--setfit-compatible", help="Also write what setfit loads, a pickle of the head.")
    ] = False,
    trusted: Annotated[
        list[str] | None,
        typer.Option("--trusted", metavar="TYPE", help="A further type that the head may hold; as often as need be."),
    ] = None,
    trust_pickle: Annotated[
        bool,
        typer.Option(
            "--trust-pickle",
            help="Unpickle a head of setfit that can't be read otherwise. This runs the code its author put in.",
        ),
    ] = False,
    _config: ConfigOption = None,
    _debug: DebugOption = False,
) -> None:
    """Convert a model of setfit, or of an earlier version.

    OLD stays as it is.
    """
    from setfit_core.errors import PersistenceError

    if new.exists() and (not new.is_dir() or any(new.iterdir())):
        raise PersistenceError(f"{new} exists already, and convert never replaces anything. Name another folder.")
    if Path(old).is_dir() and new.resolve().is_relative_to(Path(old).resolve()):
        raise PersistenceError(f"{new} lies inside {old}, which convert leaves as it is. Name a folder elsewhere.")
    from setfit_core.cli.models import no_bars_in_pipes
    from setfit_core.model import SetFitModel

    no_bars_in_pipes()
    model = SetFitModel.from_pretrained(
        old, revision=revision, trusted=tuple(trusted or ()), trust_pickle=trust_pickle, device="cpu"
    )
    if model.labels is None:
        raise PersistenceError(
            f"{old} holds a body without a trained head, so there is nothing to convert. It can be used as it is: "
            f"SetFitModel.from_pretrained({old!r})."
        )
    folder = model.save_pretrained(new, setfit_compatible=setfit_compatible)
    named = ", ".join(repr(label) for label in model.labels[:_SHOWN])
    more = ", …" if len(model.labels) > _SHOWN else ""
    head = type(model.model_head).__name__
    typer.echo(f"Wrote {folder}: the head {head}, {len(model.labels)} labels ({named}{more}).")
