"""The head on disk: its examples as tensors, and a small JSON file with the classes and parameters.

Whoever made the files may mean harm, so everything in them is checked, and the index library never sees a file: its
graph is built anew from the vectors.
"""

from __future__ import annotations

import json
import stat
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from sklearn.utils.validation import check_is_fitted

from setfit_head_knn.examples import Examples
from setfit_head_knn.head import KNNHead
from setfit_head_knn.labels import check_labels
from setfit_head_knn.neighbours import Neighbours

__all__ = ["read", "write"]

EXAMPLES_FILE: Final = "examples.safetensors"
HEAD_FILE: Final = "head.json"
VERSION: Final = 1
HEAD_BYTES: Final = 16 * 2**20
#: Python before 3.10.7 takes a time that is the square of their number.
MAX_DIGITS: Final = 1000
#: How far the square of a length may lie from 1, in float32.
LENGTH_TOLERANCE: Final = 1e-4
#: Numbers of which a graph is built on loading, a vector counted as `LEAST_SIZE` of them at least. Any vectors take
#: less than 10 s of processor time then; 100,000 of 384 numbers take two minutes.
NUMBERS_OF_A_GRAPH: Final = 2**22
LEAST_SIZE: Final = 256
#: The length of a text that isn't known.
NO_TEXT: Final = -1


def write(head: KNNHead, directory: Path) -> None:
    """Write a fitted head; nothing is written if it couldn't be read again.

    Raises:
        NotFittedError: The head isn't fitted.
        ValueError: There are too many classes, or too long ones.
    """
    check_is_fitted(head, "examples_")
    examples = head.examples_
    record = json.dumps(
        {
            "version": VERSION,
            "multi_label": examples.multi_label,
            "classes": examples.classes,
            "approximate": head.neighbours_.approximate,
            "params": head.get_params(),
        },
        indent=2,
        default=lambda value: value.item(),  # NumPy's numbers among the parameters
    ).encode()
    if len(record) > HEAD_BYTES:
        raise ValueError(
            f"The head can't be saved: its {len(examples.classes)} classes take more than {HEAD_BYTES // 2**20} MB. "
            "Train it on shorter labels, such as numbers."
        )
    tensors = {"vectors": examples.vectors, "targets": examples.targets, "weights": examples.weights}
    if examples.texts is not None:
        encoded = [None if text is None else text.encode(errors="surrogatepass") for text in examples.texts]
        lengths = [NO_TEXT if text is None else len(text) for text in encoded]
        tensors["text_lengths"] = np.array(lengths, dtype=np.int64)
        tensors["text_bytes"] = np.frombuffer(b"".join(filter(None, encoded)), dtype=np.uint8)
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, directory / EXAMPLES_FILE)
    (directory / HEAD_FILE).write_bytes(record + b"\n")


