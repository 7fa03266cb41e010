"""The head on disk: XGBoost's own JSON, and a small JSON file with what that one doesn't hold.

Whoever made the files may mean harm. So XGBoost gets neither file to read: it gets what Python's `json` read from
them and `model_json` and `parameters` let through, written anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xgboost
from sklearn.exceptions import NotFittedError
from xgboost import XGBClassifier

from setfit_head_xgboost.bounded_json import parse, read_bytes
from setfit_head_xgboost.head import XGBoostHead, check_labels, class_array
from setfit_head_xgboost.model_json import check_model
from setfit_head_xgboost.parameters import check_parameters

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read", "write"]

MODEL_FILE: Final = "model.json"
HEAD_FILE: Final = "head.json"
#: What no release has written, but versions before the first one have.
FORMER_MODEL_FILE: Final = "model.ubj"
VERSION: Final = 1

MODEL_BYTES: Final = 64 * 2**20
HEAD_BYTES: Final = 8 * 2**20


def write(head: XGBoostHead, directory: Path) -> None:
    """Write a fitted head; nothing is written if it can't be, or couldn't be read again.

    Raises:
        NotFittedError: The head isn't fitted.
        ValueError: A parameter can't be written as JSON, or the trained model is none that `read` takes.
    """
    if not hasattr(head, "model_"):
        raise NotFittedError("This XGBoostHead is not fitted, so there is nothing to save. Train it first.")
    params = {name: _plain(name, value) for name, value in head.get_params().items()}
    try:
        document = json.loads(head.model_.get_booster().save_raw("json"))
        check_model(document, len(head.classes_))
        model = json.dumps(document, separators=(",", ":")).encode()
        parse(model, MODEL_BYTES)
        check_parameters(params)
        record = json.dumps(
            {
                "version": VERSION,
                "xgboost": xgboost.__version__,
                "classes": head.classes_.tolist(),
                "params": params,
                "sha256": hashlib.sha256(model).hexdigest(),
            },
            indent=2,
        ).encode()
        parse(record, HEAD_BYTES)
    except ValueError as error:
        raise ValueError(f"The head can't be saved, for it couldn't be loaded again: {error}.") from error
    (directory / MODEL_FILE).write_bytes(model)
    (directory / HEAD_FILE).write_bytes(record + b"\n")


def read(directory: Path) -> XGBoostHead:
    """Read a head that `write` wrote. The files may be anybody's: they are refused, or they do no harm.

    Raises:
        ValueError: A file is missing, damaged or made to do harm, the two don't fit each other, or they don't fit
            the installed version of this package or of XGBoost.
    """
    record = _read_record(directory / HEAD_FILE)
    document = _read_model(directory / MODEL_FILE, record)
    params, classes = record["params"], record["classes"]
    written = document["version"]
    if written[:2] > [int(part) for part in xgboost.__version__.split(".")[:2]]:
        raise ValueError(
            f"{directory} was saved with XGBoost {'.'.join(map(str, written))}, and the installed one, "
            f"{xgboost.__version__}, may misread what a newer one wrote. Update it: pip install --upgrade xgboost"
        )
    try:
        head = XGBoostHead(**params)
        model = XGBClassifier(**{**params, "n_jobs": _threads(params.get("n_jobs"))})
        model.load_model(bytearray(json.dumps(document).encode()))
    except (TypeError, ValueError) as error:  # XGBoostError is a ValueError
        raise ValueError(
            f"XGBoost {xgboost.__version__} can't load {directory}, which was saved with XGBoost {record['xgboost']}: "
            f"{str(error).partition(chr(10))[0]} Install that version of XGBoost, or save the model again."
        ) from error
    head.model_, head.classes_, head.n_features_in_ = model, class_array(classes), model.n_features_in_
    return head


def _read_record(path: Path) -> dict[str, Any]:
    record = _parsed(path, _content(path, HEAD_BYTES), HEAD_BYTES)
    record = record if type(record) is dict else {}
    version = record.get("version")
    if type(version) is int and version > VERSION:
        raise ValueError(
            f"{path} is of version {version}, which a newer setfit-head-xgboost wrote. Update it: "
            "pip install --upgrade setfit-head-xgboost"
        )
    kinds = {"version": int, "xgboost": str, "classes": list, "params": dict, "sha256": str}
    wrong = [key for key, kind in kinds.items() if type(record.get(key)) is not kind]
    if wrong:
        raise _damaged(path, f"it has no good value for {', '.join(wrong)}")
    if version != VERSION or len(record["xgboost"]) > 40:
        raise _damaged(path, "it names a version that there never was")
    classes = record["classes"]
    try:
        check_labels(classes)
        check_parameters(record["params"])
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if classes != sorted(set(classes)):
        raise _damaged(path, "its classes are not in order, or one is there twice")
    return record


def _read_model(path: Path, record: dict[str, Any]) -> Any:
    """Return XGBoost's JSON, parsed and checked."""
    if not path.exists() and path.with_name(FORMER_MODEL_FILE).exists():
        raise ValueError(
            f"{path.parent} holds {FORMER_MODEL_FILE}, which is no longer read, since a file made with ill intent "
            "could crash XGBoost. Train the head again, and save the model again."
        )
    content = _content(path, MODEL_BYTES)
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise _damaged(path, f"it is not the file that {HEAD_FILE} was written with")
    document = _parsed(path, content, MODEL_BYTES)
    try:
        check_model(document, len(record["classes"]))
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    return document


def _content(path: Path, limit: int) -> bytes:
    try:
        return read_bytes(path, limit)
    except OSError as error:
        raise ValueError(
            f"{path} can't be read ({error}): the head is incomplete. Download or save the model again."
        ) from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _parsed(path: Path, content: bytes, limit: int) -> Any:
    try:
        return parse(content, limit)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _threads(n_jobs: int | None) -> int | None:
    """Return as many threads as this machine has processors at most: each takes memory."""
    return n_jobs if n_jobs is None else min(n_jobs, os.cpu_count() or 1)


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


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} is damaged: {why}. Download or save the model again.")
