"""What a skops file says, read without building anything of it.

Everything that skops would build is looked at first: the archive, the schema with every loader and type in it, and
the headers of the arrays. Only a file that holds nothing else may be given to skops.
"""

from __future__ import annotations

import functools
import importlib
import io
import json
import math
import re
import zipfile
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from setfit_core.persistence.skops import types as skops_types

if TYPE_CHECKING:
    from collections.abc import Collection

SCHEMA: Final = "schema.json"
#: A member that skops doesn't know and leaves alone, see `witness`.
WITNESS: Final = "witness.json"
#: The protocol of skops 0.10 and later. Older ones have loaders of their own, which are not looked at here.
PROTOCOL: Final = 2
#: A larger head takes more than 2 GB while it is loaded, since skops holds each array twice.
MAX_BYTES: Final = 512 * 2**20
#: Some 6,000 trees. skops takes up to 30 microseconds for an object, and Python a kilobyte.
MAX_NODES: Final = 400_000
_MAX_SCHEMA: Final = 400 * MAX_NODES
_MAX_BRACES: Final = 2 * MAX_NODES
_MAX_COMMAS: Final = 8 * MAX_NODES
_MAX_DIRECTORY: Final = 16 * 2**20
_MAX_WITNESS: Final = 2**20
_MAX_TEXT: Final = 2**24
_MAX_DEPTH: Final = 80
_MAX_HEADER: Final = 4096
#: No array that holds nothing needs a longer side.
_MAX_EMPTY_SIDE: Final = 2**20
_NAME = re.compile(r"\w[\w.-]{0,199}")
#: What may be in an object array of several dimensions: nothing that has a size by itself.
_IN_ROWS: Final = frozenset({"JsonNode", "ListNode", "ObjectNode"})
_MEMBER = re.compile(r"[0-9]{1,20}\.np[yz]|[0-9a-f]{8}-[0-9a-f-]{27}\.bin")


class DamagedFileError(ValueError):
    """The file is no skops file, or one that skops doesn't write; the message says what is wrong."""


