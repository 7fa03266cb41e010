"""Hostile configurations, head folders and torch weights."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile.bait import command, marker

LINEAR = Path(__file__).parents[1] / "saved_folders" / "version-2" / "linear"


def _edit(folder: Path, change: Callable[[dict[str, Any]], object], name: str = "config_setfit.json") -> None:
    path = folder / name
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def _linear(folder: Path) -> Path:
    """Make the folder a model with a torch head, and return the head's folder."""
    shutil.rmtree(folder)
    shutil.copytree(LINEAR, folder)
    return folder / "head"


# The configuration


def head_class_to_import(folder: Path) -> None:
    (folder / "evil.py").write_text(f"import os; os.system({command(folder)!r})", encoding="utf-8")
    _linear(folder)
    _edit(
        folder, lambda config: config["head"].update(name=None, distribution=None, version=None, class_name="os:system")
    )


def head_name_as_path(folder: Path) -> None:
    _edit(folder, lambda config: config["head"].update(name="../../evil", distribution="../../evil"))


def head_of_a_shell_command(folder: Path) -> None:
    _edit(folder, lambda config: config["head"].update(distribution=f"x; {command(folder)}"))


def head_format_of_a_path(folder: Path) -> None:
    _edit(folder, lambda config: config["head"]["metadata"].update(format="../../pickle"))


def trusted_by_the_file_itself(folder: Path) -> None:
    from hostile.skops_files import replace_type

    _edit(folder, lambda config: config["head"]["metadata"].update(trusted=["os.system"], trust_pickle=True))
    replace_type(folder / "head" / "head.skops", "os", "system")


def config_nested_too_deeply(folder: Path) -> None:
    (folder / "config_setfit.json").write_bytes(b'{"a":' * 500_000 + b"1" + b"}" * 500_000)


def config_too_large(folder: Path) -> None:
    with (folder / "config_setfit.json").open("wb") as file:
        file.write(b"[")
        file.truncate(3 * 2**30)


def config_with_a_huge_number(folder: Path) -> None:
    text = (folder / "config_setfit.json").read_text(encoding="utf-8")
    (folder / "config_setfit.json").write_text(
        text.replace('"format_version": 2', '"format_version": 1' + "0" * 5_000_000), encoding="utf-8"
    )


def config_is_a_folder(folder: Path) -> None:
    (folder / "config_setfit.json").unlink()
    (folder / "config_setfit.json").mkdir()


def config_is_a_pipe(folder: Path) -> None:
    (folder / "config_setfit.json").unlink()
    os.mkfifo(folder / "config_setfit.json")


def config_is_endless(folder: Path) -> None:
    (folder / "config_setfit.json").unlink()
    (folder / "config_setfit.json").symlink_to("/dev/zero")


def label_classes_out_of_range(folder: Path) -> None:
    _edit(folder, lambda config: config["label_encoding"].update(classes=[0, 1, 10**18]))


def labels_by_the_million(folder: Path) -> None:
    _edit(folder, lambda config: config.update(labels=[f"label {n}" for n in range(400_000)]))


def label_that_is_no_label(folder: Path) -> None:
    _edit(folder, lambda config: config.update(labels=[{"a": 1}, ["b"], None]))


