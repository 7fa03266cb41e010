"""`setfit-core predict`: tables in, the same tables with a label out."""

import csv
import json
import shlex
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from setfit_core import SetFitModel

pytestmark = pytest.mark.slow

PROGRAM = "import sys; from setfit_core.cli import main; sys.exit(main())"


@pytest.fixture
def expected(test_file):
    with test_file.open(encoding="utf-8", newline="") as stream:
        return [{**row, "label": row["INTENT"]} for row in csv.DictReader(stream)]


def test_csv_to_standard_output(call, model_folder, test_file, expected):
    status, out, err = call("predict", model_folder, test_file)
    assert (status, err) == (0, "")
    assert list(csv.DictReader(out.splitlines())) == expected


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_files_of_every_format(call, model_folder, test_file, expected, tmp_path, name):
    status, out, err = call("predict", model_folder, test_file, "--out", tmp_path / name)
    assert (status, out, err) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    # What was written is read again, and the new column is called otherwise.
    options = ("--to", "jsonl", "--label-column", "again")
    _, out, err = call("predict", model_folder, tmp_path / name, *options)
    assert [json.loads(line) for line in out.splitlines()] == [{**row, "again": row["label"]} for row in expected], err


def test_probabilities_are_those_of_the_model(call, model_folder, test_file, tmp_path):
    out = tmp_path / "out.parquet"
    assert call("predict", model_folder, test_file, "--probabilities", "--out", out)[0] == 0
    found = pq.read_table(out)
    model = SetFitModel.from_pretrained(model_folder)
    probabilities = model.predict_proba(found["Utterance"].to_pylist())
    for column, label in enumerate(model.labels):
        assert found[f"probability {label}"].to_pylist() == pytest.approx(probabilities[:, column].tolist(), abs=1e-6)
    assert found.column_names[-4:] == ["label", "probability food", "probability sport", "probability tech"]


def test_what_belongs_to_none_of_the_labels(call, body_folder, train_file, model_folder, tmp_path):
    (tmp_path / "new.txt").write_text("The team won the cup\nxyzzy\n")
    # Twelve texts are few, so a threshold that rejects something rejects a third of what is known, too.
    options = ("--head", "prototype", "--head-param", "false_rejection_rate=0.3")
    done = call("train", train_file, "--out", tmp_path / "model", "--body", body_folder, "--freeze-body", *options)
    assert done[0] == 0, done
    model = SetFitModel.from_pretrained(tmp_path / "model")
    expected = model.predict(["The team won the cup", "xyzzy"], none_label="none of these")
    assert "none of these" in expected
    _, out, err = call("predict", tmp_path / "model", tmp_path / "new.txt", "--none-label", "none of these")
    assert [row["label"] for row in csv.DictReader(out.splitlines())] == expected, err
    for folder, name, said in [
        (tmp_path / "model", "sport", "is one of the model's labels"),
        (model_folder, "none", "can't tell what belongs to none of the classes"),
    ]:
        status, out, err = call("predict", folder, tmp_path / "new.txt", "--none-label", name)
        assert (status, out) == (1, "")  # not even the names of the columns
        assert said in err


def test_predictions_are_explained(call, body_folder, train_file, model_folder, tmp_path):
    (tmp_path / "new.txt").write_text("The goalkeeper of the team\n")
    options = ("--out", tmp_path / "model", "--body", body_folder, "--freeze-body", "--head", "knn")
    assert call("train", train_file, *options)[0] == 0
    outs = [tmp_path / name for name in ("out.csv", "out.jsonl", "out.parquet")]
    for out in outs:
        assert call("predict", tmp_path / "model", tmp_path / "new.txt", "--explain", "--out", out)[0] == 0
    (row,) = csv.DictReader(outs[0].read_text().splitlines())
    explained = json.loads(row["explanation"])
    assert explained[0]["label"] == "sport"
    assert explained[0]["text"] in train_file.read_text(encoding="utf-8")
    assert explained == json.loads(outs[1].read_text())["explanation"]
    assert explained == pq.read_table(outs[2])["explanation"].to_pylist()[0]
    (vote, *_) = SetFitModel.from_pretrained(tmp_path / "model").explain("The goalkeeper of the team")
    assert (explained[0]["text"], explained[0]["weight"]) == (vote.text, pytest.approx(vote.weight, abs=1e-6))
    status, out, err = call("predict", model_folder, tmp_path / "new.txt", "--explain")
    assert (status, out) == (1, "")
    assert "can't say on which training texts it rests" in err


