"""Reading files that somebody else wrote, and JSON in both directions."""

from __future__ import annotations

import json
import math
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from setfit_core.errors import ModelFormatError, PersistenceError

#: Bytes that a configuration may have. Parsing takes up to about 25 times as much memory.
CONFIG_LIMIT: Final = 16 * 2**20
#: Objects and lists inside one another; the libraries that read the same files recurse.
JSON_DEPTH: Final = 64
#: Values, and among them objects and lists. One takes up to 20 times the bytes that it has in the file.
VALUES_LIMIT: Final = 3_000_000
CONTAINERS_LIMIT: Final = 2_000_000
#: Entries of a model folder, with everything below it.
ENTRY_LIMIT: Final = 100_000
FOLDER_DEPTH: Final = 32


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON the same way every time: sorted keys, UTF-8, a newline at the end."""
    text = json.dumps(jsonable(content, path.name), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json_object(path: Path, limit: int = CONFIG_LIMIT) -> dict[str, Any]:
    """Read a JSON object that somebody else wrote.

    Args:
        path: The file.
        limit: The bytes that it may have.

    Raises:
        ModelFormatError: If the file is missing, no regular file or too large, if it isn't JSON, names a key twice
            or is nested beyond reason, or if it holds something other than an object.
    """
    content = read_json(path, limit)
    if not isinstance(content, dict):
        raise ModelFormatError(
            f"{path} holds a JSON {type(content).__name__} where an object is expected; the file is damaged."
        )
    return content


def read_json(path: Path, limit: int = CONFIG_LIMIT) -> Any:
    """Read JSON of any kind; otherwise as `read_json_object`."""
    data = read_bytes(path, limit)
    if data.count(b",") > VALUES_LIMIT or data.count(b"[") + data.count(b"{") > CONTAINERS_LIMIT:
        raise ModelFormatError(
            f"{path} holds more than {VALUES_LIMIT} values, or {CONTAINERS_LIMIT} objects and lists, which no model "
            "needs there. It is damaged or means harm; download the model again from a source that you trust."
        )
    try:
        return parse_json(data)
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, a key twice, or nested beyond reason
        raise ModelFormatError(
            f"{path} isn't valid JSON ({error}); it is damaged or truncated. Download or save the model again."
        ) from error


def parse_json(data: bytes) -> Any:
    """Parse JSON such that every library that reads the same bytes sees the same values.

    Raises:
        ValueError: If it isn't JSON, names a key twice in one object, or is nested deeper than `JSON_DEPTH`.
        RecursionError: If it is nested much deeper.
    """
    content = json.loads(data, object_pairs_hook=_object_of_distinct_keys)
    level, depth = [content], 0
    while level := [item for item in level if isinstance(item, (dict, list))]:
        depth += 1
        if depth > JSON_DEPTH:
            msg = f"nested more than {JSON_DEPTH} levels deep"
            raise ValueError(msg)
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return content


def _object_of_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        # Which of the two counts differs between libraries.
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        msg = f"the key {twice!r} is there twice"
        raise ValueError(msg)
    return content


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a regular file of a bounded size.

    Raises:
        ModelFormatError: If the file is missing, can't be read, is no regular file, or has more than `limit` bytes.
    """
    try:
        # Without this flag, opening a named pipe waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ModelFormatError(f"{path} is {_kind(os.fstat(descriptor).st_mode)} and no file. Remove it.")
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise ModelFormatError(
            f"{path} is missing: the model folder is incomplete. Download or save it again."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ModelFormatError(f"{path} can't be read: {error}") from error
    if len(data) > limit:
        raise ModelFormatError(
            f"{path} has more than {limit // 2**20} MB, which no model needs there. It is damaged or means harm; "
            "download the model again from a source that you trust."
        )
    return data


def check_folder(directory: str | os.PathLike[str]) -> Path:
    """Make sure that whatever is read from a model folder is a regular file and lies inside.

    Links may lead to other places of the folder and, from a snapshot in the hub's cache
    (`models--name/snapshots/commit`), to the `blobs` of the same repository, which may in turn be links into the
    `blobs` that all repositories of the cache share. Entries whose name starts with a dot aren't looked at: nobody
    reads them.

    Returns:
        The folder, with its own links resolved.

    Raises:
        ModelFormatError: If there is no such folder, a link leads out of it or nowhere, something is neither file nor
            folder, or there is more in it than any model has.
    """
    try:
        root = Path(directory).resolve(strict=True)
        for entry in _entries(root):
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                _check_link(Path(entry.path), root)
            elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise ModelFormatError(f"{entry.path} is {_kind(mode)}, and no model has such a thing. Remove it.")
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        raise ModelFormatError(f"The model folder {directory} can't be read: {error}.") from error
    return root


def _entries(root: Path) -> Iterator[os.DirEntry[str]]:
    folders, count = [(str(root), 1)], 0
    while folders:
        folder, depth = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                count += 1
                if count > ENTRY_LIMIT or depth > FOLDER_DEPTH:
                    raise ModelFormatError(
                        f"{root} has more than {ENTRY_LIMIT} entries or is more than {FOLDER_DEPTH} levels deep: that "
                        "is no model folder. Give the folder of the model itself."
                    )
                if entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, depth + 1))
                yield entry


def _check_link(link: Path, root: Path) -> None:
    target = link.resolve()
    if not (target.is_relative_to(root) or _in_hub_cache(link, target, root)):
        raise ModelFormatError(
            f"{link} is a link to {target}, outside of the model folder, and a model may not read there. If you made "
            "the link yourself, copy the file in its place."
        )
    if not target.exists():
        raise ModelFormatError(
            f"{link} is a link to {target}, which doesn't exist: the folder is incomplete. Download the model again."
        )
    if not (target.is_file() or target.is_dir()):
        raise ModelFormatError(f"{link} is a link to {target}, which is neither a file nor a folder. Remove it.")


def _in_hub_cache(link: Path, target: Path, root: Path) -> bool:
    repository = root.parent.parent
    if root.parent.name != "snapshots" or not repository.name.startswith("models--"):
        return False
    blobs = repository / "blobs"
    if target.is_relative_to(blobs):
        return True
    step = Path(os.path.normpath(link.parent / link.readlink()))
    return step.is_relative_to(blobs) and target.is_relative_to(repository.parent / "blobs")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}
    return kinds.get(stat.S_IFMT(mode), "a device")


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
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise PersistenceError(
                f"{where} is {value!r}, which no text file can hold: it has half of a surrogate pair. Use whole "
                "characters."
            ) from error
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
