"""`setfit-core search`: which head with which parameters is best for these texts."""

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
    RepeatsOption,
    SeedOption,
    TextColumnOption,
)


def search(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled texts: .csv, .jsonl or .parquet.")],
    heads: HeadsOption = ALL,
    head_param: HeadsParamOption = None,
    trials: Annotated[
        int, typer.Option("--trials", metavar="N", min=1, help="How many to try, each head as it is included.")
    ] = 50,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=0, help="Seconds after which no trial is begun.")
    ] = None,
    body: BodyOption = None,
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    multi_label: MultiLabelOption = False,
    metric: MetricOption = "log_loss",
    folds: FoldsOption = 5,
    repeats: RepeatsOption = 3,
    seed: SeedOption = 42,
    as_json: JsonOption = False,
    as_markdown: MarkdownOption = False,
    _config: ConfigOption = None,
    _debug: DebugOption = False,
) -> None:
    """Search for a head and its parameters, by cross-validation.

    Each head is tried as it is, and then with the parameters that it declares as worth trying. What --head-param sets
    stays.
    """
    check_output(as_json=as_json, as_markdown=as_markdown)
    from setfit_core.tables import read_labelled

    chosen = chosen_heads(heads, head_param or ())
    texts = read_labelled(data, text_column=text_column, label_column=label_column, multi_label=multi_label)

    from setfit_core.choosing.search import search_heads
    from setfit_core.cli.models import new_model

    announce(chosen, texts.texts)
    model = new_model(body, head="auto", head_params={}, multi_label=multi_label, seed=seed)  # none is needed
    found = search_heads(
        model,
        texts.texts,
        texts.labels,
        heads=chosen,
        n_trials=trials,
        timeout=timeout,
        metric=metric,
        folds=folds,
        repeats=repeats,
        seed=seed,
    )
    print_result(found, as_json=as_json, as_markdown=as_markdown)
