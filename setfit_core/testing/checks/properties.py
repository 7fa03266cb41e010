"""Checks with problems and sequences of calls that hypothesis draws."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from setfit_core.testing import strategies
from setfit_core.testing.answers import Answers, answers, asked_rows, difference, require_valid, saying
from setfit_core.testing.check import CheckFailed, CheckSkipped, check
from setfit_core.testing.drawing import Failures, settings
from setfit_core.testing.problems import Problem
from setfit_core.testing.saving import Saver, saver_of, temporary_folder
from setfit_core.testing.strategies import FewShotProblem
from setfit_core.testing.trial import Array, Trained, Trial, asked

#: Training steps of a module: its outputs are to be valid, whether it has learned much or not.
_FEW_STEPS: Final = 4
_CALLS: Final = 8
#: Problems that are tried always: seldom drawn, and common in practice.
_CORNERS: Final = (
    FewShotProblem((1, 1), 16),
    FewShotProblem((1, 1, 1), 16, unit_norm=True),
    FewShotProblem((6, 1), 24, constant_feature=True),
    FewShotProblem((4, 4, 4), 16, constant_feature=True, duplicates=True),
)
#: Numbers of classes and embedding sizes on which one array head is trained in turn, and a module.
_SIZES: Final = ((3, 16), (4, 16), (6, 8), (3, 24))
_ONE_SIZE: Final = ((3, 16), (3, 16), (3, 16))
#: What numbers of problems are drawn from; it divides by 3 and by 4.
_NUMBERS: Final = st.integers(0, 11)


@check(
    "few-shot-problems",
    "Trained on whatever few examples, the head returns valid class ids and probabilities.",
    remedy="Make the problem that is named again, setfit_core.testing.strategies.FewShotProblem(...), and look at what "
    "its `embeddings` and `labels` lead to. Guard divisions by a spread or a length that may be 0, and counts that may "
    "be 1.",
)
def few_shot_problems(trial: Trial) -> str | None:
    """Two to eight classes of one to six examples, on all scales, with duplicates and features that never change."""
    failures = Failures()
    tried: list[FewShotProblem] = []
    refused: list[str] = []

    def holds(problem: FewShotProblem) -> None:
        with failures.noting(_complexity(problem)), saying(f"trained on {problem}"):
            tried.append(problem)
            refusal = _refusal(trial, problem)
            if refusal:
                refused.append(f"{problem}: {refusal}")

    def search() -> None:
        for corner in _CORNERS:
            holds(_fitting(trial, corner))
        drawn = strategies.few_shot_problems(num_classes=trial.num_classes, embedding_size=trial.embedding_size)
        hypothesis.seed(trial.seed)(settings(trial.max_examples)(hypothesis.given(drawn)(holds)))()

    failures.gather(search)
    if len(refused) == len(tried):
        raise CheckFailed(f"none of {len(tried)} problems with so few examples is taken, such as {refused[0]}")
    if not refused:
        return f"{len(tried)} problems"
    return f"{len(tried)} problems, of which {len(refused)} have too few examples for it, such as {refused[0]}"


@check(
    "state-machine",
    "Trained, asked, saved, loaded and copied in any order, the head answers as if it had only been trained.",
    remedy="Follow the calls that are named. Let fit forget what was there before, and let prediction, saving, loading "
    "and copying change nothing that a later call depends on.",
)
def state_machine(trial: Trial) -> str | None:
    """The model is a new head, trained on the last problem (a module: on all of them in order), and no more."""
    world = _World.of(trial)
    machine = hypothesis.seed(trial.seed)(type("Machine", (_Machine,), {"world": world}))
    examples = max(1, trial.max_examples // 2)
    world.failures.gather(lambda: run_state_machine_as_test(machine, settings=settings(examples, _CALLS)))
    without = ", without saving and loading, which fail, see the check 'save-load'"
    return f"{world.sequences} sequences of up to {_CALLS} calls{'' if world.saver else without}"


# Few-shot problems


def _fitting(trial: Trial, problem: FewShotProblem) -> FewShotProblem:
    """Give a problem the sizes of a head that takes no others."""
    classes = trial.num_classes or problem.num_classes
    counts = tuple(problem.counts[index % problem.num_classes] for index in range(classes))
    size = trial.embedding_size or problem.embedding_size
    wide = size >= 3
    return replace(
        problem,
        counts=counts,
        embedding_size=size,
        unit_norm=problem.unit_norm and wide,
        constant_feature=problem.constant_feature and wide,
    )


def _complexity(problem: FewShotProblem) -> tuple[Any, ...]:
    return len(repr(problem).split("=")), sum(problem.counts), problem.embedding_size, problem.seed


def _refusal(trial: Trial, problem: FewShotProblem) -> str:
    """Train on a problem and ask; return the words with which a head says that the examples are too few.

    It may say so with a ValueError, as nearest neighbours and cross-validation do. It is taken to mean that if as many
    plain examples are refused as well, and many examples of this kind are not.
    """
    try:
        _train_and_ask(trial, problem)
    except CheckFailed as failure:
        if trial.differentiable or not isinstance(failure.__cause__, ValueError):
            raise
        plain = FewShotProblem(problem.counts, problem.embedding_size, seed=problem.seed)
        many = replace(problem, counts=(8 + 2 * problem.embedding_size,) * problem.num_classes)
        if not _raises(trial, plain) or _raises(trial, many):
            raise
        return failure.seen
    return ""


def _raises(trial: Trial, problem: FewShotProblem) -> bool:
    try:
        _train_and_ask(trial, problem)
    except CheckFailed:
        return True
    return False


def _train_and_ask(trial: Trial, problem: FewShotProblem) -> None:
    head = trial.head(problem.num_classes, problem.embedding_size)
    trial.train(head, problem.embeddings, problem.labels, steps=_FEW_STEPS)
    require_valid(Trained(head, trial.contract), problem.questions, problem.num_classes, "asked about rows like these")


# Sequences of calls


@dataclass
class _World:
    """What all sequences of calls have in common.

    Attributes:
        trial: The trial.
        problems: What heads are trained on.
        saver: What saves and loads heads; None if that fails.
        copies: Whether heads can be copied.
        failures: What has been found.
        models: The right answers, by the problems that a head was trained on.
        sequences: How many there have been.
    """

    trial: Trial
    problems: tuple[Problem, ...]
    saver: Saver | None = None
    copies: bool = True
    failures: Failures = field(default_factory=Failures)
    models: dict[tuple[int, ...], Answers] = field(default_factory=dict)
    sequences: int = 0

    @classmethod
    def of(cls, trial: Trial) -> _World:
        """Find out what can be done with the heads of a trial."""
        one_size = trial.differentiable or trial.recipe.accepts("in_features") or trial.recipe.accepts("out_features")
        sizes = _ONE_SIZE if one_size else _SIZES
        world = cls(trial, tuple(trial.problem(*size, 8, seed=seed) for seed, size in enumerate(sizes)))
        head, built_with = world.new((0,))
        if difference(world.model((0,)), answers(Trained(head, trial.contract), world.rows((0,)))):
            raise CheckSkipped("two heads that were built and trained alike differ, see the check 'determinism'")
        try:
            saver = saver_of(trial, head, built_with)[0]
            _saved_and_loaded(saver, head)
            world.saver = saver
        except (CheckFailed, CheckSkipped):  # for another check to say
            pass
        try:
            copy.deepcopy(head)
        except Exception:  # a foreign object may refuse in any way, and no contract asks for it
            world.copies = False
        return world

    def new(self, history: tuple[int, ...]) -> tuple[Any, dict[str, Any]]:
        """Return a new head that has been trained on problems, and the keywords that it was built with."""
        problem = self.problems[history[-1]]
        head, built_with = self.trial.build(problem.num_classes, problem.embedding_size)
        for number in history:
            self.train(head, number)
        return head, built_with

    def train(self, head: Any, number: int) -> None:
        """Train a head on a problem."""
        problem = self.problems[number]
        self.trial.train(head, problem.embeddings, problem.labels, seed=number, steps=_FEW_STEPS)

    def rows(self, history: tuple[int, ...]) -> Array:
        """Return what a head is asked that was trained on these problems."""
        return asked_rows(self.problems[history[-1]], self.trial.seed)

    def model(self, history: tuple[int, ...]) -> Answers:
        """Return the right answers of a head that was trained on these problems: an array head keeps the last only."""
        key = history if self.trial.differentiable else history[-1:]
        if key not in self.models:
            with saying("a new head"):
                self.models[key] = answers(Trained(self.new(key)[0], self.trial.contract), self.rows(key))
        return self.models[key]

    def told(self, number: int) -> str:
        """Name a problem."""
        problem = self.problems[number]
        return f"trained on problem {number} ({problem.num_classes} classes, embedding size {problem.embedding_size})"


def _saved_and_loaded(saver: Saver, head: Any) -> Any:
    with temporary_folder() as folder:
        record = asked("saving it", lambda: saver.write(folder, head))
        return asked("loading it", lambda: saver.read(folder, record))[0]


class _Machine(RuleBasedStateMachine):
    """What may be done to a head, and what it answers. Subclasses have a world."""

    world: _World

    def __init__(self) -> None:
        super().__init__()
        self.head: Any = None
        self.history: tuple[int, ...] = ()
        self.calls: list[str] = []
        self.failed = False
        self.world.sequences += 1

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        self.calls.append(name)
        try:
            with self.world.failures.noting((len(self.calls),)), saying(", ".join(self.calls)):
                yield
        except BaseException:
            self.failed = True
            raise

    def compare(self, rows: int | None = None) -> None:
        trained, part = Trained(self.head, self.world.trial.contract), slice(rows)
        asked_about = self.world.rows(self.history)[part]
        flaw = difference(self.world.model(self.history)[part], answers(trained, asked_about))
        if flaw:
            raise CheckFailed(flaw)

    @initialize(number=_NUMBERS)
    def build(self, number: int) -> None:
        self.history = (number % len(self.world.problems),)
        with self.call(self.world.told(self.history[-1])):
            self.head = self.world.new(self.history)[0]

    @rule(number=_NUMBERS)
    def train(self, number: int) -> None:
        self.history = (*self.history, number % len(self.world.problems))
        with self.call(self.world.told(self.history[-1])):
            self.world.train(self.head, self.history[-1])

    @rule(rows=st.sampled_from((1, 5, None)))
    def ask(self, rows: int | None) -> None:
        with self.call("asked"):
            self.compare(rows)

    @precondition(lambda self: self.world.saver)
    @rule()
    def save(self) -> None:
        with self.call("saved"):
            self._to_file_and_back()

    @precondition(lambda self: self.world.saver)
    @rule()
    def save_and_load(self) -> None:
        with self.call("saved and loaded"):
            self.head = self._to_file_and_back()

    @precondition(lambda self: self.world.copies)
    @rule()
    def copy(self) -> None:
        with self.call("copied"):
            self.head = copy.deepcopy(self.head)

    def teardown(self) -> None:
        if self.head is not None and not self.failed:
            with self.call("asked"):
                self.compare()

    def _to_file_and_back(self) -> Any:
        saver = self.world.saver
        return self.head if saver is None else _saved_and_loaded(saver, self.head)
