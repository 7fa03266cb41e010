"""The models that commands work with: a new one on a body, or a trained one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from setfit_core.cli.screen import is_terminal
from setfit_core.errors import PersistenceError

if TYPE_CHECKING:
    from setfit_core.model import SetFitModel

#: Files that tell a model folder, as `persistence.folder.MODEL_MARKS`, which waits for torch.
MODEL_FILES: Final = ("config_setfit.json", "modules.json")
#: How a head is made to give several labels a text, if it can't do so itself.
STRATEGY: Final = "one-vs-rest"


def new_model(
    body: str | None, *, head: str | None, head_params: Mapping[str, Any], multi_label: bool, seed: int
) -> SetFitModel:
    """Return an untrained model.

    Args:
        body: The body, an id on the hub or a folder; of a trained model, its body alone. None for the embedded one.
        head: The head by name; None for logistic regression.
        head_params: Its parameters.
        multi_label: Whether a text may have several labels.
        seed: The seed of the head.
    """
    from setfit_core.model import SetFitModel

    no_bars_in_pipes()
    strategy = STRATEGY if multi_label else None
    if body is not None and (Path(body) / MODEL_FILES[0]).is_file():
        trained = SetFitModel.from_pretrained(body)
        return SetFitModel(trained.model_body, head, strategy, head_params=head_params, random_state=seed)
    return SetFitModel.from_pretrained(
        body, head=head, head_params=head_params, multi_target_strategy=strategy, random_state=seed
    )


def trained_model(name: str) -> SetFitModel:
    """Load a trained model from a folder or the hub.

    Raises:
        PersistenceError: If there is none, or it has no trained head.
    """
    from setfit_core.model import SetFitModel

    no_bars_in_pipes()
    model = SetFitModel.from_pretrained(name)
    if model.labels is None:
        raise PersistenceError(
            f"{name} holds a body without a trained head. Train one: setfit-core train DATA --body {name} --out DIR"
        )
    return model


def no_bars_in_pipes() -> None:
    """Keep transformers from drawing bars for what it loads and saves, unless somebody sees them."""
    if not is_terminal(sys.stderr):
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no annotations
