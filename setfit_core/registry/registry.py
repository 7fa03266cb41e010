"""The heads that are installed: listed without importing any, loaded one at a time, each kept apart.

pluggy's own `load_setuptools_entrypoints` loads every plugin eagerly, lets one broken plugin abort all, and
drops the second of two plugins of one name silently. So this registry reads the metadata itself, loads the
head that is asked for and no other, and uses pluggy for the hooks alone.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import warnings
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import setfit_core.hookspecs as hookspecs
from setfit_core.errors import HeadError
from setfit_core.registry.discovery import HeadInfo, Scan, Settings, scan_heads
from setfit_core.registry.loading import (
    FACTORY_HOOK,
    PASSED_THROUGH,
    HeadPlugin,
    HeadPluginManager,
    broken,
    check_head_class,
    factory_without_hook,
    find_hooks,
    import_target,
    named,
)
from setfit_core.registry.resolution import required_error, resolve, unmet_requirements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pluggy

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


@dataclass(frozen=True)
class LoadedHead:
    """A head whose code is imported.

    Attributes:
        info: What its metadata say.
        factory: The class or function that builds the head from keyword arguments.
    """

    info: HeadInfo
    factory: Callable[..., Any]


class HeadHooks:
    """The hooks as one head sees them: its own, if it has any, and those of the core's own file formats.

    Use an attribute right where it is called; it knows the plugins that are loaded at that moment.
    """

    def __init__(self, manager: pluggy.PluginManager, qualified_name: str | None) -> None:
        self._manager = manager
        self._qualified_name = qualified_name

    @property
    def setfit_head_factory(self) -> pluggy.HookCaller:
        """The hook `setfit_core.hookspecs.setfit_head_factory`."""
        return self._caller("setfit_head_factory")

    @property
    def setfit_save_head(self) -> pluggy.HookCaller:
        """The hook `setfit_core.hookspecs.setfit_save_head`."""
        return self._caller("setfit_save_head")

    @property
    def setfit_load_head(self) -> pluggy.HookCaller:
        """The hook `setfit_core.hookspecs.setfit_load_head`."""
        return self._caller("setfit_load_head")

    def _caller(self, hook: str) -> pluggy.HookCaller:
        strangers = [
            plugin
            for name, plugin in self._manager.list_name_plugin()
            if isinstance(plugin, HeadPlugin) and name != self._qualified_name
        ]
        return self._manager.subset_hook_caller(hook, strangers)


class HeadRegistry:
    """The installed heads: one cached scan of the metadata, and what has been loaded so far. Thread-safe.

    Args:
        environ: Where `SETFIT_HEADS_ALLOW`, `_DENY`, `_STRICT`, `_REQUIRE` and `_TRACE` are read, at each
            scan; None reads `os.environ`.
    """

    def __init__(self, *, environ: Mapping[str, str] | None = None) -> None:
        self._environ = environ
        self._lock = threading.RLock()
        self._scan: Scan | None = None
        self._unmet: Sequence[str] = ()
        self._loaded: dict[str, LoadedHead] = {}
        # One lock a head: a head that takes seconds to import must hold up nobody who wants another.
        self._gates: dict[str, threading.RLock] = {}
        self._manager = HeadPluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._stop_tracing: Callable[[], None] | None = None

    @property
    def plugin_manager(self) -> pluggy.PluginManager:
        """The manager that holds every loaded head under its qualified name, and the core's own formats."""
        return self._manager

    def heads(self) -> tuple[HeadInfo, ...]:
        """Return every installed head, sorted by name and distribution; imports no plugin.

        Warns:
            UserWarning: Once a scan, for metadata that are left out and for patterns that look mistyped.

        Raises:
            RequiredHeadError: What `SETFIT_HEADS_REQUIRE` asks for isn't there.
            BrokenHeadError: In strict mode, for an invalid name, a malformed target or unreadable metadata.
            IncompatibleHeadError: In strict mode, for a head that doesn't fit this core.
        """
        return self._scanned().heads

    def get(self, name: str, /) -> LoadedHead:
        """Load one head, or return it if it is loaded already. A failure is not remembered.

        Args:
            name: `"name"`, or `"distribution:name"` where several distributions claim the name.

        Raises:
            UnknownHeadError: No installed distribution has it.
            DisabledHeadError: An environment variable switches it off.
            AmbiguousHeadError: Several targets answer to the name, or the class could be either kind of head.
            IncompatibleHeadError: It doesn't fit this version of setfit-core.
            BrokenHeadError: Its code can't be loaded, or it offers nothing that builds a head.
            NonConformingHeadError: It is a class that keeps neither contract.
            RequiredHeadError: What `SETFIT_HEADS_REQUIRE` asks for isn't there.
        """
        info = resolve(name, self._scanned().heads)
        with self._lock:
            gate = self._gates.setdefault(info.qualified_name, threading.RLock())
        with gate:
            loaded = self._loaded.get(info.qualified_name)
            if loaded is None or loaded.info.target != info.target:
                loaded = self._load(info)
                self._loaded[info.qualified_name] = loaded
            return loaded

    def refresh(self) -> None:
        """Forget the scan, so that heads installed since are seen; what is loaded stays loaded."""
        with self._lock:
            importlib.invalidate_caches()
            # Before Python 3.13 the line above leaves the cached folders of importlib.metadata alone.
            metadata.MetadataPathFinder().invalidate_caches()
            self._scan = None

    def require(self, *requirements: str) -> None:
        """Make sure that heads are there, in the right version and ready to be loaded; imports no plugin.

        Args:
            requirements: Such as `"logistic"`, `"logistic>=0.1,<2"` or `"setfit-head-logistic:logistic"`; the
                version is that of the distribution.

        Raises:
            RequiredHeadError: At least one is missing, disabled, of another version or otherwise unusable.
                The message names all of them.
        """
        problems = unmet_requirements(requirements, self._scanned().heads)
        if problems:
            raise required_error(problems)

    def hooks(self, qualified_name: str | None) -> HeadHooks:
        """Return the hooks that may serve one head: its own and the core's, never another head's.

        Args:
            qualified_name: `"distribution:name"`, which is loaded if it isn't yet. None for a head that no
                entry point brought: the core's hooks only.

        Raises:
            HeadError: The head can't be loaded; see `get`.
        """
        self._scanned()  # it reads whether hook calls are to be traced
        if qualified_name is not None and qualified_name not in self._loaded:
            qualified_name = self.get(qualified_name).info.qualified_name
        return HeadHooks(self._manager, qualified_name)

    def _scanned(self) -> Scan:
        with self._lock:
            scan = self._scan
            remarks: tuple[str, ...] = ()
            if scan is None:
                settings = Settings.from_environ(os.environ if self._environ is None else self._environ)
                scan = scan_heads(settings)
                self._unmet = unmet_requirements(settings.require, scan.heads)
                self._trace(on=settings.trace)
                self._scan, remarks = scan, scan.warnings
            unmet = self._unmet
        for remark in remarks:
            warnings.warn(remark, UserWarning, stacklevel=3)
        if unmet:
            raise required_error([f"{problem} (It is required by SETFIT_HEADS_REQUIRE.)" for problem in unmet])
        return scan

    def _trace(self, *, on: bool) -> None:
        if on and self._stop_tracing is None:
            self._stop_tracing = self._manager.add_hookcall_monitoring(_before_call, _after_call)
        elif not on and self._stop_tracing is not None:
            self._stop_tracing()
            self._stop_tracing = None

    def _load(self, info: HeadInfo) -> LoadedHead:
        if self._stop_tracing is not None:
            _say(f"load {info.qualified_name} ({info.target})")
        target = import_target(info)
        try:
            plugin = find_hooks(self._manager, info, target)
            self._register(info, plugin)
            factory = self._factory(info, plugin)
            check_head_class(info, factory)
        except BaseException as error:
            self._unregister(info)
            if isinstance(error, (HeadError, *PASSED_THROUGH)):
                raise
            raise broken(info, f"looking at what it offers raised {named(error)}.") from error
        return LoadedHead(info, factory)

    def _register(self, info: HeadInfo, plugin: HeadPlugin) -> None:
        with self._lock:
            self._unregister(info)
            self._manager.register(plugin, info.qualified_name)

    def _unregister(self, info: HeadInfo) -> None:
        with self._lock:
            if self._manager.has_plugin(info.qualified_name):
                self._manager.unregister(name=info.qualified_name)

    def _factory(self, info: HeadInfo, plugin: HeadPlugin) -> Callable[..., Any]:
        if not plugin.implements(FACTORY_HOOK):
            return factory_without_hook(info, plugin.head_target)
        try:
            factory: object = HeadHooks(self._manager, info.qualified_name).setfit_head_factory()
        except PASSED_THROUGH:
            raise
        except BaseException as error:
            raise broken(info, f"its hook {FACTORY_HOOK} raised {named(error)}.") from error
        if not callable(factory):
            raise broken(
                info,
                f"its hook {FACTORY_HOOK} returned {factory!r}, which is neither a class nor a function.",
            )
        return factory


