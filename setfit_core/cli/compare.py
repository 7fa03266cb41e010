"""`setfit-core compare`: which head is best for these texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from setfit_core.cli.choosing import ALL, announce, check_output, chosen_heads, print_result
from setfit_core.cli.config_file import ConfigOption
from setfit_core.cli.options import (
    BodyOption,
    DebugOption,
    FoldsOption,
    HeadsOption,
    HeadsParamOption,
    JsonOption,
    LabelColumnOption,
    MarkdownOption,
    MetricOption,
    MultiLabelOption,
    OverwriteOption,
    RepeatsOption,
    SeedOption,
    TextColumnOption,
)


def compare(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled texts: .csv, .jsonl or .parquet.")],
    heads: HeadsOption = ALL,
    head_param: HeadsParamOption = None,
    body: BodyOption = None,
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    multi_label: MultiLabelOption = False,
    metric: MetricOption = "accuracy",
    folds: FoldsOption = 5,
    repeats: RepeatsOption = 3,
    seed: SeedOption = 42,
    as_json: JsonOption = False,
    as_markdown: MarkdownOption = False,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Also draw it: .png or .svg.")] = None,
    overwrite: OverwriteOption = False,
    _config: ConfigOption = None,
    _debug: DebugOption = False,
) -> None:
    """Compare heads on labelled texts, by cross-validation.

    The body stays as it is, and embeds the texts once for all heads. A head that fails is a row with its error.
    """
    check_output(as_json=as_json, as_markdown=as_markdown)
    from setfit_core.cli.plots import check_plot
    from setfit_core.tables import read_labelled

    if plot is not None:
        check_plot(plot, overwrite=overwrite)
    chosen = chosen_heads(heads, head_param or ())
    texts = read_labelled(data, text_column=text_column, label_column=label_column, multi_label=multi_label)

    from setfit_core.choosing.compare import compare_heads
    from setfit_core.cli.models import new_model

    announce(chosen, texts.texts)
    model = new_model(body, head="auto", head_params={}, multi_label=multi_label, seed=seed)  # none is needed
    comparison = compare_heads(
        model, texts.texts, texts.labels, heads=chosen, metric=metric, folds=folds, repeats=repeats, seed=seed
    )
    print_result(comparison, as_json=as_json, as_markdown=as_markdown)
    if plot is not None:
        comparison.plot(plot)
