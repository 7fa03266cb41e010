"""Reading files that somebody else wrote, and JSON in both directions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from setfit_core.errors import ModelFormatError, PersistenceError

if TYPE_CHECKING:
    from pathlib import Path


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON the same way every time: sorted keys, UTF-8, a newline at the end."""
    text = json.dumps(jsonable(content, path.name), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelFormatError: If the file is missing, isn't JSON, or holds something other than an object.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelFormatError(
            f"{path} is missing: the model folder is incomplete. Download or save it again."
        ) from None
    except OSError as error:
        raise ModelFormatError(f"{path} can't be read: {error}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested beyond reason
        raise ModelFormatError(
            f"{path} isn't valid JSON ({error}); it is damaged or truncated. Download or save the model again."
        ) from error
    if not isinstance(content, dict):
        raise ModelFormatError(
            f"{path} holds a JSON {type(content).__name__} where an object is expected; the file is damaged."
        )
    return content


def jsonable(value: Any, where: str) -> Any:
    """Return a copy made of what JSON can hold and give back: numpy scalars become Python's, tuples lists.

    Args:
        value: What is to be written.
        where: The place of the value, for the message.

    Raises:
        PersistenceError: If there is something else inside, such as a set (it has no order), an array, a key
            that isn't a string, or a number that isn't finite.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (list, tuple)):
        return [jsonable(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise PersistenceError(
                    f"{where} has the key {key!r}, a {type(key).__name__}: JSON has only strings as keys and "
                    "wouldn't give it back. Use strings."
                )
        return {str(key): jsonable(item, f"{where}.{key}") for key, item in value.items()}
    raise PersistenceError(
        f"{where} is {value!r}, a {type(value).__name__}, which JSON can't hold. Use strings, finite numbers, "
        "booleans, None, and lists and dicts of them."
    )
