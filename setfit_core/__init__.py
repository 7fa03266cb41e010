"""Few-shot text classification in which every classification head is a plugin.

The names below are imported on first use (PEP 562), so that `import setfit_core` loads neither torch nor any
plugin.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from setfit_core.version import __version__

if TYPE_CHECKING:
    from setfit_core import errors as errors
    from setfit_core.choosing.compare import compare_heads as compare_heads
    from setfit_core.choosing.search import search_heads as search_heads
    from setfit_core.conformance import ContractReport as ContractReport
    from setfit_core.conformance import check_contract as check_contract
    from setfit_core.data import sample_dataset as sample_dataset
    from setfit_core.embedding.cache import EmbeddingCache as EmbeddingCache
    from setfit_core.errors import SetFitError as SetFitError
    from setfit_core.evaluation.evaluate import evaluate_probabilities as evaluate_probabilities
    from setfit_core.losses import AllPairsLoss as AllPairsLoss
    from setfit_core.losses import SupConLoss as SupConLoss
    from setfit_core.model import SetFitModel as SetFitModel
    from setfit_core.model_card import ModelCardData as ModelCardData
    from setfit_core.protocols import DifferentiableHead as DifferentiableHead
    from setfit_core.protocols import NonDifferentiableHead as NonDifferentiableHead
    from setfit_core.registry import HeadInfo as HeadInfo
    from setfit_core.registry import get_head as get_head
    from setfit_core.registry import list_heads as list_heads
    from setfit_core.registry import refresh_heads as refresh_heads
    from setfit_core.registry import require_heads as require_heads
    from setfit_core.scoring import score_dataset as score_dataset
    from setfit_core.training.arguments import TrainingArguments as TrainingArguments
    from setfit_core.training.trainer import Trainer as Trainer

_HOMES = {
    "AllPairsLoss": "setfit_core.losses",
    "ContractReport": "setfit_core.conformance",
    "DifferentiableHead": "setfit_core.protocols",
    "EmbeddingCache": "setfit_core.embedding.cache",
    "HeadInfo": "setfit_core.registry",
    "ModelCardData": "setfit_core.model_card",
    "NonDifferentiableHead": "setfit_core.protocols",
    "SetFitError": "setfit_core.errors",
    "SetFitModel": "setfit_core.model",
    "SupConLoss": "setfit_core.losses",
    "Trainer": "setfit_core.training.trainer",
    "TrainingArguments": "setfit_core.training.arguments",
    "check_contract": "setfit_core.conformance",
    "compare_heads": "setfit_core.choosing.compare",
    "evaluate_probabilities": "setfit_core.evaluation.evaluate",
    "get_head": "setfit_core.registry",
    "list_heads": "setfit_core.registry",
    "refresh_heads": "setfit_core.registry",
    "require_heads": "setfit_core.registry",
    "sample_dataset": "setfit_core.data",
    "score_dataset": "setfit_core.scoring",
    "search_heads": "setfit_core.choosing.search",
}

__all__ = [
    "AllPairsLoss",
    "ContractReport",
    "DifferentiableHead",
    "EmbeddingCache",
    "HeadInfo",
    "ModelCardData",
    "NonDifferentiableHead",
    "SetFitError",
    "SetFitModel",
    "SupConLoss",
    "Trainer",
    "TrainingArguments",
    "__version__",
    "check_contract",
    "compare_heads",
    "errors",
    "evaluate_probabilities",
    "get_head",
    "list_heads",
    "refresh_heads",
    "require_heads",
    "sample_dataset",
    "score_dataset",
    "search_heads",
]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("setfit_core.errors")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
