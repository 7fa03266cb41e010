"""A head on disk: written and read by the hooks of its own plugin or by one of the core's formats."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from setfit_core.errors import (
    ArgumentError,
    HeadError,
    HeadParameterError,
    ModelFormatError,
    PersistenceError,
    SetFitError,
    UnknownHeadError,
    UnsavableHeadError,
)
from setfit_core.heads.construction import HeadRecipe, builds_head, head_recipe
from setfit_core.persistence import safetensors_format
from setfit_core.persistence.config import HeadRecord
from setfit_core.persistence.files import jsonable
from setfit_core.persistence.skops import format as skops_format
from setfit_core.registry import HeadHooks, HeadInfo, default_registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FORMATS = (safetensors_format, skops_format)
_registering = threading.Lock()


def write_head(
    directory: Path, head: Any, recipe: HeadRecipe | None, built_with: Mapping[str, Any] | None
) -> HeadRecord:
    """Write a head into an empty folder, with its plugin's hook or else in one of the core's formats.

    Args:
        directory: The folder, which exists.
        head: The trained head.
        recipe: How the head was built; None for one that was given as an instance.
        built_with: The keywords that it was built with; None for one that was given as an instance.

    Returns:
        What `read_head` needs to know besides the files.

    Raises:
        UnsavableHeadError: If the head has no safe file format.
        PersistenceError: If the hook of its plugin doesn't do what hooks do.
    """
    info = _offered_as(type(head)) if recipe is None or recipe.info is None else recipe.info
    name = f"{type(head).__module__}:{type(head).__qualname__}"
    owner = "setfit-core" if info is None else info.distribution
    hooks = _hooks(None if info is None else info.qualified_name)
    try:
        metadata = hooks.setfit_save_head(head=head, directory=directory, params=built_with)
    except (SetFitError, OSError):
        raise
    except ValueError as error:
        raise UnsavableHeadError(f"The head {name} could not be saved; {owner} says: {error}") from error
    except Exception as error:
        raise UnsavableHeadError(
            f"The head {name} could not be saved: the hook setfit_save_head ({owner}) raised "
            f"{type(error).__name__}: {error}. Report it to the authors of {owner}."
        ) from error
    if metadata is None:
        raise UnsavableHeadError(f"No file format takes the head {name}. Give it one with the hook setfit_save_head.")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("format"), str):
        raise PersistenceError(
            f"The hook setfit_save_head ({owner}) returned {metadata!r}; it must return a dict with a string "
            f"'format'. Report it to the authors of {owner}."
        )
    return HeadRecord(
        name=None if info is None else info.name,
        distribution=None if info is None else info.distribution,
        version=None if info is None else info.version,
        class_name=name,
        metadata=jsonable(metadata, "the head's metadata"),
        params=_plain_params(recipe),
    )


def read_head(
    directory: Path,
    record: HeadRecord,
    *,
    head: Any = None,
    device: str,
    trusted: Sequence[str] = (),
    wrapped: bool = False,
) -> tuple[Any, HeadRecipe | None, dict[str, Any] | None]:
    """Read a head, running no code from its folder.

    The installed head that the record names is looked up by that name; the class name in the record is used in
    messages and never imported.

    Args:
        directory: The folder that `write_head` filled.
        record: What `write_head` returned.
        head: None for what the record names. A name, class or factory builds the saved head instead of it, as a
            head needs that no installed distribution offers. An instance takes the place of the saved head, of
            which nothing is read.
        device: The torch device to put the head on.
        trusted: Qualified names of further types that a skops file may contain.
        wrapped: Whether the saved head is wrapped in a multi-label estimator, and so is of another class.

    Returns:
        The head, the recipe that builds another one like it (None if there is none), and the keywords that it was
        built with (None if they aren't known).

    Raises:
        UnknownHeadError: If the distribution that offers the head isn't installed.
        ModelFormatError: If the files are damaged, don't fit, or hold types that aren't trusted.
        HeadError: If the named head is installed but can't be used.
        ArgumentError: If `trusted` is not a sequence of names.
    """
    if (
        isinstance(trusted, str)
        or not isinstance(trusted, Iterable)
        or not all(isinstance(name, str) for name in trusted)
    ):
        raise ArgumentError(
            f"trusted must be a list of qualified type names, such as ['package.module.Type'], not {trusted!r}."
        )
    if head is not None and not builds_head(head):
        return head, None, None
    factory, info = _factory(record, head)
    if not directory.is_dir():
        raise ModelFormatError(
            f"{directory} is missing: the model folder is incomplete. Download or save the model again."
        )
    if head is None and info is not None:
        _check_major_version(record, info)
    as_tensors = record.metadata["format"] == safetensors_format.FORMAT
    if factory is None and as_tensors:
        name = record.class_name.replace(":", ".").rpartition(".")[2]
        raise ModelFormatError(
            f"The saved head is a {record.class_name}, which no installed distribution offers under a name. Import "
            f"the class and pass it: head={name}."
        )
    hooks = _hooks(None if info is None else info.qualified_name)
    loaded = _call_load_hook(hooks, directory, record, factory, device, tuple(trusted))
    if head is not None and not wrapped:
        _check_kind(loaded, factory, record)
    recipe = None if factory is None else _recipe(factory, record.params or {}, info)
    return loaded, recipe, safetensors_format.read_arguments(directory) if as_tensors else None


# Saving


def _plain_params(recipe: HeadRecipe | None) -> dict[str, Any] | None:
    """Return the user's parameters; None where JSON would change or lose one of them."""
    if recipe is None:
        return None
    try:
        params: dict[str, Any] = jsonable(recipe.params, "head_params")
    except PersistenceError:
        return None
    return params


def _offered_as(kind: type) -> HeadInfo | None:
    """Return the entry point that offers exactly this class, for a head that was given as an instance or class.

    Only entry points into the class's own top-level package are loaded, so no stranger's code runs.
    """
    registry = default_registry()
    package = kind.__module__.partition(".")[0]
    for info in registry.heads():
        if info.status != "available" or info.target.partition(":")[0].partition(".")[0] != package:
            continue
        try:
            if registry.get(info.qualified_name).factory is kind:
                return info
        except HeadError:
            continue
    return None


# Loading


def _hooks(qualified_name: str | None) -> HeadHooks:
    registry = default_registry()
    with _registering:
        for module in _FORMATS:
            if not registry.plugin_manager.is_registered(module):
                registry.plugin_manager.register(module, name=module.__name__)
    return registry.hooks(qualified_name)


def _factory(
    record: HeadRecord, head: str | type | Callable[..., Any] | None
) -> tuple[Callable[..., Any] | None, HeadInfo | None]:
    """Return what builds the head, and its entry point if it has one: as the user says, else as the model names it."""
    if isinstance(head, str):
        asked = head_recipe(head)
        return asked.factory, asked.info
    if head is not None:
        return head, _offered_as(head) if isinstance(head, type) else None
    if record.qualified_name is None:
        return None, None
    try:
        named = default_registry().get(record.qualified_name)
    except UnknownHeadError as error:
        version = "" if record.version is None else f" {record.version}"
        raise UnknownHeadError(
            f"The saved model needs the head {record.name!r} of {record.distribution}{version}, which is not "
            f"installed. Install it: pip install {record.distribution}"
        ) from error
    return named.factory, named.info


def _check_major_version(record: HeadRecord, info: HeadInfo) -> None:
    """Refuse a head whose code has changed in ways that its author calls breaking, unless it brings its own format.

    A format of its own is read by the plugin, which knows what its earlier versions wrote.
    """
    if record.metadata["format"] not in {module.FORMAT for module in _FORMATS} or record.version is None:
        return
    try:
        saved, installed = Version(record.version), Version(info.version)
    except InvalidVersion:
        return
    if saved.major != installed.major:
        fitting = f"{record.distribution}>={saved.public},<{saved.major + 1}"
        raise ModelFormatError(
            f"The saved head was made with {record.distribution} {saved}, and {installed} is installed, another major "
            f'version, in which the same file may mean something else. Install one that fits: pip install "{fitting}". '
            f"Or pass head={record.name!r} if you know that the installed version reads it."
        )


def _recipe(factory: Callable[..., Any], params: Mapping[str, Any], info: HeadInfo | None) -> HeadRecipe | None:
    """Return what builds another head like the saved one.

    A head whose class no longer takes a recorded parameter, or whose size can't be set from outside, loads from
    its own files all the same.
    """
    with contextlib.suppress(HeadParameterError):
        return HeadRecipe(factory, params, info)
    with contextlib.suppress(HeadParameterError):
        return HeadRecipe(factory, {}, info)
    return None


def _call_load_hook(
    hooks: HeadHooks,
    files: Path,
    record: HeadRecord,
    factory: Callable[..., Any] | None,
    device: str,
    trusted: tuple[str, ...],
) -> Any:
    try:
        loaded = hooks.setfit_load_head(
            directory=files, metadata=record.metadata, factory=factory, device=device, trusted=trusted
        )
    except SetFitError:
        raise
    except Exception as error:
        raise ModelFormatError(
            f"The head in {files} can't be loaded: {type(error).__name__}: {error}. It is damaged, or was saved "
            f"with another version of {record.distribution or record.class_name}."
        ) from error
    if loaded is None:
        saved_by = "" if record.distribution is None else f" It was saved with {record.distribution} {record.version}."
        raise ModelFormatError(
            f"Nothing installed reads the format {record.metadata['format']!r} of the head in {files}.{saved_by} "
            "Upgrade the distribution that brings the head, or save the model again in a format that is known here."
        )
    return loaded


def _check_kind(loaded: Any, factory: Callable[..., Any] | None, record: HeadRecord) -> None:
    if isinstance(factory, type) and not isinstance(loaded, factory):
        raise ModelFormatError(
            f"The saved head is a {record.class_name}, not the {factory.__qualname__} that was asked for. Leave "
            "head= out to load it, or train a new model with the other head."
        )
