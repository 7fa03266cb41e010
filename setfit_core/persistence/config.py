"""`config_setfit.json`: everything about a saved model that isn't a weight."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from setfit_core.errors import ModelFormatError, PersistenceError
from setfit_core.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

CONFIG_FILE = "config_setfit.json"
PICKLED_HEAD_FILE = "model_head.pkl"
FORMAT_VERSION = 1

_PLAIN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._+!-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class HeadRecord:
    """What a saved model says about its head.

    Attributes:
        name: The name of the head's entry point; None for a head that didn't come from one.
        distribution: The distribution that offers this entry point.
        version: The version of that distribution at saving time.
        class_name: `module:qualname` of the head's class. For messages only: it is never imported.
        metadata: What `setfit_save_head` returned; its key `"format"` names the format of the files.
        params: The user's `head_params`, or None if there were none or JSON can't hold them.
    """

    name: str | None
    distribution: str | None
    version: str | None
    class_name: str
    metadata: Mapping[str, Any]
    params: Mapping[str, Any] | None = None

    @property
    def qualified_name(self) -> str | None:
        """`distribution:name`, or None for a head that didn't come from an entry point."""
        return None if self.name is None else f"{self.distribution}:{self.name}"


@dataclass(frozen=True)
class ModelConfig:
    """The content of `config_setfit.json`.

    Attributes:
        labels: What the label encoder wants to find again; opaque here.
        normalize_embeddings: Whether embeddings are scaled to unit length before they reach the head.
        multi_target_strategy: How a single-label head was made to predict several labels, if it was.
        head: What is known about the head.
        format_version: The version of this format.
        core_version: The version of setfit-core that saved the model.
    """

    labels: Mapping[str, Any] | None
    normalize_embeddings: bool
    multi_target_strategy: str | None
    head: HeadRecord
    format_version: int = FORMAT_VERSION
    core_version: str = __version__


def write_config(directory: Path, config: ModelConfig) -> None:
    """Write `config_setfit.json`.

    Raises:
        PersistenceError: If the configuration holds something that JSON can't.
    """
    head = config.head
    content = {
        "format_version": config.format_version,
        "core_version": config.core_version,
        "labels": config.labels,
        "normalize_embeddings": config.normalize_embeddings,
        "multi_target_strategy": config.multi_target_strategy,
        "head": {
            "name": head.name,
            "distribution": head.distribution,
            "version": head.version,
            "class_name": head.class_name,
            "metadata": head.metadata,
            "params": head.params,
        },
    }
    write_json(directory / CONFIG_FILE, content)


def read_config(directory: Path) -> ModelConfig | None:
    """Read `config_setfit.json`; None if there is none.

    Raises:
        ModelFormatError: If the file is damaged, was written by a newer version, or belongs to a model that
            `setfit` saved with a pickled head.
    """
    path = directory / CONFIG_FILE
    if not path.exists():
        return None
    content = read_json_object(path)
    if "format_version" not in content:
        raise ModelFormatError(_without_format_version(directory))
    version = _take(path, content, "format_version", int)
    if version > FORMAT_VERSION:
        raise ModelFormatError(
            f"{path} has format version {version}, and this setfit-core {__version__} reads up to "
            f"{FORMAT_VERSION}: the model was saved by a newer version"
            f"{_saved_by(content)}. Upgrade with: pip install --upgrade setfit-core"
        )
    if version < 1:
        raise ModelFormatError(f"{path} has format version {version}, which never existed; the file is damaged.")
    head = _take(path, content, "head", dict)
    metadata = _take(path, head, "metadata", dict, inside="head")
    _take(path, metadata, "format", str, inside="head.metadata")
    record = HeadRecord(
        name=_take(path, head, "name", str, optional=True, inside="head"),
        distribution=_take(path, head, "distribution", str, optional=True, inside="head"),
        version=_take(path, head, "version", str, optional=True, inside="head"),
        class_name=_take(path, head, "class_name", str, inside="head"),
        metadata=metadata,
        params=_take(path, head, "params", dict, optional=True, inside="head"),
    )
    _check_names(path, record)
    return ModelConfig(
        labels=_take(path, content, "labels", dict, optional=True),
        normalize_embeddings=_take(path, content, "normalize_embeddings", bool),
        multi_target_strategy=_take(path, content, "multi_target_strategy", str, optional=True),
        head=record,
        format_version=version,
        core_version=_take(path, content, "core_version", str),
    )


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


def _take(
    path: Path,
    content: Mapping[str, Any],
    key: str,
    kind: type,
    *,
    optional: bool = False,
    inside: str | None = None,
) -> Any:
    """Return `content[key]`, which must be of exactly this type (or null, if `optional`)."""
    name = key if inside is None else f"{inside}.{key}"
    if key not in content:
        raise ModelFormatError(f"{path} has no {name!r}: the file is incomplete. Download or save the model again.")
    value = content[key]
    if (value is None and optional) or type(value) is kind:
        return value
    expected = f"{kind.__name__} or null" if optional else kind.__name__
    raise ModelFormatError(f"{path}: {name!r} must be {expected} and is {value!r}; the file is damaged.")


def _check_names(path: Path, record: HeadRecord) -> None:
    """Refuse names that no package index would take: messages offer them for copying into a shell."""
    given = [text for text in (record.name, record.distribution, record.version) if text is not None]
    if (record.name is None) == (record.distribution is None) and all(map(_PLAIN_NAME.fullmatch, given)):
        return
    raise ModelFormatError(
        f"{path} doesn't name its head properly: head.name is {record.name!r}, head.distribution is "
        f"{record.distribution!r} and head.version is {record.version!r}. The file is damaged; save the model again."
    )


def _saved_by(content: Mapping[str, Any]) -> str:
    version = content.get("core_version")
    return f" (setfit-core {version})" if isinstance(version, str) else ""


def _without_format_version(directory: Path) -> str:
    path = directory / CONFIG_FILE
    if (directory / PICKLED_HEAD_FILE).exists():
        return (
            f"{directory} was saved by setfit: its head is {PICKLED_HEAD_FILE}, a pickle. Loading a pickle runs "
            "whatever code it contains, so setfit-core never does. Train the head again with setfit-core on the "
            "same body, and save the model."
        )
    return (
        f"{path} has no 'format_version': it was not saved by setfit-core but most likely by setfit, whose heads "
        "are pickles, which setfit-core never loads. Train the head again with setfit-core on the same body, and "
        "save the model."
    )
