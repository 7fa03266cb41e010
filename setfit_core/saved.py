"""The parts of a saved model: written into a folder, and read from one of ours or of `setfit`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import nn

from setfit_core.embedding.embed import embedding_size
from setfit_core.errors import ArgumentError, HeadError, LabelError, ModelFormatError, NoProbabilitiesError
from setfit_core.evaluation.calibration import Calibration, calibration_from_json
from setfit_core.evaluation.thresholds import Thresholds, thresholds_from_json
from setfit_core.heads.adapters import adapter_for, to_array
from setfit_core.heads.construction import builds_head, head_recipe
from setfit_core.heads.held import HeldHead
from setfit_core.heads.multilabel import STRATEGIES
from setfit_core.labelling import Labelling
from setfit_core.model_card import CardFacts, render_card
from setfit_core.persistence import (
    check_folder,
    is_setfit_folder,
    load_body,
    load_config,
    load_head,
    read_setfit_folder,
    read_whole,
    save_folder,
    write_setfit_files,
)
from setfit_core.persistence.config import CONFIG_FILE, PICKLED_HEAD_FILE

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from sentence_transformers import SentenceTransformer

    from setfit_core.persistence import HeadRecord
    from setfit_core.persistence.config import ModelConfig

_Asked: TypeAlias = "tuple[Mapping[str, Any] | None, str | None]"


@dataclass(frozen=True)
class Trust:
    """What the user trusts the files of a model with. By default, nothing of theirs is run.

    Attributes:
        types: Further types that a head of scikit-learn may hold, as qualified names.
        pickle: Whether a head that `setfit` pickled may run what it says.
        remote_code: Whether code in the body's folder may run.
    """

    types: Sequence[str] = ()
    pickle: bool = False
    remote_code: bool = False


@dataclass(frozen=True)
class SavedModel:
    """The parts of a saved model.

    Attributes:
        body: The body.
        held: The head, and how it was built.
        labelling: Its labels.
        multi_target_strategy: How several labels a text are predicted; None for one label a text.
        normalize_embeddings: Whether embeddings are scaled to length 1 before they reach the head.
        facts: What is known for the model card.
        calibration: What is done to the head's probabilities; None for nothing.
        thresholds: How likely each of several labels has to be; None leaves that to the head.
    """

    body: SentenceTransformer
    held: HeldHead
    labelling: Labelling
    multi_target_strategy: str | None
    normalize_embeddings: bool
    facts: CardFacts
    calibration: Calibration | None = None
    thresholds: Thresholds | None = None


def read_saved_model(
    path: Path,
    *,
    head: Any,
    head_params: Mapping[str, Any] | None,
    multi_target_strategy: str | None,
    device: str | None,
    trust: Trust,
) -> SavedModel | None:
    """Read a model folder, whole or not at all; None if it holds a body without a head.

    Args:
        path: The folder.
        head: See `SetFitModel.from_pretrained`. None for the saved one.
        head_params: Must be empty: a saved head can't be changed.
        multi_target_strategy: None, or what was saved.
        device: Torch device; None for the best there is.
        trust: What the files may do.

    Raises:
        ModelFormatError: If the folder is damaged, of a newer format, or its parts don't fit each other.
        HeadError: If the head can't be found or built.
        ArgumentError: If an argument contradicts what was saved.
    """
    asked = (head_params, multi_target_strategy)

    def read(folder: Path) -> SavedModel | None:
        check_folder(folder)
        read_parts = _read_setfits if is_setfit_folder(folder) else _read_ours
        saved = read_parts(folder, head, asked, device, trust)
        if saved is not None and saved.held.head is not head:
            _check_fit(saved, folder)
        return saved

    return read_whole(path, read)


def write_saved_model(
    directory: str | os.PathLike[str],
    saved: SavedModel,
    *,
    setfit_compatible: bool = False,
    add: Callable[[Path], None] | None = None,
) -> Path:
    """Save a model with its card, whole or not at all.

    Args:
        directory: Where to save; parents are created.
        saved: The parts.
        setfit_compatible: Whether to add what `setfit` loads, a pickle of the head.
        add: Writes further files into the folder that it is given.

    Returns:
        The folder, as an absolute path.

    Raises:
        ArgumentError: If `setfit` is to predict calibrated probabilities, or by thresholds, which it can't.
        UnsavableHeadError: If the head has no safe file format, or is none that `setfit` could use.
        PersistenceError: If the folder can't be written, or holds something that is not a model.
    """
    head, codec = saved.held.head, saved.labelling.codec
    if setfit_compatible and saved.calibration is not None:
        raise ArgumentError(
            "The model is calibrated, and setfit would predict other probabilities with it. Save it without "
            "setfit_compatible=True, or remove the calibration first: model.calibration = None."
        )
    if setfit_compatible and saved.thresholds is not None:
        raise ArgumentError(
            "The model has thresholds, and setfit would predict other labels with it. Save it without "
            "setfit_compatible=True, or remove the thresholds first: model.thresholds = None."
        )

    def complete(folder: Path, record: HeadRecord) -> None:
        if setfit_compatible:
            write_setfit_files(folder, head=head, codec=codec)
        card = render_card(
            saved.facts,
            head=record,
            labels=saved.labelling.labels,
            normalize_embeddings=saved.normalize_embeddings,
            multi_target_strategy=saved.multi_target_strategy,
            trained=codec is not None,
            probabilities=callable(getattr(head, "predict_proba", None)),
            max_seq_length=saved.body.max_seq_length,
            setfit_compatible=setfit_compatible,
            calibration=None if saved.calibration is None else saved.calibration.method,
            thresholds=saved.thresholds,
        )
        (folder / "README.md").write_text(card, encoding="utf-8", newline="\n")
        if add is not None:
            add(folder)

    return save_folder(
        directory,
        body=saved.body,
        head=head,
        recipe=saved.held.recipe,
        built_with=saved.held.built_with,
        labels=saved.labelling.to_json(),
        normalize_embeddings=saved.normalize_embeddings,
        multi_target_strategy=saved.multi_target_strategy,
        training=saved.facts.to_json(),
        calibration=None if saved.calibration is None else saved.calibration.to_json(),
        thresholds=saved.thresholds,
        add=complete,
    )


def _read_ours(path: Path, head: Any, asked: _Asked, device: str | None, trust: Trust) -> SavedModel | None:
    config = load_config(path)
    if config is None:
        return None
    if config.multi_target_strategy not in (None, *STRATEGIES):
        raise ModelFormatError(
            f"{path / CONFIG_FILE}: the multi-label strategy is {config.multi_target_strategy!r}, and there are only "
            f"{', '.join(STRATEGIES)}. The file is damaged; download or save the model again."
        )
    _check_asked(path, config.multi_target_strategy, asked)
    facts = CardFacts.from_json(config.training)
    body = load_body(path, device=device, trust_remote_code=trust.remote_code)
    loaded, recipe, built_with = load_head(path, config, head=head, device=str(body.device), trusted=trust.types)
    labelling = Labelling(None, multi_label=config.multi_target_strategy is not None)
    # A head of the caller's own was not trained on the saved labels, though it may still use their names.
    try:
        labelling.restore(config.labels, with_classes=loaded is not head)
    except LabelError as error:
        raise ModelFormatError(f"{path / CONFIG_FILE}: {error}") from error
    if loaded is head:
        facts = replace(facts, training=None)
    elif labelling.codec is None and not isinstance(loaded, nn.Module) and hasattr(loaded, "classes_"):
        raise ModelFormatError(
            f"{path / CONFIG_FILE} doesn't say what the classes of the trained head mean: its labels are missing. The "
            "file is damaged; download or save the model again."
        )
    held = HeldHead(loaded, recipe, built_with)
    read = SavedModel(body, held, labelling, config.multi_target_strategy, config.normalize_embeddings, facts)
    if loaded is head:  # it has other probabilities than those that were calibrated and cut
        return read
    try:
        return replace(
            read, calibration=_read_calibration(config, labelling), thresholds=_read_thresholds(config, labelling)
        )
    except ValueError as error:
        raise ModelFormatError(
            f"{path / CONFIG_FILE}: {error}. The file is damaged; download or save the model again."
        ) from error


def _read_calibration(config: ModelConfig, labelling: Labelling) -> Calibration | None:
    if config.calibration is None:
        return None
    if labelling.codec is None:
        msg = "it calibrates a head that was not trained"
        raise ValueError(msg)
    return calibration_from_json(config.calibration, labelling.codec.num_classes)


def _read_thresholds(config: ModelConfig, labelling: Labelling) -> Thresholds | None:
    if config.thresholds is None:
        return None
    if labelling.codec is None or not labelling.codec.multi_label:
        msg = "it has thresholds for a head that was not trained on several labels a text"
        raise ValueError(msg)
    return thresholds_from_json(config.thresholds, len(labelling.codec.labels))


def _read_setfits(path: Path, head: Any, asked: _Asked, device: str | None, trust: Trust) -> SavedModel | None:
    if head is not None and not builds_head(head):
        return None  # a head of the caller's own takes the place of the saved one, of which nothing is read
    saved = read_setfit_folder(path, device="cpu", trust_pickle=trust.pickle)
    if saved.head is None and head is not None:
        return None
    if saved.head is None:
        raise ModelFormatError(
            f"{path} was saved by setfit and its head is missing: there is no {PICKLED_HEAD_FILE}. Download or save "
            'the model again; or start anew on its body with a head of your choice, such as head="logistic".'
        )
    factory = head_recipe(head).factory if isinstance(head, str) else head
    if isinstance(factory, type) and not isinstance(saved.head, factory):
        raise ModelFormatError(
            f"{path} holds a {type(saved.head).__name__}, not the {factory.__qualname__} that was asked for. Leave "
            "head= and use_differentiable_head= out to load it, or give a head as an instance to train that one on "
            "this body."
        )
    _check_asked(path, saved.multi_target_strategy, asked)
    body = load_body(path, device=device, trust_remote_code=trust.remote_code)
    held = HeldHead(saved.head, saved.recipe, saved.built_with).placed(body.device)
    try:
        labelling = Labelling(saved.labels, multi_label=saved.multi_target_strategy is not None)
        labelling.codec = labelling.known_to(saved.head, differentiable=held.differentiable)
    except LabelError as error:
        raise ModelFormatError(
            f"{path / CONFIG_FILE} names labels that don't fit the head in {PICKLED_HEAD_FILE}. {error} Correct "
            "'labels' there, or set it to null and name them with labels= when you load the model."
        ) from error
    return SavedModel(body, held, labelling, saved.multi_target_strategy, saved.normalize_embeddings, CardFacts())


def _check_asked(path: Path, strategy: str | None, asked: _Asked) -> None:
    """Refuse what can't be changed about a saved model, before its weights are read."""
    head_params, multi_target_strategy = asked
    if head_params:
        raise ArgumentError(
            f"{path} holds a saved head, which head_params can't change. Leave head_params out, or start anew: "
            "SetFitModel(SentenceTransformer(folder), head, head_params=...)."
        )
    if multi_target_strategy not in (None, strategy):
        raise ArgumentError(
            f"{path} was saved with multi_target_strategy={strategy!r}, which can't become "
            f"{multi_target_strategy!r} without training. Leave the argument out."
        )


def _check_fit(saved: SavedModel, path: Path) -> None:
    """Ask a trained head about one embedding, so that what doesn't fit shows now and not in the first prediction."""
    codec = saved.labelling.codec
    if codec is None:
        return
    size = embedding_size(saved.body)
    embedding = torch.full((1, size), size**-0.5, device=saved.body.device)
    rows = embedding if isinstance(saved.held.head, nn.Module) else to_array(embedding)
    adapter = adapter_for(saved.held.head)
    try:
        adapter.class_ids(rows, codec)
        try:
            adapter.probabilities(rows, codec)
        except NoProbabilitiesError:
            if saved.calibration is not None or saved.thresholds is not None:
                raise
    except HeadError as error:
        raise ModelFormatError(
            f"The parts of the model in {path} don't fit each other: asked about an embedding of {size} dimensions, "
            f"for {codec.num_classes} classes, the head fails. {error} The folder is damaged or put together from "
            "several models; download or save the model again."
        ) from error
