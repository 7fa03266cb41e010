"""Reading files that somebody else wrote: of a bounded size, regular, inside of the folder, with one meaning."""

import json
import os

import pytest

from setfit_core.errors import ModelFormatError
from setfit_core.persistence.files import (
    CONFIG_LIMIT,
    CONTAINERS_LIMIT,
    ENTRY_LIMIT,
    FOLDER_DEPTH,
    JSON_DEPTH,
    VALUES_LIMIT,
    check_folder,
    read_json,
    read_json_object,
)


def nested(levels):
    return "[" * levels + "]" * levels


def test_json_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, {"b": null}], "c": {"a": "ä"}}', encoding="utf-8")
    assert read_json_object(tmp_path / "a.json") == {"a": [1, {"b": None}], "c": {"a": "ä"}}
    (tmp_path / "a.json").write_text(nested(JSON_DEPTH))
    assert json.dumps(read_json(tmp_path / "a.json")) == nested(JSON_DEPTH)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        ('{"x": [{"a": 1, "a": 1}]}', "the key 'a' is there twice"),
        (nested(JSON_DEPTH + 1), f"nested more than {JSON_DEPTH} levels"),
        (nested(10**6), "recursion"),
        ('{"a": ', "isn't valid JSON"),
        ("", "isn't valid JSON"),
        ("\udcff", "isn't valid JSON"),
        ("[1]", "a JSON list where an object"),
    ],
)
def test_json_that_is_not_what_it_should_be_is_an_error(tmp_path, text, reason):
    (tmp_path / "a.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ModelFormatError, match=reason):
        read_json_object(tmp_path / "a.json")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert read_json_object(tmp_path / "a.json", limit=8) == {"a": 1}
    with pytest.raises(ModelFormatError, match="more than 0 MB"):
        read_json_object(tmp_path / "a.json", limit=7)
    with (tmp_path / "a.json").open("r+b") as file:
        file.truncate(100 * CONFIG_LIMIT)
    with pytest.raises(ModelFormatError, match="more than 16 MB"):
        read_json_object(tmp_path / "a.json")


@pytest.mark.parametrize("values", [b"0," * VALUES_LIMIT + b"0,0", b"[" * CONTAINERS_LIMIT + b"]"])
def test_more_values_than_a_model_needs_are_not_read(tmp_path, values):
    (tmp_path / "a.json").write_bytes(b"[" + values + b"]")
    with pytest.raises(ModelFormatError, match="more than 3000000 values, or 2000000 objects and lists"):
        read_json(tmp_path / "a.json")


def test_what_is_no_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, reason in {
        "pipe": "is a named pipe",
        "folder": "is a folder|can't be read",
        "nothing": "is missing",
        "a\0b": "can't be read",
    }.items():
        with pytest.raises(ModelFormatError, match=reason):
            read_json_object(tmp_path / name)
    with pytest.raises(ModelFormatError, match="is a device"):
        read_json_object(tmp_path.__class__(os.devnull))


def test_a_folder_of_files_and_links_inside_is_fine(tmp_path):
    folder = tmp_path / "model"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "file").write_text("x")
    (folder / "file").symlink_to("a/file")
    (folder / "a" / "b" / "folder").symlink_to("../../a")
    (folder / "a" / "whole").symlink_to(folder)
    (folder / ".hidden").symlink_to("/etc/passwd")
    (tmp_path / "link").symlink_to("model")
    assert check_folder(tmp_path / "link") == folder.resolve()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/etc/passwd", "outside of the model folder"),
        ("../other/file", "outside of the model folder"),
        ("../model-2/file", "outside of the model folder"),
        ("sub/../../other", "outside of the model folder"),
        ("/proc/self/fd/0", "outside of the model folder"),
        ("nothing", "which doesn't exist"),
        ("pipe", "neither a file nor a folder|a named pipe"),
    ],
)
def test_a_link_that_leads_out_or_nowhere_is_an_error(tmp_path, target, reason):
    for name in ("model/sub", "model-2", "other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("x")
    if target == "pipe":
        os.mkfifo(tmp_path / "model" / "pipe")
    (tmp_path / "model" / "sub" / "link").symlink_to(target if target.startswith("/") else f"../{target}")
    with pytest.raises(ModelFormatError, match=reason):
        check_folder(tmp_path / "model")


def test_a_folder_that_is_no_model_is_not_walked_to_its_end(tmp_path):
    deep = tmp_path.joinpath(*["d"] * (FOLDER_DEPTH + 1))
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    with pytest.raises(
        ModelFormatError, match=f"more than {ENTRY_LIMIT} entries or is more than {FOLDER_DEPTH} levels"
    ):
        check_folder(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelFormatError, match="can't be read"):
        check_folder(tmp_path / "file")
