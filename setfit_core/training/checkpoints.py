"""Checkpoints: where an embedding phase can go on from. Each is a whole model, too."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from torch import nn
from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from setfit_core.errors import ArgumentError, ModelFormatError
from setfit_core.labels import IntArray
from setfit_core.persistence.files import read_json_object, write_json
from setfit_core.persistence.swap import sweep

logger = logging.getLogger(__name__)

#: Says which training a checkpoint belongs to.
IDENTITY_FILE: Final = "embedding_phase.json"

_NAME: Final = re.compile(re.escape(PREFIX_CHECKPOINT_DIR) + r"-(\d+)")
_REMOVED: Final = ".removed"
_DIFFERENT: Final = {
    "training data": "the texts or labels differ",
    "body": "it trains a body of another size or kind",
}

Identity = Mapping[str, Any]


def identity_of(arguments: Mapping[str, Any], body: nn.Module, texts: Sequence[str], targets: IntArray) -> Identity:
    """Return what two embedding phases have in common of which one can go on from the other's checkpoint.

    Args:
        arguments: The arguments that decide what is trained, as JSON values.
        body: A body of the kind that they train.
        texts: The training texts.
        targets: Their class ids `[n]`, or 0/1 indicators `[n, num_classes]`.
    """
    data = hashlib.sha256(json.dumps([list(texts), targets.tolist()]).encode())
    # Not what its weights are: those are the checkpoint's from then on, and may have been trained half-way before.
    shapes = repr([(name, tuple(tensor.shape)) for name, tensor in sorted(body.state_dict().items())])
    return {**arguments, "training data": data.hexdigest(), "body": hashlib.sha256(shapes.encode()).hexdigest()}


def checkpoint_folder(output_dir: Path, step: int) -> Path:
    """Return the folder of the checkpoint after a step."""
    return output_dir / f"{PREFIX_CHECKPOINT_DIR}-{step}"


def step_of(checkpoint: Path) -> int:
    """Return the step that a checkpoint was written after."""
    return int(TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME)).global_step)


def write_identity(folder: Path, identity: Identity) -> None:
    """Note in a checkpoint which training it belongs to."""
    write_json(folder / IDENTITY_FILE, dict(identity))


def starting_point(resume: bool | str | os.PathLike[str], output_dir: Path, identity: Identity) -> Path | None:
    """Return the checkpoint that a training goes on from; None to begin at the beginning.

    Args:
        resume: The checkpoint; True for the last one of this training in its output folder, if there is any.
        output_dir: The output folder.
        identity: Of the training that is to go on.

    Raises:
        ArgumentError: If there is no such checkpoint, or it belongs to another training.
    """
    if resume is False:
        return None
    if resume is not True:
        folder = Path(resume)
        if not (folder / TRAINER_STATE_NAME).is_file():
            msg = (
                f"resume_from_checkpoint is {str(folder)!r}, which is no checkpoint: there is no {TRAINER_STATE_NAME}. "
                f"Give a folder such as {checkpoint_folder(output_dir, 500)}, or True for the last one."
            )
            raise ArgumentError(msg)
        _check_same(folder, identity)
        return folder.resolve()
    there = checkpoints(output_dir)
    own = [folder for folder in there if not _differences(folder, identity)]
    if there and not own:
        _check_same(there[-1], identity)
    if not own:
        logger.info("There is no checkpoint in %s yet: training begins at the beginning.", output_dir)
        return None
    return own[-1].resolve()


def checkpoints(output_dir: Path) -> list[Path]:
    """Return the checkpoints in a folder, the last step at the end."""
    if not output_dir.is_dir():
        return []
    numbered = [(int(match[1]), path) for path in output_dir.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(numbered) if (path / TRAINER_STATE_NAME).is_file()]


def tidy(output_dir: Path, identity: Identity, limit: int | None, resumed: Path) -> None:
    """Remove what a training that was killed would have removed, before it goes on.

    Args:
        output_dir: Where its checkpoints are.
        identity: Of the training.
        limit: How many checkpoints may stay; None for all.
        resumed: The checkpoint that it goes on from.
    """
    for name in {
        unfinished.name.split(".")[1] for unfinished in output_dir.glob(f".{PREFIX_CHECKPOINT_DIR}-*.*.saving")
    }:
        sweep(output_dir.resolve() / name)
    # By its step: the path was written by a process that may have worked in another folder.
    best = TrainerState.load_from_json(str(resumed / TRAINER_STATE_NAME)).best_global_step
    prune(output_dir, identity, limit, (resumed, checkpoint_folder(output_dir, best) if best else None))


def prune(output_dir: Path, identity: Identity, limit: int | None, spared: Iterable[Path | None]) -> None:
    """Remove the oldest checkpoints of a training beyond a number; those of other trainings stay.

    Args:
        output_dir: Where they are.
        identity: Of the training.
        limit: How many may stay; None for all.
        spared: Checkpoints that stay in any case, and count.
    """
    for forgotten in output_dir.glob(f".{PREFIX_CHECKPOINT_DIR}-*{_REMOVED}"):  # a kill came in between
        shutil.rmtree(forgotten)
    if limit is None:
        return
    kept = {path.resolve() for path in spared if path is not None}
    own = [folder for folder in checkpoints(output_dir) if not _differences(folder, identity)]
    others = [folder for folder in own if folder.resolve() not in kept]
    for folder in others[: max(0, len(own) - limit)]:
        # What has the name of a checkpoint is a whole one.
        removed = folder.with_name(f".{folder.name}{_REMOVED}")
        folder.rename(removed)
        shutil.rmtree(removed)


def _check_same(folder: Path, identity: Identity) -> None:
    differences = _differences(folder, identity)
    if differences:
        msg = (
            f"{folder} belongs to another training: {'; '.join(differences)}. Go on with the data and the arguments it "
            "began with, or train anew, without resume_from_checkpoint."
        )
        raise ArgumentError(msg)


def _differences(folder: Path, identity: Identity) -> list[str]:
    try:
        found = read_json_object(folder / IDENTITY_FILE)
    except ModelFormatError as error:
        return [f"it doesn't say to which ({error})"]
    names = [name for name in {**found, **identity} if found.get(name) != identity.get(name)]
    return [_DIFFERENT.get(name, f"{name} was {found.get(name)!r} and is {identity.get(name)!r}") for name in names]
