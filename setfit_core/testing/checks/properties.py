"""Checks with problems and sequences of calls that hypothesis draws."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from setfit_core.testing import strategies
from setfit_core.testing.answers import Answers, answers, asked_rows, difference, require_valid, saying
from setfit_core.testing.check import CheckFailed, CheckSkipped, check
from setfit_core.testing.drawing import Search, settings, simplest
from setfit_core.testing.problems import Problem
from setfit_core.testing.saving import Saver, saver_of, temporary_folder
from setfit_core.testing.strategies import FewShotProblem
from setfit_core.testing.trial import Array, Trained, Trial, asked

#: What is done to a head, and a number that says with what.
_Step: TypeAlias = tuple[str, int]

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
_SIZES: Final = ((3, 16), (3, 16), (3, 16), (5, 8))
_ONE_SIZE: Final = ((3, 16), (3, 16), (3, 16))
_STEPS: Final = ("trained", "asked", "saved and loaded", "trained", "copied", "asked", "trained", "saved")
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
    search = Search()
    tried: list[FewShotProblem] = []
    refused: list[str] = []

    def holds(problem: FewShotProblem) -> None:
        with search.attempt():
            tried.append(problem)
            refusal = _refusal(trial, problem)
            if refusal:
                refused.append(f"{problem}: {refusal}")

    def draw() -> None:
        for corner in _CORNERS:
            holds(_fitting(trial, corner))
        drawn = strategies.few_shot_problems(num_classes=trial.num_classes, embedding_size=trial.embedding_size)
        hypothesis.seed(trial.seed)(settings(trial.max_examples)(hypothesis.given(drawn)(holds)))()

    search.run(draw)
    if search.failed:
        raise simplest(tried[-1], functools.partial(_flaw, trial), functools.partial(_simpler, trial))
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
    examples = settings(max(1, trial.max_examples // 2), _CALLS)
    world.search.run(lambda: run_state_machine_as_test(machine, settings=examples))
    if world.search.failed:
        raise simplest(tuple(world.steps), functools.partial(_replayed, world), _shorter)
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


def _simpler(trial: Trial, problem: FewShotProblem) -> Iterator[FewShotProblem]:
    plain = FewShotProblem(problem.counts, problem.embedding_size)
    for name in ("seed", "scale", "offset", "unit_norm", "constant_feature", "duplicates"):
        if getattr(problem, name) != getattr(plain, name):
            yield replace(problem, **{name: getattr(plain, name)})
    if trial.num_classes is None and problem.num_classes > 2:
        yield replace(problem, counts=problem.counts[:2])
        yield replace(problem, counts=problem.counts[:-1])
    for fewer in ((1,) * problem.num_classes, tuple(max(1, count // 2) for count in problem.counts)):
        if fewer != problem.counts:
            yield replace(problem, counts=fewer)
    if trial.embedding_size is None and problem.embedding_size not in (3, 16):
        yield replace(problem, embedding_size=16 if problem.embedding_size > 3 else 3)


def _flaw(trial: Trial, problem: FewShotProblem) -> CheckFailed | None:
    try:
        with saying(f"trained on {problem}"):
            _refusal(trial, problem)
    except CheckFailed as failure:
        return failure
    return None


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
        search: The search for a sequence that fails.
        models: The right answers, by the problems that a head was trained on.
        sequences: How many there have been.
        steps: Those of the last one.
    """

    trial: Trial
    problems: tuple[Problem, ...]
    saver: Saver | None = None
    copies: bool = True
    search: Search = field(default_factory=Search)
    models: dict[tuple[int, ...], Answers] = field(default_factory=dict)
    sequences: int = 0
    steps: list[_Step] = field(default_factory=list)

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


@dataclass
class _Life:
    """A head in the midst of a sequence of calls."""

    world: _World
    head: Any = None
    history: tuple[int, ...] = ()

    def do(self, step: _Step) -> str:
        """Do one step, and return what has been done; nothing if that can't be done to such heads."""
        what, number = step
        number %= len(self.world.problems)
        if what == "trained":
            self.history = (*self.history, number)
            if self.head is None:
                self.head = self.world.new(self.history)[0]
            else:
                self.world.train(self.head, number)
            return self.world.told(number)
        if what == "asked":
            self.compare((1, 5, None)[step[1] % 3])
        elif what == "copied":
            if not self.world.copies:
                return ""
            self.head = copy.deepcopy(self.head)
        else:
            if self.world.saver is None:
                return ""
            loaded = _saved_and_loaded(self.world.saver, self.head)
            self.head = loaded if what == "saved and loaded" else self.head
        return what

    def compare(self, rows: int | None = None) -> None:
        """Fail unless the head answers as the model does."""
        trained, part = Trained(self.head, self.world.trial.contract), slice(rows)
        found = answers(trained, self.world.rows(self.history)[part])
        flaw = difference(self.world.model(self.history)[part], found)
        if flaw:
            raise CheckFailed(flaw)


def _replayed(world: _World, steps: tuple[_Step, ...]) -> CheckFailed | None:
    """Do some steps again; return the failure that they lead to, if any."""
    life = _Life(world)
    done: list[str] = []
    try:
        for step in steps:
            with saying(", ".join([*done, step[0]])):
                done.append(life.do(step))
        with saying(", ".join(filter(None, [*done, "asked"]))):
            life.compare()
    except CheckFailed as failure:
        return failure
    return None


def _shorter(steps: tuple[_Step, ...]) -> Iterator[tuple[_Step, ...]]:
    """Yield the steps with one of them left out; a head has to be trained first."""
    for left_out in reversed(range(len(steps))):
        shorter = (*steps[:left_out], *steps[left_out + 1 :])
        if shorter and shorter[0][0] == "trained":
            yield shorter


class _Machine(RuleBasedStateMachine):
    """What may be done to a head, and what it answers. Subclasses have a world."""

    world: _World

    def __init__(self) -> None:
        super().__init__()
        self.life = _Life(self.world)
        self.world.sequences += 1
        self.world.steps.clear()

    @initialize(number=_NUMBERS)
    def build(self, number: int) -> None:
        self.go_on("trained", number)

    # One rule and not one for each step: of several, hypothesis leaves out some in most of the sequences.
    @rule(what=st.sampled_from(_STEPS), number=_NUMBERS)
    def go_on(self, what: str, number: int) -> None:
        self.world.steps.append((what, number))
        with self.world.search.attempt():
            self.life.do((what, number))

    def teardown(self) -> None:
        if self.life.head is not None and not self.world.search.failed:
            with self.world.search.attempt():
                self.life.compare()
