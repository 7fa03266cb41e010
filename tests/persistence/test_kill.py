"""Saves that are cut off: by a kill at any moment, by a full disk, by another process that saves to the same place."""

import collections
import os
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.xdist_group("interrupted"),
]

WAYS = pytest.mark.parametrize("by_hand", [False, True], ids=["exchange", "by hand"])


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, conversation):
    """Run a scenario of the worker, see there, and return what it found."""
    with conversation(
        Path(__file__).parent / "interrupted" / "worker.py", tmp_path_factory.mktemp("interrupted")
    ) as ask:
        yield ask


@WAYS
def test_a_save_that_is_killed_at_any_step_leaves_the_old_model_or_the_new_one(interrupted, by_hand):
    result = interrupted("kill_at_every_step", by_hand=by_hand, first=False)
    found = result["found"]
    assert result["ended"] == 0
    # The steps count: before one of them all is old, from there on all is new.
    assert found == ["old"] * found.count("old") + ["new"] * found.count("new")
    assert found.count("old") > 20
    assert found.count("new") > 3
    assert result["left"] == ["model"]
    # Only with two renames is there a step at which the model is at neither place but aside.
    assert result["missing"] == by_hand


def test_a_first_save_that_is_killed_at_any_step_leaves_nothing_or_the_model(interrupted):
    result = interrupted("kill_at_every_step", by_hand=False, first=True)
    found = result["found"]
    assert result["ended"] == 0
    assert found == ["nothing"] * found.count("nothing") + ["new"] * found.count("new")
    assert found.count("nothing") > 20
    assert result["left"] == ["model"]


@WAYS
def test_kills_at_random_moments_leave_no_unusable_model(interrupted, by_hand):
    result = interrupted("kill_at_random", by_hand=by_hand, kills=60, seed=int(by_hand))
    assert collections.Counter(result["found"]).keys() <= {"a", "b"}
    assert sum(result["found"].values()) == 60
    assert result["cut_off"] > 30
    assert result["left"] == ["model"]
    assert by_hand or not result["missing"]


@WAYS
def test_two_processes_that_save_to_one_path_do_not_mix(interrupted, by_hand):
    result = interrupted("together", by_hand=by_hand, saves=30)
    assert result["ended"] == [0, 0]
    assert result["found"].keys() <= {"a", "b"}
    assert result["last"] in ("a", "b")
    assert result["left"] == ["model"]


def test_what_the_system_refuses_to_write_leaves_the_old_model(interrupted):
    *failed, saved = interrupted("limited_files")
    assert (saved["said"], saved["found"], saved["left"]) == ("saved", "b", ["model"])
    assert len(failed) > 10
    for result in failed:
        assert "could not be saved" in result["said"]
        assert "File too large" in result["said"]
        assert "What was there before is unchanged." in result["said"]
        assert (result["found"], result["left"]) == ("a", ["model"])


def test_a_full_disk_leaves_the_old_model(interrupted):
    results = interrupted("small_disk")
    if isinstance(results, str):
        pytest.skip(f"This system lets nobody mount a small disk: {results}.")
    *failed, saved = results
    assert (saved["said"], saved["found"], saved["left"]) == ("saved", "b", ["model"])
    assert len(failed) > 5
    for result in failed:
        assert "No space left on device" in result["said"]
        assert "kB free now, and its weights alone need 20.0 kB" in result["said"]
        assert "What was there before is unchanged." in result["said"]
        assert (result["found"], result["left"]) == ("a", ["model"])
