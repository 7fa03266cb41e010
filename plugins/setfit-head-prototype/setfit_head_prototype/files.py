"""The head on disk: its examples as safetensors, and a small JSON file with the classes and parameters.

Nothing that follows from the examples is stored, so nothing in a file can contradict them. Whoever made the files may
mean harm: every number is checked before it is used.
"""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import safetensors
from safetensors.numpy import load, save
from sklearn.exceptions import NotFittedError

from setfit_head_prototype.examples import Examples
from setfit_head_prototype.head import MOST_CLASSES, PrototypeHead, check_parameters, check_size
from setfit_head_prototype.labels import check_classes

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read", "write"]

EXAMPLES_FILE: Final = "examples.safetensors"
HEAD_FILE: Final = "head.json"
VERSION: Final = 1

EXAMPLES_BYTES: Final = 128 * 2**20
HEAD_BYTES: Final = 8 * 2**20
#: Python before 3.10.7 takes a time that is the square of their number.
MAX_DIGITS: Final = 1000


def write(head: PrototypeHead, directory: Path) -> None:
    """Write a fitted head; nothing is written if it couldn't be read again.

    Raises:
        NotFittedError: The head isn't fitted.
        ValueError: It is larger than what `read` takes, a class is an integer of very many digits, or a parameter has
            no meaning.
    """
    if not hasattr(head, "examples_"):
        raise NotFittedError("This PrototypeHead is not fitted, so there is nothing to save. Train it first.")
    examples, params = head.examples_, head.get_params()
    check_parameters(params)
    record = {
        "version": VERSION,
        "classes": None if examples.multi_label else examples.classes,
        "params": {
            name: value if value == "auto" else float(value)  # which may be NumPy's
            for name, value in params.items()
        },
    }
    targets = examples.targets.astype(np.uint8 if examples.multi_label else np.int64)
    tensors = save({"embeddings": examples.rows, "targets": targets, "weights": examples.weights})
    content = json.dumps(record, indent=2).encode() + b"\n"
    json.loads(content, parse_int=_integer)
    if len(tensors) > EXAMPLES_BYTES or len(content) > HEAD_BYTES:
        raise ValueError(
            f"The head can't be saved: {len(examples.rows)} examples or {len(examples.classes)} classes take more than "
            f"the {EXAMPLES_BYTES // 2**20} MiB or {HEAD_BYTES // 2**20} MiB that are read again. Train it on fewer."
        )
    (directory / EXAMPLES_FILE).write_bytes(tensors)
    (directory / HEAD_FILE).write_bytes(content)


def read(directory: Path) -> PrototypeHead:
    """Read a head that `write` wrote. The files may be anybody's: they are refused, or they do no harm.

    Raises:
        ValueError: A file is missing, damaged or made to do harm, the two don't fit each other, or a newer version of
            this package wrote them.
    """
    record = _read_record(directory / HEAD_FILE)
    path = directory / EXAMPLES_FILE
    content = _content(path, EXAMPLES_BYTES)
    try:
        tensors = load(content)
        del content  # as large as they are
        examples = _examples(tensors, record["classes"]).merged()
    except (ValueError, KeyError, safetensors.SafetensorError) as error:
        raise _damaged(path, str(error).rstrip(".")) from error
    return PrototypeHead(**record["params"])._learn(examples)  # noqa: SLF001  # the same package


def _read_record(path: Path) -> dict[str, Any]:
    content = _content(path, HEAD_BYTES)
    try:
        record = json.loads(content, parse_int=_integer)
    except RecursionError as error:
        raise _damaged(path, "it is nested too deep") from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    record = record if type(record) is dict else {}
    version = record.get("version")
    if type(version) is int and version > VERSION:
        raise ValueError(
            f"{path} is of version {str(version)[:20]}, which a newer setfit-head-prototype wrote. Update it: "
            "pip install --upgrade setfit-head-prototype"
        )
    if type(version) is not int or version != VERSION or record.keys() != {"version", "classes", "params"}:
        raise _damaged(path, "it doesn't hold a version, classes and parameters")
    classes, params = record["classes"], record["params"]
    if type(params) is not dict or params.keys() != PrototypeHead().get_params().keys():
        raise _damaged(path, "its parameters are none of this head")
    if type(classes) is list and len(classes) > MOST_CLASSES:
        raise _damaged(path, f"it has {len(classes)} classes, and {MOST_CLASSES} are the most that are read")
    try:
        check_parameters(params)
        known = classes if classes is None else sorted(check_classes(classes))
    except (TypeError, ValueError) as error:
        raise _damaged(path, str(error).rstrip(".")) from error
    if classes != known:
        raise _damaged(path, "its classes are not in order, or one is there twice")
    return record


def _examples(tensors: dict[str, np.ndarray[Any, Any]], classes: list[Any] | None) -> Examples:
    if tensors.keys() != {"embeddings", "targets", "weights"}:
        raise ValueError("it doesn't hold embeddings, targets and weights")
    rows, targets, weights = tensors["embeddings"], tensors["targets"], tensors["weights"]
    if rows.dtype != np.float32 or rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise ValueError("its embeddings are no finite float32 numbers [num_examples, embedding_size]")
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    if not ((np.abs(lengths - 1) < 1e-3) | (lengths == 0)).all():
        raise ValueError("its embeddings are not of length 1")
    if weights.dtype != np.float64 or weights.shape != rows.shape[:1] or not (weights > 0).all():
        raise ValueError("its weights are not a positive float64 number an example")
    if classes is None:
        if targets.dtype != np.uint8 or targets.ndim != 2 or len(targets) != len(rows) or not targets.size:
            raise ValueError("its targets are no rows of 0 and 1, one an example")
        check_size(len(rows), targets.shape[1], rows.shape[1], multi_label=True)
        if targets.max() > 1:
            raise ValueError("its targets hold something else than 0 and 1")
        return Examples(rows, weights, targets.astype(bool), [*range(targets.shape[1])])
    if targets.dtype != np.int64 or targets.shape != rows.shape[:1]:
        raise ValueError("its targets are no int64 position of a class an example")
    if targets.min() < 0 or targets.max() >= len(classes):
        raise ValueError("its targets name a class that isn't there")
    check_size(len(rows), len(classes), rows.shape[1], multi_label=False)
    return Examples(rows, weights, targets, classes)


def _content(path: Path, limit: int) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would never end
            raise _damaged(path, "it is no regular file")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ValueError(
            f"{path} can't be read ({error}): the head is incomplete. Download or save the model again."
        ) from error
    if len(content) > limit:
        raise _damaged(path, f"it has more than {limit // 2**20} MiB, the most that is read")
    return content


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"it holds an integer of {len(text)} digits, and {MAX_DIGITS} are the most that are read")
    return int(text)


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} is damaged: {why}. Download or save the model again.")