class Archive:
    """A skops file that has been looked through.

    Args:
        file: The file, open for reading; its place is moved.

    Attributes:
        names: The names of all types, functions and methods in it.
        versions: The versions of scikit-learn that its estimators say they were saved with.

    Raises:
        DamagedFileError: If skops would not have written it so.
        zipfile.BadZipFile: If it is no archive.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.names: set[str] = set()
        self.versions: set[str] = set()
        self._foreign: set[str] = set()
        self._kinds: dict[int, tuple[str, ...]] = {}
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()
        self._files: dict[str, int] = {}
        size = _check_directory(file)
        with zipfile.ZipFile(file) as self._zip:
            self._members = self._checked_members(size)
            self._node(self._schema(), "", 0)

    @property
    def has_old_names(self) -> bool:
        """Whether `with_present_names` changes something."""
        return any(name.startswith("_loss.") for name in self.names)

    def foreign(self, allowed: Collection[str] = ()) -> list[str]:
        """Return the names that are neither on the list of this package nor allowed; sorted."""
        return sorted(self._foreign - {*allowed})

    # The archive

    def _checked_members(self, size: int) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            if info.filename in members:
                raise DamagedFileError(f"it holds {info.filename!r} twice")
            if info.filename not in (SCHEMA, WITNESS) and not _MEMBER.fullmatch(info.filename):
                raise DamagedFileError(f"it holds {info.filename[:80]!r}, which skops doesn't write")
            if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                raise DamagedFileError(f"{info.filename!r} is compressed; heads are stored as they are")
            if info.flag_bits & 0x1:
                raise DamagedFileError(f"{info.filename!r} is encrypted")
            if info.filename == WITNESS and info.file_size > _MAX_WITNESS:
                raise DamagedFileError(f"{info.filename!r} says more than a head can")
            members[info.filename] = info
        if sum(info.file_size for info in members.values()) > size:
            raise DamagedFileError("its members are larger than itself")
        return members

    def _schema(self) -> dict[str, Any]:
        if SCHEMA not in self._members:
            raise DamagedFileError(f"it has no {SCHEMA}")
        text = self._zip.read(SCHEMA) if self._members[SCHEMA].file_size <= _MAX_SCHEMA else b""
        # A byte of JSON can take fifty of memory: counting comes before parsing.
        if not text or text.count(b"{") + text.count(b"[") > _MAX_BRACES or text.count(b",") > _MAX_COMMAS:
            raise DamagedFileError(f"it describes more than {MAX_NODES:,} objects")
        if not text.isascii():
            raise DamagedFileError(f"its {SCHEMA} is not in ASCII")
        schema = json.loads(text)
        if not isinstance(schema, dict):
            raise DamagedFileError(f"its {SCHEMA} is no object")
        if schema.get("protocol") != PROTOCOL:
            raise DamagedFileError(f"its protocol is {schema.get('protocol')!r}, not {PROTOCOL}")
        return schema

    # The schema

    def _node(self, state: object, context: str, depth: int) -> int:
        """Look at the description of an object, and return the number of objects that it stands for.

        skops builds an object once, and takes it wherever its number appears again, whatever is written there. So
        every appearance is looked at, and all of one number must agree in what matters to the place they are at.
        """
        if not isinstance(state, dict):
            raise DamagedFileError(f"an object is described by a {type(state).__name__}")
        if depth > _MAX_DEPTH:
            raise DamagedFileError(f"its objects are nested more than {_MAX_DEPTH} deep")
        loader, module, name = (_text(state, key) for key in ("__loader__", "__module__", "__class__"))
        number = state.get("__id__")
        if number is not None and type(number) is not int:
            raise DamagedFileError(f"{number!r} is no number of an object")
        if number in self._open:
            raise DamagedFileError("an object holds itself")
        if number:
            kind = (loader, module, name, _said(state, loader, context))
            if self._kinds.setdefault(number, kind) != kind:
                raise DamagedFileError(f"the number {number} stands for two objects")
            self._open.add(number)
        if not _NAME.fullmatch(module) or not _NAME.fullmatch(name):
            raise DamagedFileError(f"a type is called {module[:80]!r} {name[:80]!r}")
        if context == "rows" and loader not in _IN_ROWS and f"{module}.{name}" not in skops_types.SCALARS:
            raise DamagedFileError(f"an array of several dimensions holds a {module}.{name}")
        size = 1 + self._content(state, loader, f"{module}.{name}", context, depth + 1)
        if number:
            self._open.discard(number)
            size = self._sizes[number] = max(size, self._sizes.get(number, 0))
        if size > MAX_NODES:
            raise DamagedFileError(f"it describes more than {MAX_NODES:,} objects")
        return size

    def _content(self, state: dict[str, Any], loader: str, name: str, context: str, depth: int) -> int:
        if loader == "JsonNode":
            text = _text(state, "content")
            if len(text) > _MAX_TEXT:
                raise DamagedFileError(f"a plain value is longer than {_MAX_TEXT:,} characters")
            if not isinstance(json.loads(text), (str, int, float, bool, type(None))):
                raise DamagedFileError("a plain value is no plain value")
            return 0
        if loader == "TypeNode":
            self._name(name, trusted=name in skops_types.TYPES)
            return 0
        if loader == "NdArrayNode":
            return self._array(state, name, context, depth)
        if loader in skops_types.CONTAINERS:
            self._name(name, trusted=name in skops_types.CONTAINERS[loader])
            return self._container(state, loader, context, depth)
        if loader == "ObjectNode":
            self._name(name, trusted=name in skops_types.OBJECTS)
            return self._object(state, name, depth)
        if loader == "TreeNode":
            # skops calls this one type, whatever type the file says.
            self._name(skops_types.TREE, trusted=True)
            self._name(name, trusted=name == skops_types.TREE)
            return self._reduced(state, "tree", depth)
        if loader == "LossNode":
            self._name(name, trusted=name in skops_types.LOSSES)
            return self._reduced(state, "loss", depth)
        return self._other(state, loader, name, depth)

    def _container(self, state: dict[str, Any], loader: str, context: str, depth: int) -> int:
        content = state.get("content")
        if loader in ("ListNode", "TupleNode", "SetNode"):
            return sum(self._node(item, context, depth) for item in _list(content))
        if loader == "DictNode":
            items = _dict(content)
            return self._keys(state.get("key_types"), len(items), depth) + sum(
                self._node(item, context, depth) for item in items.values()
            )
        if loader in ("BytesNode", "BytearrayNode"):
            self._file(state)
            return 0
        if loader == "SliceNode":
            if any(part is not None and type(part) is not int for part in _dict(content).values()):
                raise DamagedFileError("a slice holds something other than numbers")
            return 0
        if loader == "RandomStateNode":
            return self._node(content, context, depth)
        parts = _dict(content)
        if loader == "RandomGeneratorNode":
            _check_generator(parts)
        names = {
            "DefaultDictNode": ("main", "default_factory"),
            "MaskedArrayNode": ("data", "mask"),
            "RandomGeneratorNode": ("bit_generator", "seed_seq"),
        }[loader]
        context = "generator" if loader == "RandomGeneratorNode" else context
        return sum(self._node(parts.get(part), context, depth) for part in names)

    def _keys(self, types: object, count: int, depth: int) -> int:
        """Look at the types of a dict's keys, which skops calls with strings of the file."""
        content = _list(types.get("content")) if isinstance(types, dict) else []
        if not isinstance(types, dict) or types.get("__loader__") != "ListNode" or len(content) != count:
            raise DamagedFileError("a dict has no type for each of its keys")
        for kind in content:
            if not isinstance(kind, dict) or kind.get("__loader__") != "TypeNode":
                raise DamagedFileError("a key of a dict is of no type")
            name = f"{_text(kind, '__module__')}.{_text(kind, '__class__')}"
            if name not in skops_types.KEYS:
                raise DamagedFileError(f"a key of a dict is a {name}")
        return self._node(types, "keys", depth)

    def _array(self, state: dict[str, Any], name: str, context: str, depth: int) -> int:
        self._name(name, trusted=name == "numpy.ndarray" or name in skops_types.SCALARS)
        if state.get("type") == "json" and name == "numpy.ndarray":
            sides = state.get("shape")
            if not isinstance(sides, dict) or sides.get("__loader__") != "TupleNode":
                raise DamagedFileError("an array has no shape")
            # numpy is left to find the sides of an array of several dimensions, and goes into all that looks like one.
            inside = context if len(_list(sides.get("content"))) == 1 else "rows"
            count = sum(self._node(item, inside, depth) for item in _list(state.get("content")))
            return count + self._node(sides, "shape", depth)
        if state.get("type") != "numpy":
            raise DamagedFileError(f"an array is of the type {state.get('type')!r}")
        member = self._file(state)
        try:
            shape = self._header(member)
        except Exception as error:  # numpy tries three ways to understand a header
            raise DamagedFileError(f"{member.filename!r} is no array ({error})") from error
        if name != "numpy.ndarray" and shape:
            raise DamagedFileError(f"a {name} has the shape {shape}")
        return 0

    def _header(self, member: zipfile.ZipInfo) -> tuple[int, ...]:
        """Return the shape of an array, whose header must agree with its size to the byte."""
        with self._zip.open(member) as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(
                version
            )
            if read is None:
                raise DamagedFileError(f"its format is {version}")
            shape, _, dtype = read(file, max_header_size=_MAX_HEADER)
            start = file.tell()
        fields = [dtype] if dtype.names is None else [dtype[field] for field in dtype.names]
        if not dtype.itemsize or any(field.kind not in "biufcUSmM" for field in fields):
            raise DamagedFileError(f"its type is {dtype}")
        if not all(type(side) is int and side >= 0 for side in shape):
            raise DamagedFileError(f"its shape is {shape}")
        if math.prod(shape) * dtype.itemsize != member.file_size - start or (
            0 in shape and max(shape) > _MAX_EMPTY_SIDE
        ):
            raise DamagedFileError(f"its shape is {shape}, which {member.file_size - start} bytes don't hold")
        return tuple(shape)

    def _object(self, state: dict[str, Any], name: str, depth: int) -> int:
        content: Any = state.get("content")
        loader = content.get("__loader__") if isinstance(content, dict) else None
        if name in skops_types.FROM_TUPLES and loader != "TupleNode":
            raise DamagedFileError(f"a {name} has no state")
        if name in skops_types.OBJECTS and loader == "DictNode" and name not in skops_types.LOSSES:
            attributes = _dict(content["content"])
            _check_attributes(name, attributes)
            version = attributes.get("_sklearn_version")
            if isinstance(version, dict) and version.get("__loader__") == "JsonNode":
                self.versions.add(str(json.loads(_text(version, "content")))[:40])
        elif name in skops_types.OBJECTS - skops_types.FROM_TUPLES and (
            # Python 3.11 says of an object without attributes that its state is None.
            content is not None and (loader != "JsonNode" or content.get("content") != "null")
        ):
            raise DamagedFileError(f"the state of a {name} is no dict")
        return 0 if content is None else self._node(content, "", depth)

    def _reduced(self, state: dict[str, Any], context: str, depth: int) -> int:
        arguments = _dict(state.get("__reduce__")).get("args")
        if not isinstance(arguments, dict) or arguments.get("__loader__") != "TupleNode":
            raise DamagedFileError("an object is built from no arguments")
        content = state.get("content")
        if context == "tree":
            self._tree_arrays(content, _list(arguments.get("content")))
        if context == "loss":
            if not isinstance(content, dict) or content.get("content"):
                raise DamagedFileError("a loss has a state")
            if not all(
                isinstance(item, dict) and item.get("__loader__") == "JsonNode"
                for item in _list(arguments.get("content"))
            ):
                raise DamagedFileError("a loss is built from something other than numbers")
        return self._node(content, context, depth) + self._node(arguments, context, depth)

    def _tree_arrays(self, content: object, arguments: list[Any]) -> None:
        """Look at the arrays of a tree, whose code reads their sides before it asks whether they have any."""
        attributes = _dict(_dict(content).get("content"))
        arrays = [*arguments[1:2], attributes.get("nodes"), attributes.get("values")]
        for array, sides in zip(arrays, (1, 1, 3), strict=True):
            state = _dict(array)
            kind = (state.get("__module__"), state.get("__class__"), state.get("type"))
            if kind != ("numpy", "ndarray", "numpy") or len(self._header(self._file(state))) != sides:
                raise DamagedFileError("a tree is not made of arrays")

    def _other(self, state: dict[str, Any], loader: str, name: str, depth: int) -> int:
        """Look at what is built by a loader that only the caller's trust can let pass."""
        self._name(name, trusted=False)
        if loader == "MethodNode":
            self._name(f"{name}.{_text(_dict(state.get('content')), 'func')}", trusted=False)
        if isinstance(state.get("file"), str):
            self._file(state)
        return self._inside([value for key, value in state.items() if key != "file"], depth)

    def _inside(self, values: Collection[object], depth: int) -> int:
        size = 0
        for value in values:
            if isinstance(value, dict) and "__loader__" in value:
                size += self._node(value, "", depth)
            elif isinstance(value, (dict, list)):
                if depth > _MAX_DEPTH:
                    raise DamagedFileError(f"its objects are nested more than {_MAX_DEPTH} deep")
                size += self._inside([*value.values()] if isinstance(value, dict) else value, depth + 1)
        return size

    def _file(self, state: dict[str, Any]) -> zipfile.ZipInfo:
        """Return a member, which one object may hold: skops reads it again for each."""
        name = _text(state, "file")
        if name not in self._members or not _MEMBER.fullmatch(name):
            raise DamagedFileError(f"it has no {name[:80]!r}")
        number = state.get("__id__")
        if not number or self._files.setdefault(name, number) != number:
            raise DamagedFileError(f"two objects hold {name!r}")
        return self._members[name]

    def _name(self, name: str, *, trusted: bool) -> None:
        self.names.add(name)
        if not trusted:
            self._foreign.add(name)


