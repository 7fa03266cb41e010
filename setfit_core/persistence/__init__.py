"""Models on disk and on the hub: one module for each head format, none of which unpickles anything.

The names below are imported on first use (PEP 562), so that looking for a body on the hub, and finding that there is
none, doesn't wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from setfit_core.persistence.body import load_body
    from setfit_core.persistence.config import HeadRecord, ModelConfig
    from setfit_core.persistence.folder import load_config, load_head, save_folder
    from setfit_core.persistence.location import locate_model

_HOMES = {
    "HeadRecord": "config",
    "ModelConfig": "config",
    "load_body": "body",
    "load_config": "folder",
    "load_head": "folder",
    "locate_model": "location",
    "save_folder": "folder",
}

__all__ = [
    "HeadRecord",
    "ModelConfig",
    "load_body",
    "load_config",
    "load_head",
    "locate_model",
    "save_folder",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
