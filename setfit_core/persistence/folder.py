"""A model folder: written beside its place and swapped in, read without running anything from it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

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
from setfit_core.persistence import safetensors_format, skops_format
from setfit_core.persistence.config import (
    CONFIG_FILE,
    HeadRecord,
    ModelConfig,
    jsonable,
    read_config,
    write_config,
)
from setfit_core.registry import HeadHooks, HeadInfo, default_registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentence_transformers import SentenceTransformer

HEAD_DIRECTORY = "head"
#: A folder with one of these at its top is a model, and saving may replace it.
MODEL_MARKS = (CONFIG_FILE, "modules.json")

_FORMATS = (safetensors_format, skops_format)
_registering = threading.Lock()


def save_folder(
    directory: str | os.PathLike[str],
    *,
    body: SentenceTransformer,
    head: Any,
    recipe: HeadRecipe | None,
    built_with: Mapping[str, Any] | None,
    labels: Mapping[str, Any] | None,
    normalize_embeddings: bool,
    multi_target_strategy: str | None,
) -> Path:
    """Save a model, whole or not at all.

    Everything is written into a temporary folder beside the target, which then takes the target's place. A model
    that is already there is replaced with everything in its folder, except entries whose name starts with a dot
    (such as `.git`): these are copied over. After any failure it is as it was.

    Args:
        directory: Where to save; parents are created.
        body: The body.
        head: The trained head.
        recipe: How the head was built; None for one that was given as an instance.
        built_with: The keywords that it was built with; None for one that was given as an instance.
        labels: What the label encoder wants to find again; JSON values.
        normalize_embeddings: Part of the configuration.
        multi_target_strategy: Part of the configuration.

    Returns:
        The folder, as an absolute path.

    Raises:
        UnsavableHeadError: If the head has no safe file format.
        PersistenceError: If there is something at this place that is no model, or if it can't be written.
    """
    target = Path(directory).expanduser().resolve()
    _check_target(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _workspace(target) as workspace:
            # A folder of its own and not mkdtemp's: that one is readable by its owner only.
            written = workspace / "new"
            (written / HEAD_DIRECTORY).mkdir(parents=True)
            record = _save_head(written / HEAD_DIRECTORY, head, recipe, built_with)
            body.save_pretrained(str(written), create_model_card=False)
            config = ModelConfig(
                labels=labels,
                normalize_embeddings=normalize_embeddings,
                multi_target_strategy=multi_target_strategy,
                head=record,
            )
            write_config(written, config)
            _swap(written, target, workspace / "old")
    except (OSError, safetensors.SafetensorError) as error:
        raise PersistenceError(
            f"The model could not be saved to {target}: {error}. What was there before is unchanged."
        ) from error
    return target


def load_config(directory: str | os.PathLike[str]) -> ModelConfig | None:
    """Read the configuration of a saved model.

    Returns:
        The configuration; None for a folder without one, such as a plain sentence-transformers model.

    Raises:
        ModelFormatError: If it is damaged, was written by a newer version, or belongs to a model that `setfit`
            saved with a pickled head.
    """
    return read_config(Path(directory))


def load_head(
    directory: str | os.PathLike[str],
    config: ModelConfig,
    *,
    head: Any = None,
    device: str,
    trusted: Sequence[str] = (),
) -> tuple[Any, HeadRecipe | None, dict[str, Any] | None]:
    """Load the head of a saved model, running no code from its folder.

    The installed head that the model names is looked up by that name; the class name in the folder is used in
    messages and never imported.

    Args:
        directory: The model's folder.
        config: Its configuration.
        head: None for what the model names. A name, class or factory builds the saved head instead of it, as a
            head needs that no installed distribution offers. An instance takes the place of the saved head, of
            which nothing is read.
        device: The torch device to put the head on.
        trusted: Qualified names of further types that a skops file may contain.

    Returns:
        The head, the recipe that builds another one like it (None if there is none), and the keywords that it was
        built with (None if they aren't known).

    Raises:
        UnknownHeadError: If the distribution that offers the head isn't installed.
        ModelFormatError: If the files are damaged, don't fit, or hold types that aren't trusted.
        HeadError: If the named head is installed but can't be used.
        ArgumentError: If `trusted` is not a sequence of names.
    """
    if isinstance(trusted, str) or not all(isinstance(name, str) for name in trusted):
        raise ArgumentError(
            f"trusted must be a list of qualified type names, such as ['package.module.Type'], not {trusted!r}."
        )
    record = config.head
    if head is not None and not builds_head(head):
        return head, None, None
    factory, info = _factory(record, head)
    files = Path(directory) / HEAD_DIRECTORY
    if not files.is_dir():
        raise ModelFormatError(f"{files} is missing: the model folder is incomplete. Download or save the model again.")
    as_tensors = record.metadata["format"] == safetensors_format.FORMAT
    if factory is None and as_tensors:
        name = record.class_name.replace(":", ".").rpartition(".")[2]
        raise ModelFormatError(
            f"The saved head is a {record.class_name}, which no installed distribution offers under a name. Import "
            f"the class and pass it: head={name}."
        )
    hooks = _hooks(None if info is None else info.qualified_name)
    loaded = _call_load_hook(hooks, files, record, factory, device, tuple(trusted))
    if head is not None and config.multi_target_strategy is None:  # a multi-label wrapper is of another class
        _check_kind(loaded, factory, record)
    recipe = None if factory is None else _recipe(factory, record.params or {}, info)
    return loaded, recipe, safetensors_format.read_arguments(files) if as_tensors else None


# Saving


def _save_head(
    directory: Path, head: Any, recipe: HeadRecipe | None, built_with: Mapping[str, Any] | None
) -> HeadRecord:
    info = _offered_as(type(head)) if recipe is None or recipe.info is None else recipe.info
    name = f"{type(head).__module__}:{type(head).__qualname__}"
    owner = "setfit-core" if info is None else info.distribution
    hooks = _hooks(None if info is None else info.qualified_name)
    try:
        metadata = hooks.setfit_save_head(head=head, directory=directory, params=built_with)
    except (SetFitError, OSError):
        raise
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


def _check_target(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise PersistenceError(f"{target} is a file. Choose another place for the model folder, or remove it.")
    if any(target.iterdir()) and not any((target / mark).is_file() for mark in MODEL_MARKS):
        raise PersistenceError(
            f"{target} holds files but no model, and saving would replace them. Choose a new or empty folder, "
            f"such as {target / 'model'}."
        )


@contextlib.contextmanager
def _workspace(target: Path) -> Iterator[Path]:
    """Yield a temporary folder on the file system of the target; it goes away, unless it holds the old model."""
    workspace = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".saving", dir=target.parent))
    try:
        yield workspace
    finally:
        if target.exists() or not (workspace / "old").exists():
            shutil.rmtree(workspace, ignore_errors=True)


def _swap(written: Path, target: Path, aside: Path) -> None:
    if not target.exists():
        written.rename(target)
        return
    for entry in target.iterdir():
        if entry.name.startswith("."):
            copy = shutil.copytree if entry.is_dir() else shutil.copy2
            copy(entry, written / entry.name)
    target.rename(aside)
    try:
        written.rename(target)
    except BaseException as error:
        try:
            aside.rename(target)
        except OSError:
            raise PersistenceError(
                f"The model could not be saved to {target}: {error}. What was there before is now in {aside}; "
                "move it back."
            ) from error
        raise


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
            f"Nothing installed reads the format {record.metadata['format']!r} of the head in {files}.{saved_by}"
        )
    return loaded


def _check_kind(loaded: Any, factory: Callable[..., Any] | None, record: HeadRecord) -> None:
    if isinstance(factory, type) and not isinstance(loaded, factory):
        raise ModelFormatError(
            f"The saved head is a {record.class_name}, not the {factory.__qualname__} that was asked for. Leave "
            "head= out to load it, or train a new model with the other head."
        )
