"""Searching for failures with hypothesis: what is drawn depends on the seed alone, and nothing is printed or kept."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity

from setfit_core.testing.check import CheckFailed

__all__ = ["Failures", "settings"]

#: Processor seconds after which the search for a failure ends; only heads that take long to train get there.
_SEARCHING: Final = 5.0
#: Processor seconds that are spent on simplifying what has failed.
_SIMPLIFYING: Final = 1.0


class _Enough(BaseException):
    """Ends a search: hypothesis lets pass what is no Exception."""


@dataclass
class Failures:
    """What a search has found, of which the simplest is told."""

    found: list[tuple[tuple[Any, ...], CheckFailed]] = field(default_factory=list)
    _end: float | None = None

    @contextmanager
    def noting(self, complexity: tuple[Any, ...]) -> Iterator[None]:
        """Note a failure in this block; end the search a while after the first one, or after a long time."""
        if self._end is not None and time.process_time() > self._end:
            raise _Enough
        try:
            yield
        except CheckFailed as failure:
            if not self.found:
                self._end = time.process_time() + _SIMPLIFYING
            self.found.append((complexity, failure))
            raise
        if self._end is None:  # not sooner: a library may have been imported on the way
            self._end = time.process_time() + _SEARCHING

    def gather(self, search: Callable[[], None]) -> None:
        """Search, and raise the simplest failure.

        Raises:
            CheckFailed: If any was noted.
        """
        try:
            with _nothing_but_draws():
                search()
        except (_Enough, Exception) as end:
            # What hypothesis makes of a failure, or says about one that doesn't come again, is of no interest.
            if not self.found and not isinstance(end, _Enough):
                raise
        if self.found:
            raise min(self.found, key=lambda each: each[0])[1] from None


def settings(examples: int, calls: int = 1) -> hypothesis.settings:
    """Return settings that no profile, data base, clock or terminal has a part in.

    Args:
        examples: How many to draw.
        calls: Of a state machine.
    """
    return hypothesis.settings(
        max_examples=examples,
        stateful_step_count=calls,
        phases=(Phase.generate, Phase.shrink),
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
