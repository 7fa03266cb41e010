"""The hooks for heads that are saved with skops, which is imported when there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

FORMAT = "skops"

hookimpl = pluggy.HookimplMarker("setfit")


@hookimpl(trylast=True)
def setfit_save_head(head: Any, directory: Path) -> Mapping[str, Any] | None:
    """Write a head that is no torch module, see `file.save_head`; None for one that is."""
    if isinstance(head, nn.Module):
        return None
    from setfit_core.persistence.skops.file import save_head

    save_head(head, directory)
    return {"format": FORMAT}


@hookimpl(trylast=True)
def setfit_load_head(
    directory: Path,
    metadata: Mapping[str, Any],
    factory: Callable[..., Any] | None,
    trusted: Sequence[str],
) -> Any:
    """Read a head, see `file.load_head`; None for another format."""
    if metadata.get("format") != FORMAT:
        return None
    from setfit_core.persistence.skops.file import load_head

    return load_head(directory, factory, trusted)
