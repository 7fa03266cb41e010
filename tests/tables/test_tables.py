"""Tables of texts: what is read is what was written, row by row, and what is wrong is named."""

import json
import shlex
import subprocess
import sys
from datetime import date
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from setfit_core.errors import InputError
from setfit_core.tables import check_place, format_of, open_table, read_labelled, write_table

ROWS = [
    {"id": "007", "text": "Grüße, 世界 🦊", "note": 'says "hi"'},
    {"id": "8", "text": "two\nlines, one cell", "note": ""},
    {"id": "9", "text": "plain", "note": " padded "},
]


def rewritten(source, target, added=MappingProxyType({}), new=()):
    with open_table(source) as table, write_table(target, table, added) as writer:
        new = iter(new)
        for chunk in table.chunks(2):
            writer.write([{**row, **next(new, {})} for row in chunk])
    with open_table(target) as table:
        return table.columns, list(table.rows)


@pytest.fixture
def csv_file(tmp_path):
    file = tmp_path / "rows.csv"
    cells = "".join(
        ",".join('"{}"'.format(str(value).replace('"', '""')) for value in row.values()) + "\r\n" for row in ROWS
    )
    file.write_bytes(b"\xef\xbb\xbf" + f"id,text,note\r\n{cells}".encode())
    return file


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".ndjson", ".parquet"])
def test_a_table_keeps_its_cells_in_every_format_and_back(csv_file, tmp_path, suffix):
    new = [{"label": "a"}, {"label": "b"}, {"label": "é"}]
    columns, rows = rewritten(csv_file, tmp_path / f"out{suffix}", {"label": "x"}, new)
    assert columns == ("id", "text", "note", "label")
    assert rows == [{**row, **label} for row, label in zip(ROWS, new, strict=True)]
    assert rewritten(tmp_path / f"out{suffix}", tmp_path / "back.csv") == (columns, rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"rows.csv", f"out{suffix}", "back.csv"})


def test_parquet_keeps_types_and_gives_added_columns_theirs(tmp_path):
    schema = pa.schema(
        [
            ("text", pa.large_string()),
            ("day", pa.date32()),
            ("kind", pa.dictionary(pa.int8(), pa.string())),
            ("tags", pa.list_(pa.string())),
            ("size", pa.int16()),
        ]
    )
    rows = [{"text": "a", "day": date(2026, 1, 2), "kind": "k", "tags": ["x"], "size": None}]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "in.parquet")
    added = {"labels": ["name"], "p": 0.5}
    _, found = rewritten(tmp_path / "in.parquet", tmp_path / "out.parquet", added, [{"labels": [], "p": 1.0}])
    assert found == [{**rows[0], "labels": [], "p": 1.0}]
    written = pq.read_schema(tmp_path / "out.parquet")
    assert written.names == [*schema.names, "labels", "p"]
    assert [written.field(name).type for name in schema.names] == schema.types
    assert written.field("labels").type == pa.list_(pa.string())
    assert written.field("p").type == pa.float64()
    # Formats without such types get them as text.
    assert rewritten(tmp_path / "in.parquet", tmp_path / "out.jsonl")[1][0]["day"] == "2026-01-02"
    assert rewritten(tmp_path / "in.parquet", tmp_path / "out.csv")[1][0]["tags"] == '["x"]'


