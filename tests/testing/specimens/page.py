"""The page of the documentation that shows what the suite says about every specimen."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from setfit_core.testing import SUITE_VERSION, list_checks

from .catalogue import CORRECT, ESTIMATORS, FAULTY
from .estimators import TRAINING

__all__ = ["check_ids", "differences", "render"]

_INTRODUCTION = """\
# Kill matrix

The conformance suite is tested itself. Deliberately faulty heads, each with one fault, show that every check finds what
it is there for; correct heads that are as unlike one another as they can be show that it doesn't cry wolf; and all
classifiers of scikit-learn are tried.

This page is generated: `make matrix` runs the suite on every specimen and writes it, and a test fails if it is out of
date. The specimens are in [`tests/testing/specimens`](../tests/testing/specimens).
"""

#: How many of the other checks that fail are named.
_SHOWN = 8

_CONTRACTS = {"differentiable": "module", "non-differentiable": "array"}


class Outcome(Protocol):
    """What the suite says about one specimen; see `kill_matrix.Outcome`."""

    table: str
    name: str
    contract: str
    ok: bool
    counts: dict[str, int]
    failed: dict[str, str]


def check_ids() -> list[str]:
    """Return the ids of all checks, in the order of the suite."""
    return [check.id for check in list_checks()]


def render(outcomes: Iterable[Outcome]) -> str:
    """Return the page for the outcomes of all specimens."""
    found = {(outcome.table, outcome.name): outcome for outcome in outcomes}
    faulty = {name: found["faulty", name] for name in FAULTY}
    correct = {name: found["correct", name] for name in CORRECT}
    estimators = {name: found["estimators", name] for name in ESTIMATORS}
    sections = [
        _INTRODUCTION,
        _summary(faulty, correct, estimators),
        _checks(),
        _faulty(faulty),
        _correct(correct),
        _estimators(estimators),
    ]
    return "\n".join(sections)


def differences(kept: str, found: str) -> list[str]:
    """Return how one page differs from another, as the lines of a unified diff.

    Left out is the last column of the table of faulty heads: which further checks a fault trips depends on rounding, on
    threads and on the processor.
    """
    return list(difflib.unified_diff(_essence(kept), _essence(found), "docs/kill-matrix.md", "found", lineterm=""))


def _essence(page: str) -> list[str]:
    before, heading, rest = page.partition("## Faulty heads\n")
    table, after_heading, after = rest.partition("## Correct heads\n")
    rows = [line.rsplit(" | ", 1)[0] for line in table.splitlines()]
    return [*before.splitlines(), heading, *rows, after_heading, *after.splitlines()]


def _summary(faulty: Mapping[str, Outcome], correct: Mapping[str, Outcome], estimators: Mapping[str, Outcome]) -> str:
    named = sum(FAULTY[name].check in outcome.failed for name, outcome in faulty.items())
    alarms = sum(len(outcome.failed) for outcome in correct.values())
    beyond = [name for name, specimen in FAULTY.items() if specimen.passes_scikit_learn]
    rows = [
        ("Version of the suite", SUITE_VERSION),
        ("Checks", len(check_ids())),
        ("Checks that a faulty head names", len({specimen.check for specimen in FAULTY.values()})),
        ("Faulty heads", len(faulty)),
        ("… of them found faulty", sum(not outcome.ok for outcome in faulty.values())),
        ("… by the check that names the fault", named),
        ("… that scikit-learn's `check_estimator` lets through", len(beyond)),
        ("Correct heads", len(correct)),
        ("… false alarms among them", alarms),
        ("Classifiers of scikit-learn", len(estimators)),
        ("… that conform", sum(outcome.ok for outcome in estimators.values())),
    ]
    return "## In figures\n\n" + _table(("", "Number"), rows)


def _checks() -> str:
    rows = []
    for check in list_checks():
        contracts = ", ".join(_CONTRACTS[contract] for contract in sorted(check.contracts, reverse=True))
        naming = sum(specimen.check == check.id for specimen in FAULTY.values())
        rows.append((f"`{check.id}`", contracts, check.since, naming, check.title))
    heading = "## Checks\n\nThe last number is how many of the faulty heads below name the check.\n\n"
    return heading + _table(("Check", "Heads", "Since", "Faulty", "The promise"), rows)


def _faulty(outcomes: Mapping[str, Outcome]) -> str:
    order = check_ids()
    rows = []
    for name in sorted(outcomes, key=lambda name: (order.index(FAULTY[name].check), name)):
        specimen, outcome = FAULTY[name], outcomes[name]
        mark = " ⁑" if specimen.passes_scikit_learn else ""
        named = f"`{specimen.check}`" if specimen.check in outcome.failed else f"**not** `{specimen.check}`"
        others = [check for check in order if check in outcome.failed and check != specimen.check]
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        shown = _codes(others[:_SHOWN]) + more
        rows.append((f"{name}{mark}", _CONTRACTS.get(outcome.contract, ""), specimen.fault, named, shown))
    heading = "## Faulty heads\n\nMarked ⁑: scikit-learn's own `check_estimator` lets them through.\n\n"
    return heading + _table(("Head", "Kind", "Fault", "Found by", "Other checks that fail"), rows)


def _correct(outcomes: Mapping[str, Outcome]) -> str:
    rows = []
    for name in sorted(outcomes, key=str.lower):
        outcome = outcomes[name]
        verdict = "passes" if outcome.ok else f"**fails** {_codes(outcome.failed)}"
        rows.append((name, _CONTRACTS.get(outcome.contract, ""), CORRECT[name].about, verdict))
    return "## Correct heads\n\n" + _table(("Head", "Kind", "What it is", "Outcome"), rows)


def _estimators(outcomes: Mapping[str, Outcome]) -> str:
    rows = []
    for name in sorted(outcomes):
        estimator, outcome = ESTIMATORS[name], outcomes[name]
        reasons = [f"{_failing(reason.checks)}: {reason.why}" for reason in estimator.reasons]
        rows.append((f"`{name}({estimator.arguments})`", "conforms" if outcome.ok else "fails", "<br>".join(reasons)))
    heading = "## Classifiers of scikit-learn\n\nWith their default parameters, or with those that are shown.\n\n"
    return heading + _table(("Classifier", "Outcome", "Which checks fail, and why"), rows)


def _failing(checks: Collection[str]) -> str:
    """Return the ids of checks, or those that are missing from all that train a head."""
    if len(checks) < len(TRAINING) / 2:
        return _codes(check for check in check_ids() if check in checks)
    rest = _codes(check for check in check_ids() if check in TRAINING - set(checks))
    return f"all that train it{', but for ' if rest else ''}{rest}"


def _codes(checks: Iterable[str]) -> str:
    return ", ".join(f"`{check}`" for check in checks)


def _table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)
