"""Finding pickles: in what a thread does, and in what a file holds."""

from __future__ import annotations

import _pickle
import bz2
import contextlib
import functools
import gzip
import io
import lzma
import pickle
import pickletools
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import numpy as np

__all__ = ["holds_pickle", "watched_pickling"]

#: Functions of pickle.py, as opposed to those of C, that read or write a pickle.
_IN_PYTHON: Final = frozenset({"dump", "load", "_dump", "_dumps", "_load", "_loads"})
_IN_C: Final = frozenset({"dump", "dumps", "load", "loads"})
_SHOWN: Final = {"dump": "pickles", "load": "unpickles"}

_watching = threading.local()
_hooking = threading.Lock()


@contextmanager
def watched_pickling() -> Iterator[list[str]]:
    """Yield a list of what this thread pickles and unpickles in this block, each as a text that says where.

    Whatever name the functions of pickle were imported under, and whichever library calls them. A profiler that
    Python can't put back afterwards, as cProfile before Python 3.12, is left alone; then a thread that unpickles is
    seen only where the pickle names a class or function.
    """
    found: list[str] = []
    with _hooking:  # two threads at a time might both find that it isn't set
        _hook()
    before = sys.getprofile()
    watchable = before is None or callable(before)
    _watching.found = found
    if watchable:
        sys.setprofile(_profile(found))
    try:
        yield found
    finally:
        if watchable:
            sys.setprofile(before)
        _watching.found = None


def holds_pickle(path: Path) -> bool:
    """Tell whether a file is a pickle, or an archive, a compressed file or an array of objects with one inside."""
    return _holds_pickle(path.read_bytes(), depth=2)


# What a thread does


@functools.cache
def _hook() -> None:
    """Have Python tell when a pickle imports something. A hook can't be taken out again, so there is one at most."""
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "pickle.find_class":
        found = getattr(_watching, "found", None)
        if found is not None:
            found.append(f"unpickles {'.'.join(map(str, arguments))}")


def _profile(found: list[str]) -> Callable[[FrameType, str, Any], None]:
    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            name = getattr(argument, "__name__", "")
            if name in _IN_C and _is_pickles(argument):
                found.append(_told(name, frame))
        elif event == "call" and frame.f_code.co_filename == pickle.__file__ and frame.f_code.co_name in _IN_PYTHON:
            found.append(_told(frame.f_code.co_name, frame.f_back or frame))

    return profile


def _is_pickles(function: Any) -> bool:
    owner = getattr(function, "__self__", None)
    return owner is _pickle or isinstance(owner, (_pickle.Pickler, _pickle.Unpickler))


def _told(name: str, caller: FrameType) -> str:
    code = caller.f_code
    return f"{_SHOWN[name.strip('_s')]} ({Path(code.co_filename).name}, line {caller.f_lineno}, in {code.co_name})"


# What a file holds


def _holds_pickle(content: bytes, depth: int) -> bool:
    if _is_pickle(content) or _is_array_of_objects(content):
        return True
    return depth > 0 and any(_holds_pickle(part, depth - 1) for part in _unpacked(content))


def _is_pickle(content: bytes) -> bool:
    """Tell by the instructions of which a pickle consists; joblib puts raw arrays between them."""
    instructions, last, position = 0, "", -1
    with contextlib.suppress(Exception):  # other content may break off in any way
        for instruction, _, place in pickletools.genops(content):
            instructions, last, position = instructions + 1, instruction.name, place or 0
    announced = content[:1] == pickle.PROTO and content[1:2] <= bytes([pickle.HIGHEST_PROTOCOL])
    whole = last == "STOP" and position == len(content) - 1
    return instructions >= 3 and (announced or whole)


def _is_array_of_objects(content: bytes) -> bool:
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return bool(read(file)[2].hasobject)
    except ValueError:
        return False


def _unpacked(content: bytes) -> Iterator[bytes]:
    if zipfile.is_zipfile(io.BytesIO(content)):
        with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    for start, unpack in (
        (b"\x1f\x8b", gzip.decompress),
        (b"BZh", bz2.decompress),
        (b"\xfd7zXZ", lzma.decompress),
        (b"\x78", zlib.decompress),
    ):
        if content.startswith(start):
            with contextlib.suppress(Exception):  # it only looked like it
                yield unpack(content)
