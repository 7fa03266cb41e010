"""Models on disk and on the hub: one module for each head format, none of which unpickles anything."""

from __future__ import annotations

from setfit_core.persistence.body import load_body, resolve_body
from setfit_core.persistence.config import HeadRecord, ModelConfig
from setfit_core.persistence.folder import load_config, load_head, save_folder

__all__ = [
    "HeadRecord",
    "ModelConfig",
    "load_body",
    "load_config",
    "load_head",
    "resolve_body",
    "save_folder",
]