def read(directory: Path) -> KNNHead:
    """Read a head that `write` wrote. The files may be anybody's: they are refused, or they do no harm.

    A graph that would take long to build isn't built: the head then searches exactly, and a warning says so.

    Raises:
        ValueError: A file is missing, damaged or made to do harm, the two don't fit each other, or a newer version of
            this package wrote them.
    """
    record = _record(directory / HEAD_FILE)
    path = directory / EXAMPLES_FILE
    if record["params"].keys() != KNNHead().get_params().keys():
        raise _damaged(directory / HEAD_FILE, "its parameters are not those of the head")
    try:
        head = KNNHead(**record["params"])
    except ValueError as error:
        raise _damaged(directory / HEAD_FILE, str(error)) from error
    try:
        _check_regular(path)
        with safe_open(path, framework="numpy") as file:
            tensors = _tensors(file, record)
        _check_tensors(tensors, record)
        texts = _texts(tensors) if "text_lengths" in tensors else None
    except OSError as error:
        raise _unreadable(path, error) from error
    except (SafetensorError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    examples = Examples(tensors["vectors"], tensors["targets"], tensors["weights"], texts, record["classes"])
    approximate = record["approximate"] and _soon_built(*examples.vectors.shape)
    if record["approximate"] and not approximate:
        warnings.warn(
            f"{directory} was searched approximately, and is searched exactly now: a graph of {len(examples.vectors)} "
            "examples takes long to build, which is not done for files from anybody. If you trust them and ask about "
            "many texts, call build_index() of the head.",
            stacklevel=2,
        )
    head.restore(examples, Neighbours(examples.vectors, approximate=approximate))
    return head


def _soon_built(count: int, size: int) -> bool:
    return count * max(size, LEAST_SIZE) <= NUMBERS_OF_A_GRAPH


def _record(path: Path) -> dict[str, Any]:
    try:
        _check_regular(path)
        with path.open("rb") as file:
            content = file.read(HEAD_BYTES + 1)
        if len(content) > HEAD_BYTES:
            raise ValueError(f"it has more than {HEAD_BYTES // 2**20} MB, the most that is read")  # noqa: TRY301
        record = json.loads(content.decode(), parse_int=_integer)
    except OSError as error:
        raise _unreadable(path, error) from error
    except RecursionError as error:
        raise _damaged(path, "it is nested too deep") from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    record = record if type(record) is dict else {}
    version = record.get("version")
    if type(version) is int and version > VERSION:
        raise ValueError(
            f"{path} is of version {version}, which a newer setfit-head-knn wrote. Update it: "
            "pip install --upgrade setfit-head-knn"
        )
    kinds = {"version": int, "multi_label": bool, "classes": list, "approximate": bool, "params": dict}
    wrong = [key for key, kind in kinds.items() if type(record.get(key)) is not kind]
    if wrong or version != VERSION:
        raise _damaged(path, f"it has no good value for {', '.join(wrong or ['version'])}")
    classes = record["classes"]
    try:
        check_labels(classes)
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    good = [*range(len(classes))] if record["multi_label"] else sorted(set(classes))
    if classes != good or (record["multi_label"] and type(classes[0]) is not int):
        raise _damaged(path, "its classes are not in order, or one is there twice")
    return record


def _tensors(file: Any, record: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors, once their types and shapes are known to be right; none is larger than the file."""
    names = set(file.keys())
    expected = {"vectors": "F32", "targets": "U8" if record["multi_label"] else "I64", "weights": "F64"}
    if "text_lengths" in names:
        expected |= {"text_lengths": "I64", "text_bytes": "U8"}
    if names != set(expected):
        raise ValueError("it lacks a tensor, or holds one that is none of the head's")
    slices = {name: file.get_slice(name) for name in names}
    for name, kind in expected.items():
        if slices[name].get_dtype() != kind:
            raise ValueError(f"`{name}` is of the type {slices[name].get_dtype()}, not {kind}")
    shapes = {name: tuple(each.get_shape()) for name, each in slices.items()}
    rows = shapes["vectors"][0] if len(shapes["vectors"]) == 2 else 0
    wanted = {
        "vectors": (rows, shapes["vectors"][-1] if shapes["vectors"] else 0),
        "targets": (rows, len(record["classes"])) if record["multi_label"] else (rows,),
        "weights": (rows,),
        "text_lengths": (rows,),
    }
    for name in expected.keys() & wanted.keys():
        if shapes[name] != wanted[name] or 0 in shapes[name]:
            raise ValueError(f"`{name}` has the shape {list(shapes[name])}, which doesn't fit the others")
    if "text_bytes" in shapes and len(shapes["text_bytes"]) != 1:
        raise ValueError("`text_bytes` has more than one dimension")
    return {name: file.get_tensor(name) for name in names}


def _check_tensors(tensors: dict[str, npt.NDArray[Any]], record: dict[str, Any]) -> None:
    vectors, targets, weights = tensors["vectors"], tensors["targets"], tensors["weights"]
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
    # NaN compares as neither.
    if not ((np.abs(squares - 1) < LENGTH_TOLERANCE) | (squares == 0)).all():
        raise ValueError("`vectors` has rows that are not of length 1")
    if targets.min() < 0 or targets.max() >= (2 if record["multi_label"] else len(record["classes"])):
        raise ValueError("`targets` names a class that isn't there")
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError("`weights` are not all finite and above 0")


def _texts(tensors: dict[str, npt.NDArray[Any]]) -> list[str | None]:
    lengths, content = tensors["text_lengths"], tensors["text_bytes"].tobytes()
    if lengths.min() < NO_TEXT or lengths.max() > len(content):
        raise ValueError("`text_lengths` are not the lengths of texts")
    texts: list[str | None] = []
    end = 0
    for length in lengths.tolist():
        start, end = end, end + max(length, 0)
        texts.append(None if length == NO_TEXT else content[start:end].decode(errors="surrogatepass"))
    if end != len(content):
        raise ValueError("`text_lengths` and `text_bytes` don't fit each other")
    return texts


def _check_regular(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no regular file")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"it holds an integer of {len(text)} digits")
    return int(text)


def _unreadable(path: Path, error: OSError) -> ValueError:
    return ValueError(f"{path} can't be read ({error}): the head is incomplete. Download or save the model again.")


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} is damaged: {why}. Download or save the model again.")
