"""What a model keeps for its card besides its own configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setfit_core.model_card.data import ModelCardData, is_hub_id
from setfit_core.model_card.reading import damaged, take_object
from setfit_core.model_card.record import TrainingRecord

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class CardFacts:
    """What a model keeps for its card, and writes into `config_setfit.json` so that it lasts.

    Attributes:
        training: What was trained and measured.
        card: What the user said.
        base_model: The id on the hub of the body that training began with. Never a path.
    """

    training: TrainingRecord | None = None
    card: ModelCardData | None = None
    base_model: str | None = None

    def to_json(self) -> dict[str, Any] | None:
        """Return the facts as JSON values, without training texts if the user said so; None if there are none."""
        if self == CardFacts():
            return None
        training = self.published_training
        return {
            "record": None if training is None else training.to_json(),
            "card": None if self.card is None else self.card.to_json(),
            "base_model": self.base_model,
        }

    @property
    def published_training(self) -> TrainingRecord | None:
        """The record as it may be written into files."""
        if self.training is None or self.card is None or self.card.examples:
            return self.training
        return self.training.without_examples()

    def on_hub(self, repo_id: str) -> CardFacts:
        """Return the facts of the model under its id on the hub, unless the user gave it one already."""
        card = self.card or ModelCardData()
        if card.model_id is not None or not is_hub_id(repo_id, with_owner=True):
            return self
        return replace(self, card=replace(card, model_id=repo_id))

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> CardFacts:
        """Rebuild the facts from `to_json`.

        Raises:
            ModelFormatError: If it is not what `to_json` wrote.
        """
        if content is None:
            return cls()
        content = take_object(content, "training")
        record, card, base_model = content.get("record"), content.get("card"), content.get("base_model")
        if base_model is not None and not (isinstance(base_model, str) and is_hub_id(base_model, with_owner=False)):
            damaged("training.base_model", base_model, "an id on the hub or null")
        return cls(
            training=None if record is None else TrainingRecord.from_json(record),
            card=None if card is None else ModelCardData.from_json(card),
            base_model=base_model,
        )


def base_model_of(model_id: str | os.PathLike[str] | None, body: SentenceTransformer) -> str | None:
    """Return the id on the hub of a body, if it is known to have come from there.

    Args:
        model_id: What the user named to load the body: a folder, an id on the hub, or None.
        body: The body, which knows its id if sentence-transformers fetched it.
    """
    known = model_id if model_id is not None else getattr(body.model_card_data, "base_model", None)
    # A bare name may be one of sentence-transformers or not; a path may look like an id.
    if isinstance(known, str) and is_hub_id(known, with_owner=True) and not Path(known).exists():
        return known
    return None