def _say(text: str) -> None:
    sys.stderr.write(f"setfit-core: {text}\n")
    sys.stderr.flush()


def _before_call(hook: str, implementations: Sequence[pluggy.HookImpl], _: Mapping[str, Any]) -> None:
    asked = ", ".join(implementation.plugin_name for implementation in reversed(implementations))
    _say(f"call {hook} of {asked or 'nobody'}")


def _after_call(outcome: pluggy.Result[Any], hook: str, _: Sequence[pluggy.HookImpl], __: Mapping[str, Any]) -> None:
    error = outcome.exception
    what = f"raised {named(error)}" if error is not None else f"returned {type(outcome.get_result()).__name__}"
    _say(f"{hook} {what}")


_DEFAULT = HeadRegistry()


def default_registry() -> HeadRegistry:
    """Return the registry of this process, which the functions below use."""
    return _DEFAULT


def list_heads() -> tuple[HeadInfo, ...]:
    """Return every installed head; imports no plugin. See `HeadRegistry.heads`."""
    return _DEFAULT.heads()


def get_head(name: str, /) -> LoadedHead:
    """Load one head by `"name"` or `"distribution:name"`. See `HeadRegistry.get`."""
    return _DEFAULT.get(name)


def refresh_heads() -> None:
    """Forget what was found, so that heads installed since are seen. See `HeadRegistry.refresh`."""
    _DEFAULT.refresh()


def require_heads(*requirements: str) -> None:
    """Make sure that heads such as `"logistic>=0.1"` are there. See `HeadRegistry.require`."""
    _DEFAULT.require(*requirements)
