"""The settings of a process that belong to the whole program, and that no head may leave changed."""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import sklearn
import torch

__all__ = ["changed_settings", "kept_settings", "read_settings", "restore_settings"]


@dataclass(frozen=True)
class _Setting:
    """One setting: its name (what would change it), how it is read, and how a value that was read is put back."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  # a string, which a removed folder doesn't break later
    except OSError:
        return ""


def _change_directory(folder: str) -> None:
    with contextlib.suppress(OSError):  # removed in the meantime, or not known at the time
        os.chdir(folder)


def _write_environment(before: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name not in before]:
        del os.environ[name]
    os.environ.update(before)


def _write_filters(before: list[Any]) -> None:
    warnings.resetwarnings()  # tells the warnings module that what it has cached is out of date
    warnings.filters[:] = before  # type: ignore[index]  # a list, though declared a sequence


def _write_default_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)  # the CPU is what None stands for


def _signal_handlers() -> dict[str, Any]:
    return {known.name: signal.getsignal(known) for known in signal.Signals}


def _write_signal_handlers(before: Mapping[str, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may set them, so nothing has changed them here either
    for name, handler in before.items():
        if handler is not None and signal.getsignal(signal.Signals[name]) is not handler:
            signal.signal(signal.Signals[name], handler)


def _attribute(owner: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _contents(owner: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], object]]:
    """Read and write a list that others may hold on to, or replace."""
    return lambda: list(getattr(owner, name)), lambda value: getattr(owner, name).__setitem__(slice(None), value)


_SETTINGS: Final[tuple[_Setting, ...]] = (
    _Setting("np.seterr", np.geterr, lambda value: np.seterr(**value)),
    _Setting("np.seterrcall", np.geterrcall, np.seterrcall),
    _Setting("np.set_printoptions", np.get_printoptions, lambda value: np.set_printoptions(**value)),
    _Setting("sklearn.set_config", sklearn.get_config, lambda value: sklearn.set_config(**value)),
    _Setting("torch.set_default_dtype", torch.get_default_dtype, torch.set_default_dtype),
    _Setting("torch.set_default_device", torch.get_default_device, _write_default_device),
    _Setting("torch.set_grad_enabled", torch.is_grad_enabled, torch.set_grad_enabled),
    _Setting("torch.set_num_threads", torch.get_num_threads, torch.set_num_threads),
    _Setting(
        "torch.use_deterministic_algorithms", torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode
    ),
    _Setting(
        "torch.set_float32_matmul_precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    ),
    _Setting(
        "torch.set_autocast_enabled",
        lambda: torch.is_autocast_enabled("cpu"),
        lambda value: torch.set_autocast_enabled("cpu", value),
    ),
    _Setting("torch.autograd.set_detect_anomaly", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    _Setting("torch.backends.cudnn.benchmark", *_attribute(torch.backends.cudnn, "benchmark")),
    _Setting("torch.backends.cudnn.deterministic", *_attribute(torch.backends.cudnn, "deterministic")),
    _Setting("warnings.filters", lambda: list(warnings.filters), _write_filters),
    _Setting("warnings.showwarning", *_attribute(warnings, "showwarning")),
    _Setting("logging.disable", lambda: logging.root.manager.disable, logging.disable),
    _Setting("logging.root.setLevel", lambda: logging.root.level, logging.root.setLevel),
    _Setting("logging.root.handlers", *_contents(logging.root, "handlers")),
    _Setting("os.environ", lambda: dict(os.environ), _write_environment),
    _Setting("os.chdir", _working_directory, _change_directory),
    _Setting("sys.stdout", *_attribute(sys, "stdout")),
    _Setting("sys.stderr", *_attribute(sys, "stderr")),
    _Setting("sys.stdin", *_attribute(sys, "stdin")),
    _Setting("sys.path", *_contents(sys, "path")),
    _Setting("sys.excepthook", *_attribute(sys, "excepthook")),
    _Setting("sys.setrecursionlimit", sys.getrecursionlimit, sys.setrecursionlimit),
    _Setting("signal.signal", _signal_handlers, _write_signal_handlers),
    _Setting("gc.disable", gc.isenabled, lambda value: gc.enable() if value else gc.disable()),
    _Setting(
        "multiprocessing.set_start_method",
        # Whoever asks for it fixes it, so no choice at all is read as the one that it stands for.
        lambda: multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0],
        lambda value: multiprocessing.set_start_method(value, force=True),
    ),
)


def read_settings() -> dict[str, Any]:
    """Return the settings by their names; values compare equal as long as nothing has changed."""
    return {setting.name: setting.read() for setting in _SETTINGS}


def restore_settings(before: Mapping[str, Any]) -> None:
    """Put the settings back to what `read_settings` returned; those that haven't changed are left alone."""
    for setting in _SETTINGS:
        if setting.read() != before[setting.name]:
            setting.write(before[setting.name])


def changed_settings(before: Mapping[str, Any], ignoring: Collection[str] = ()) -> list[str]:
    """Return what has changed since `read_settings` returned `before`.

    Args:
        before: The settings as they were.
        ignoring: Names of settings that may change.

    Returns:
        A text for each, which names the setting and says how it has changed.
    """
    after = read_settings()
    return [
        f"{name} ({_difference(name, before[name], after[name])})"
        for name in before
        if name not in ignoring and before[name] != after[name]
    ]


@contextmanager
def kept_settings() -> Iterator[None]:
    """Restore every setting on the way out."""
    before = read_settings()
    try:
        yield
    finally:
        restore_settings(before)


def _difference(name: str, before: Any, after: Any) -> str:
    if isinstance(before, dict):
        changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        if name == "os.environ":  # what it held before may be a secret
            told = [f"{key} set to {_brief(after[key])}" if key in after else f"{key} removed" for key in changed]
        else:
            told = [f"{key} from {_brief(before.get(key))} to {_brief(after.get(key))}" for key in changed]
    elif isinstance(before, list):
        told = [f"added {_brief(item)}" for item in after if item not in before]
        told += [f"removed {_brief(item)}" for item in before if item not in after]
        told = told or [f"with {_brief(after[0])} in front" if after[0] != before[0] else f"{len(after)} entries"]
    else:
        return f"from {_brief(before)} to {_brief(after)}"
    return ", ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")


def _brief(value: Any) -> str:
    """Return a short text without addresses in memory."""
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, tuple):
        return "(" + ", ".join(_brief(item) for item in value) + ")"
    if value is None or isinstance(value, (bool, int, float, str, torch.dtype, torch.device)):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    return str(getattr(value, "__qualname__", None) or f"a {type(value).__name__}")
