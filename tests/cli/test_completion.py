"""Shell completion, as the scripts of bash, zsh and fish ask for it."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def complete(loaded_by):
    """A function that completes a command line as a shell does, and returns what it is offered."""

    def complete(shell, line):
        words = line.split(" ")
        asked = {
            "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
            "zsh": {"_TYPER_COMPLETE_ARGS": line},
            "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        }[shell]
        done, loaded = loaded_by(_SETFIT_CORE_COMPLETE=f"complete_{shell}", **asked)
        assert loaded == [] or shell != "bash"
        assert "torch" not in loaded
        assert "setfit_head_linear" not in loaded
        return done.stdout

    return complete


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_heads_are_offered_by_name(complete, shell):
    offered = complete(shell, "setfit-core train data.csv --head lo")
    assert "logistic" in offered
    assert "linear" not in offered


def test_what_is_offered(complete):
    assert complete("bash", "setfit-core ev").split() == ["evaluate"]
    assert complete("bash", "setfit-core heads ").split() == ["info", "doctor"]
    assert complete("bash", "setfit-core heads info lin").split() == ["linear"]
    assert "linear,logistic" in complete("bash", "setfit-core compare data.csv --heads linear,lo").split()
    assert complete("bash", "setfit-core predict model --to j").split() == ["jsonl"]
    assert "--samples-per-class" in complete("bash", "setfit-core train --s").split()


def test_environment_variables_that_are_wrong_do_not_disturb(run):
    asked = {"COMP_WORDS": "setfit-core train --head lo", "COMP_CWORD": "3", "_SETFIT_CORE_COMPLETE": "complete_bash"}
    done = run(SETFIT_HEADS_REQUIRE="no-such-head", **asked)
    assert (done.stdout.strip(), done.stderr) == ("", "")
    done = run(SETFIT_HEADS_DENY="no-such-head", **asked)
    assert (done.stdout.split(), done.stderr) == (["logistic"], "")


def test_bash_takes_the_script(run):
    """The real bash, which runs the script and then completes as it does for somebody who types."""
    script = run("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1").stdout
    typed = f"""
        PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH
        {script}
        COMP_WORDS=(setfit-core train --head lo) COMP_CWORD=3
        $(complete -p setfit-core | sed -E 's/.*-F ([^ ]+).*/\\1/') setfit-core
        echo "offered: ${{COMPREPLY[*]}}"
    """
    done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "offered: logistic\n"
