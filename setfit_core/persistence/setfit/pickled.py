"""The pickles in which `setfit` keeps its heads, read without running anything from them.

A pickle is a program for a small stack machine, and the danger lies in two of its instructions: one imports whatever
it names, the other calls it. The machine here does neither. It knows the instructions that a saved head needs, and a
table of names. A name outside of the table ends the reading. One in the table leads to code of this package, which
builds plain data: numbers, strings, arrays, and a `Record` for each object of another library. Nothing of these
libraries is imported, constructed or called, and no unpickler gets to see the file.

joblib puts the bytes of an array between two instructions, where the standard library's unpickler would not stop to
read them; that is one more reason for a machine of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from setfit_core.errors import ModelFormatError, UntrustedTypesError
from setfit_core.persistence.setfit import pickled_parts as parts
from setfit_core.persistence.setfit.pickled_parts import (
    F8,
    I4,
    I8,
    U1,
    U2,
    U4,
    U8,
    ElementType,
    Malformed,
    Name,
    PendingArray,
    Record,
    Source,
    Spent,
    Storage,
    Tensor,
    check_scalars,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Record", "Tensor", "read_pickle"]

MAX_INTEGER_BYTES: Final = 16

_STOP: Final = ord(".")

_TORCH_MAGIC: Final = 0x1950A86A20F9469CFC6C
_TORCH_PROTOCOL: Final = 1001
_COMPRESSED: Final = {
    b"x": "zlib",
    b"\x1f\x8b": "gzip",
    b"BZ": "bz2",
    b"]\x00": "lzma",
    b"\xfd7z": "xz",
    b'\x04"M': "lz4",
    b"ZF": "zlib",
}


def read_pickle(content: bytes, where: Path | str) -> Any:
    """Return what a pickle holds as plain data, running nothing from it.

    Args:
        content: The file that `joblib.dump` or `pickle.dump` wrote, uncompressed.
        where: The place of the file, for messages.

    Returns:
        Numbers, strings, None, lists, tuples, dicts, sets, read-only NumPy arrays, `Record`s and `Tensor`s. As in any
        pickle, something may contain itself or stand in many places: don't walk it without a bound.

    Raises:
        UntrustedTypesError: If the pickle names something that isn't in the table.
        ModelFormatError: If it is damaged, compressed, or costs more to read than a head does.
    """
    for start, method in _COMPRESSED.items():
        if content.startswith(start):
            raise ModelFormatError(
                f"{where} is compressed with {method}. setfit never does that, and setfit-core doesn't read it. If you "
                "trust whoever made the file, write it again: joblib.dump(joblib.load(file), file)."
            )
    source = Source(memoryview(content), Spent(len(content)))
    try:
        return _Machine(source, _HEAD_NAMES).run()
    except _ForeignName as error:
        # Whoever made the file chose the name, and the message goes to a terminal.
        name = ascii(error.name)[1:-1][:200]
        raise UntrustedTypesError(
            f"{where} names {name}, which is not among the few things that setfit-core takes from a pickle: a pickle "
            "can call whatever it names. Nothing of it was loaded or run. Train the head again with setfit-core on the "
            "same body. Or, if you know who made the file and what it does, pass trust_pickle=True, which lets it run.",
            (name,),
        ) from None
    except Exception as error:  # the file chose what happened in there, so whatever goes wrong is its fault
        reason = str(error) if isinstance(error, Malformed) else f"{type(error).__name__} at byte {source.position}"
        raise ModelFormatError(
            f"{where} can't be read as a head that setfit saved: {reason}. The file is damaged or truncated, or was "
            "made by something else. Download or save the model again."
        ) from error


class _ForeignName(Exception):  # noqa: N818  # it never leaves read_pickle
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class _Machine:
    """The stack machine of pickles, with the instructions of protocols 2 to 5 that saved heads consist of."""

    def __init__(self, source: Source, names: Mapping[str, Name]) -> None:
        self.source = source
        self._names = names
        self._stack: list[Any] = []
        self._marks: list[int] = []
        #: A dict: an entry with a high number takes no more room than one with a low one.
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Run one pickle to its end and return what it holds."""
        source, spent = self.source, self.source.spent
        spent.depth += 1
        if spent.depth > parts.MAX_DEPTH:
            raise Malformed("there are pickles within pickles within pickles")
        if source.number(U1) != 0x80 or source.number(U1) not in (2, 3, 4, 5):
            raise Malformed("it doesn't start as a pickle of protocol 2 to 5 does")
        while (code := source.instruction()) != _STOP:
            instruction = _INSTRUCTIONS.get(code)
            if instruction is None:
                raise Malformed(f"byte {source.position - 1} holds the instruction {bytes([code])!r}")
            instruction(self)
        result = self.pop()
        if self._stack or self._marks:
            raise Malformed("it ends with something left over")
        spent.depth -= 1
        return result

    # The stack

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise Malformed("an instruction finds nothing to work on")
        return self._stack.pop()

    def pop_to_mark(self) -> list[Any]:
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def top(self, kind: type) -> Any:
        value = self._stack[-1]
        if type(value) is not kind:
            raise Malformed(f"something is put into a {type(value).__name__} as if it were a {kind.__name__}")
        return value

    def remember(self, number: int) -> None:
        value = self.pop()
        self._memo[number] = value
        self.push(value)

    def memoize(self) -> None:
        self.remember(len(self._memo))

    def recall(self, number: int) -> None:
        value = self._memo[number]
        if isinstance(value, PendingArray) and value.values is not None:
            value = value.values
        self.push(value)

    # Numbers, text and containers

    def integer(self, size: int) -> None:
        if size > MAX_INTEGER_BYTES:
            raise Malformed(f"it has an integer of {size} bytes")
        self.push(int.from_bytes(self.source.take(size), "little", signed=True))

    def text(self, size: int) -> None:
        self.push(str(self.source.take(size), "utf-8"))

    def last(self, count: int) -> tuple[Any, ...]:
        return tuple(self.pop() for _ in range(count))[::-1]

    def extend(self, values: list[Any]) -> None:
        self.top(list).extend(values)

    def add_items(self, values: list[Any]) -> None:
        self.top(set).update(check_scalars(values))

    def set_items(self, values: list[Any]) -> None:
        self.top(dict).update(zip(check_scalars(values[::2]), values[1::2], strict=True))

    # Names

    def look_up(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise Malformed("it names something by what is no string")
        found = self._names.get(f"{module} {name}")
        if found is None:
            raise _ForeignName(f"{module}.{name}")
        self.push(found)

    def call(self) -> None:
        function, arguments = self.last(2)
        if type(function) is not Name or function.call is None or type(arguments) is not tuple:
            raise Malformed(f"it calls {_described(function)}")
        self.push(function.call(self.source, arguments))

    def create(self) -> None:
        target, arguments = self.last(2)
        if type(target) is not Name or target.create is None or type(arguments) is not tuple or arguments:
            raise Malformed(f"it makes an object of {_described(target)}")
        self.push(target.create())

    def build(self) -> None:
        target, state = self.last(2)
        if type(target) is Record and target.state is None and type(state) is dict:
            target.state = state
            self.push(target)
        elif type(target) is ElementType:
            target.take_state(state)
            self.push(target)
        elif type(target) is PendingArray and target.values is None:
            target.values = self._joblibs(state) if target.is_joblibs else parts.array_from_state(self.source, state)
            self.push(target.values)
        else:
            raise Malformed(f"it gives attributes to {_described(target)}")

    def _joblibs(self, state: Any) -> npt.NDArray[Any]:
        """Return an array whose bytes, or whose own pickle if it holds objects, follow in the file."""
        match state:
            case {"subclass": Name() as subclass, "shape": shape, "order": order, "dtype": ElementType() as dtype}:
                alignment = state.get("numpy_array_alignment_bytes")  # not before joblib 1.2
            case _:
                raise Malformed("an array isn't written as joblib does it")
        if subclass.qualified not in _ARRAYS:
            raise Malformed("an array isn't written as joblib does it")
        if dtype.is_object:
            nested = _Machine(self.source, self._names).run()
            if not isinstance(nested, np.ndarray) or type(shape) is not tuple or nested.shape != shape:
                raise Malformed("an array of objects has another shape than it says")
            return nested
        if alignment is not None:
            self.source.take(self.source.number(U1))
        return parts.array_over(shape, dtype, order, self.source.take(parts.array_size(shape, dtype)))

    def persistent_storage(self) -> None:
        if self._names is not _STORAGE_NAMES:
            raise Malformed("it refers to something outside of itself")
        match self.pop():
            case ("storage", Name(qualified=name), str(key), str(), int(count), None) if count >= 0:
                self.push(Storage(name, key, count))
            case _:
                raise Malformed("the storage of a tensor isn't written as torch does it")


def _described(value: Any) -> str:
    return value.qualified if type(value) is Name else f"a {type(value).__name__}"


def _make_storage(source: Source, arguments: tuple[Any, ...]) -> Storage:
    """Stand in for `torch.storage._load_from_bytes`: read the format that torch had before it used zip files.

    Inside of pickles it has it still: four pickles, the list of storages, and the bytes of each.
    """
    match arguments:
        case (bytes() | memoryview() as content,):
            inner = Source(memoryview(content), source.spent)
        case _:
            _foreign_storage()
    match [_Machine(inner, _STORAGE_NAMES).run() for _ in range(5)]:
        case [int(magic), int(protocol), {"little_endian": True}, Storage() as storage, [str(key)]]:
            if (magic, protocol, key) != (_TORCH_MAGIC, _TORCH_PROTOCOL, storage.key):
                _foreign_storage()
        case _:
            _foreign_storage()
    if inner.number(I8) != storage.count:
        _foreign_storage()
    storage.content = inner.take(storage.count * np.dtype(storage.layout).itemsize)
    return storage


def _foreign_storage() -> NoReturn:
    raise Malformed("the storage of a tensor isn't written as torch does it")


_ARRAYS: Final = frozenset({"numpy.ndarray", "numpy.memmap", "numpy.core.memmap.memmap", "numpy._core.memmap.memmap"})


def _names() -> dict[str, Name]:
    """Return all that the pickle of a head may name, by `"module name"`."""
    records = (
        "setfit.modeling.SetFitHead",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.multiclass.OneVsRestClassifier",
        "sklearn.multiclass._ConstantPredictor",
        "sklearn.multioutput.ClassifierChain",
        "sklearn.multioutput.MultiOutputClassifier",
        "sklearn.preprocessing._label.LabelBinarizer",
        "torch.nn.modules.linear.Linear",
    )
    calls: dict[str, Callable[[Source, tuple[Any, ...]], Any]] = {
        "__builtin__.bytes": parts.make_bytes,
        "__builtin__.set": parts.make_set,
        "_codecs.encode": parts.encode,
        "builtins.set": parts.make_set,
        "collections.OrderedDict": parts.make_dict,
        "numpy.dtype": parts.make_type,
        "torch._utils._rebuild_parameter": parts.make_parameter,
        "torch._utils._rebuild_tensor_v2": parts.make_tensor,
        "torch.device": parts.make_device,
        "torch.storage._load_from_bytes": _make_storage,
    }
    for core in ("numpy.core", "numpy._core"):  # before and since NumPy 2
        calls[f"{core}.multiarray._reconstruct"] = parts.make_array
        calls[f"{core}.multiarray.scalar"] = parts.make_scalar
        calls[f"{core}.numeric._frombuffer"] = parts.make_array_from_buffer
    names = [
        *(Name(qualified, create=_record_of(qualified)) for qualified in records),
        *(Name(qualified, call=call) for qualified, call in calls.items()),
        *map(Name, _ARRAYS),
        Name("joblib.numpy_pickle.NumpyArrayWrapper", create=lambda: PendingArray(is_joblibs=True)),
    ]
    return _by_module(names)


def _record_of(qualified: str) -> Callable[[], Record]:
    return lambda: Record(qualified)


def _by_module(names: list[Name]) -> dict[str, Name]:
    return {" ".join(name.qualified.rsplit(".", 1)): name for name in names}


_HEAD_NAMES: Final = _names()
_STORAGE_NAMES: Final = _by_module([Name(qualified) for qualified in parts.STORAGE_TYPES])

#: Left out: DUP, POP, INST, OBJ, PERSID, EXT, NEWOBJ_EX, buffers outside of the file, and the text of protocol 0.
_INSTRUCTIONS: Final[Mapping[int, Callable[[_Machine], Any]]] = {
    ord("("): _Machine.mark,
    ord("N"): lambda machine: machine.push(None),
    0x88: lambda machine: machine.push(True),
    0x89: lambda machine: machine.push(False),
    ord("K"): lambda machine: machine.push(machine.source.number(U1)),
    ord("M"): lambda machine: machine.push(machine.source.number(U2)),
    ord("J"): lambda machine: machine.push(machine.source.number(I4)),
    ord("G"): lambda machine: machine.push(machine.source.number(F8)),
    0x8A: lambda machine: machine.integer(machine.source.number(U1)),
    0x8B: lambda machine: machine.integer(machine.source.number(U4)),
    0x8C: lambda machine: machine.text(machine.source.number(U1)),
    ord("X"): lambda machine: machine.text(machine.source.number(U4)),
    0x8D: lambda machine: machine.text(machine.source.number(U8)),
    ord("C"): lambda machine: machine.push(machine.source.take(machine.source.number(U1))),
    ord("B"): lambda machine: machine.push(machine.source.take(machine.source.number(U4))),
    0x8E: lambda machine: machine.push(machine.source.take(machine.source.number(U8))),
    0x96: lambda machine: machine.push(machine.source.take(machine.source.number(U8))),
    ord("]"): lambda machine: machine.push([]),
    ord("a"): lambda machine: machine.extend([machine.pop()]),
    ord("e"): lambda machine: machine.extend(machine.pop_to_mark()),
    ord(")"): lambda machine: machine.push(()),
    ord("t"): lambda machine: machine.push(tuple(machine.pop_to_mark())),
    0x85: lambda machine: machine.push(machine.last(1)),
    0x86: lambda machine: machine.push(machine.last(2)),
    0x87: lambda machine: machine.push(machine.last(3)),
    ord("}"): lambda machine: machine.push({}),
    ord("s"): lambda machine: machine.set_items([*machine.last(2)]),
    ord("u"): lambda machine: machine.set_items(machine.pop_to_mark()),
    0x8F: lambda machine: machine.push(set()),
    0x90: lambda machine: machine.add_items(machine.pop_to_mark()),
    ord("q"): lambda machine: machine.remember(machine.source.number(U1)),
    ord("r"): lambda machine: machine.remember(machine.source.number(U4)),
    0x94: _Machine.memoize,
    ord("h"): lambda machine: machine.recall(machine.source.number(U1)),
    ord("j"): lambda machine: machine.recall(machine.source.number(U4)),
    ord("c"): lambda machine: machine.look_up(machine.source.line(), machine.source.line()),
    0x93: lambda machine: machine.look_up(*machine.last(2)),
    ord("R"): _Machine.call,
    0x81: _Machine.create,
    ord("b"): _Machine.build,
    ord("Q"): _Machine.persistent_storage,
    # A frame says how many bytes to read ahead. All of them are here already.
    0x95: lambda machine: machine.source.number(U8),
}
