"""A model folder: written beside its place and swapped in, read without running anything from it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

from setfit_core.errors import PersistenceError
from setfit_core.persistence.config import CONFIG_FILE, ModelConfig, read_config, write_config
from setfit_core.persistence.head import read_head, write_head

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from setfit_core.heads.construction import HeadRecipe

HEAD_DIRECTORY = "head"
#: A folder with one of these at its top is a model, and saving may replace it.
MODEL_MARKS = (CONFIG_FILE, "modules.json")


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
            record = write_head(written / HEAD_DIRECTORY, head, recipe, built_with)
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

    Args:
        directory: The model's folder.
        config: Its configuration.
        head: None for what the model names, or what takes its place, see `read_head`.
        device: The torch device to put the head on.
        trusted: Qualified names of further types that a skops file may contain.

    Returns:
        The head, the recipe that builds another one like it (None if there is none), and the keywords that it was
        built with (None if they aren't known).

    Raises:
        SetFitError: See `read_head`.
    """
    return read_head(
        Path(directory) / HEAD_DIRECTORY,
        config.head,
        head=head,
        device=device,
        trusted=trusted,
        wrapped=config.multi_target_strategy is not None,
    )


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
