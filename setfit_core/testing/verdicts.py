"""How a check ends that is neither passed nor an error of its own."""

from __future__ import annotations

__all__ = ["CheckFailed", "CheckSkipped"]


class CheckFailed(Exception):  # noqa: N818  # an outcome, as pytest's own are, and no error
    """A head does not do what a check asks for.

    Args:
        seen: What was seen, a sentence without its full stop.
        remedy: How to mend it, where that is more to the point than the check's own remedy.
    """

    def __init__(self, seen: str, remedy: str = "") -> None:
        super().__init__(seen)
        self.seen = seen
        self.remedy = remedy


class CheckSkipped(Exception):  # noqa: N818  # as above
    """A check has nothing to ask of this head.

    Args:
        reason: Why, a sentence without its full stop.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
