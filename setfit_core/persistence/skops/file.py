"""scikit-learn heads on disk: one skops file, read back with an explicit list of trusted types.

Importing skops takes a second or more, as it looks at all estimators of scikit-learn: `format` imports this module when
a head is saved or loaded.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from typing import IO, TYPE_CHECKING, Any

import sklearn
import skops.io
from sklearn.exceptions import InconsistentVersionWarning

from setfit_core.errors import ModelFormatError, UnsavableHeadError, UntrustedTypesError
from setfit_core.persistence.skops.archive import MAX_BYTES, Archive, with_present_names
from setfit_core.persistence.skops.estimators import check_estimator_state
from setfit_core.persistence.skops.reproducible import reproducible
from setfit_core.persistence.skops.witness import add_witness, agrees_with_witness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

HEAD_FILE = "head.skops"


def save_head(head: Any, directory: Path) -> None:
    """Write a head, to the same bytes whenever it is the same head.

    The file is read back before it counts as saved, by the rules that loading follows, so what is written can be
    loaded.

    Raises:
        UnsavableHeadError: If skops can't write the head, or can't rebuild what it wrote.
    """
    try:
        content = reproducible(skops.io.dumps(head))
        archive = Archive(io.BytesIO(content))
        if archive.has_old_names:
            content = with_present_names(content)
            archive = Archive(io.BytesIO(content))
        rebuilt = skops.io.loads(content, trusted=sorted(archive.names))
        check_estimator_state(rebuilt, HEAD_FILE, archive.names)
    except Exception as error:
        raise UnsavableHeadError(_unsavable(head, f"{type(error).__name__}: {error}")) from error
    if type(rebuilt) is not type(head):
        raise UnsavableHeadError(_unsavable(head, f"it came back as a {type(rebuilt).__name__}"))
    (directory / HEAD_FILE).write_bytes(add_witness(content, rebuilt))


def load_head(directory: Path, factory: Callable[..., Any] | None, trusted: Sequence[str]) -> Any:
    """Read a head.

    Raises:
        UntrustedTypesError: If the file holds types that nobody has said to trust.
        ModelFormatError: If the file is missing, damaged or made to do harm, or if the installed version of
            scikit-learn makes something else of it than the one that it was saved with.
    """
    path = directory / HEAD_FILE
    allowed = [*trusted]
    if isinstance(factory, type):
        # The user named this class, or installed the plugin that brings it; its code is trusted already.
        allowed.append(f"{factory.__module__}.{factory.__name__}")
    with _opened(path) as opened:
        file: IO[bytes] = opened
        try:
            archive = Archive(file)
            if archive.has_old_names:
                file.seek(0)
                file = io.BytesIO(with_present_names(file.read()))
                archive = Archive(file)
        except Exception as error:
            raise ModelFormatError(_damaged(path, error)) from error
        foreign = archive.foreign(allowed)
        if foreign:
            raise UntrustedTypesError(_untrusted(path, foreign), tuple(foreign))
        others = sorted(archive.versions - {sklearn.__version__})
        try:
            with warnings.catch_warnings():
                if others:
                    # What another version means for this head is found out below.
                    warnings.simplefilter("ignore", InconsistentVersionWarning)
                head = skops.io.load(file, trusted=sorted(archive.names))
        except Exception as error:
            raise ModelFormatError(_damaged(path, error) + _other_version(others)) from error
        try:
            # A class that the folder's configuration names is no class that the user answers for.
            check_estimator_state(head, str(path), trusted)
        except UntrustedTypesError:
            raise
        except ModelFormatError as error:
            raise ModelFormatError(f"{error}{_other_version(others)}") from error
        if others:
            _check_version(path, file, head, others)
    return head


def _opened(path: Path) -> IO[bytes]:
    try:
        # Opening a pipe would wait for somebody to write into it.
        file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")
    except OSError as error:
        raise ModelFormatError(
            f"{path} can't be read ({error}): the model folder is incomplete. Download or save it again."
        ) from error
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
        file.close()
        wrong = f"is larger than {MAX_BYTES:,} bytes" if stat.S_ISREG(status.st_mode) else "is no file"
        raise ModelFormatError(f"{path} {wrong}, so it holds no head that setfit-core saved. Download the model again.")
    return file


def _check_version(path: Path, file: IO[bytes], head: Any, versions: Sequence[str]) -> None:
    """Hold a head of another version of scikit-learn to what it predicted there."""
    try:
        agrees = agrees_with_witness(file, head)
    except Exception as error:
        raise ModelFormatError(
            f"The head in {path} can't predict ({type(error).__name__}: {error}).{_other_version(versions)}"
        ) from error
    if agrees is None:
        warnings.warn(
            f"The head in {path} was saved with scikit-learn {' and '.join(versions)}, and this is "
            f"{sklearn.__version__}. Nothing was recorded that would show whether it predicts the same.",
            UserWarning,
            stacklevel=2,
        )
    elif not agrees:
        raise ModelFormatError(
            f"The head in {path} doesn't predict what it did when it was saved.{_other_version(versions)}"
        )


def _other_version(versions: Sequence[str]) -> str:
    if not versions:
        return ""
    return (
        f" It was saved with scikit-learn {' and '.join(versions)}, and this is {sklearn.__version__}: install that "
        f"version (pip install scikit-learn=={versions[-1]}), or train and save the head again."
    )


def _untrusted(path: Path, foreign: list[str]) -> str:
    more = f" and {len(foreign) - 20} more" if len(foreign) > 20 else ""
    return (
        f"{path} holds types that are not trusted, and nothing of it was loaded: {', '.join(foreign[:20])}{more}. If "
        "the head is of a class of yours, pass head=TheClass. If you know what these types do and trust whoever "
        f"saved the model, pass trusted={foreign[:20]!r}."
    )


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
        f"{path} can't be read as a skops file ({type(error).__name__}: {str(error)[:400]}); it is damaged, or was "
        "saved with a version of skops or scikit-learn that is too far from the installed one. Download or save the "
        "model again."
    )
