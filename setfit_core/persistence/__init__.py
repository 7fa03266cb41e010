"""Models on disk and on the hub: one module for each head format, none of which unpickles anything.

The names below are imported on first use (PEP 562), so that looking for a body on the hub, and finding that there is
none, doesn't wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from setfit_core.persistence.body.loading import load_body
    from setfit_core.persistence.config import HeadRecord, ModelConfig
    from setfit_core.persistence.files import check_folder
    from setfit_core.persistence.folder import load_config, load_head, save_folder
    from setfit_core.persistence.hub.push import push_to_hub
    from setfit_core.persistence.location import locate_model
    from setfit_core.persistence.setfit.folder import is_setfit_folder, read_setfit_folder, write_setfit_files
    from setfit_core.persistence.swap import read_whole

_HOMES = {
    "HeadRecord": "config",
    "ModelConfig": "config",
    "check_folder": "files",
    "is_setfit_folder": "setfit.folder",
    "load_body": "body.loading",
    "load_config": "folder",
    "load_head": "folder",
    "locate_model": "location",
    "push_to_hub": "hub.push",
    "read_setfit_folder": "setfit.folder",
    "read_whole": "swap",
    "save_folder": "folder",
    "write_setfit_files": "setfit.folder",
}

__all__ = [
    "HeadRecord",
    "ModelConfig",
    "check_folder",
    "is_setfit_folder",
    "load_body",
    "load_config",
    "load_head",
    "locate_model",
    "push_to_hub",
    "read_setfit_folder",
    "read_whole",
    "save_folder",
    "write_setfit_files",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