def labels_fewer_than_classes(folder: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["labels"] = config["labels"][:2]
        config["label_encoding"]["classes"] = [0, 1]

    _edit(folder, change)


def strategy_that_does_not_exist(folder: Path) -> None:
    _edit(folder, lambda config: config.update(multi_label_strategy="os.system"))


def multi_label_head_that_is_none(folder: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["multi_label_strategy"] = "one-vs-rest"
        config["label_encoding"].update(multi_label=True, rows="indicators")

    _edit(folder, change)


def thresholds_by_the_million(folder: Path) -> None:
    _edit(folder, lambda config: config.update(format_version=4, calibration=None, thresholds=[0.5] * 400_000))


def thresholds_of_another_kind_of_model(folder: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config.update(format_version=4, calibration=None, thresholds=[0.5] * len(config["labels"]))

    _edit(folder, change)


# The head's folder


def head_folder_is_a_link_out(folder: Path) -> None:
    outside = folder.parent / "outside"
    shutil.move(folder / "head", outside)
    (folder / "head").symlink_to(outside, target_is_directory=True)


def head_file_is_a_link_out(folder: Path) -> None:
    outside = folder.parent / "outside.skops"
    shutil.move(folder / "head" / "head.skops", outside)
    (folder / "head" / "head.skops").symlink_to(outside)


def head_file_is_a_pipe(folder: Path) -> None:
    (folder / "head" / "head.skops").unlink()
    os.mkfifo(folder / "head" / "head.skops")


def head_file_is_endless(folder: Path) -> None:
    (folder / "head" / "head.skops").unlink()
    (folder / "head" / "head.skops").symlink_to("/dev/zero")


def head_file_is_a_pickle(folder: Path) -> None:
    (folder / "head" / "head.skops").write_bytes(f"cos\nsystem\n(S'{command(folder)}'\ntR.".encode())


# Torch heads


def _safetensors(path: Path, header: dict[str, Any] | bytes, data: bytes = b"", length: int | None = None) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def weights_are_a_pickle(folder: Path) -> None:
    (_linear(folder) / "head.safetensors").write_bytes(f"cos\nsystem\n(S'{command(folder)}'\ntR.".encode())


def weights_with_a_false_header_length(folder: Path) -> None:
    _safetensors(_linear(folder) / "head.safetensors", b"{}", length=2**62)


def weights_of_an_oversized_shape(folder: Path) -> None:
    tensor = {"dtype": "F32", "shape": [2**31, 2**31], "data_offsets": [0, 4]}
    _safetensors(_linear(folder) / "head.safetensors", {"linear.weight": tensor}, b"\0" * 4)


def weights_that_overlap(folder: Path) -> None:
    tensor = {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}
    header = {"linear.weight": tensor, "linear.bias": {**tensor, "data_offsets": [4, 16]}}
    _safetensors(_linear(folder) / "head.safetensors", header, b"\0" * 16)


def weights_with_a_negative_offset(folder: Path) -> None:
    tensor = {"dtype": "F32", "shape": [3], "data_offsets": [-12, 0]}
    _safetensors(_linear(folder) / "head.safetensors", {"linear.weight": tensor}, b"\0" * 12)


def weights_of_an_unknown_dtype(folder: Path) -> None:
    tensor = {"dtype": "OBJECT", "shape": [1], "data_offsets": [0, 8]}
    _safetensors(_linear(folder) / "head.safetensors", {"linear.weight": tensor}, b"\0" * 8)


def weights_with_a_header_nested_too_deeply(folder: Path) -> None:
    _safetensors(_linear(folder) / "head.safetensors", b'{"a":' * 200_000 + b"1" + b"}" * 200_000)


def weights_cut_off(folder: Path) -> None:
    path = _linear(folder) / "head.safetensors"
    path.write_bytes(path.read_bytes()[:-7])


def weights_of_another_shape(folder: Path) -> None:
    head = _linear(folder)
    weight = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    bias = {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]}
    _safetensors(head / "head.safetensors", {"linear.weight": weight, "linear.bias": bias}, b"\0" * 24)


def weights_that_are_no_numbers(folder: Path) -> None:
    head = _linear(folder)
    weight = {"dtype": "F32", "shape": [3, 12], "data_offsets": [0, 144]}
    bias = {"dtype": "F32", "shape": [3], "data_offsets": [144, 156]}
    nan = struct.pack("<f", float("nan"))
    _safetensors(head / "head.safetensors", {"linear.weight": weight, "linear.bias": bias}, nan * 39)


def arguments_of_a_huge_head(folder: Path) -> None:
    _linear(folder)
    _edit(folder, lambda head: head["arguments"].update(in_features=25_000, out_features=25_000), "head/head.json")


def arguments_of_a_head_for_another_body(folder: Path) -> None:
    head = _linear(folder)
    _edit(folder, lambda record: record["arguments"].update(in_features=2, out_features=2), "head/head.json")
    weight = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    bias = {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]}
    _safetensors(head / "head.safetensors", {"linear.weight": weight, "linear.bias": bias}, b"\0" * 24)


def arguments_that_write_a_file(folder: Path) -> None:
    _linear(folder)
    _edit(folder, lambda head: head["arguments"].update(device=f"file:{marker(folder)}"), "head/head.json")


def arguments_nested_too_deeply(folder: Path) -> None:
    (_linear(folder) / "head.json").write_bytes(b'{"arguments":' + b"[" * 500_000)


def arguments_that_nothing_takes(folder: Path) -> None:
    _linear(folder)
    _edit(folder, lambda head: head["arguments"].update(__class__="os.system"), "head/head.json")


CASES = (
    head_class_to_import,
    head_name_as_path,
    head_of_a_shell_command,
    head_format_of_a_path,
    trusted_by_the_file_itself,
    config_nested_too_deeply,
    config_too_large,
    config_with_a_huge_number,
    config_is_a_folder,
    config_is_a_pipe,
    config_is_endless,
    label_classes_out_of_range,
    labels_by_the_million,
    label_that_is_no_label,
    labels_fewer_than_classes,
    strategy_that_does_not_exist,
    multi_label_head_that_is_none,
    thresholds_by_the_million,
    thresholds_of_another_kind_of_model,
    head_folder_is_a_link_out,
    head_file_is_a_link_out,
    head_file_is_a_pipe,
    head_file_is_endless,
    head_file_is_a_pickle,
    weights_are_a_pickle,
    weights_with_a_false_header_length,
    weights_of_an_oversized_shape,
    weights_that_overlap,
    weights_with_a_negative_offset,
    weights_of_an_unknown_dtype,
    weights_with_a_header_nested_too_deeply,
    weights_cut_off,
    weights_of_another_shape,
    weights_that_are_no_numbers,
    arguments_of_a_huge_head,
    arguments_of_a_head_for_another_body,
    arguments_that_write_a_file,
    arguments_nested_too_deeply,
    arguments_that_nothing_takes,
)
