"""The model card: `README.md` of a saved model, and the facts that it is made of.

`CardFacts` is what a model keeps for its card: a `TrainingRecord` (what was trained and measured), `ModelCardData`
(what only the user knows) and the body's id on the hub. `render_card` makes the text.
"""

from __future__ import annotations

from setfit_core.model_card.data import ModelCardData
from setfit_core.model_card.facts import CardFacts, base_model_of
from setfit_core.model_card.record import DataSource, LabelTexts, Measurement, TrainingRecord, record_training
from setfit_core.model_card.rendering import render_card

__all__ = [
    "CardFacts",
    "DataSource",
    "LabelTexts",
    "Measurement",
    "ModelCardData",
    "TrainingRecord",
    "base_model_of",
    "record_training",
    "render_card",
]
