"""`setfit-core compare`: which head is best for these texts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from setfit_core.cli.config_file import ConfigOption
from setfit_core.cli.options import (
    DebugOption,
    LabelColumnOption,
    MultiLabelOption,
    TextColumnOption,
    complete_head,
    pairs,
    value_of,
)
from setfit_core.cli.screen import is_terminal

if TYPE_CHECKING:
    from setfit_core.choosing.comparison import Comparison

_ALL = "all"


def compare(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled texts: .csv, .jsonl or .parquet.")],
    heads: Annotated[
        str, typer.Option("--heads", metavar="A,B|all", help="The heads to compare.", autocompletion=complete_head)
    ] = _ALL,
    head_param: Annotated[
        list[str] | None,
        typer.Option("--head-param", metavar="HEAD.NAME=VALUE", help="A parameter of a head; may be repeated."),
    ] = None,
    body: Annotated[
        str | None, typer.Option("--body", metavar="MODEL", help="A folder or id on the hub; or the embedded model.")
    ] = None,
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    multi_label: MultiLabelOption = False,
    metric: Annotated[
        Literal["accuracy", "macro_f1", "log_loss"], typer.Option("--metric", help="What decides.")
    ] = "accuracy",
    folds: Annotated[
        int, typer.Option("--folds", metavar="N", min=2, help="Into how many parts texts are divided.")
    ] = 5,
    repeats: Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="How often they are divided.")] = 3,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Seed of all that is drawn.")
    ] = 42,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of a table.")] = False,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Also draw it: .png, .svg.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a plot that is there.")] = False,
    _config: ConfigOption = None,
    _debug: DebugOption = False,
) -> None:
    """Compare heads on labelled texts, by cross-validation.

    The body stays as it is, and embeds the texts once for all heads. A head that fails is a row with its error.
    """
    if as_json and as_markdown:
        raise typer.BadParameter("it excludes --markdown. Give one of the two.", param_hint="--json")
    from setfit_core.tables import check_place, read_labelled

    if plot is not None:
        check_place(plot, overwrite=overwrite)
    params = head_parameters(head_param or ())
    texts = read_labelled(data, text_column=text_column, label_column=label_column, multi_label=multi_label)
    chosen = chosen_heads(heads, params)

    from setfit_core.choosing.compare import compare_heads
    from setfit_core.cli.models import new_model

    if is_terminal(sys.stderr):
        typer.echo(f"Comparing {len(chosen)} heads on {len(texts.texts)} texts ...", err=True)
    model = new_model(body, head=None, head_params={}, multi_label=multi_label, seed=seed)
    comparison = compare_heads(
        model, texts.texts, texts.labels, heads=chosen, metric=metric, folds=folds, repeats=repeats, seed=seed
    )
    if as_json:
        typer.echo(json.dumps(comparison.to_json(), indent=2, ensure_ascii=False))
    elif as_markdown:
        typer.echo(comparison.to_markdown(), nl=False)
    else:
        _print(comparison)
    if plot is not None:
        comparison.plot(plot)


def head_parameters(given: Any) -> dict[str, dict[str, Any]]:
    """Return parameters by head, of what HEAD.NAME=VALUE says."""
    found: dict[str, dict[str, Any]] = {}
    for name, text in pairs(given, "--head-param", "HEAD.NAME=VALUE").items():
        head, dot, parameter = name.rpartition(".")
        if not (head and dot and parameter):
            raise typer.BadParameter(f"{name!r} names no head. Write HEAD.NAME=VALUE.", param_hint="--head-param")
        found.setdefault(head, {})[parameter] = value_of(text)
    return found


def chosen_heads(heads: str, params: dict[str, dict[str, Any]]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the heads that `--heads` names, with their parameters.

    Raises:
        BadParameter: If there are none, or a parameter is for none of them.
    """
    from setfit_core.registry import list_heads

    if heads.strip() == _ALL:
        names = {
            info.name if info.status == "available" else info.qualified_name: info.qualified_name
            for info in list_heads()
            if info.status != "disabled"
        }
    else:
        names = {name: name for part in heads.split(",") if (name := part.strip())}
    if not names:
        raise typer.BadParameter("there is none. Name heads, such as logistic,linear.", param_hint="--heads")
    if stray := [head for head in params if head not in names]:
        raise typer.BadParameter(
            f"{stray[0]!r} is none of the heads that are compared ({', '.join(names)}).", param_hint="--head-param"
        )
    return {name: (head, params.get(name, {})) for name, head in names.items()}


def _print(comparison: Comparison) -> None:
    if not is_terminal(sys.stdout):
        typer.echo(str(comparison))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(comparison.to_markdown()))
