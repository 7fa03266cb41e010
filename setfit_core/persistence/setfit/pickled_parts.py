"""What a saved head consists of, as plain data, and the code behind the names that its pickle may call.

Everything here checks what it is given: whoever made the file chose it.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: A head takes 170 for each label that it decides about. The bound keeps memory and time in check.
MAX_INSTRUCTIONS: Final = 1_000_000
#: The head, an array of objects in it, the storage of a tensor in that.
MAX_DEPTH: Final = 3
MAX_DIMENSIONS: Final = 4
MAX_NAME_BYTES: Final = 512
#: Copies of the small things beside arrays.
SPARE_COPIES: Final = 4096

_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|[US][1-9][0-9]{0,5}|O8?")
#: Element types of torch's storages, as little-endian NumPy types. NumPy has no bfloat16: its bits are kept.
STORAGE_TYPES: Final = {
    "torch.BFloat16Storage": ("bfloat16", "<u2"),
    "torch.DoubleStorage": ("float64", "<f8"),
    "torch.FloatStorage": ("float32", "<f4"),
    "torch.HalfStorage": ("float16", "<f2"),
}


#: The numbers in a pickle, by their size in bytes.
U1, U2, U4, U8 = (struct.Struct(f"<{letter}") for letter in "BHIQ")
I4, I8, F8 = struct.Struct("<i"), struct.Struct("<q"), struct.Struct(">d")


class Malformed(Exception):  # noqa: N818  # it never leaves the reader, which gives it a place and a remedy
    """The file is no pickle of a head."""


class Record:
    """An object of another library, as data: its class's name and its attributes.

    Attributes:
        name: The qualified name of its class.
        state: Its attributes; None for an object that was saved without any.
    """

    __slots__ = ("name", "state")

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: dict[str, Any] | None = None


class Tensor:
    """A torch tensor, as data.

    Attributes:
        values: The elements; the bits of each as uint16 if the type is bfloat16.
        dtype: The name of torch's type, such as `"float32"`.
    """

    __slots__ = ("dtype", "values")

    def __init__(self, values: npt.NDArray[Any], dtype: str) -> None:
        self.values = values
        self.dtype = dtype


@dataclass(frozen=True, eq=False)
class Name:
    """A name that a pickle may use. What takes its place is kept here, never what it names.

    Attributes:
        qualified: The name, `module.name`.
        create: Makes an empty object, where the name is that of a class.
        call: Is called with the source and the arguments, where the pickle calls the name.
    """

    qualified: str
    create: Callable[[], Any] | None = None
    call: Callable[[Source, tuple[Any, ...]], Any] | None = None


class ElementType:
    """The type of an array's elements. A pickle gives the byte order after the size."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "="

    @property
    def is_object(self) -> bool:
        """Whether the elements are Python objects, pickled one by one."""
        return self.code.startswith("O")

    def numpy(self) -> np.dtype[Any]:
        """Return NumPy's type."""
        return np.dtype(self.order + self.code)

    def take_state(self, state: Any) -> None:
        """Take over the byte order."""
        match state:
            case (3 | 4, "<" | ">" | "|" | "=" as order, None, None, None, *_):
                self.order = order
            case _:
                raise Malformed("the type of an array is not a plain one")


class PendingArray:
    """An array whose content comes later in the pickle.

    Attributes:
        is_joblibs: Whether joblib wrote it, with its bytes behind the instructions.
        values: The array, once it is known.
    """

    __slots__ = ("is_joblibs", "values")

    def __init__(self, *, is_joblibs: bool) -> None:
        self.is_joblibs = is_joblibs
        self.values: npt.NDArray[Any] | None = None


class Storage:
    """The numbers of a tensor: their type, how many they are, and their bytes."""

    __slots__ = ("content", "count", "dtype", "key", "layout")

    def __init__(self, name: str, key: str, count: int) -> None:
        self.dtype, self.layout = STORAGE_TYPES[name]
        self.key = key
        self.count = count
        self.content = memoryview(b"")


@dataclass(eq=False)
class Spent:
    """What reading one file has cost so far, over everything that lies inside of it."""

    file_size: int
    instructions: int = 0
    copies: int = 0
    depth: int = 0


