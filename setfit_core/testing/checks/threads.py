"""The check that a trained head may be asked by several threads."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Final

import numpy as np

from setfit_core.testing.answers import asked_rows
from setfit_core.testing.check import CheckFailed, CheckSkipped, check
from setfit_core.testing.interleaving import Outcome, Place, alternating, at_once, interrupted, own_code, places
from setfit_core.testing.trial import Array, Trained, Trial, as_array, told

#: Rows of a question. Some are as long as another one, so that rows get mixed up without any error.
_LENGTHS: Final = (5, 9, 14, 14)
_MOST_PLACES: Final = 40
#: Runs in which one thread had to wait for the other: a head that locks has shown by then that it does.
_MOST_STUCK: Final = 20
_SECONDS_AT_ONCE: Final = 0.08
#: The most that is spent on swapping threads, for heads that take long.
_SECONDS_IN_TURNS: Final = 2.0
#: Rows whose two likeliest classes lie closer are not asked about: rounding may swap them.
_MARGIN: Final = 1e-3
_DEPTH: Final = 6
_MOST_PARTS: Final = 2000


@dataclass(frozen=True)
class _Question:
    """A call with its rows, and the answer to it where nothing else goes on."""

    method: str
    rows: Array
    answer: Array

    def __str__(self) -> str:
        return f"{self.method} of {len(self.rows)} rows"

    def to(self, trained: Trained) -> Callable[[], Any]:
        """Return the call. It gives the head's own array: who fills one array for two calls is to be found out."""
        return functools.partial(trained.raw, self.method, self.rows)

    def wrong(self, outcome: Outcome) -> str:
        """Say what is wrong about an answer; nothing if it is right."""
        if isinstance(outcome.error, CheckFailed):
            return outcome.error.seen
        if outcome.error is not None:
            return f"{self} raised {told(outcome.error)}"
        answer = as_array(outcome.result)
        if answer.shape != self.answer.shape:
            return f"{self} gave the shape {list(answer.shape)} instead of {list(self.answer.shape)}"
        right = np.isclose(answer, self.answer, rtol=1e-4, atol=1e-5).reshape(len(answer), -1).all(axis=1)
        return "" if right.all() else f"{self} gave {int((~right).sum())} wrong answers"


@check(
    "thread-safety",
    "Asked by several threads at a time, the head answers each as if it were asked alone.",
    remedy="Keep what a prediction works out in local variables, not on self, on the class or in the module; what is "
    "worked out once and kept, work out in fit.",
)
def thread_safety(trial: Trial) -> None:
    """Threads that are let loose for a moment, and pairs that are swapped at each line of the head's own code.

    Each time a copy is asked that nobody has asked before, so that what a head prepares at the first question counts.
    """
    problem = trial.problem(3, 16)
    trained = trial.trained(problem)
    rows = asked_rows(problem, trial.seed)
    try:
        questions, seconds = _questions(_twin(trained), rows)
    except Exception:  # it can't be copied, or a copy doesn't work: then the head itself is asked, throughout
        questions, seconds = _questions(trained, rows)
        fresh: Callable[[], Trained] = lambda: trained  # noqa: E731  # the other case is a partial
    else:
        fresh = functools.partial(_twin, trained)
    owns = own_code(_parts(trained.head), [str(getattr(trial.recipe.factory, "__module__", ""))])
    try:
        _ask_in_turns(fresh, questions, owns, patience=max(0.01, 20 * seconds))
        _ask_at_once(fresh(), questions)
    except TimeoutError as error:
        raise CheckFailed(f"predict and predict_proba, called by two threads: {error}") from None


def _twin(trained: Trained) -> Trained:
    return Trained(copy.deepcopy(trained.head), trained.contract)


def _questions(trained: Trained, rows: Array) -> tuple[dict[str, list[_Question]], float]:
    """Return questions by method, with the answers that the head gives alone, and the seconds that one takes."""
    top = np.sort(trained.probabilities(rows), axis=1)[:, -2:]
    clear = rows[top[:, -1] - top[:, 0] > _MARGIN]
    rows = clear if len(clear) >= sum(_LENGTHS) else rows
    parts = np.split(rows[: sum(_LENGTHS)], np.cumsum(_LENGTHS)[:-1])
    questions, start = {}, time.perf_counter()
    for method, ask in (("predict", trained.ids), ("predict_proba", trained.probabilities)):
        questions[method] = [_Question(method, part, ask(part).copy()) for part in parts]
        for question in questions[method]:
            if question.wrong(Outcome(ask(question.rows))):
                raise CheckSkipped(
                    "alone, too, the head gives other answers when it is asked again, see 'repeatable-prediction'"
                )
    return questions, (time.perf_counter() - start) / (4 * len(parts))