def test_json_lines_keep_rows_that_differ_and_other_formats_refuse_them(tmp_path):
    source = tmp_path / "in.jsonl"
    rows = [{"text": "a", "n": 1}, {"text": "b", "extra": {"deep": [1, None]}}]
    source.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert rewritten(source, tmp_path / "out.jsonl") == (("text", "n"), rows)
    for name in ("out.csv", "out.parquet"):
        with pytest.raises(InputError, match="'extra', which its first row hasn't"):
            rewritten(source, tmp_path / name)
    source.write_text('{"text": "a", "n": 1}\n{"text": "b", "n": "one"}\n{"text": "c", "n": 2}\n')
    with pytest.raises(InputError, match="another type than the first ones"):
        rewritten(source, tmp_path / "out.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_json_lines_have_no_numbers_that_are_none(tmp_path):
    pq.write_table(pa.table({"text": ["a"], "n": [float("nan")]}), tmp_path / "in.parquet")
    rewritten(tmp_path / "in.parquet", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == '{"text": "a", "n": null}\n'


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_table_without_rows_keeps_its_columns(tmp_path, name):
    (tmp_path / "in.csv").write_text("text,id\n")
    assert rewritten(tmp_path / "in.csv", tmp_path / name, {"label": "x"}) == (("text", "id", "label"), [])


def test_blank_lines_of_csv_are_rows_only_where_a_row_is_a_cell(tmp_path):
    for content, texts in [("text,id\n\na,1\n\n", ["a"]), ("text\na\n\nb\n", ["a", "", "b"])]:
        (tmp_path / "a.csv").write_text(content)
        with open_table(tmp_path / "a.csv") as table:
            assert [row["text"] for row in table.rows] == texts


def test_rows_are_read_one_after_another():
    """An endless stream gives its first rows."""
    code = (
        "from setfit_core.tables import open_table\n"
        "with open_table(None) as table:\n"
        "    for chunk, _ in zip(table.chunks(3), range(2)):\n"
        "        print([row['text'] for row in chunk], flush=True)\n"
    )
    command = f'yes "an endless stream" | {shlex.quote(sys.executable)} -c {shlex.quote(code)}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{['an endless stream'] * 3}\n" * 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"text,id\nfine,1\nshort\n", "line 3: there are 1 values for 2 columns"),
        ("a.csv", b'text\n"never closed\n', "a.csv, line 2"),
        ("a.csv", b"text,text\n", "several columns of the name 'text'"),
        ("a.csv", "text\nGrüße\n".encode("latin-1"), "is not UTF-8"),
        ("a.jsonl", b"\n", "a.jsonl is empty"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "line 2 is no JSON"),
        ("a.jsonl", b'{"text": "a"}\n["b"]\n', "line 2 is no JSON object"),
        ("a.jsonl", b"[" * 100_000, "line 1 is no JSON"),
        ("a.parquet", b"PAR1 not really", "is no Parquet file"),
        ("a.parquet", b"", "is no Parquet file"),
        ("a.xlsx", b"", "doesn't say which format"),
    ],
)
def test_what_is_broken_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said), open_table(tmp_path / name) as table:
        list(table.rows)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="No such file"), open_table(tmp_path / "a.csv"):
        pass
    with pytest.raises(InputError, match="Is a directory"), open_table(tmp_path, "csv"):
        pass


# Writing


def test_a_write_that_fails_leaves_nothing_and_keeps_what_was_there(csv_file, tmp_path):
    (tmp_path / "out.csv").write_text("before")

    def interrupted():
        with open_table(csv_file) as table, write_table(tmp_path / "out.csv", table, {}) as writer:
            writer.write(ROWS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "out.csv").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "rows.csv"]


def test_places_are_looked_at_first(tmp_path):
    (tmp_path / "there.csv").write_text("mine")
    check_place(tmp_path / "there.csv", overwrite=True)
    for place, said in [
        ("there.csv", "--overwrite"),
        ("no/where.csv", "there is no folder"),
        (".", "it is a folder"),
    ]:
        with pytest.raises(InputError, match=said):
            check_place(tmp_path / place, overwrite=False)
    assert format_of(tmp_path / "A.CSV") == "csv"


# Texts and labels


def labelled(tmp_path, content, name="a.csv", **options):
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    return read_labelled(file, **options)


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("Text,LABEL", {}),
        ("id,utterance,intent", {}),
        ("sentence,category", {"text_column": "sentence"}),
        ("text,title,label", {"text_column": "title"}),
        ("Körper,Art", {"text_column": "Körper", "label_column": "Art"}),
    ],
)
def test_columns_are_found_by_name_or_named(tmp_path, header, options):
    names = header.split(",")
    wanted = options.get("text_column", names[-2])
    cells = ["yes" if name == wanted else "x" for name in names]
    found = labelled(tmp_path, f"{header}\n{','.join(cells)}\n", **options)
    assert (found.texts, found.labels) == (["yes"], ["x"])


