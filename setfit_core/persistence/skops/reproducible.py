"""The same file for the same head: skops numbers objects by their addresses in memory, and writes down the time."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from pathlib import PurePosixPath
from typing import Any

from setfit_core.persistence.skops.archive import SCHEMA


def reproducible(content: bytes) -> bytes:
    """Return a skops file with objects and members numbered in the order in which they appear, and without a time."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members.pop(SCHEMA))
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    _renumber(schema, numbers, names)
    renamed = {names[name]: members[name] for name in names}
    renamed[SCHEMA] = json.dumps(schema, indent=2).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, member in renamed.items():
            archive.writestr(zipfile.ZipInfo(name), member)  # of 1980
    return buffer.getvalue()


def _renumber(state: Any, numbers: dict[int, int], names: dict[str, str]) -> None:
    if isinstance(state, list):
        for each in state:
            _renumber(each, numbers, names)
    elif isinstance(state, dict):
        if "__loader__" in state:
            if "__id__" in state:
                state["__id__"] = numbers.setdefault(state["__id__"], len(numbers))
            if isinstance(state.get("file"), str):
                name = PurePosixPath(state["file"])
                # Names of the kind that skops gives: arrays have numbers, bytes have a UUID.
                new = uuid.UUID(int=len(names)) if name.suffix == ".bin" else len(names)
                state["file"] = names.setdefault(str(name), f"{new}{name.suffix}")
        for each in state.values():
            _renumber(each, numbers, names)
