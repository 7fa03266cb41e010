"""Checks of what a head is, before anything is asked of it."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
from typing import Final

import numpy as np

from setfit_core.conformance import check_contract
from setfit_core.testing.check import CheckFailed, CheckSkipped, check
from setfit_core.testing.target import problems_as_finding
from setfit_core.testing.trial import Trial

_IMPORT_CODE: Final = """
import importlib, sys, time

def seconds(*names):
    wall, processor = time.perf_counter(), time.process_time()
    for name in names:
        importlib.import_module(name)
    return time.perf_counter() - wall, time.process_time() - processor

wall, processor = seconds(*sys.argv[2:])
waiting = max(1.0, wall / max(processor, 1e-3))
sys.stderr.write(f"\\nseconds={seconds(sys.argv[1])[0] / waiting}")
"""


@check(
    "contract",
    "The head has every member of its contract, and each can be called the way the core calls it.",
    remedy="Define the members that are named, with the arguments that are named.",
)
def contract(trial: Trial) -> str | None:
    """See `check_contract`. What only fitting brings, as in a StackingClassifier, is looked for after it."""
    problems = () if trial.target.report is None else trial.target.report.problems
    if problems and all(problem.kind == "unavailable" for problem in problems):
        problems = check_contract(trial.trained(trial.problem()).head).problems
    if problems:
        finding = problems_as_finding(problems)
        raise CheckFailed(finding.seen, finding.remedy)
    return f"a {trial.contract} head"


@check(
    "declaration",
    "What the head declares in `setfit_head` is a mapping of known capabilities.",
    remedy="Correct the mapping `setfit_head` on the class, for example setfit_head = {'api': 1}.",
)
def declaration(trial: Trial) -> str | None:
    """A head whose declaration can't be read is not tried at all, see `Target.obstacles`."""
    declared = trial.target.capabilities
    return f"it declares {dict(declared)}" if declared else "it declares nothing beyond its contract"


@check(
    "import-time",
    "Importing the head's module takes no longer than the budget, its framework not counted.",
    remedy="Import what is heavy inside the functions that need it, and do no work while the module is imported.",
)
def import_time(trial: Trial) -> str | None:
    """Measured in a process of its own, in which the framework of the contract is imported first.

    Twice, if it takes long: the first import of a module may have to compile it.

    A module that waits is as slow as one that computes, so the wall clock is read. How much longer than its own
    processor time the framework takes tells how busy the machine is, and is taken off.
    """
    owner = trial.target.owner
    try:
        found = bool(owner) and owner != "__main__" and importlib.util.find_spec(owner) is not None
    except (ImportError, ValueError):
        found = False
    if not found:
        raise CheckSkipped("the head's class is in no module that another process could import")
    frameworks = ("torch",) if trial.differentiable else ("numpy", "sklearn.base")
    seconds = _seconds_to_import(owner, frameworks, trial.import_budget, tuple(sys.path))
    if seconds > trial.import_budget:
        raise CheckFailed(f"importing {owner} takes {seconds:.1f} s, more than {trial.import_budget:g} s")
    return None


@functools.cache  # for those who check many heads of one module
def _seconds_to_import(module: str, frameworks: tuple[str, ...], enough: float, path: tuple[str, ...]) -> float:
    seconds = _measured(module, frameworks, path)
    return seconds if seconds <= enough else min(seconds, _measured(module, frameworks, path))


def _measured(module: str, frameworks: tuple[str, ...], path: tuple[str, ...]) -> float:
    code = f"import sys; sys.path[:] = {path!r}\n{_IMPORT_CODE}"
    child = subprocess.run(  # noqa: S603  # this interpreter
        [sys.executable, "-c", code, module, *frameworks],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    _, marker, seconds = child.stderr.rpartition("\nseconds=")
    if child.returncode or not marker:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise CheckFailed(
            f"importing {module} in a new process failed: {last}",
            "Let the module be imported on its own, without anything that another module has set up.",
        )
    return float(seconds)


@check(
    "fresh-heads",
    "Every head that is built is a new one, and shares no state with another.",
    remedy="Create all state in __init__ or fit and keep it on the instance; no mutable class attributes or globals.",
)
def fresh_heads(trial: Trial) -> None:
    """A head that was trained must change neither what another one predicts, nor what another one learns."""
    first, second = trial.problem(seed=1), trial.problem(seed=2)
    learned = trial.trained(second).probabilities(second.unseen)
    one = trial.trained(first)
    before = one.probabilities(first.unseen)
    other = trial.trained(second)
    if other.head is one.head:
        raise CheckFailed("two heads that were built one after the other are the same object")
    if not np.array_equal(one.probabilities(first.unseen), before, equal_nan=True):
        raise CheckFailed("a head predicts something else after another one was trained")
    if not np.allclose(other.probabilities(second.unseen), learned, atol=1e-4, equal_nan=True):
        raise CheckFailed("a head learns something else from the same examples after another one was trained")