@pytest.mark.parametrize(
    ("header", "options", "said"),
    [
        ("text,title,label", {}, "'text' and 'title', each of which may hold the texts. Say which: --text-column NAME"),
        ("body,label", {}, "Name it: --text-column NAME. The columns are 'body', 'label'"),
        ("text,y", {}, "which holds the labels. Name it: --label-column NAME"),
        ("text,label", {"text_column": "txt"}, "no column 'txt'. Did you mean 'text'"),
    ],
)
def test_columns_that_can_not_be_found(tmp_path, header, options, said):
    with pytest.raises(InputError) as caught:
        labelled(tmp_path, f"{header}\n", **options)
    assert said in str(caught.value)


def test_labels_that_are_integers_become_integers(tmp_path):
    assert labelled(tmp_path, "text,label\na,1\nb,-20\n").labels == [1, -20]
    assert labelled(tmp_path, "text,label\na,1\nb,007\n").labels == ["1", "007"]
    assert labelled(tmp_path, '{"text": "a", "label": "1"}\n{"text": "b", "label": true}', "a.jsonl").labels == [
        "1",
        True,
    ]


def test_several_labels_a_text(tmp_path):
    assert labelled(tmp_path, "text,labels\na,x|y\nb,\nc, z \n", multi_label=True).labels == [["x", "y"], [], ["z"]]
    rows = '{"text": "a", "labels": ["x|y"]}\n{"text": "b", "labels": null}'
    assert labelled(tmp_path, rows, "a.jsonl", multi_label=True).labels == [["x|y"], []]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text,label\n", "has no rows"),
        ("text,label\na,x\n ,x\n", "the text in row 2 is missing"),
        ("text,label\na,x\nb,\n", "the label in row 2 is missing"),
    ],
)
def test_rows_that_lack_something_are_named(tmp_path, content, said):
    with pytest.raises(InputError, match=said):
        labelled(tmp_path, content)


@pytest.mark.parametrize(
    ("row", "multi_label", "said"),
    [
        ({"text": 3, "label": "a"}, False, "the text in row 1 is 3, not a string"),
        ({"label": "a"}, False, "no column named text"),
        ({"text": "a", "label": ["b"]}, False, "--multi-label"),
        ({"text": "a", "label": {"b": 1}}, False, "a dict. Give a string or a number"),
        ({"text": "a", "label": [1]}, True, "or a list of strings"),
    ],
)
def test_cells_of_a_wrong_type_are_named(tmp_path, row, multi_label, said):
    with pytest.raises(InputError, match=said):
        labelled(tmp_path, json.dumps(row), "a.jsonl", multi_label=multi_label)


def test_parquet_is_written_in_few_groups_of_rows(tmp_path):
    out = tmp_path / "out.parquet"
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"text": "abc"}) + "\n" for _ in range(10)), encoding="utf-8")
    rewritten(source, out)  # two rows at a time
    assert pq.ParquetFile(out).num_row_groups == 1
    source.write_text("".join(json.dumps({"text": str(n) * 6_000_000}) + "\n" for n in range(5)), encoding="utf-8")
    _, rows = rewritten(source, out)
    assert pq.ParquetFile(out).num_row_groups == 2
    assert [row["text"][0] for row in rows] == list("01234")


@pytest.mark.parametrize("row", [b'{"text": "a", "note": "\\udfff"}', b'{"text": "a", "\\ud800": 1}'])
def test_half_a_surrogate_pair_goes_into_text_files_alone(tmp_path, row):
    (tmp_path / "in.jsonl").write_bytes(row + b"\n")
    rewritten(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    with pytest.raises(InputError, match="half of a surrogate pair, which Parquet has no bytes for"):
        rewritten(tmp_path / "in.jsonl", tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
