"""scikit-learn heads on disk: one skops file, read back with an explicit list of trusted types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pluggy
import skops.io
from torch import nn

from setfit_core.errors import ModelFormatError, UnsavableHeadError, UntrustedTypesError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

FORMAT = "skops"
HEAD_FILE = "head.skops"

#: What scikit-learn's classifiers hold beyond the types that skops trusts by itself. Types one by one, never a
#: pattern: each of them is data and the code of scikit-learn, and none runs what a file says.
TRUSTED_TYPES: Final[tuple[str, ...]] = (
    # CalibratedClassifierCV
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    # KNeighborsClassifier and RadiusNeighborsClassifier
    "sklearn.metrics._dist_metrics.ChebyshevDistance64",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    # OneVsRestClassifier and OutputCodeClassifier, for a class that every text has, or none
    "sklearn.multiclass._ConstantPredictor",
    # MLPClassifier
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    # Decision trees, random forests, gradient boosting
    "sklearn.tree._tree.Tree",
)

hookimpl = pluggy.HookimplMarker("setfit")


@hookimpl(trylast=True)
def setfit_save_head(head: Any, directory: Path) -> Mapping[str, Any] | None:
    """Write a head that is no torch module; None for one that is.

    The file is read back before it counts as saved, so what is written can be loaded.

    Raises:
        UnsavableHeadError: If skops can't write the head, or can't rebuild what it wrote.
    """
    if isinstance(head, nn.Module):
        return None
    try:
        content = skops.io.dumps(head)
        foreign = _untrusted(content, ())
        rebuilt = skops.io.loads(content, trusted=[*TRUSTED_TYPES, *foreign])
    except Exception as error:
        raise UnsavableHeadError(_unsavable(head, f"{type(error).__name__}: {error}")) from error
    if type(rebuilt) is not type(head):
        raise UnsavableHeadError(_unsavable(head, f"it came back as a {type(rebuilt).__name__}"))
    (directory / HEAD_FILE).write_bytes(content)
    return {"format": FORMAT}


@hookimpl(trylast=True)
def setfit_load_head(
    directory: Path,
    metadata: Mapping[str, Any],
    factory: Callable[..., Any] | None,
    trusted: Sequence[str],
) -> Any:
    """Read a head; None for another format.

    Raises:
        UntrustedTypesError: If the file holds types that nobody has said to trust.
        ModelFormatError: If the file is missing or damaged.
    """
    if metadata.get("format") != FORMAT:
        return None
    path = directory / HEAD_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFormatError(
            f"{path} can't be read ({error}): the model folder is incomplete. Download or save it again."
        ) from error
    allowed = [*TRUSTED_TYPES, *trusted]
    if isinstance(factory, type):
        # The user named this class, or installed the plugin that brings it; its code is trusted already.
        allowed.append(f"{factory.__module__}.{factory.__name__}")
    try:
        foreign = _untrusted(content, allowed)
    except Exception as error:
        raise ModelFormatError(_damaged(path, error)) from error
    if foreign:
        raise UntrustedTypesError(
            f"{path} holds types that are not trusted, and nothing of it was loaded: {', '.join(foreign)}. If the "
            "head is of a class of yours, pass head=TheClass. If you know what these types do and trust whoever "
            f"saved the model, pass trusted={foreign!r}.",
            tuple(foreign),
        )
    try:
        return skops.io.loads(content, trusted=allowed)
    except Exception as error:
        raise ModelFormatError(_damaged(path, error)) from error


def _untrusted(content: bytes, allowed: Sequence[str]) -> list[str]:
    """Return the types in a skops file that are neither trusted by skops, nor by us, nor allowed; sorted."""
    return sorted({*skops.io.get_untrusted_types(data=content)} - {*TRUSTED_TYPES, *allowed})


def _unsavable(head: Any, reason: str) -> str:
    name = f"{type(head).__module__}.{type(head).__qualname__}"
    return (
        f"The head {name} can't be saved without pickle ({reason}). skops writes scikit-learn estimators and "
        "objects whose attributes are numbers, strings, arrays and such; it can't write lambdas, open files or "
        "classes defined inside a function. Remove what it can't write, or give the head a format of its own with "
        "the hook setfit_save_head."
    )


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"{path} can't be read as a skops file ({type(error).__name__}: {error}); it is damaged, or was saved with "
        "a version of skops or scikit-learn that is too far from the installed one. Download or save the model "
        "again."
    )
