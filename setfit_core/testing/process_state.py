"""The settings of a process that belong to the whole program, and that no head may leave changed."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["changed_settings", "kept_settings", "read_settings"]


def read_settings() -> dict[str, Any]:
    """Return the settings by their names; values compare equal as long as nothing has changed."""
    return {
        "np.seterr": np.geterr(),
        "np.seterrcall": np.geterrcall(),
        "np.set_printoptions": np.get_printoptions(),
        "torch.set_default_dtype": torch.get_default_dtype(),
        "torch.set_grad_enabled": torch.is_grad_enabled(),
        "torch.set_num_threads": torch.get_num_threads(),
        "torch.use_deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "warnings.filters": list(warnings.filters),
        "warnings.showwarning": warnings.showwarning,
        "os.environ": dict(os.environ),
        "os.chdir": _working_directory(),
        "sys.stdout": sys.stdout,
        "sys.stderr": sys.stderr,
        "sys.stdin": sys.stdin,
        "sys.path": list(sys.path),
        "sys.excepthook": sys.excepthook,
        "sys.setrecursionlimit": sys.getrecursionlimit(),
    }


def restore_settings(before: Mapping[str, Any]) -> None:
    """Put the settings back to what `read_settings` returned."""
    np.seterr(**before["np.seterr"])
    np.seterrcall(before["np.seterrcall"])
    np.set_printoptions(**before["np.set_printoptions"])
    torch.set_default_dtype(before["torch.set_default_dtype"])
    torch.set_grad_enabled(before["torch.set_grad_enabled"])
    if torch.get_num_threads() != before["torch.set_num_threads"]:
        torch.set_num_threads(before["torch.set_num_threads"])
    torch.use_deterministic_algorithms(before["torch.use_deterministic_algorithms"])
    warnings.filters[:] = before["warnings.filters"]  # type: ignore[index]  # a list, though declared a sequence
    warnings.showwarning = before["warnings.showwarning"]
    for name in [name for name in os.environ if name not in before["os.environ"]]:
        del os.environ[name]
    os.environ.update(before["os.environ"])
    if before["os.chdir"] and _working_directory() != before["os.chdir"]:
        os.chdir(before["os.chdir"])
    sys.stdout, sys.stderr, sys.stdin = before["sys.stdout"], before["sys.stderr"], before["sys.stdin"]
    sys.path[:] = before["sys.path"]
    sys.excepthook = before["sys.excepthook"]
    sys.setrecursionlimit(before["sys.setrecursionlimit"])


def changed_settings(before: Mapping[str, Any]) -> list[str]:
    """Return what has changed since `read_settings` returned `before`, each as a text that names the setting."""
    after = read_settings()
    return [_described(name, before[name], after[name]) for name in before if before[name] != after[name]]


@contextmanager
def kept_settings() -> Iterator[None]:
    """Restore every setting on the way out."""
    before = read_settings()
    try:
        yield
    finally:
        restore_settings(before)


def _described(name: str, before: Any, after: Any) -> str:
    if isinstance(before, dict):
        names = sorted(str(key) for key in {*before, *after} if before.get(key) != after.get(key))
        return f"{name} ({', '.join(names[:5])})"
    if isinstance(before, (bool, int, str, torch.dtype)):
        return f"{name} (from {before} to {after})"
    return name


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  # a string, which a removed folder doesn't break later
    except OSError:
        return ""
