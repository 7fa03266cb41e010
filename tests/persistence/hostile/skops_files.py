"""Changing what a skops file says."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def edit_schema(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite the schema of a skops file, and leave its other members as they are."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    schema = json.loads(members["schema.json"])
    change(schema)
    members["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def replace_type(path: Path, module: str, name: str) -> None:
    """Have the file say that its object is of another type."""
    edit_schema(path, lambda schema: schema.update(__module__=module, __class__=name))
