"""Searching for failures with hypothesis: what is drawn depends on the seed alone, and nothing is printed or kept."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity

from setfit_core.testing.verdicts import CheckFailed

__all__ = ["Search", "settings", "simplest"]

Case = TypeVar("Case")

#: Processor seconds after which a search ends; only heads that take long to train get there.
_LONG: Final = 5.0
_MOST_ATTEMPTS: Final = 40


class _Ended(BaseException):
    """Ends a search: hypothesis lets pass what is no Exception, and makes nothing of it."""


class Search:
    """A search, which ends at the first failure or after a long time.

    Attributes:
        failed: Whether it ended at a failure.
    """

    def __init__(self) -> None:
        self.failed = False
        self._end: float | None = None

    def run(self, search: Callable[[], object]) -> None:
        """Search, to the end."""
        with _nothing_but_draws(), suppress(_Ended):
            search()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """End the search if this block fails."""
        if self._end is not None and time.thread_time() > self._end:
            raise _Ended
        try:
            yield
        except CheckFailed:
            self.failed = True
            raise _Ended from None
        if self._end is None:  # not sooner: a library may have been imported on the way
            self._end = time.thread_time() + _LONG


def simplest(
    case: Case, fails: Callable[[Case], CheckFailed | None], simpler: Callable[[Case], Iterable[Case]]
) -> CheckFailed:
    """Return the failure of the simplest case that is found, starting from one that has failed.

    Args:
        case: What has failed.
        fails: Returns the failure of a case, or None.
        simpler: Yields simpler cases, the simplest first.
    """
    failure = fails(case)
    if failure is None:
        return CheckFailed(f"{case} failed, and tried again it did not")
    attempts = 0
    found = True
    while found:
        found = False
        for other in simpler(case):
            attempts += 1
            if attempts > _MOST_ATTEMPTS:
                break
            new = fails(other)
            if new is not None:
                case, failure, found = other, new, True
                break
    return failure


def settings(examples: int, calls: int = 1) -> hypothesis.settings:
    """Return settings that no profile, data base, clock or terminal has a part in.

    Args:
        examples: How many to draw.
        calls: Of a state machine.
    """
    return hypothesis.settings(
        max_examples=examples,
        stateful_step_count=calls,
        phases=(Phase.generate,),
        suppress_health_check=tuple(HealthCheck),
        verbosity=Verbosity.quiet,
        database=None,
        deadline=None,
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
        backend="hypothesis",
    )


@contextmanager
def _nothing_but_draws() -> Iterator[None]:
    """Keep hypothesis from mixing in numbers that it reads from the source of the modules that are loaded.

    What is drawn would depend on these, and it keeps what it has read in the working directory.
    """
    name = "_maybe_draw_constant"
    try:
        provider = importlib.import_module("hypothesis.internal.conjecture.providers").HypothesisProvider
        before = getattr(provider, name)
    except (ImportError, AttributeError):  # a version that reads no source
        yield
        return
    setattr(provider, name, lambda *_arguments, **_options: None)
    try:
        yield
    finally:
        setattr(provider, name, before)
