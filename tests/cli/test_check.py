"""`setfit-core check`."""

import json
import os
import pty
import re
import site
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import setfit_core
from setfit_core.cli import main
from setfit_core.testing import SUITE_VERSION, list_checks

pytestmark = pytest.mark.slow

FEW = ("--only", "contract", "--only", "declaration", "--only", "learns-separable")
HEADS = '''
"""Heads beside their author."""

import atexit, ctypes, os, subprocess, sys
import numpy as np

class Nearest:
    """Predicts the class with the nearest centre."""

    def fit(self, embeddings, labels):
        labels = np.asarray(labels)
        self.centres = np.stack([embeddings[labels == label].mean(0) for label in np.unique(labels)])

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(1)

    def predict_proba(self, embeddings):
        distances = np.square(embeddings[:, None] - self.centres).sum(-1)
        weights = np.exp(distances.min(1, keepdims=True) - distances)
        return weights / weights.sum(1, keepdims=True)


class Declaring(Nearest):
    setfit_head = {"api": 1, "multi_label": False}


class Constant(Nearest):
    """Has learned nothing."""

    def predict_proba(self, embeddings):
        return np.full((len(embeddings), len(self.centres)), 1 / len(self.centres))


class Loud(Nearest):
    """Prints wherever it can, in every way there is."""

    def __init__(self):
        self.shout("init")

    def fit(self, embeddings, labels):
        self.shout("fit")
        super().fit(embeddings, labels)

    def predict_proba(self, embeddings):
        self.shout("proba")
        return super().predict_proba(embeddings)

    def shout(self, where):
        print(f"NOISE print {where}")
        sys.stdout.write(f"NOISE sys {where}")
        sys.__stdout__.write(f"NOISE original {where}")
        os.write(1, f"NOISE os {where}".encode())
        ctypes.CDLL(None).printf(b"NOISE printf %s", where.encode())
        subprocess.run(["echo", "NOISE child", where])


class Leaving(Nearest):
    """Ends the program."""

    def fit(self, embeddings, labels):
        sys.exit(0)


class Raising(Nearest):
    def fit(self, embeddings, labels):
        raise ValueError("a | b\\n\\x1b[31mred \\x00 \\ud800 größer" + "!" * 5000)


class Incomplete:
    def fit(self, embeddings, labels):
        pass

    def predict(self, embeddings):
        return np.zeros(len(embeddings), dtype=int)


print("NOISE import")
os.write(1, b"NOISE import, from C")
'''


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """The working directory of an author, with the module `my_heads`."""
    (tmp_path / "my_heads.py").write_text(HEADS)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_heads", None)


@pytest.fixture
def check(capfd):
    """A function that runs `setfit-core check` in this process; gives the exit status, stdout and stderr."""

    def check(*arguments):
        capfd.readouterr()
        try:
            status = main(["check", *arguments])
        except SystemExit as left:
            status = left.code
        return (status, *capfd.readouterr())

    return check


def result_of(output):
    read = json.loads(output)
    return {result["id"]: result["status"] for result in read["results"]}


# What can be checked, and how it ends