# Let loose


def _ask_at_once(trained: Trained, questions: dict[str, list[_Question]]) -> None:
    asked = [question for method in questions.values() for question in method[1:3]]
    for question, outcomes in zip(
        asked, at_once([question.to(trained) for question in asked], _SECONDS_AT_ONCE), strict=True
    ):
        for outcome in outcomes:
            wrong = question.wrong(outcome)
            if wrong:
                raise CheckFailed(f"{wrong} while {len(asked) - 1} other threads called predict and predict_proba")


# In turns


def _ask_in_turns(
    fresh: Callable[[], Trained],
    questions: dict[str, list[_Question]],
    owns: Callable[[FrameType], bool],
    *,
    patience: float,
) -> None:
    stuck, start = 0, time.monotonic()
    for first, second, place in _meetings(fresh, questions, owns):
        trained = fresh()
        one, other = first.to(trained), second.to(trained)
        if place is None:
            relay = alternating(one, other, owns, patience)
        else:
            relay = interrupted(one, other, place, owns, patience)
        for question, asked_by, outcome in zip((first, second), (second, first), relay.outcomes, strict=True):
            wrong = question.wrong(outcome)
            if wrong:
                kept = _told_assignments(fresh(), question)
                raise CheckFailed(f"{wrong} while another thread called {asked_by}{_told_place(place)}{kept}")
        stuck += relay.stuck
        if stuck > _MOST_STUCK or time.monotonic() - start > _SECONDS_IN_TURNS:
            return


def _meetings(
    fresh: Callable[[], Trained], questions: dict[str, list[_Question]], owns: Callable[[FrameType], bool]
) -> Iterator[tuple[_Question, _Question, Place | None]]:
    """Yield pairs of questions, and the place at which the first is interrupted; None for swapping at every step."""
    ids, probabilities = questions["predict"], questions["predict_proba"]
    if not places(probabilities[0].to(fresh()), owns) and not places(ids[0].to(fresh()), owns):
        return
    pairs = (
        (probabilities[1], probabilities[0]),
        (ids[0], ids[1]),
        (probabilities[2], probabilities[3]),
        (ids[2], ids[3]),
        (ids[2], probabilities[3]),
        (probabilities[0], ids[1]),
    )
    for first, second in pairs:
        yield first, second, None
    for first, second in pairs:
        reached = places(first.to(fresh()), owns)
        for place in reached[:: max(1, -(-len(reached) // _MOST_PLACES))]:
            yield first, second, place


def _told_place(place: Place | None) -> str:
    if place is None:
        return ""
    code, line, _ = place
    return f", at {Path(code.co_filename).name}, line {line}, in {code.co_name}"


def _told_assignments(trained: Trained, question: _Question) -> str:
    """Name the attributes that a call assigns, which are what the threads most likely meet in."""
    before = dict(getattr(trained.head, "__dict__", {}))
    question.to(trained)()
    after = getattr(trained.head, "__dict__", {})
    names = [f"self.{name}" for name, value in after.items() if name not in before or before[name] is not value]
    return f"; {question.method} assigns {', '.join(names[:3])}" if names else ""


def _parts(head: Any) -> list[Any]:
    """Return a head and what it holds, some levels deep: the classes of all of them may be its author's."""
    found: dict[int, Any] = {}

    def visit(value: Any, depth: int) -> None:
        if id(value) in found or depth > _DEPTH or len(found) > _MOST_PARTS or isinstance(value, (type, ModuleType)):
            return
        found[id(value)] = value
        if isinstance(value, dict):
            held = list(value.values())
        elif isinstance(value, (list, tuple)):
            held = list(value)
        else:
            held = list(getattr(value, "__dict__", {}).values())
        for each in held:
            visit(each, depth + 1)

    visit(head, 0)
    return list(found.values())
