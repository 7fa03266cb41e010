"""What a run of the conformance suite found, in every form in which it is shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from setfit_core.errors import NonConformingHeadError
from setfit_core.testing.findings import Findings
from setfit_core.testing.rendering import as_badge, as_dict, as_markdown, as_text

__all__ = ["Report"]


@dataclass(frozen=True)
class Report(Findings):
    """What `check_head` found; see `Findings` for its attributes."""

    def raise_for_failures(self) -> None:
        """Raise if the head doesn't conform.

        Raises:
            NonConformingHeadError: With this report as its text.
        """
        if not self.ok:
            raise NonConformingHeadError(str(self))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as values that JSON can hold."""
        return as_dict(self)

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    def to_markdown(self) -> str:
        """Return the report as a Markdown page."""
        return as_markdown(self)

    def to_badge(self) -> str:
        """Return the verdict as a small SVG picture."""
        return as_badge(self)

    def __str__(self) -> str:
        return as_text(self)
