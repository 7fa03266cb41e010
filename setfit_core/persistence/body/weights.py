"""The tensors that the weight files of a body hold, by name and shape, without reading the tensors."""

from __future__ import annotations

import math
import os
import pickletools
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from setfit_core.errors import ModelFormatError
from setfit_core.persistence.files import parse_json, read_json_object

Shapes = Mapping[str, tuple[int, ...]]


def words(text: str) -> frozenset[str]:
    """Return the words of a text: a list that is easier to read than one of quoted names, each on its line."""
    return frozenset(text.split())


SAFETENSORS: Final = "model.safetensors"
TORCH: Final = "pytorch_model.bin"
#: Bytes of a safetensors header, or of the pickle in a torch file. A tensor takes about 150.
HEADER_LIMIT: Final = 16 * 2**20
LARGEST_DIMENSION: Final = 2**31

_ITEM_BYTES: Final = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
#: What a dictionary of tensors consists of. Torch's own restricted unpickler, which still reads the file afterwards,
#: knows more, some of which takes as much memory as the file asks for.
_TORCH_NAMES: Final = frozenset(
    {
        "collections OrderedDict",
        "torch._utils _rebuild_parameter",
        "torch._utils _rebuild_tensor_v2",
        *(
            f"torch {kind}Storage"
            for kind in ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short")
        ),
    }
)
_TORCH_OPERATIONS: Final = words(
    "APPEND APPENDS BINFLOAT BINGET BININT BININT1 BININT2 BINPERSID BINPUT BINUNICODE BUILD EMPTY_DICT EMPTY_LIST "
    "EMPTY_TUPLE GLOBAL LONG1 LONG_BINGET LONG_BINPUT MARK NEWFALSE NEWTRUE NONE PROTO REDUCE SETITEM SETITEMS "
    "SHORT_BINSTRING STOP TUPLE TUPLE1 TUPLE2 TUPLE3"
)


def weight_shapes(folder: Path, *, sharded: bool = False) -> dict[str, tuple[int, ...]]:
    """Return the shapes in the weight file that would be loaded from a folder.

    Args:
        folder: The folder of a module.
        sharded: Whether the weights may also be several files with an index, as `transformers` saves them.

    Raises:
        ModelFormatError: If there are no weights, if a file is damaged, if it says things that aren't so, or if a
            torch file holds anything but tensors.
    """
    for name, read in ((SAFETENSORS, safetensors_shapes), (TORCH, torch_shapes)):
        if (folder / name).is_file():
            return read(folder / name)
        index = folder / f"{name}.index.json"
        if sharded and index.is_file():
            return {
                tensor: shape
                for shard in _shards(index, Path(name).suffix)
                for tensor, shape in read(folder / shard).items()
            }
    raise ModelFormatError(
        f"{folder} has no weights: neither {SAFETENSORS} nor {TORCH}. Download or save the model again."
    )


def elements(shapes: Shapes) -> int:
    """Return how many numbers there are in all tensors."""
    return sum(map(math.prod, shapes.values()))


def safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the header of a safetensors file, and check that the file is what it says."""
    try:
        tensors = _safetensors_tensors(path)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, OSError, struct.error) as error:
        raise ModelFormatError(
            f"{path} is no sound safetensors file ({error}); it is damaged or truncated. Download or save the model "
            "again."
        ) from error
    return {name: tuple(entry["shape"]) for name, entry in tensors.items()}


def _safetensors_tensors(path: Path) -> dict[str, Any]:
    header, size = _safetensors_header(path)
    tensors = {name: entry for name, entry in parse_json(header).items() if name != "__metadata__"}
    end = 0
    for begin, after in sorted(_span(name, entry) for name, entry in tensors.items()):
        if begin != end:
            msg = f"its tensors overlap or leave gaps at byte {begin}"
            raise ValueError(msg)
        end = after
    if end != size:
        msg = f"its tensors take {end} bytes and there are {size}"
        raise ValueError(msg)
    return tensors


def _safetensors_header(path: Path) -> tuple[bytes, int]:
    """Return the header and the number of bytes that follow it."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > HEADER_LIMIT:
            msg = f"its header claims {length} bytes"
            raise ValueError(msg)
        header = file.read(length)
        return header, os.fstat(file.fileno()).st_size - 8 - length