def with_present_names(content: bytes) -> bytes:
    """Return the file with the losses of scikit-learn before 1.8 under the name of the module that they are in.

    Their compiled code believed to be a module `_loss` of its own. Where that isn't so any more, skops would import
    whatever has this name.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    members[SCHEMA] = members[SCHEMA].replace(b'"__module__": "_loss"', b'"__module__": "sklearn._loss._loss"')
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member)
    return buffer.getvalue()


def _check_directory(file: IO[bytes]) -> int:
    """Return the size of a file, whose list of members zipfile can read in no time."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 42))
    end = file.read(42)
    if end[-22:-18] != b"PK\x05\x06" or end[-2:] != b"\0\0":
        raise DamagedFileError("it is no archive, or is cut off")
    if size > MAX_BYTES:
        raise DamagedFileError(f"it takes {size:,} bytes, and no more than {MAX_BYTES:,} are read")
    if int.from_bytes(end[-10:-6], "little") > _MAX_DIRECTORY or b"PK\x06\x07" in end:
        raise DamagedFileError("it has more members than a head needs")
    return size


def _said(state: dict[str, Any], loader: str, context: str) -> str:
    """Return what all appearances of one number must agree in, besides their type."""
    if loader == "JsonNode":
        return _text(state, "content")
    if loader == "NdArrayNode":
        return f"{state.get('type')} {state.get('file')}"
    if loader not in ("DictNode", "ListNode", "TupleNode"):
        return ""
    # Python has one empty tuple, which appears everywhere.
    return context if state.get("content") else "nothing"