@dataclass(eq=False)
class Source:
    """Bytes that are read once, from the front, and never copied.

    Attributes:
        content: The bytes.
        spent: What reading has cost.
        position: The place of the next byte.
    """

    content: memoryview
    spent: Spent
    position: int = field(default=0)

    def take(self, size: int) -> memoryview:
        """Return the next bytes."""
        end = self.position + size
        if end > len(self.content):
            raise Malformed(f"it has {len(self.content)} bytes, and byte {self.position} announces {size} more")
        taken = self.content[self.position : end]
        self.position = end
        return taken

    def number(self, layout: struct.Struct) -> Any:
        """Return a number."""
        return layout.unpack(self.take(layout.size))[0]

    def line(self) -> str:
        """Return the text up to the end of the line."""
        end = bytes(self.content[self.position : self.position + MAX_NAME_BYTES]).find(b"\n")
        if end < 0:
            raise Malformed(f"byte {self.position} starts a name that doesn't end")
        return str(self.take(end + 1)[:end], "utf-8")

    def instruction(self) -> int:
        """Return the code of the next instruction, and count it."""
        if self.position == len(self.content):
            raise Malformed("it ends before its last instruction")
        self.spent.instructions += 1
        if self.spent.instructions > MAX_INSTRUCTIONS:
            raise Malformed(f"it has more than {MAX_INSTRUCTIONS} instructions")
        self.position += 1
        return self.content[self.position - 1]

    def count_copy(self, size: int) -> None:
        """Count what is copied: a file that has one thing copied over and over would fill the memory."""
        self.spent.copies += size
        if self.spent.copies > self.spent.file_size + SPARE_COPIES:
            raise Malformed("it uses the same part of itself many times over")


def check_scalars(values: Sequence[Any]) -> Sequence[Any]:
    """Return values that are hashed or compared; the hash of nested tuples takes forever, or the whole C stack."""
    for value in values:
        if value is not None and type(value) not in (str, int, float, bool):
            raise Malformed(f"something of the type {type(value).__name__} stands where a string or a number belongs")
    return values


# Arrays


def array_size(shape: Any, dtype: Any) -> int:
    """Return how many bytes an array of plain elements takes."""
    if type(dtype) is not ElementType or dtype.is_object or type(shape) is not tuple or len(shape) > MAX_DIMENSIONS:
        raise Malformed("an array has no plain type and shape")
    if not all(type(length) is int and length >= 0 for length in shape):
        raise Malformed("the shape of an array isn't made of lengths")
    return math.prod(shape) * dtype.numpy().itemsize


def array_over(shape: Any, dtype: Any, order: Any, content: Any) -> npt.NDArray[Any]:
    """Return a read-only array over bytes of the file, which must be as many as its shape takes."""
    size = array_size(shape, dtype)
    if order not in ("C", "F") or not isinstance(content, bytes | memoryview) or len(content) != size:
        raise Malformed(f"the content of an array doesn't fit its shape, which takes {size} bytes")
    array: npt.NDArray[Any] = np.ndarray(shape, dtype.numpy(), buffer=content, order=order)
    return array


def array_from_state(source: Source, state: Any) -> npt.NDArray[Any]:
    """Return an array that NumPy pickled."""
    match state:
        case (1, tuple(shape), ElementType() as dtype, False, list(values)) if dtype.is_object:
            if shape != (len(values),):
                raise Malformed("an array of objects isn't a row of them")
            source.count_copy(len(values))
            objects: npt.NDArray[Any] = np.empty(len(values), dtype=object)
            objects[:] = check_scalars(values)
            return objects
        case (1, tuple(shape), ElementType() as dtype, bool(fortran), bytes() | memoryview() as content):
            return array_over(shape, dtype, "F" if fortran else "C", content)
    raise Malformed("an array isn't written as NumPy does it")


def make_type(_source: Source, arguments: tuple[Any, ...]) -> ElementType:
    """Stand in for `numpy.dtype`."""
    match arguments:
        case (str(code), False | 0, True | 1) if _DTYPE.fullmatch(code):
            return ElementType(code)
    raise Malformed("the type of an array is not a plain one")


