"""`setfit-core heads doctor` and `setfit-core heads info`."""

import json

import pytest

GOOD = """
class Head:
    setfit_head = {"api": 1, "multi_label": False}

    def __init__(self, size, depth=3, **more):
        pass

    def fit(self, embeddings, labels): ...
    def predict(self, embeddings): ...
    def predict_proba(self, embeddings): ...
"""


@pytest.fixture
def doctor(run, make_distribution):
    """Install one head, run the doctor on it alone, and return the exit status and what it tells of the head."""

    def doctor(source, *arguments, **variables):
        path = make_distribution("made-up", {"made-up-head": "plugin_module:Head"}, source=source)
        variables = {"SETFIT_HEADS_ALLOW": "made-up:*", **variables}
        done = run("heads", "doctor", "--json", *arguments, PYTHONPATH=path, **variables)
        told = {entry["name"]: entry for entry in json.loads(done.stdout)}
        return done.returncode, told["made-up-head"]

    return doctor


def test_a_head_that_loads_is_fine(doctor):
    status, told = doctor(GOOD)
    assert status == 0
    assert 0 <= told.pop("seconds") < 60
    assert told == {
        "name": "made-up-head",
        "distribution": "made-up",
        "version": "1.0",
        "status": "ok",
        "contract": "non-differentiable",
        "message": "",
        "exit_code": 0,
    }


@pytest.mark.parametrize(
    ("source", "status", "exit_code", "message"),
    [
        ("raise SystemExit(7)", "broken", 0, "SystemExit: 7"),
        ("import no_such_thing", "broken", 0, "no_such_thing"),
        ("class Head:\n    fit = 3\n    def predict(self, x): ...", "non-conforming", 0, "`fit` is not callable"),
        (
            "class Head:\n    def fit(self, x, y): ...\n    def predict(self, x): ...",
            "non-conforming",
            0,
            "predict_proba",
        ),
        ("class Head:\n    setfit_head = {'api': 9}", "incompatible", 0, "head API 9"),
        ("import os; os._exit(3)", "crashed", 3, "exit code 3"),
        ("import os; os.abort()", "crashed", -6, "exit code -6"),
    ],
)
def test_a_head_that_fails_is_told_and_ends_nothing_else(doctor, source, status, exit_code, message):
    code, told = doctor(source)
    assert code == 1
    assert (told["status"], told["exit_code"]) == (status, exit_code)
    assert message in told["message"]


def test_what_a_plugin_prints_does_not_disturb_the_result(doctor):
    status, told = doctor("print('hello')\nimport os; os.write(1, b'hello')\n" + GOOD)
    assert (status, told["status"]) == (0, "ok")


def test_a_head_that_never_comes_back_is_given_up(doctor):
    status, told = doctor("import time; time.sleep(600)", "--time-limit", "1")
    assert (status, told["status"], told["exit_code"], told["seconds"]) == (1, "timed-out", None, None)
    assert "SETFIT_HEADS_DENY=made-up:made-up-head" in told["message"]


def test_a_head_that_is_switched_off_is_not_loaded_and_no_problem(doctor):
    status, told = doctor("import os; os._exit(3)", SETFIT_HEADS_DENY="*")
    assert (status, told["status"], told["exit_code"]) == (0, "disabled", None)
    assert "SETFIT_HEADS_DENY" in told["message"]


def test_the_table_has_a_row_a_head_and_the_messages_below(run, make_distribution):
    path = make_distribution("made-up", {"made-up-head": "plugin_module:Head"}, source="raise RuntimeError('unwell')")
    done = run("heads", "doctor", PYTHONPATH=path, SETFIT_HEADS_ALLOW="logistic,made-up-head")
    assert done.returncode == 1
    header, *rows = done.stdout.split("\n\n")[0].splitlines()
    assert header.split() == [
        "name",
        "distribution",
        "version",
        "status",
        "contract",
        "import",
        "seconds",
        "exit",
        "code",
    ]
    status = {row.split()[0]: row.split()[3] for row in rows}
    assert status["logistic"] == "ok"
    assert status["made-up-head"] == "broken"
    assert {row.split()[0]: row.split()[4] for row in rows}["logistic"] == "non-differentiable"
    assert "RuntimeError: unwell" in done.stdout.split("\n\n", 1)[1]


def test_info_tells_what_a_head_is_and_which_parameters_it_takes(run, make_distribution):
    path = make_distribution("made-up", {"made-up-head": "plugin_module:Head"}, version="2.5", source=GOOD)
    done = run("heads", "info", "made-up-head", "--json", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "name": "made-up-head",
        "distribution": "made-up",
        "version": "2.5",
        "target": "plugin_module:Head",
        "api": [1],
        "builds": "plugin_module:Head",
        "contract": "non-differentiable",
        "capabilities": {"api": 1, "multi_label": False},
        "parameters": {"size": "", "depth": "3", "**more": ""},
    }
    done = run("heads", "info", "made-up:made-up-head", PYTHONPATH=path)
    assert "contract      non-differentiable\n" in done.stdout
    assert "parameters    size\n              depth=3\n              **more\n" in done.stdout


def test_info_of_a_head_behind_a_function_tells_what_is_known(run, make_distribution):
    source = "def make(depth=2):\n    raise AssertionError('info builds nothing')\n"
    path = make_distribution("made-up", {"made-up-head": "plugin_module:make"}, source=source)
    told = json.loads(run("heads", "info", "made-up-head", "--json", PYTHONPATH=path).stdout)
    assert (told["contract"], told["capabilities"], told["parameters"]) == (None, None, {"depth": "2"})


def test_info_of_an_unknown_head_is_an_error(run):
    done = run("heads", "info", "logistics")
    assert done.returncode == 1
    assert "Did you mean 'logistic'" in done.stderr
