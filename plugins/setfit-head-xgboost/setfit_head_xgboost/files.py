"""The head on disk: XGBoost's own model file, and a small JSON file with what that one doesn't hold."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xgboost
from sklearn.exceptions import NotFittedError
from xgboost import XGBClassifier

from setfit_head_xgboost.head import OBJECTIVES, XGBoostHead, check_labels, class_array

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read", "write"]

MODEL_FILE: Final = "model.ubj"
HEAD_FILE: Final = "head.json"
VERSION: Final = 1


def write(head: XGBoostHead, directory: Path) -> None:
    """Write a fitted head; nothing is written if it can't be.

    Raises:
        NotFittedError: The head isn't fitted.
        ValueError: A parameter can't be written as JSON.
    """
    if not hasattr(head, "model_"):
        raise NotFittedError("This XGBoostHead is not fitted, so there is nothing to save. Train it first.")
    model = bytes(head.model_.get_booster().save_raw("ubj"))
    record = {
        "version": VERSION,
        "xgboost": xgboost.__version__,
        "classes": head.classes_.tolist(),
        "params": {name: _plain(name, value) for name, value in head.get_params().items()},
        "sha256": hashlib.sha256(model).hexdigest(),
    }
    (directory / MODEL_FILE).write_bytes(model)
    (directory / HEAD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def read(directory: Path) -> XGBoostHead:
    """Read a head that `write` wrote.

    Raises:
        ValueError: A file is missing or damaged, the two don't fit each other, or they don't fit the installed
            version of this package or of XGBoost.
    """
    record = _read_record(directory / HEAD_FILE)
    path = directory / MODEL_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise _damaged(path, f"it is not the file that {HEAD_FILE} was written with")
    try:
        head = XGBoostHead(**record["params"])
        model = XGBClassifier(**head.get_params())
        model.load_model(bytearray(content))
    except (TypeError, ValueError) as error:  # XGBoostError is a ValueError
        raise ValueError(
            f"XGBoost {xgboost.__version__} can't load {path}, which was saved with XGBoost {record['xgboost']}: "
            f"{str(error).splitlines()[0]} Install that version of XGBoost, or save the model again."
        ) from error
    classes = record["classes"]
    if model.objective not in OBJECTIVES or model.n_classes_ != len(classes):
        raise _damaged(
            path, f"it predicts {model.n_classes_} classes by {model.objective}, but {HEAD_FILE} names {len(classes)}"
        )
    head.model_, head.classes_, head.n_features_in_ = model, class_array(classes), model.n_features_in_
    return head


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:  # no UTF-8, or no JSON
        raise _damaged(path, str(error)) from error
    record = record if isinstance(record, dict) else {}
    version = record.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"{path} is of version {version}, which a newer setfit-head-xgboost wrote. Update it: "
            "pip install --upgrade setfit-head-xgboost"
        )
    kinds = {"version": int, "xgboost": str, "classes": list, "params": dict, "sha256": str}
    wrong = [key for key, kind in kinds.items() if not isinstance(record.get(key), kind)]
    if wrong:
        raise _damaged(path, f"it has no good value for {', '.join(wrong)}")
    classes = record["classes"]
    try:
        check_labels(classes)
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if classes != sorted(set(classes)):
        raise _damaged(path, "its classes are not in order, or one is there twice")
    return record


def _plain(name: str, value: Any) -> Any:
    """Return a parameter as JSON will give it back."""
    try:
        return json.loads(json.dumps(value, default=_unboxed))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The head can't be saved with {name}={value!r}: a model file holds no Python objects. Give the "
            "parameter as a number or string, such as the name of one of XGBoost's own functions, or an integer seed, "
            "and train again."
        ) from error


def _unboxed(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON")


def _unreadable(path: Path, error: OSError) -> ValueError:
    return ValueError(f"{path} can't be read ({error}): the head is incomplete. Download or save the model again.")


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} is damaged: {why}. Download or save the model again.")
