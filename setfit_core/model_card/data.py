"""What only the user knows about a model, for its card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but not in an __all__

from setfit_core.errors import ArgumentError
from setfit_core.model_card.markdown import visible
from setfit_core.model_card.reading import damaged, take_object

_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*|code|multilingual")
_LICENSE: Final = re.compile(r"[a-z0-9](?:[a-z0-9.+-]*[a-z0-9+])?")
_LONGEST: Final = 200


def is_hub_id(text: str, *, with_owner: bool) -> bool:
    """Tell whether the hub could have a repository of this id."""
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return "/" in text or not with_owner


@dataclass(frozen=True)
class ModelCardData:
    """Facts for the model card that only the user knows. Nothing of it is looked up on the hub.

    Names are those of `setfit`'s `SetFitModelCardData` where the meaning is the same.

    Attributes:
        language: ISO code of the texts' language, such as `"en"`, or several of them.
        license: The hub's identifier of the model's license, in lower case, such as `"apache-2.0"`.
        tags: Tags for the hub, besides those that every card has.
        model_name: A readable name of the model.
        model_id: The id of the model on the hub, such as `"you/your-model"`.
        dataset_name: A readable name of the data set that the model was trained and evaluated on. Figures count for
            it where the evaluation data don't say themselves where they come from.
        dataset_id: Its id on the hub.
        dataset_revision: Its commit.
        dataset_split: The split of it that the model was evaluated on.
        st_id: The id on the hub of the body that training began with.
        examples: Whether training texts may be shown. If False, neither the card nor any other file of the saved
            model holds a training text. (Some heads, such as nearest neighbours, keep embeddings of the texts.)

    Raises:
        ArgumentError: If a value isn't one that the hub could take.
    """

    language: str | Sequence[str] | None = None
    license: str | None = None
    tags: Sequence[str] = ()
    model_name: str | None = None
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_id: str | None = None
    dataset_revision: str | None = None
    dataset_split: str | None = None
    st_id: str | None = None
    examples: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.language, list):
            object.__setattr__(self, "language", tuple(self.language))
        if isinstance(self.tags, list):
            object.__setattr__(self, "tags", tuple(self.tags))
        listed = self.language is None or isinstance(self.language, str | Sequence)
        if not listed or not all(isinstance(item, str) and _LANGUAGE.fullmatch(item) for item in self.languages):
            msg = f"language is {self.language!r}. Give ISO codes, such as 'en' or ['en', 'de']; or 'multilingual'."
            raise ArgumentError(msg)
        if self.license is not None and not (isinstance(self.license, str) and _LICENSE.fullmatch(self.license)):
            msg = f"license is {self.license!r}. Give the hub's identifier in lower case, such as 'apache-2.0'."
            raise ArgumentError(msg)
        if (
            not isinstance(self.tags, Sequence)
            or isinstance(self.tags, str)
            or not all(isinstance(tag, str) and _is_plain_line(tag) for tag in self.tags)
        ):
            msg = f"tags is {self.tags!r}. Give a list of short strings, such as ['support', 'routing']."
            raise ArgumentError(msg)
        for name in ("model_name", "dataset_name", "dataset_revision", "dataset_split"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and _is_plain_line(value)):
                msg = f"{name} is {value!r}. Give one line of text, of at most {_LONGEST} characters."
                raise ArgumentError(msg)
        for name in ("model_id", "dataset_id", "st_id"):
            value = getattr(self, name)
            with_owner = name == "model_id"
            if value is not None and not (isinstance(value, str) and is_hub_id(value, with_owner=with_owner)):
                msg = f"{name} is {value!r}, which is no id that the hub can have. It looks like 'owner/name'."
                raise ArgumentError(msg)
        if not isinstance(self.examples, bool):
            msg = f"examples is {self.examples!r}. Give True or False."
            raise ArgumentError(msg)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages, none or more."""
        if self.language is None:
            return ()
        return (self.language,) if isinstance(self.language, str) else tuple(self.language)

    def to_json(self) -> dict[str, Any]:
        """Return the data as JSON values."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ModelCardData:
        """Rebuild the data from `to_json`.

        Raises:
            ModelFormatError: If it is not what `to_json` wrote.
        """
        content = take_object(content, "card")
        known = {item.name: content[item.name] for item in fields(cls) if item.name in content}
        try:
            return cls(**known)
        except ArgumentError:
            damaged("card", dict(known), "what ModelCardData takes")


def _is_plain_line(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.strip() == text and visible(text) == text
