"""All hostile cases, by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from pathlib import Path

Case = Callable[[Path], None]


def cases(topics: Collection[str] = ()) -> dict[str, Case]:
    """Return the cases of some topics, or all, under `topic:case`; a topic is a module `<topic>_cases`."""
    found: dict[str, Case] = {}
    for path in sorted(Path(__file__).parent.glob("*_cases.py")):
        topic = path.stem.removesuffix("_cases")
        if topic in topics or (not topics and topic != "control"):
            module = importlib.import_module(f"hostile.{path.stem}")
            named = {f"{topic}:{case.__name__}": case for case in module.CASES}
            assert len(named) == len(module.CASES), f"two cases of {path.name} have one name"
            found.update(named)
    return found