def _span(name: str, entry: Mapping[str, Any]) -> tuple[int, int]:
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    numbers = [*shape, begin, end]
    if not all(type(number) is int and number >= 0 for number in numbers) or any(
        size > LARGEST_DIMENSION for size in shape
    ):
        msg = f"tensor {name!r} has the shape {shape} at {begin} to {end}"
        raise ValueError(msg)
    if end - begin != math.prod(shape) * _ITEM_BYTES[entry["dtype"]]:
        msg = f"tensor {name!r} has the shape {shape} of {entry['dtype']} in {end - begin} bytes"
        raise ValueError(msg)
    return begin, end


def torch_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the names and shapes from a torch file, and check that it holds tensors and nothing else."""
    import torch

    try:
        _check_pickle(_torch_pickle(path))
        # On the meta device no tensor is read.
        content = torch.load(path, map_location="meta", weights_only=True)
        _check_tensors(content, torch.Tensor)
    except Exception as error:
        raise ModelFormatError(
            f"{path} is no sound file of torch weights ({str(error).splitlines()[0] if str(error) else error!r}). If "
            "you know where it comes from, convert it: load it with torch.load(..., weights_only=True) and save it as "
            f"{SAFETENSORS} with safetensors.torch.save_file."
        ) from error
    return {name: tuple(tensor.shape) for name, tensor in content.items()}


def _torch_pickle(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        # Torch's reader and Python's must find the same things, and nothing that grows when it is read.
        if len({name.lower() for name in names}) < len(names) or len({name.partition("/")[0] for name in names}) > 1:
            msg = "it holds two archives, or two files of one name"
            raise ValueError(msg)
        if (
            any(member.compress_type != zipfile.ZIP_STORED for member in members)
            or sum(member.file_size for member in members) > path.stat().st_size
        ):
            msg = "its content is compressed, which torch never does"
            raise ValueError(msg)
        (inner,) = (member for member in members if member.filename.partition("/")[2] == "data.pkl")
        if inner.file_size > HEADER_LIMIT:
            msg = f"its pickle takes {inner.file_size} bytes"
            raise ValueError(msg)
        return archive.read(inner)


def _check_pickle(content: bytes) -> None:
    """Refuse a pickle that does more than name tensors; it is only looked at and never run."""
    for operation, argument, _ in pickletools.genops(content):
        if operation.name not in _TORCH_OPERATIONS:
            msg = f"it uses the operation {operation.name}, which no dictionary of tensors needs"
            raise ValueError(msg)
        if operation.name == "GLOBAL" and argument not in _TORCH_NAMES:
            msg = f"it names {str(argument).replace(' ', '.')}, which no dictionary of tensors needs"
            raise ValueError(msg)


def _check_tensors(content: Any, tensor_type: type) -> None:
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, tensor_type):
            msg = f"{name!r} is a {type(tensor).__name__} and no tensor"
            raise TypeError(msg)
        stored: int = tensor.untyped_storage().nbytes()  # type: ignore[attr-defined]  # of torch.Tensor
        if math.prod(tensor.shape) * tensor.element_size() > stored:  # type: ignore[attr-defined]  # of torch.Tensor
            msg = f"{name!r} has the shape {tuple(tensor.shape)} in {stored} bytes"  # type: ignore[attr-defined]  # ditto
            raise ValueError(msg)


def _shards(index: Path, suffix: str) -> Iterator[str]:
    names = read_json_object(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ModelFormatError(f"{index} has no 'weight_map' from tensors to files; it is damaged.")
    for name in sorted(set(names.values())):
        if Path(name).name != name or "\\" in name or not name.endswith(suffix):
            raise ModelFormatError(
                f"{index} names the weight file {name!r}. Weights lie beside their index, and a model may not read "
                "anywhere else. Download the model again from a source that you trust."
            )
        if not (index.parent / name).is_file():
            raise ModelFormatError(
                f"{index.parent / name} is missing, which {index.name} names: the model folder is incomplete. Download "
                "or save it again."
            )
        yield name