def make_array(_source: Source, arguments: tuple[Any, ...]) -> PendingArray:
    """Stand in for `numpy._core.multiarray._reconstruct`."""
    match arguments:
        case (Name(qualified="numpy.ndarray"), (0,), bytes() | memoryview()):
            return PendingArray(is_joblibs=False)
    raise Malformed("an array isn't written as NumPy does it")


def make_array_from_buffer(_source: Source, arguments: tuple[Any, ...]) -> npt.NDArray[Any]:
    """Stand in for `numpy._core.numeric._frombuffer`."""
    match arguments:
        case (content, dtype, shape, order):
            return array_over(shape, dtype, order, content)
    raise Malformed("an array isn't written as NumPy does it")


def make_scalar(_source: Source, arguments: tuple[Any, ...]) -> Any:
    """Stand in for `numpy._core.multiarray.scalar`; gives Python's number."""
    match arguments:
        case (ElementType() as dtype, bytes() | memoryview() as content) if dtype.code[0] in "biuf":
            return array_over((), dtype, "C", content).item()
    raise Malformed("a number isn't written as NumPy does it")


# Containers and bytes


def encode(source: Source, arguments: tuple[Any, ...]) -> bytes:
    """Stand in for `_codecs.encode`, by which protocol 2 writes bytes."""
    match arguments:
        case (str(text), "latin1"):
            source.count_copy(len(text))
            return text.encode("latin-1")
    raise Malformed("bytes aren't written as pickle does it")


def make_bytes(_source: Source, arguments: tuple[Any, ...]) -> bytes:
    """Stand in for `bytes`, by which protocol 2 writes that there are none."""
    if arguments:
        raise Malformed("bytes aren't written as pickle does it")
    return b""


def make_dict(_source: Source, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """Stand in for `collections.OrderedDict`."""
    if arguments:
        raise Malformed("a dict isn't written as pickle does it")
    return {}


def make_set(source: Source, arguments: tuple[Any, ...]) -> set[Any]:
    """Stand in for `set`, by which protocol 2 writes sets."""
    match arguments:
        case (list(values),):
            source.count_copy(len(values))
            return set(check_scalars(values))
    raise Malformed("a set isn't written as pickle does it")


# Tensors


def make_device(_source: Source, arguments: tuple[Any, ...]) -> str:
    """Stand in for `torch.device`; gives its kind."""
    match arguments:
        case (str(kind),) | (str(kind), int()):
            return kind
    raise Malformed("a device isn't written as torch does it")


def make_tensor(_source: Source, arguments: tuple[Any, ...]) -> Tensor:
    """Stand in for `torch._utils._rebuild_tensor_v2`."""
    match arguments:
        case (Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), dict(), *_):
            pass
        case _:
            raise Malformed("a tensor isn't written as torch does it")
    if len(shape) > MAX_DIMENSIONS or not all(type(length) is int and length > 0 for length in shape):
        raise Malformed("the shape of a tensor isn't made of lengths")
    in_one_piece = tuple(math.prod(shape[place + 1 :]) for place in range(len(shape)))
    # Along a dimension of length 1 a stride has no meaning.
    if len(strides) != len(shape) or any(
        length > 1 and stride != expected for length, stride, expected in zip(shape, strides, in_one_piece, strict=True)
    ):
        raise Malformed("the numbers of a tensor don't lie in one piece")
    layout = np.dtype(storage.layout)
    if offset < 0 or offset + math.prod(shape) > storage.count:
        raise Malformed("a tensor is larger than its storage")
    values: npt.NDArray[Any] = np.ndarray(shape, layout, buffer=storage.content, offset=offset * layout.itemsize)
    return Tensor(values, storage.dtype)


def make_parameter(_source: Source, arguments: tuple[Any, ...]) -> Tensor:
    """Stand in for `torch._utils._rebuild_parameter`."""
    match arguments:
        case (Tensor() as tensor, bool(), dict()):
            return tensor
    raise Malformed("a parameter isn't written as torch does it")
