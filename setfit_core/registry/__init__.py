"""Installed heads: found by metadata, judged before anything is imported, loaded one at a time.

`discovery` reads and judges metadata, `resolution` turns a name into one head or one distinct error, `loading` is the
only place that imports plugin code, and `registry` holds them together.
"""

from __future__ import annotations

from setfit_core.registry.registry import (
    HeadHooks,
    HeadInfo,
    HeadRegistry,
    LoadedHead,
    default_registry,
    get_head,
    list_heads,
    refresh_heads,
    require_heads,
)

__all__ = [
    "HeadHooks",
    "HeadInfo",
    "HeadRegistry",
    "LoadedHead",
    "default_registry",
    "get_head",
    "list_heads",
    "refresh_heads",
    "require_heads",
]
