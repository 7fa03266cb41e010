"""`setfit-core heads`."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

import setfit_core

FIELDS = ["name", "distribution", "version", "target", "api", "status", "reason"]
LONG = "a" + "-very" * 60 + "-long-name"


def table(output):
    """The rows of the printed table, each a list of cells, without the header."""
    header, *rows = output.split("\n\n")[0].splitlines()
    assert header.split() == [*FIELDS[:4], "status"]
    return [row.split() for row in rows]


def test_the_table_lists_what_is_installed_and_loads_nothing(loaded_by):
    done, loaded = loaded_by("heads")
    assert done.returncode == 0
    expected = [[i.name, i.distribution, i.version, i.target, i.status] for i in setfit_core.list_heads()]
    assert table(done.stdout) == expected
    assert {"linear", "logistic"} <= {row[0] for row in expected}
    assert loaded == []


def test_json_lists_the_same(loaded_by):
    done, loaded = loaded_by("heads", "--json")
    assert done.returncode == 0
    listed = json.loads(done.stdout)
    assert listed == [
        {field: list(value) if isinstance(value := getattr(info, field), tuple) else value for field in FIELDS}
        for info in setfit_core.list_heads()
    ]
    assert list(listed[0]) == FIELDS
    assert loaded == []


def test_a_plugin_is_listed_but_not_imported(loaded_by, make_distribution):
    path = make_distribution("made-up", {"made-up-head": "plugin_module:Head"}, version="2.5")
    done, loaded = loaded_by("heads", PYTHONPATH=path)
    assert ["made-up-head", "made-up", "2.5", "plugin_module:Head", "available"] in table(done.stdout)
    assert loaded == []
    (entry,) = [e for e in json.loads(loaded_by("heads", "--json", PYTHONPATH=path)[0].stdout) if "made" in e["name"]]
    assert entry == {
        "name": "made-up-head",
        "distribution": "made-up",
        "version": "2.5",
        "target": "plugin_module:Head",
        "api": [1],
        "status": "available",
        "reason": "",
    }


def test_what_is_not_available_comes_with_the_mend(run, make_distribution):
    path = make_distribution("made-up", {"linear": "plugin_module:Head", "future": "plugin_module:Future"})
    done = run("heads", PYTHONPATH=path, SETFIT_HEADS_DENY="logistic,future")
    status = {(row[0], row[1]): row[-1] for row in table(done.stdout)}
    assert status["linear", "made-up"] == status["linear", "setfit-head-linear"] == "ambiguous"
    assert status["logistic", "setfit-head-logistic"] == "disabled"
    assert status["future", "made-up"] == "disabled"
    _, *remarks = done.stdout.rstrip("\n").split("\n\n")
    assert len(remarks) == 4
    assert all("\n" not in remark for remark in remarks)
    (disabled,) = [remark for remark in remarks if "'setfit-head-logistic:logistic'" in remark]
    assert "SETFIT_HEADS_DENY" in disabled
    assert sum("'made-up:linear'" in remark and "'setfit-head-linear:linear'" in remark for remark in remarks) == 2

    listed = {(e["name"], e["distribution"]): e for e in json.loads(
        run("heads", "--json", PYTHONPATH=path, SETFIT_HEADS_DENY="logistic,future").stdout
    )}  # fmt: skip
    assert {key: entry["status"] for key, entry in listed.items()} == status
    assert all(bool(entry["reason"]) == (entry["status"] != "available") for entry in listed.values())


def test_an_incompatible_head_is_listed_with_the_others(run, make_distribution):
    path = make_distribution("made-up", {"old": "plugin_module:Head"}, requires=["setfit-core>=99"])
    done = run("heads", PYTHONPATH=path)
    assert done.returncode == 0
    assert ["old", "made-up", "1.0", "plugin_module:Head", "incompatible"] in table(done.stdout)
    assert "'made-up:old'" in done.stdout.split("\n\n")[1]


@pytest.mark.parametrize("columns", ["20", "80"])
def test_a_pipe_gets_plain_lines_that_are_not_cut(run, make_distribution, columns):
    path = make_distribution("made-up", {LONG: "plugin_module:" + "Long" * 80})
    done = run("heads", PYTHONPATH=path, COLUMNS=columns, TERM="xterm-256color")
    assert [LONG, "made-up", "1.0", "plugin_module:" + "Long" * 80, "available"] in table(done.stdout)
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines == [line.rstrip() for line in lines]
    assert len({line.index(word) for line, word in zip(lines, ["status", *["available"] * 9], strict=False)}) == 1


def test_a_head_without_a_version(run, make_distribution):
    path = make_distribution("made-up", {"made-up": "plugin_module:Head"}, version="0")
    (metadata,) = Path(path).glob("made_up-*.dist-info/METADATA")
    metadata.write_text("Metadata-Version: 2.1\nName: made-up\n")
    rows = table(run("heads", PYTHONPATH=path).stdout)
    assert ["made-up", "made-up", "-", "plugin_module:Head", "available"] in rows


def test_nothing_installed(run, site_without_heads):
    isolated = {"options": ("-S",), "PYTHONPATH": site_without_heads}
    done = run("heads", **isolated)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("No heads are installed.")
    assert "pip install" in done.stdout
    done = run("heads", "--json", **isolated)
    assert (done.returncode, json.loads(done.stdout)) == (0, [])


def in_a_terminal(environment, columns, *arguments):
    """What `setfit-core` prints into a terminal of so many columns."""
    ours, theirs = pty.openpty()
    program = "import sys; from setfit_core.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
        env={**environment, "TERM": "xterm-256color", "COLUMNS": str(columns)},
    )
    os.close(theirs)
    output = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not block:
            break
        output += block
    os.close(ours)
    assert process.wait(timeout=120) == 0
    return output.decode()


def test_a_terminal_gets_a_coloured_table_that_folds(environment, make_distribution):
    path = make_distribution("made-up", {"made-up": "plugin_module:" + "Long" * 30})
    output = in_a_terminal({**environment, "PYTHONPATH": path}, 80, "heads")
    assert "\x1b[" in output
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    assert "…" not in plain
    lines = plain.splitlines()
    assert max(map(len, lines)) <= 80
    assert plain.count("available") == len(setfit_core.list_heads()) + 1
    # A cell goes on over several lines; put together again it is whole.
    (header,) = [line for line in lines if "target" in line]
    column = slice(header.index("target"), header.index("status"))
    assert "plugin_module:" + "Long" * 30 in "".join(line[column].strip() for line in lines)


def test_a_terminal_gets_json_as_it_is(environment):
    listed = json.loads(in_a_terminal(environment, 30, "heads", "--json"))
    assert [entry["name"] for entry in listed] == [info.name for info in setfit_core.list_heads()]