def test_an_installed_head_conforms(run):
    done = run("check", "logistic", *FEW)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Conformance of logistic (setfit-head-logistic ")
    assert "  contract, declaration, learns-separable" in lines
    assert lines[-2:-1] == ["Only a part of the suite was run, so this is no verdict on the head."]
    assert re.fullmatch(r"Incomplete: 3 passed in \d+\.\d s", lines[-1])


def test_a_head_that_does_not_conform(check, beside):
    status, output, _ = check("my_heads:Constant", *FEW)
    assert status == 1
    assert output.startswith("Conformance of my_heads:Constant\n")
    (promise,) = [check for check in list_checks() if check.id == "learns-separable"]
    told = " ".join(output.split())
    assert f"Failed (1) learns-separable meaning {promise.title} seen " in told
    assert f" mend {promise.remedy}" in told
    assert output.splitlines()[-1].startswith("Does not conform: 1 failed, 2 passed in ")


@pytest.mark.parametrize("target", ["linear", "setfit-head-linear:linear"])
def test_a_differentiable_head_by_either_name(check, target):
    status, output, _ = check(target, "--json", *FEW)
    assert status == 0
    read = json.loads(output)
    assert (read["subject"], read["distribution"]) == (target, "setfit-head-linear")
    assert read["contract"] == "differentiable"
    assert result_of(output) == dict.fromkeys(FEW[1::2], "passed")


def test_a_class_in_a_package_of_this_directory(check, tmp_path, monkeypatch):
    package = tmp_path / "author" / "package"
    package.mkdir(parents=True)
    (package / "deep.py").write_text(HEADS)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert check("author.package.deep:Nearest", *FEW)[0] == 0
    assert sys.path == before


def test_a_head_without_probabilities_fails_the_contract(check):
    status, output, _ = check("sklearn.svm:LinearSVC", "--json")
    assert status == 1
    read = json.loads(output)
    contract = next(result for result in read["results"] if result["id"] == "contract")
    assert contract["status"] == "failed"
    assert "predict_proba" in contract["seen"]
    assert "CalibratedClassifierCV" in contract["remedy"]


@pytest.mark.parametrize("name", ["Leaving", "Raising", "Incomplete"])
@pytest.mark.parametrize("form", ["--json", "--markdown", None])
def test_a_broken_head_gets_its_report(check, beside, name, form):
    status, output, errors = check(f"my_heads:{name}", *filter(None, [form]), *FEW)
    assert status == 1
    assert "\x1b" not in output
    assert "Traceback" not in errors
    if form == "--json":
        assert "failed" in result_of(output).values()
    else:
        assert "Does not conform" in output


def test_a_head_that_ends_the_program_does_not_pass(run, beside):
    done = run("check", "my_heads:Leaving", *FEW)
    assert done.returncode == 1
    assert "SystemExit" in done.stdout


def test_what_cannot_be_encoded_is_escaped(run, beside):
    done = run("check", "my_heads:Raising", *FEW, PYTHONIOENCODING="ascii")
    assert done.returncode == 1, done.stderr
    assert "gr\\xf6" in done.stdout


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("logisitc", "Error: No installed distribution offers a head named 'logisitc'. Did you mean 'logistic'?"),
        ("no-such-dist:logistic", "Error: "),
        ("no_such_module:Head", "Error: 'no_such_module:Head' can't be imported"),
        ("my_heads:Nearer", "Did you mean 'Nearest'?"),
    ],
)
def test_what_is_not_there_is_an_error(check, beside, target, message):
    status, output, errors = check(target)
    assert (status, output) == (1, "")
    assert message in errors
    assert "Traceback" not in errors


def test_a_module_that_cannot_be_imported_is_an_error(check, beside):
    (beside / "leaving.py").write_text("print('NOISE')\nraise SystemExit(0)\n")
    status, output, errors = check("leaving:Head")
    assert (status, output) == (1, "")
    assert "SystemExit" in errors


# Options


def test_an_expected_failure_needs_its_reason_and_has_to_fail(check, beside):
    expected = ("--expect-failure", "learns-separable=it is constant = by design")
    status, output, _ = check("my_heads:Constant", "--json", *FEW, *expected)
    assert (status, result_of(output)["learns-separable"]) == (0, "xfailed")
    (result,) = [result for result in json.loads(output)["results"] if result["status"] == "xfailed"]
    assert result["reason"] == "it is constant = by design"
    status, output, _ = check("my_heads:Nearest", "--json", *FEW, *expected)
    assert (status, result_of(output)["learns-separable"]) == (1, "xpassed")


def test_what_a_class_cannot_carry_is_declared_on_the_command_line(check, beside):
    for options, declared in [
        ((), {}),
        (("--declare", "multi_label=false"), {"multi_label": False}),
        (("--declare", "multi_label = True", "--declare", "api=1"), {"multi_label": True, "api": 1}),
    ]:
        status, output, _ = check("my_heads:Nearest", "--json", "--only", "declaration", *options)
        assert (status, json.loads(output)["capabilities"]) == (0, declared)
    _, output, _ = check("my_heads:Declaring", "--json", "--only", "declaration")
    assert json.loads(output)["capabilities"] == {"api": 1, "multi_label": False}


