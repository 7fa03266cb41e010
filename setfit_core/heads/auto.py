"""`head="auto"`: a place kept for the head that the training texts will choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, NoReturn

from setfit_core.errors import UnfittedHeadError

#: The name that stands for it, wherever a head is named.
AUTO: Final = "auto"

_METRICS: Final = ("accuracy", "macro_f1", "log_loss")


class AutoHead:
    """Stands where the head will be, until a model chooses one from its training texts.

    Args:
        heads: The heads to choose from, as `setfit_core.compare_heads` takes them; None for all that are installed.
        metric: What they are compared by: `"accuracy"`, `"macro_f1"` or `"log_loss"`.

    Raises:
        ValueError: If one of them has no meaning.
    """

    setfit_head: ClassVar[Mapping[str, Any]] = {"api": 1, "multi_label": True}

    def __init__(self, heads: Any = None, metric: Literal["accuracy", "macro_f1", "log_loss"] = "accuracy") -> None:
        if metric not in _METRICS:
            raise ValueError(f"metric is {metric!r}. It is one of {', '.join(map(repr, _METRICS))}.")
        if isinstance(heads, str):
            raise ValueError(f"heads is {heads!r}. Give a list of heads, such as [{heads!r}].")  # noqa: TRY004  # as above
        self.heads = heads
        self.metric = metric

    def __repr__(self) -> str:
        return f"AutoHead(heads={self.heads!r}, metric={self.metric!r})"

    def fit(self, *_: Any) -> NoReturn:
        """Raise: a model chooses a head and trains that one.

        Raises:
            UnfittedHeadError: Always.
        """
        raise UnfittedHeadError(_NOT_CHOSEN)

    def predict(self, *_: Any) -> NoReturn:
        """Raise, as `fit` does."""
        raise UnfittedHeadError(_NOT_CHOSEN)

    def predict_proba(self, *_: Any) -> NoReturn:
        """Raise, as `fit` does."""
        raise UnfittedHeadError(_NOT_CHOSEN)


_NOT_CHOSEN: Final = (
    "No head has been chosen yet: head='auto' chooses one from the training texts. Train the model, or call "
    "model.choose_head(texts, labels)."
)
