"""Folders of `setfit` (1.0 to 1.2): read without running anything from their pickle, and written so that it loads them.

`setfit` keeps a `SetFitModel` as a sentence-transformers folder, `config_setfit.json` with the labels and whether
embeddings are normalised, and the pickled head in `model_head.pkl`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from setfit_core.errors import ArgumentError, ModelFormatError, PersistenceError, UnsavableHeadError
from setfit_core.persistence.config import CONFIG_FILE, PICKLED_HEAD_FILE
from setfit_core.persistence.files import read_bytes, read_json_object
from setfit_core.persistence.setfit.estimators import pickled_estimator
from setfit_core.persistence.setfit.pickled import read_pickle

if TYPE_CHECKING:
    from pathlib import Path

    from setfit_core.heads.construction import HeadRecipe
    from setfit_core.labels import LabelCodec
    from setfit_core.persistence.setfit.heads import ConvertedHead

__all__ = ["SetFitFolder", "is_setfit_folder", "read_setfit_folder", "write_setfit_files"]

#: A logistic head of ten thousand labels on embeddings of a thousand numbers takes 80 MB.
MAX_HEAD_BYTES: Final = 256 * 2**20
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SetFitFolder:
    """What a folder of `setfit` holds besides the body.

    Attributes:
        head: The trained head; None if the folder has none, for which `setfit` would take a new one.
        recipe: What builds another torch head like it; None for heads of scikit-learn. The head was trained
            elsewhere, so as a model's head it is an instance and not something that this recipe built.
        built_with: The keywords that the torch head was built with; None for heads of scikit-learn.
        labels: The names of the labels in the order of the classes; None for those that the head knows.
        normalize_embeddings: Whether embeddings are scaled to length 1 before they reach the head.
        multi_target_strategy: How the head predicts several labels a text; None for one. `setfit` doesn't save it,
            so it is what the head can be.
    """

    head: Any
    recipe: HeadRecipe | None
    built_with: dict[str, Any] | None
    labels: list[Any] | None
    normalize_embeddings: bool
    multi_target_strategy: str | None


def is_setfit_folder(directory: Path) -> bool:
    """Tell whether `setfit` saved a folder: our own configuration has a `format_version`, and setfit's has none.

    Raises:
        ModelFormatError: If the configuration can't be read.
    """
    if (directory / CONFIG_FILE).exists():
        return "format_version" not in read_json_object(directory / CONFIG_FILE)
    return (directory / PICKLED_HEAD_FILE).exists()


def read_setfit_folder(directory: Path, *, device: str, trust_pickle: bool = False) -> SetFitFolder:
    """Read the head and the settings of a folder that `setfit` saved; nothing from its pickle is run.

    Args:
        directory: The folder.
        device: The torch device for a torch head.
        trust_pickle: Whether to let joblib run a pickle that can't be read otherwise. This runs whatever the file
            says. The head is then taken as it comes.

    Raises:
        UntrustedTypesError: If the pickle names something that heads of `setfit` don't consist of.
        ModelFormatError: If a file is damaged, or what it holds doesn't fit together.
        PersistenceError: If a trusted pickle needs a module that isn't installed.
        HeadError: If the head is a `SetFitHead`, and no head `linear` is installed.
    """
    labels, normalize = _read_settings(directory)
    path = directory / PICKLED_HEAD_FILE
    if not path.exists():
        return SetFitFolder(None, None, None, labels, normalize, None)
    try:
        converted = _read_head(path, device)
    except ModelFormatError:
        if not trust_pickle:
            raise
        converted = _run_pickle(path, device)
    return SetFitFolder(
        converted.head,
        converted.recipe,
        converted.built_with,
        _fitting_labels(labels, converted, directory),
        normalize,
        converted.strategy,
    )


def _read_settings(directory: Path) -> tuple[list[Any] | None, bool]:
    path = directory / CONFIG_FILE
    settings = read_json_object(path) if path.exists() else {}
    labels, normalize = settings.get("labels"), settings.get("normalize_embeddings", False)
    plain = labels is None or (
        isinstance(labels, list) and all(isinstance(label, str | int | float) for label in labels)
    )
    if not plain or not isinstance(normalize, bool):
        wrong = "normalize_embeddings" if plain else "labels"
        raise ModelFormatError(
            f"{path}: {wrong!r} is a {type(settings[wrong]).__name__}. setfit writes a list of labels or null, and "
            "true or false for normalize_embeddings. Correct the file, or download or save the model again."
        )
    return labels or None, normalize


def _read_head(path: Path, device: str) -> ConvertedHead:
    from setfit_core.persistence.setfit.heads import convert_head

    content = read_bytes(path, MAX_HEAD_BYTES)
    return convert_head(read_pickle(content, path), where=str(path), size=len(content), device=device)


def _run_pickle(path: Path, device: str) -> ConvertedHead:
    """Let joblib load the head, which runs what the file says: the caller asked for it."""
    import joblib  # type: ignore[import-untyped]  # it has no annotations

    from setfit_core.persistence.setfit.heads import ConvertedHead, torch_head
    from setfit_core.persistence.setfit.linear import LinearWeights

    try:
        head = joblib.load(path)
    except ImportError as error:
        raise PersistenceError(
            f"{path} needs the module {error.name!r}, which isn't installed. Install the distribution that has it "
            "(pip install setfit for setfit's own classes), and load the model again."
        ) from error
    except Exception as error:
        raise ModelFormatError(
            f"{path} can't be unpickled: {type(error).__name__}: {error}. The file is damaged, or was made with other "
            "versions of the libraries that it needs. Download or save the model again."
        ) from error
    kind = type(head)
    if (kind.__module__, kind.__qualname__) == ("setfit.modeling", "SetFitHead"):
        state = {name: tensor.detach().cpu() for name, tensor in head.linear.state_dict().items()}
        multitarget = getattr(head, "multitarget", False)
        return torch_head(
            LinearWeights(state["weight"], state.get("bias"), head.temperature, head.eps, multitarget),
            device,
            str(path),
        )
    return ConvertedHead(head, _strategy_of(head))


def _strategy_of(head: Any) -> str | None:
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import ClassifierChain

    if isinstance(head, OneVsRestClassifier):
        return "one-vs-rest" if hasattr(head, "label_binarizer_") and head.multilabel_ else None
    if isinstance(head, ClassifierChain):
        return "classifier-chain"
    # A list of classes for each label, as MultiOutputClassifier, forests and nearest neighbours have it.
    return "multi-output" if isinstance(getattr(head, "classes_", None), list) else None


def _fitting_labels(labels: list[Any] | None, converted: ConvertedHead, directory: Path) -> list[Any] | None:
    """Return the names as this project needs them: `setfit` never counts them, and ignores them for several labels."""
    outputs = converted.outputs
    numbers = None if outputs is None else list(range(outputs))  # heads of scikit-learn know their own
    if labels is None:
        return numbers
    if converted.strategy is not None:
        classes = getattr(converted.head, "classes_", labels) if outputs is None else numbers
        if classes is not None and len(labels) != len(classes):
            logger.warning(
                "%s names %d labels, but its head predicts %d: they have numbers instead of names.",
                directory,
                len(labels),
                len(classes),
            )
            return numbers
    elif outputs is not None and len(labels) > outputs:
        logger.warning(
            "%s names %d labels, but its head predicts the first %d only: %r are left out.",
            directory,
            len(labels),
            outputs,
            labels[outputs:],
        )
        return labels[:outputs]
    return labels


def write_setfit_files(directory: Path, *, head: Any, codec: LabelCodec | None) -> None:
    """Write `model_head.pkl` into a folder, so that `setfit` 1.0 to 1.2 predicts as this model does.

    The settings that `setfit` reads are in our own `config_setfit.json`, see `config.write_config`.

    `setfit` takes what a head predicts for places in the list of labels, unless it predicts strings. A copy of the
    head is written that predicts such places; its probabilities have no columns for labels that were not in the
    training data.

    Args:
        directory: The folder, which has the body already.
        head: The trained head. It is not changed.
        codec: What its predictions mean; None if it was not trained.

    Raises:
        ArgumentError: If the head was not trained.
        UnsavableHeadError: If `setfit` has no such head, or can't predict the same with it.
    """
    from torch import nn

    from setfit_core.persistence.setfit.linear import in_columns, linear_weights_of, pickled_setfit_head

    if codec is None:
        raise ArgumentError("The head was not trained, so there is nothing to save for setfit. Train the model first.")
    if isinstance(head, nn.Module):
        weights = linear_weights_of(head)
        if weights is None:
            raise UnsavableHeadError(
                f"setfit has no head {type(head).__name__}: its one torch head is SetFitHead, the head 'linear' here. "
                "Save the model without setfit_compatible=True, or train it with the head 'linear' or 'logistic'."
            )
        content = pickled_setfit_head(in_columns(weights, codec))
    else:
        content = pickled_estimator(head, codec)
    (directory / PICKLED_HEAD_FILE).write_bytes(content)