def test_a_table_is_read_in_parts(call, model_folder, tmp_path):
    rows = 2500
    texts = [f"{'goal and match' if row % 2 else 'soup and salt'} {row}" for row in range(rows)]
    pq.write_table(pa.table({"n": range(rows), "text": texts}), tmp_path / "in.parquet", row_group_size=700)
    assert call("predict", model_folder, tmp_path / "in.parquet", "--out", tmp_path / "out.parquet")[0] == 0
    found = pq.read_table(tmp_path / "out.parquet")
    assert found["n"].to_pylist() == list(range(rows))
    assert found["n"].type == pa.int64()
    labels = found["label"].to_pylist()
    assert sum(label == ("sport" if row % 2 else "food") for row, label in enumerate(labels)) > 0.9 * rows


def test_standard_input(run, model_folder):
    """In a process of its own: lines of text come in, CSV goes out, and nobody minds if the reader has enough."""
    texts = "The team won the cup\r\nGrüße, with salt and onions\n"
    program = shlex.join([sys.executable, "-c", PROGRAM, "predict", str(model_folder)])
    command = f"printf {shlex.quote(texts)} | {program}; yes 'a goal' | {program} - --to jsonl | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.splitlines() == [
        "text,label",
        "The team won the cup,sport",
        '"Grüße, with salt and onions",food',
        '{"text": "a goal", "label": "sport"}',
    ]
    assert done.stderr == ""


def test_an_interrupted_run_leaves_nothing(environment, model_folder, tmp_path):
    out = tmp_path / "out.csv"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "predict", str(model_folder), "--out", str(out)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
    ) as process:  # fmt: skip
        process.stdin.write(b"a goal\n" * 1024)
        process.stdin.flush()
        while not any(path.stat().st_size > 1000 for path in tmp_path.iterdir()):  # a part is written
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, b"")
    assert list(tmp_path.iterdir()) == []


def test_rows_without_a_text(call, model_folder, tmp_path):
    data, out = tmp_path / "in.csv", tmp_path / "out.csv"
    data.write_text("text,n\nThe team won,1\n  ,2\n,3\nSalt and butter,4\n")
    status, _, err = call("predict", model_folder, data, "--out", out)
    assert status == 1
    assert f"Error: {data}: the text in row 2 is missing." in err
    assert "--skip-bad-rows" in err
    assert not out.exists()
    status, _, err = call("predict", model_folder, data, "--out", out, "--skip-bad-rows")
    assert (status, err) == (0, "Left out 2 of 4 rows, which have no text.\n")
    assert out.read_text() == "text,n,label\nThe team won,1,sport\nSalt and butter,4,food\n"


@pytest.mark.parametrize(
    ("content", "options", "status", "said"),
    [
        ("text,label\na,b\n", (), 1, "has a column 'label' already, and none is replaced. Call the new one otherwise"),
        ("text,probability food\na,b\n", ("--probabilities",), 1, "has a column 'probability food' already"),
        ("", (), 1, "is empty"),
        ("body\na\n", (), 1, "Name it: --text-column NAME"),
        ("text\na\n", ("--out", "out.txt"), 1, "has no columns"),
        ("text\na\n", ("--out", "out.csv", "--to", "csv"), 2, "Leave one of the two out"),
        ("text\na\n", ("--out", "no/where.csv"), 1, "there is no folder"),
        ("text\na\n", ("--out", "in.csv"), 1, "it is there already. Name another file, or replace it: --overwrite"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(
    call, model_folder, tmp_path, monkeypatch, content, options, status, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text(content)
    found, out, err = call("predict", model_folder, "in.csv", *options)
    assert (found, out) == (status, "")
    assert said in err
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
    assert (tmp_path / "in.csv").read_text() == content


def test_a_file_may_be_replaced_by_its_own_predictions(call, model_folder, tmp_path):
    (tmp_path / "in.csv").write_text("text\nA goal\n")
    assert call("predict", model_folder, tmp_path / "in.csv", "--out", tmp_path / "in.csv", "--overwrite")[0] == 0
    assert (tmp_path / "in.csv").read_text() == "text,label\nA goal,sport\n"
