"""A model folder: written beside its place and swapped in, read without running anything from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setfit_core.errors import PersistenceError
from setfit_core.persistence.config import CONFIG_FILE, HeadRecord, ModelConfig, read_config, write_config
from setfit_core.persistence.head import read_head, write_head
from setfit_core.persistence.swap import replacing

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
    training: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
    thresholds: Sequence[float] | None = None,
    add: Callable[[Path, HeadRecord], None] | None = None,
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
        training: Part of the configuration.
        calibration: Part of the configuration.
        thresholds: Part of the configuration.
        add: Writes further files into the folder that it is given, knowing what is recorded of the head.

    Returns:
        The folder, as an absolute path.

    Raises:
        UnsavableHeadError: If the head has no safe file format.
        PersistenceError: If there is something at this place that is no model, or if it can't be written.
    """
    target = Path(os.path.realpath(Path(directory).expanduser()))
    _check_target(target)
    weights = sum(parameter.nbytes for parameter in body.parameters())
    with replacing(target, at_least=weights) as written:
        (written / HEAD_DIRECTORY).mkdir()
        record = write_head(written / HEAD_DIRECTORY, head, recipe, built_with)
        body.save_pretrained(str(written), create_model_card=False)
        config = ModelConfig(
            labels=labels,
            normalize_embeddings=normalize_embeddings,
            multi_target_strategy=multi_target_strategy,
            head=record,
            training=training,
            calibration=calibration,
            thresholds=thresholds,
        )
        write_config(written, config)
        if add is not None:
            add(written, record)
    return target


def load_config(directory: str | os.PathLike[str]) -> ModelConfig | None:
    """Read the configuration of a saved model.

    Returns:
        The configuration; None for a folder without one, such as a plain sentence-transformers model.

    Raises:
        ModelFormatError: If it is damaged or was written by a newer version.
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
    try:
        holds_model = any((target / mark).is_file() for mark in MODEL_MARKS)
        if target.is_symlink():
            raise PersistenceError(f"{target} is a symbolic link in a circle. Remove it, or choose another place.")
        if not target.exists():
            return
        if not target.is_dir():
            raise PersistenceError(f"{target} is a file. Choose another place for the model folder, or remove it.")
        if os.path.ismount(target):
            raise PersistenceError(
                f"{target} is a mount point, which can't be replaced as a whole. Choose a folder inside it, such as "
                f"{target / 'model'}."
            )
        if any(target.iterdir()) and not holds_model:
            raise PersistenceError(
                f"{target} holds files but no model, and saving would replace them. Choose a new or empty folder, "
                f"such as {target / 'model'}."
            )
    except OSError as error:
        raise PersistenceError(
            f"The model could not be saved to {target}: {error}. What was there before is unchanged."
        ) from error
