"""What a head predicted when it was saved, so that another version of scikit-learn can be held to it."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from typing import IO, Any, Final

import numpy as np
import sklearn

from setfit_core.persistence.skops.archive import WITNESS

ROWS: Final = 4
_MAX_NUMBERS: Final = 20_000
#: In the order in which they say more about a head.
_METHODS: Final = ("predict_proba", "decision_function", "predict")


def add_witness(content: bytes, head: Any) -> bytes:
    """Return the content of a skops file with what the head predicts for a few rows of numbers.

    Heads that aren't scikit-learn's, aren't trained, or don't take such rows are left without.
    """
    if not type(head).__module__.startswith("sklearn."):
        return content
    try:
        method = _best_method(head)
        values = _predictions(head, method)
    except Exception:  # a head that predicts nothing has nothing to witness
        return content
    if sum(value.size for value in values) > _MAX_NUMBERS:
        return content
    said = {"scikit-learn": sklearn.__version__, "method": method, "values": [value.tolist() for value in values]}
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(zipfile.ZipInfo(WITNESS), json.dumps(said))
    return buffer.getvalue()


def agrees_with_witness(file: IO[bytes], head: Any) -> bool | None:
    """Does the head predict what it did when it was saved?

    Returns:
        None if nothing was recorded.

    Raises:
        Exception: Whatever the head raises, or the record if it is damaged.
    """
    if not type(head).__module__.startswith("sklearn."):
        return None
    with zipfile.ZipFile(file) as archive:
        said = json.loads(archive.read(WITNESS)) if WITNESS in archive.namelist() else None
    if said is None:
        if hasattr(head, "n_features_in_"):
            # An attribute that is missing in this version shows itself; such rows themselves may not suit a head.
            with contextlib.suppress(ValueError):
                _predictions(head, _best_method(head))
        return None
    if said["method"] not in _METHODS:
        raise ValueError(f"{said['method']!r} is recorded as its method")
    values = _predictions(head, said["method"])
    return len(values) == len(said["values"]) and all(map(_same, values, said["values"]))


def _best_method(head: Any) -> str:
    return next(name for name in _METHODS if hasattr(head, name))


def _predictions(head: Any, method: str) -> list[Any]:
    numbers = np.arange(1, ROWS * int(head.n_features_in_) + 1, dtype=np.uint64)
    rows = (numbers * np.uint64(2654435761) % np.uint64(2**32)).astype(np.float64) / 2**31 - 1
    values = getattr(head, method)(rows.reshape(ROWS, -1).astype(np.float32))
    return [np.asarray(value) for value in (values if isinstance(values, list) else [values])]


def _same(value: Any, expected: Any) -> bool:
    other = np.asarray(expected)
    if value.shape != other.shape:
        return False
    if value.dtype.kind != "f":
        return bool(np.array_equal(value, other))
    return bool(np.allclose(value, other.astype(np.float64), rtol=1e-4, atol=1e-5, equal_nan=True))
