"""The head `prototype`: the nearest class mean, which learns further examples and classes without retraining.

The entry point leads to this module, whose three hooks say what builds the head and how it is written and read. NumPy
and scikit-learn are imported only when one of them is called, or `PrototypeHead` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from setfit_head_prototype.head import PrototypeHead

__all__ = ["PrototypeHead", "setfit_head_factory", "setfit_load_head", "setfit_save_head"]

FORMAT = "prototype"

hookimpl = pluggy.HookimplMarker("setfit")


@hookimpl
def setfit_head_factory() -> type[PrototypeHead]:
    """Return the class of the head."""
    from setfit_head_prototype.head import PrototypeHead

    return PrototypeHead


@hookimpl
def setfit_save_head(head: Any, directory: Path) -> dict[str, str] | None:
    """Write a head into an empty directory; None for a head of another class.

    Raises:
        NotFittedError: The head isn't fitted.
        ValueError: The head is larger than what is read again.
    """
    from setfit_head_prototype.files import write
    from setfit_head_prototype.head import PrototypeHead

    if type(head) is not PrototypeHead:  # a subclass would come back as this class
        return None
    write(head, directory)
    return {"format": FORMAT}


@hookimpl
def setfit_load_head(directory: Path, metadata: Mapping[str, Any]) -> PrototypeHead | None:
    """Rebuild a head from what `setfit_save_head` wrote; None for another format.

    Raises:
        ValueError: The files are missing, damaged, or don't fit each other or this version of the package.
    """
    if metadata.get("format") != FORMAT:
        return None
    from setfit_head_prototype.files import read

    return read(directory)


def __getattr__(name: str) -> Any:
    if name == "PrototypeHead":
        return setfit_head_factory()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