def _check_attributes(name: str, attributes: dict[str, Any]) -> None:
    """Refuse attributes that stand in front of what the class brings: methods, and constants it relies on."""
    module, _, qualified = name.rpartition(".")
    try:
        of_class = _attributes_of(getattr(importlib.import_module(module), qualified))
    except (ImportError, AttributeError):
        return  # not in this version: nothing will be built, and that says why
    for attribute in attributes:
        if attribute in of_class:
            raise DamagedFileError(f"a {name} brings {attribute!r}, which is a part of its class")


@functools.cache
def _attributes_of(kind: type) -> frozenset[str]:
    return frozenset(attribute for base in kind.__mro__ for attribute in vars(base))


def _check_generator(parts: dict[str, Any]) -> None:
    """Refuse a random generator that takes its time: numpy mixes a pool of any size that a file names."""
    pool = _dict(_dict(parts.get("seed_seq")).get("content")).get("pool_size")
    if not isinstance(pool, dict) or pool.get("content") != "4":
        raise DamagedFileError("a random generator's seed has another pool than numpy's")
    name = _dict(_dict(parts.get("bit_generator")).get("content")).get("bit_generator")
    if not isinstance(name, dict) or name.get("content") != '"PCG64"':
        raise DamagedFileError("a random generator is not numpy's")


def _text(state: dict[str, Any], key: str) -> str:
    value = state.get(key)
    if not isinstance(value, str):
        raise DamagedFileError(f"{key} is no string")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise DamagedFileError(f"a list is a {type(value).__name__}")
    return value


def _dict(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DamagedFileError(f"a dict is a {type(value).__name__}")
    return value
