"""Running two calls in two threads that take turns, so that what they share comes to light every time.

Threads that are left to themselves seldom meet: a head's `predict` takes less time than one turn of the interpreter.
Here they are traced, and swapped at chosen places of the head's own code.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, Final, TypeAlias

__all__ = ["Outcome", "Place", "Relay", "alternating", "at_once", "interrupted", "own_code", "places"]

Question: TypeAlias = Callable[[], Any]
#: A line of code, and how often it has been reached before.
Place: TypeAlias = tuple[CodeType, int, int]

#: Whose own code is not stepped through: it is large, and it is not what is examined.
_FRAMEWORKS: Final[frozenset[str]] = sys.stdlib_module_names | {
    "catboost",
    "jax",
    "joblib",
    "lightgbm",
    "numba",
    "numpy",
    "pandas",
    "scipy",
    "sentence_transformers",
    "setfit_core",
    "sklearn",
    "skorch",
    "tensorflow",
    "threadpoolctl",
    "torch",
    "transformers",
    "xgboost",
}
_MOST_SWAPS: Final = 4000
#: Seconds after which threads that don't come back are given up.
_LONG: Final = 60.0


@dataclass
class Outcome:
    """What one call came to.

    Attributes:
        result: What it returned.
        error: What it raised; None if it returned.
    """

    result: Any = None
    error: BaseException | None = None


def own_code(parts: Iterable[Any], modules: Iterable[str] = ()) -> Callable[[FrameType], bool]:
    """Return what tells whether a frame runs the code of these objects' classes, or of their packages.

    Args:
        parts: The head and what it consists of.
        modules: Names of further modules whose code counts.
    """
    parts = list(parts)
    names = {kind.__module__ for part in parts for kind in type(part).__mro__} | set(modules)
    names |= {str(getattr(part, "__module__", "")) for part in parts}  # functions have one of their own
    packages = {name.partition(".")[0] for name in names} - _FRAMEWORKS

    def owns(frame: FrameType) -> bool:
        return str(frame.f_globals.get("__name__", "")).partition(".")[0] in packages

    return owns


def places(question: Question, owns: Callable[[FrameType], bool]) -> list[Place]:
    """Return the places of a call's own code, each line the first two times that it is reached."""
    reached: dict[Place, None] = {}

    def step(frame: FrameType) -> None:
        for occurrence in range(2):
            place = (frame.f_code, frame.f_lineno, occurrence)
            if place not in reached:
                reached[place] = None
                return

    Relay((question,), step, owns).run()
    return list(reached)


def alternating(first: Question, second: Question, owns: Callable[[FrameType], bool], patience: float) -> Relay:
    """Run two calls that swap at every step of their own code, down to the single instruction."""
    relay = Relay((first, second), None, owns, patience)
    relay.step = lambda _frame: relay.swap()
    relay.run()
    return relay


def interrupted(
    first: Question, second: Question, place: Place, owns: Callable[[FrameType], bool], patience: float
) -> Relay:
    """Run a call up to a place of its code, then another one to its end, and then the rest of the first."""
    relay = Relay((first, second), None, owns, patience)
    code, line, occurrence = place
    before = 0

    def step(frame: FrameType) -> None:
        nonlocal before
        if relay.turn == 0 and frame.f_code is code and frame.f_lineno == line:
            if before == occurrence:
                relay.swap()
            before += 1

    relay.step, relay.fine = step, False
    relay.run()
    return relay


def at_once(questions: Sequence[Question], seconds: float) -> list[list[Outcome]]:
    """Ask questions in as many threads, again and again for some time, with the interpreter swapping all the time.

    Returns:
        The outcomes of each question; one at least.
    """
    outcomes: list[list[Outcome]] = [[] for _ in questions]
    barrier = threading.Barrier(len(questions) + 1)
    over = threading.Event()

    def work(question: Question, ours: list[Outcome]) -> None:
        barrier.wait()
        while not ours or not over.is_set():
            ours.append(_outcome(question))

    threads = [threading.Thread(target=work, args=pair, daemon=True) for pair in zip(questions, outcomes, strict=True)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        barrier.wait()
        over.wait(seconds)
        over.set()
        _join(threads)
    finally:
        sys.setswitchinterval(interval)
    return outcomes


def _outcome(question: Question) -> Outcome:
    try:
        return Outcome(question())
    except BaseException as error:  # in a thread nobody else sees it
        return Outcome(error=error)


def _join(threads: Iterable[threading.Thread]) -> None:
    for thread in threads:
        thread.join(_LONG)
        if thread.is_alive():
            raise TimeoutError(f"a call didn't come back within {_LONG:g} s")


@dataclass
class Relay:
    """Threads of which one runs at a time, as long as none waits for what another one holds.

    Attributes:
        questions: The calls, one a thread; the first thread starts.
        step: Called at every step of a call's own code, in its thread.
        owns: Tells which frames are a call's own code.
        patience: Seconds after which a thread that doesn't come to its next step is taken to wait for the other.
        fine: Whether a step is an instruction rather than a line.
        outcomes: What each call came to.
        turn: The number of the thread whose turn it is.
        stuck: Whether one had to wait for the other, as for a lock, so that both were let run.
    """

    questions: Sequence[Question]
    step: Callable[[FrameType], None] | None
    owns: Callable[[FrameType], bool]
    patience: float = _LONG
    fine: bool = True
    outcomes: list[Outcome] = field(default_factory=list)
    turn: int = 0
    stuck: bool = False
    _swaps: int = 0

    def __post_init__(self) -> None:
        self.outcomes = [Outcome() for _ in self.questions]
        self._gates: list[queue.SimpleQueue[None]] = [queue.SimpleQueue() for _ in self.questions]
        self._done = [False for _ in self.questions]
        self._free = False

    def run(self) -> None:
        """Ask all questions, and come back when all are answered."""
        threads = [threading.Thread(target=self._work, args=(me,), daemon=True) for me in range(len(self.questions))]
        for thread in reversed(threads):
            thread.start()
        _join(threads)

    def swap(self) -> None:
        """Let the other thread run until it swaps, or has finished."""
        me, other = self.turn, 1 - self.turn
        if self._free or self._done[other]:
            return
        self._swaps += 1
        if self._swaps > _MOST_SWAPS:
            self._set_free(other)
            return
        self.turn = other
        self._gates[other].put(None)
        try:
            self._gates[me].get(timeout=self.patience)
        except queue.Empty:
            self.stuck = True
            self._set_free(other)

    def _set_free(self, other: int) -> None:
        self._free = True
        self._gates[other].put(None)

    def _work(self, me: int) -> None:
        if me:
            self._gates[me].get()
        if not me or self.fine:  # whoever runs to its end is not to be slowed down
            sys.settrace(self._trace_call)
        try:
            self.outcomes[me] = _outcome(self.questions[me])
        finally:
            sys.settrace(None)
            self._done[me] = True
            if len(self.questions) > 1:
                self.turn = 1 - me
                self._gates[1 - me].put(None)

    def _trace_call(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        if self._free or not self.owns(frame):
            return None
        frame.f_trace_opcodes = self.fine
        return self._trace_step

    def _trace_step(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event in ("line", "opcode") and self.step is not None:
            self.step(frame)
        return self._trace_step
