"""Model folders that mean harm: none runs code, writes anything, crashes, or takes more than its share."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MEMORY = 2 * 2**30
SECONDS = 20
MUTATIONS = 320

# One process runs all cases and the others would run them again: all of these belong on the same one.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hostile")]

with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what other libraries deprecate while they are imported is their business
    patch.syspath_prepend(str(HERE))
    from hostile.catalogue import cases

NAMES = list(cases())
#: What may load: it is odd, and it is what somebody could have saved.
HARMLESS = {"labels_by_the_million", "arguments_that_write_a_file"}


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """Run the harness with these arguments, and return what became of each case, by name."""

    def tried(*arguments):
        command = [
            sys.executable,
            str(HERE / "hostile" / "harness.py"),
            str(tmp_path_factory.mktemp("hostile")),
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return {outcome["name"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}

    return tried


@pytest.fixture(scope="module")
def outcomes(tried):
    """What became of every case."""
    return tried()


def assert_harmless(outcome):
    assert outcome["stage"] != "made", outcome["message"]
    assert not outcome["signal"], outcome
    assert not outcome["hung"], outcome
    assert not outcome["ran"], outcome
    assert outcome["events"] == [], outcome
    assert outcome["seconds"] < SECONDS, outcome
    assert outcome["bytes"] < MEMORY, outcome


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_folder_is_refused_and_does_nothing(outcomes, name):
    outcome = outcomes[name]
    assert_harmless(outcome)
    if name.partition(":")[2] not in HARMLESS:
        assert outcome["ours"], outcome
    else:
        assert outcome["stage"] == "predicted", outcome


def test_a_good_folder_with_something_changed_at_random_is_refused_or_predicts(tried):
    outcomes = tried("--mutations", str(MUTATIONS))
    assert len(outcomes) == MUTATIONS
    for outcome in outcomes.values():
        assert_harmless(outcome)
        assert outcome["ours"] or outcome["stage"] == "predicted", outcome
    # Both must happen, or nothing was tried.
    assert any(outcome["ours"] for outcome in outcomes.values())
    assert any(outcome["stage"] == "predicted" for outcome in outcomes.values())


def test_there_are_at_least_sixty():
    assert len(NAMES) >= 60


def test_the_watch_sees_what_it_watches_for(tried):
    seen = {name.partition(":")[2]: outcome for name, outcome in tried("control").items()}
    assert seen["runs_a_command"]["ran"]
    assert any(event.startswith("os.system") for event in seen["runs_a_command"]["events"])
    assert any(event.startswith("pickle.find_class") for event in seen["unpickles"]["events"])
    assert seen["writes_a_file"]["ran"]
    assert any(event.startswith("open") for event in seen["writes_a_file"]["events"])
    assert any(event.startswith("exec") for event in seen["runs_code_of_the_folder"]["events"])
    assert any(event.startswith("socket.connect") for event in seen["asks_the_network"]["events"])
    assert seen["crashes"]["signal"] == "SIGSEGV"
    assert seen["takes_too_much"]["error"] == "MemoryError"
    assert seen["raises_a_stranger"]["error"] == "KeyError"
    assert not seen["raises_a_stranger"]["ours"]
    nothing = seen["does_nothing"]
    assert nothing["stage"] == "predicted"
    assert (nothing["events"], nothing["ran"], nothing["signal"], nothing["error"]) == ([], False, "", "")
