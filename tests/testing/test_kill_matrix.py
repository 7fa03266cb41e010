"""The conformance suite on trial: every check finds its faults, and no correct head is called faulty."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCRIPT = HERE / "kill_matrix.py"

# One process runs the script and the others would run it again: all of these belong on the same one.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kill-matrix")]


@pytest.fixture(scope="module")
def specimens():
    """The catalogue of the specimens, imported as the script imports it."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what other libraries deprecate while they are imported is their business
        patch.syspath_prepend(str(HERE))
        import specimens.catalogue as catalogue
    yield catalogue
    for name in [name for name in sys.modules if name.partition(".")[0] == "specimens"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def matrix():
    """What the script prints: every outcome by table and name, and how the page differs from the one in the docs."""
    done = subprocess.run([sys.executable, str(SCRIPT), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    outcomes = {"faulty": {}, "correct": {}, "estimators": {}}
    for outcome in printed["outcomes"]:
        outcomes[outcome["table"]][outcome["name"]] = outcome
    return {**outcomes, "difference": printed["difference"]}


def check_ids():
    from setfit_core.testing import list_checks

    return [check.id for check in list_checks()]


def test_there_are_enough_heads(specimens):
    assert len(specimens.FAULTY) >= 60
    assert len(specimens.CORRECT) >= 25


def test_faulty_heads_name_checks_that_exist(specimens):
    assert {name: each.check for name, each in specimens.FAULTY.items() if each.check not in check_ids()} == {}


def test_every_classifier_of_scikit_learn_is_tried(specimens, matrix):
    from sklearn.utils import all_estimators

    untried = {name for name, _ in all_estimators(type_filter="classifier")} - matrix["estimators"].keys()
    assert not untried, f"not tried: {', '.join(sorted(untried))}"


def test_every_check_finds_a_faulty_head_that_names_it(specimens, matrix):
    finds = {specimens.FAULTY[name].check for name, each in matrix["faulty"].items() if named(specimens, name, each)}
    assert [check for check in check_ids() if check not in finds] == []


def test_every_faulty_head_is_found_by_the_check_that_names_its_fault(specimens, matrix):
    survivors = {
        name: f"{specimens.FAULTY[name].check} passes; these fail: {sorted(each['failed'])}"
        for name, each in matrix["faulty"].items()
        if not named(specimens, name, each)
    }
    assert survivors == {}


def test_every_correct_head_passes(specimens, matrix):
    alarms = {name: each["failed"] for name, each in matrix["correct"].items() if each["failed"] or not each["ok"]}
    assert alarms == {}
    assert not any(each["counts"].get("xfailed") for each in matrix["correct"].values())


def test_every_skip_of_a_correct_head_says_why(specimens, matrix):
    mute = [
        f"{name}: {check}"
        for name, each in matrix["correct"].items()
        for check, reason in each["skipped"].items()
        if not reason
    ]
    assert mute == []


def test_every_classifier_of_scikit_learn_does_what_is_written_down(specimens, matrix):
    unlike = {}
    for name, each in matrix["estimators"].items():
        expected = specimens.ESTIMATORS[name].failing
        missing, more = sorted(expected - each["failed"].keys()), sorted(each["failed"].keys() - expected)
        if missing or more:
            unlike[name] = {"passes": missing, "fails": {check: each["failed"][check] for check in more}}
    assert unlike == {}


def test_the_suite_leaves_the_process_as_it_was(specimens, matrix):
    disturbed = {
        name: each["disturbed"]
        for table in ("faulty", "correct", "estimators")
        for name, each in matrix[table].items()
        if each["disturbed"]
    }
    assert disturbed == {}


def test_the_page_is_up_to_date(matrix):
    assert not matrix["difference"], "\n".join(["run `make matrix`", *matrix["difference"]])


def test_scikit_learns_own_checker_lets_the_marked_heads_through(specimens):
    from sklearn.utils.estimator_checks import check_estimator

    marked = [each for each in specimens.FAULTY.values() if each.passes_scikit_learn]
    assert len(marked) == 7
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in marked:
            results = check_estimator(each.make_head(), on_skip=None, on_fail=None)
            found[each.name] = [result["check_name"] for result in results if result["status"] == "failed"]
    assert found == {each.name: [] for each in marked}


def named(specimens, name, outcome):
    return specimens.FAULTY[name].check in outcome["failed"]
