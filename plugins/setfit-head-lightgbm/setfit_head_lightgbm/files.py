"""The head on disk: arrays in a safetensors file, the rest in the metadata of the hooks.

Whoever made them may mean harm. The size of the file bounds the arrays, and `LightGBMHead.__setstate__` checks what
they hold.
"""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import safetensors
from safetensors.numpy import save
from sklearn.utils.validation import check_is_fitted

from setfit_head_lightgbm.head import LightGBMHead
from setfit_head_lightgbm.trees import DTYPES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["read", "write"]

FILE: Final = "trees.safetensors"
MAX_BYTES: Final = 8 * 2**20
#: What is learned, apart from the trees.
LEARNED: Final = {"classes_": list, "n_features_in_": int, "objective_": str, "trained_": list}


def write(head: LightGBMHead, directory: Path) -> dict[str, Any]:
    """Write the trees of a fitted head, and return the rest of it; nothing is written if it can't be.

    Raises:
        NotFittedError: The head isn't fitted.
        ValueError: A parameter can't be written as JSON, or what would be written couldn't be read again.
    """
    check_is_fitted(head, "booster_", msg="This LightGBMHead is not fitted, so there is nothing to save. Train it.")
    params = {name: _plain(name, value) for name, value in head.get_params().items()}
    state = head.__getstate__()
    try:
        LightGBMHead().__setstate__(state)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The head can't be saved, for it couldn't be loaded again: {error}.") from error
    content = save(state["trees_"])
    if len(content) > MAX_BYTES:
        raise ValueError(
            f"The trees take more than {MAX_BYTES // 2**20} MB, the most that is read again. Train fewer or smaller "
            "ones: lower n_estimators or num_leaves."
        )
    (directory / FILE).write_bytes(content)
    return {"params": params, **{name: state[name] for name in LEARNED}, "classes_": head.classes_.tolist()}


def read(directory: Path, metadata: Mapping[str, Any]) -> LightGBMHead:
    """Read a head that `write` wrote. File and metadata may be anybody's: they are refused, or they do no harm.

    Raises:
        ValueError: They are missing, damaged, made to do harm, or don't fit each other.
    """
    path = directory / FILE
    try:
        head = _rebuilt(_arrays(path), metadata)
    except (OSError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"The head in {path} is damaged: {error}. Download or save the model again.") from error
    return head


def _rebuilt(trees: dict[str, Any], metadata: Mapping[str, Any]) -> LightGBMHead:
    wrong = [name for name, kind in {"params": dict, **LEARNED}.items() if type(metadata.get(name)) is not kind]
    if wrong:
        raise ValueError(f"the metadata have no good value for {', '.join(wrong)}")
    json.dumps(metadata["params"], allow_nan=False)  # NaN and infinity are refused
    head = LightGBMHead(**metadata["params"])
    learned = {name: metadata[name] for name in LEARNED}
    learned["classes_"] = np.array(learned["classes_"], dtype=object)  # as they are: NumPy would make them all alike
    head.__setstate__({**vars(head), **learned, "trees_": trees})
    return head


def _arrays(path: Path) -> dict[str, Any]:
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no regular file")  # such as a pipe that would never end
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES // 2**20} MB, the most that is read")
    try:
        found = dict(safetensors.deserialize(content))  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from error
    codes = {np.float64: "F64", np.int32: "I32"}
    if {name: array["dtype"] for name, array in found.items()} != {name: codes[kind] for name, kind in DTYPES.items()}:
        raise ValueError(f"it holds other arrays than {', '.join(DTYPES)}")
    return {name: np.frombuffer(array["data"], DTYPES[name]) for name, array in found.items()}


def _plain(name: str, value: Any) -> Any:
    """Return a parameter as JSON will give it back."""
    value = value.item() if isinstance(value, np.generic) else value
    try:
        if json.loads(json.dumps(value, allow_nan=False)) == value:
            return value
    except (TypeError, ValueError):
        pass
    raise ValueError(
        f"The head can't be saved with {name}={value!r}: a model file holds no Python objects. Give the parameter as a "
        "number or string, such as an integer seed, and train again."
    )
