"""The program as a whole: help, version, errors and their exit status."""

import re
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from typer.main import get_command

import setfit_core
from setfit_core.cli import app, main


def test_the_console_script_is_this_program():
    (script,) = entry_points(group="console_scripts", name="setfit-core")
    assert script.load() is main
    assert Path(sys.executable).with_name("setfit-core").exists()


def test_version(loaded_by):
    done, loaded = loaded_by("--version")
    assert (done.returncode, done.stdout) == (0, f"setfit-core {setfit_core.__version__}\n")
    assert loaded == []


def test_help_is_plain_and_loads_nothing(loaded_by):
    done, loaded = loaded_by("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: setfit-core [OPTIONS] COMMAND [ARGS]...")
    assert re.search(r"^  heads +\w", done.stdout, re.MULTILINE)
    assert done.stdout.isascii()
    assert loaded == []


COMMANDS = [
    ("train",), ("evaluate",), ("predict",), ("compare",), ("search",), ("check",), ("new-head",), ("convert",),
    ("heads",), ("heads", "info"), ("heads", "doctor"),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_commands_help_loads_nothing(loaded_by, command):
    done, loaded = loaded_by(*command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: setfit-core {' '.join(command)} [OPTIONS]")
    assert "--config FILE.toml" in done.stdout
    assert done.stdout.isascii()
    assert loaded == []


def test_no_command_is_left_out():
    group = get_command(app)
    found = {(name,) for name in group.commands}
    found |= {("heads", name) for name in group.commands["heads"].commands}
    assert found == set(COMMANDS)


def test_without_arguments_the_help_is_shown(run):
    done = run()
    assert "Usage: setfit-core" in done.stdout + done.stderr
    assert "heads" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hed",), "No such command 'hed'"),
        (("heads", "--jsn"), "No such option"),
        (("heads", "extra"), "No such command 'extra'"),
        (("heads", "--json", "info", "linear"), "write it behind info"),
        (("--nope",), "No such option"),
    ],
)
def test_a_wrong_call_has_status_2(run, arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_of_ours_is_one_line_with_status_1(run):
    done = run("heads", SETFIT_HEADS_REQUIRE="no-such-head")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: The required head 'no-such-head' isn't there.")


@pytest.mark.parametrize("arguments", [("--debug", "heads"), ("heads", "--debug"), ("heads", "--json", "--debug")])
def test_debug_shows_the_traceback(run, arguments):
    done = run(*arguments, SETFIT_HEADS_REQUIRE="no-such-head")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "setfit_core.errors.RequiredHeadError: The required head 'no-such-head'" in done.stderr


def test_debug_changes_nothing_else(run):
    assert run("heads", "--debug").stdout == run("heads").stdout


def test_a_warning_is_one_line(run):
    done = run("heads", SETFIT_HEADS_DENY="no-such-head")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("Warning: SETFIT_HEADS_DENY has 'no-such-head'")


def test_main_can_be_called_with_arguments(capsys, monkeypatch):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"setfit-core {setfit_core.__version__}\n"
    with pytest.raises(SystemExit) as caught:
        main([])
    assert "Usage" in "".join(capsys.readouterr())


def test_an_error_is_a_return_value_of_main(capsys, monkeypatch):
    monkeypatch.setenv("SETFIT_HEADS_REQUIRE", "no-such-head")
    setfit_core.refresh_heads()
    try:
        assert main(["heads"]) == 1
    finally:
        monkeypatch.undo()
        setfit_core.refresh_heads()
    assert capsys.readouterr().err.startswith("Error: ")
