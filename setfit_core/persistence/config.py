"""`config_setfit.json`: everything about a saved model that isn't a weight."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from setfit_core.errors import ModelFormatError
from setfit_core.persistence.files import read_json_object, write_json
from setfit_core.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

CONFIG_FILE = "config_setfit.json"
PICKLED_HEAD_FILE = "model_head.pkl"
#: Version 2 writes the names of the labels apart from their encoding, as `setfit` reads them, and keeps the training.
#: Version 3 has a calibration, version 4 thresholds. A model is written in the oldest of these that it needs.
FORMAT_VERSION = 4

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
        labels: What the label encoder wants to find again; opaque here, but for the key `"names"`.
        normalize_embeddings: Whether embeddings are scaled to unit length before they reach the head.
        multi_target_strategy: How a single-label head was made to predict several labels, if it was.
        head: What is known about the head.
        training: What is known about the training, for the model card; opaque here.
        calibration: What is done to the head's probabilities; opaque here. None for nothing.
        thresholds: How likely each of several labels has to be; opaque here. None leaves that to the head.
        format_version: The version of this format.
        core_version: The version of setfit-core that saved the model.
    """

    labels: Mapping[str, Any] | None
    normalize_embeddings: bool
    multi_target_strategy: str | None
    head: HeadRecord
    training: Mapping[str, Any] | None = None
    calibration: Mapping[str, Any] | None = None
    thresholds: Sequence[Any] | None = None
    format_version: int = FORMAT_VERSION
    core_version: str = __version__


def write_config(directory: Path, config: ModelConfig) -> None:
    """Write `config_setfit.json`, in the oldest version of its format since 2 that says everything.

    `setfit` 1.2 hands every key at the top to the constructor of its model, which reads `labels` and
    `normalize_embeddings`, passes over keys that it doesn't know, and fails at `multi_target_strategy`,
    `model_body` and `model_head`.

    Raises:
        PersistenceError: If the configuration holds something that JSON can't.
    """
    head = config.head
    encoding = None if config.labels is None else dict(config.labels)
    names = None if encoding is None else encoding.pop("names", None)
    version = 4 if config.thresholds is not None else 3 if config.calibration is not None else 2
    content = {
        "format_version": version,
        "core_version": config.core_version,
        "labels": names,
        "label_encoding": encoding,
        "normalize_embeddings": config.normalize_embeddings,
        "multi_label_strategy": config.multi_target_strategy,
        "training": config.training,
        "head": {
            "name": head.name,
            "distribution": head.distribution,
            "version": head.version,
            "class_name": head.class_name,
            "metadata": head.metadata,
            "params": head.params,
        },
    }
    if version >= 3:
        content["calibration"] = config.calibration
    if version >= 4:
        content["thresholds"] = config.thresholds
    write_json(directory / CONFIG_FILE, content)


def read_config(directory: Path) -> ModelConfig | None:
    """Read `config_setfit.json`; None if there is none.

    Raises:
        ModelFormatError: If the file is damaged or was written by a newer version.
    """
    path = directory / CONFIG_FILE
    if not path.exists():
        return None
    content = read_json_object(path)
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
    first = version == 1
    return ModelConfig(
        labels=_take(path, content, "labels", dict, optional=True) if first else _read_labels(path, content),
        normalize_embeddings=_take(path, content, "normalize_embeddings", bool),
        multi_target_strategy=_take(
            path, content, "multi_target_strategy" if first else "multi_label_strategy", str, optional=True
        ),
        head=record,
        training=None if first else _take(path, content, "training", dict, optional=True),
        calibration=_take(path, content, "calibration", dict, optional=version >= 4) if version >= 3 else None,
        thresholds=_take(path, content, "thresholds", list) if version >= 4 else None,
        format_version=version,
        core_version=_take(path, content, "core_version", str),
    )


def _read_labels(path: Path, content: Mapping[str, Any]) -> dict[str, Any] | None:
    names = _take(path, content, "labels", list, optional=True)
    encoding = _take(path, content, "label_encoding", dict, optional=True)
    if names is not None and encoding is None:
        raise ModelFormatError(
            f"{path} names labels, but has no 'label_encoding' that says what they mean to the head; the file is "
            "damaged. Download or save the model again."
        )
    return encoding if encoding is None or names is None else {**encoding, "names": names}


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