def test_seed_examples_and_suite_version_are_passed_on(check):
    options = ("--seed", "7", "--max-examples", "3", "--suite-version", "1", "--only", "contract")
    read = json.loads(check("logistic", "--json", *options)[1])
    assert [read[key] for key in ("seed", "max_examples", "suite_version", "complete")] == [7, 3, 1, False]


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        (("--json", "--markdown"), ["--json", "--markdown"]),
        (("--only", "contrct"), ["--only", "'contrct'", "Did you mean 'contract'?"]),
        (("--only", "zzz"), ["--only", "'zzz'", "The checks are contract, "]),
        (("--expect-failure", "contrct=why"), ["--expect-failure", "Did you mean 'contract'?"]),
        (("--expect-failure", "contract"), ["--expect-failure", "'contract'", "ID=REASON"]),
        (("--expect-failure", "contract= "), ["--expect-failure", "ID=REASON"]),
        (("--expect-failure", "=why"), ["--expect-failure", "ID=REASON"]),
        (("--expect-failure", "contract=a", "--expect-failure", "contract=b"), ["'contract' is given twice"]),
        (("--declare", "multi_lable=true"), ["--declare", "'multi_lable'", "Did you mean 'multi_label'?"]),
        (("--declare", "multi_label=3"), ["--declare", "True or False"]),
        (("--declare", "multi_label"), ["--declare", "KEY=VALUE"]),
        (("--declare", "api=2"), ["--declare", "head API 2"]),
        (("--seed", "-1"), ["--seed"]),
        (("--seed", "x"), ["--seed"]),
        (("--max-examples", "0"), ["--max-examples"]),
        (("--suite-version", "0"), ["--suite-version"]),
        (("--suite-version", "99"), ["suite_version is 99", f"1 to {SUITE_VERSION}"]),
        (("--badge", "no/such/folder/badge.svg"), ["--badge", "'no/such/folder'", "Create it first."]),
        (("--badge", "."), ["--badge", "is a folder"]),
        (("more",), ["unexpected extra argument"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_call_is_told_before_anything_runs(check, beside, options, messages):
    (beside / "heads_with_trace.py").write_text("open('imported', 'w')\n" + HEADS)
    status, output, errors = check("heads_with_trace:Nearest", *options)
    assert (status, output) == (2, "")
    told = " ".join(errors.split())
    for message in messages:
        assert message in told
    assert not (beside / "imported").exists()


def test_without_a_target_it_is_a_wrong_call(check):
    status, output, errors = check()
    assert (status, output) == (2, "")
    assert "TARGET" in errors


# What is printed


def test_nothing_but_the_result_reaches_stdout(run, beside):
    done = run("check", "my_heads:Loud", "--json", *FEW)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["ok"]
    # The head did print; it went to stderr.
    for way in ("os", "printf", "child", "original", "import, from C"):
        assert f"NOISE {way}" in done.stderr


@pytest.mark.parametrize("form", ["--json", "--markdown", None])
def test_nothing_but_the_result_reaches_stdout_of_this_process(check, beside, capfd, form):
    status, output, errors = check("my_heads:Loud", *filter(None, [form]), *FEW)
    assert status == 0
    assert "NOISE" not in output
    assert "NOISE printf" in errors
    os.write(1, b"still there")
    print("this too", flush=True)
    assert capfd.readouterr().out == "still therethis too\n"


def test_it_runs_where_stdout_is_no_file(beside, capsys):
    with pytest.raises(SystemExit) as left:
        main(["check", "my_heads:Loud", "--json", *FEW])
    assert left.value.code == 0
    assert json.loads(capsys.readouterr().out)["ok"]


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_it_runs_with_closed_streams(environment, beside, closed):
    program = "import sys; from setfit_core.cli import main; sys.exit(main())"
    command = f'"$0" -c "$1" check my_heads:Nearest --json --badge badge.svg --only contract {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, program], env=environment, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (beside / "badge.svg").exists()
    if closed == "2>&-":
        assert json.loads(done.stdout)["ok"]


def test_markdown_is_for_a_summary(check, beside):
    status, output, _ = check("my_heads:Constant", "--markdown", *FEW)
    assert status == 1
    assert output.startswith("## Conformance of my\\_heads:Constant\n")
    assert "| Check | Result | What it means | What was seen | How to mend it |\n| --- | --- |" in output


def test_a_badge_is_written_and_replaced(check, beside):
    badge = beside / "folder" / "badge.svg"
    badge.parent.mkdir()
    title = "{http://www.w3.org/2000/svg}title"
    assert check("my_heads:Constant", "--badge", str(badge), *FEW)[0] == 1
    with badge.open() as reader:
        assert check("my_heads:Nearest", "--badge", "folder/badge.svg", *FEW)[0] == 0
        # Whoever reads while it is replaced gets the old one, whole.
        assert ElementTree.parse(reader).find(title).text == "setfit head my_heads:Constant: 1 check fails"
    assert ElementTree.parse(badge).find(title).text == "setfit head my_heads:Nearest: incomplete run"
    assert [entry.name for entry in badge.parent.iterdir()] == ["badge.svg"]


@pytest.mark.slow
def test_it_leaves_nothing_behind(run, beside):
    before = {entry.name for entry in beside.iterdir()}
    assert run("check", "my_heads:Nearest", "--max-examples", "2", PYTHONDONTWRITEBYTECODE="1").stdout
    assert {entry.name for entry in beside.iterdir()} == before


def in_a_terminal(environment, *arguments):
    """What `setfit-core check` prints into a terminal."""
    ours, theirs = pty.openpty()
    program = "import sys; from setfit_core.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "check", *arguments],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**environment, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    output = b""
    try:
        while block := os.read(ours, 4096):
            output += block
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=120) == 1
    return output.decode().replace("\r\n", "\n")


def test_a_terminal_gets_the_same_words_in_colour(environment, check, beside):
    shown = in_a_terminal(environment, "my_heads:Constant", *FEW)
    assert "\x1b[31m" in shown
    plain = check("my_heads:Constant", *FEW)[1]
    assert "\x1b" not in plain
    without_times = [re.sub(r"\d+\.\d s", "", re.sub(r"\x1b\[[0-9;]*m", "", text)) for text in (shown, plain)]
    assert without_times[0] == without_times[1]


def test_no_colour_is_shown_to_who_wants_none(environment, beside):
    shown = in_a_terminal({**environment, "NO_COLOR": "1"}, "my_heads:Constant", "--only", "learns-separable")
    assert "learns-separable" in shown
    assert "\x1b" not in shown


# The program around it


def test_its_help_loads_nothing(loaded_by):
    done, loaded = loaded_by("check", "--help")
    assert done.returncode == 0
    assert "--expect-failure ID=REASON" in done.stdout
    assert loaded == []


def test_a_wrong_call_is_told_without_loading_torch(loaded_by):
    done, loaded = loaded_by("check", "linear", "--declare", "multi_lable=1")
    assert done.returncode == 2
    assert loaded == []


@pytest.fixture
def site_without_hypothesis(tmp_path):
    """A folder with everything that is installed except hypothesis."""
    folder = tmp_path / "site"
    folder.mkdir()
    for packages in site.getsitepackages():
        for entry in Path(packages).iterdir():
            if not entry.name.startswith(("hypothesis", "_hypothesis")) and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    (folder / "setfit_core").unlink(missing_ok=True)
    (folder / "setfit_core").symlink_to(Path(setfit_core.__file__).parent)
    return str(folder)


def test_without_the_extra_it_says_what_to_install(run, site_without_hypothesis):
    done = run("check", "logistic", options=("-S",), PYTHONPATH=site_without_hypothesis)
    assert (done.returncode, done.stdout) == (1, "")
    assert 'pip install "setfit-core[testing]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["logistic", "linear"])
def test_a_first_party_head_conforms(run, name):
    done = run("check", name)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("Conforms: ")
    assert "Failed" not in done.stdout
