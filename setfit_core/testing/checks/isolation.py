"""Checks of what a head does to the process around it: nothing."""

from __future__ import annotations

import functools
import logging
import os
import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import sklearn
import torch

from setfit_core.testing.check import CheckFailed, check
from setfit_core.testing.problems import Problem
from setfit_core.testing.process_state import changed_settings, kept_settings, read_settings, restore_settings
from setfit_core.testing.stdout import watched_stdout
from setfit_core.testing.trial import Array, Trial, as_tensor, asked, body_output

#: What the authors of heads set most often; where the caller has set one already, setting it again would not show.
_USUAL_VARIABLES: Final = (
    "CUBLAS_WORKSPACE_CONFIG",
    "KMP_DUPLICATE_LIB_OK",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTHONWARNINGS",
    "TOKENIZERS_PARALLELISM",
)
_STEPS: Final = 2
_MANY_STEPS: Final = 25  # who prints every ten steps prints here
_MANY_ROWS: Final = 2000


@dataclass(frozen=True)
class _Call:
    """One call of a head: what it is called in a report, what it is for, and the call."""

    name: str
    purpose: Literal["building", "training", "prediction"]
    run: Callable[[], Any]


@dataclass
class _Life:
    """The life of a head from its construction to its predictions, without the shelter of the core.

    The core builds and trains under a random state of its own, and predicts without gradients. Here the head's own
    code runs bare, so that everything that it changes shows.
    """

    trial: Trial
    problem: Problem
    questions: Sequence[Array]
    steps: int = _STEPS
    head: Any = None

    def calls(self) -> Iterator[_Call]:
        """Yield the calls; each is to be run before the next one is asked for."""
        yield self._call("building the head", "building", self._build)
        yield from self._training_of_module() if self.trial.differentiable else self._training_of_array_head()
        for method in ("predict", "predict_proba"):
            if not hasattr(self.head, method):  # which the check 'contract' says
                continue
            for rows in self.questions:
                argument = as_tensor(rows, self.head) if self.trial.differentiable else rows.copy()
                yield self._call(method, "prediction", functools.partial(getattr(self.head, method), argument))

    def _call(self, name: str, purpose: Literal["building", "training", "prediction"], run: Callable[[], Any]) -> _Call:
        return _Call(name, purpose, functools.partial(asked, name, run))

    def _build(self) -> None:
        keywords = self.trial.build(self.problem.num_classes, self.problem.embedding_size)[1]
        self.head = self.trial.recipe.factory(**keywords)

    def _training_of_array_head(self) -> Iterator[_Call]:
        embeddings, labels = self.problem.embeddings.copy(), self.problem.labels.tolist()
        yield self._call("fit", "training", lambda: self.head.fit(embeddings, labels))

    def _training_of_module(self) -> Iterator[_Call]:
        head, targets = self.head, torch.from_numpy(self.problem.labels.copy())
        features = body_output(self.problem.embeddings, as_tensor(self.problem.embeddings[:1], head).dtype)
        outputs: list[Any] = []
        losses: list[Any] = []
        head.train()
        yield self._call("forward, in training mode,", "training", lambda: outputs.append(head(dict(features))))
        yield self._call("get_loss_fn", "training", lambda: losses.append(head.get_loss_fn()))
        parameters = [parameter for parameter in head.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=1e-2) if parameters else None

        def step() -> None:
            loss = losses[0](outputs[-1]["logits"], targets)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            outputs[:] = [head(dict(features))]

        for _ in range(self.steps):
            yield self._call("a training step", "training", step)
        head.eval()
        yield self._call("forward, in evaluation mode,", "prediction", lambda: head(dict(features)))


@check(
    "random-state",
    "The head never reseeds the random generators of the whole program, and predicts without drawing from them.",
    remedy="Draw from a generator of the head's own: np.random.default_rng(random_state), random.Random(random_state) "
    "or torch.Generator().manual_seed(random_state).",
)
def random_state(trial: Trial) -> None:
    """Who reseeds leaves the same state behind, whatever it was before; or another one after the same."""
    _states_around_calls(trial, 0)  # what a library draws when it is used first is not the head's doing
    runs = [_states_around_calls(trial, start) for start in (1, 2, 1)]
    for one, other, again in zip(*runs, strict=True):
        for generator in one.before:
            if one.after[generator] == other.after[generator]:
                raise CheckFailed(f"{one.name} reseeded {generator}: it is left in one state, whatever it was before")
            if one.after[generator] != again.after[generator]:
                raise CheckFailed(f"{one.name} reseeded {generator}: from one state, two runs have left it in two")
            if one.purpose == "prediction" and one.after[generator] != one.before[generator]:
                raise CheckFailed(
                    f"{one.name} drew from {generator}",
                    "Let predictions depend on the input and on what was learned; what has to be drawn, draw in fit.",
                )


@check(
    "global-state",
    "Building, training and predicting leave the settings of the whole program as they were.",
    remedy="Change such settings only for as long as they are needed, in a with block (np.errstate, torch.no_grad, "
    "warnings.catch_warnings, ...) or with try and finally.",
)
def global_state(trial: Trial) -> None:
    """Under unusual settings, so that a change shows whatever is set."""
    before = read_settings()
    for call in _short_life(trial).calls():
        call.run()
    # The libraries that were imported on the way have set up themselves; the head's own changes show again.
    restore_settings(before)
    with tempfile.TemporaryDirectory() as folder:
        for prepare, ignored in (
            (_first_settings, ()),
            # logging.warning and its like give a root logger without handlers one that writes to stderr.
            (_second_settings, ("logging.root.handlers",)),
            (functools.partial(_third_settings, folder), ()),
        ):
            with kept_settings():
                prepare()
                changed = _changes(trial, ignored)
            if changed:
                raise CheckFailed("; ".join([*dict.fromkeys(changed)][:3]))


@check(
    "quiet",
    "The head writes nothing to standard output, where the program that uses it writes its results.",
    remedy="Report through the logging module, or on stderr; silence the libraries underneath (verbose=0).",
)
def quiet(trial: Trial) -> None:
    """Seen at `sys.stdout` and at the file descriptor, where C code and child processes write."""
    problem = trial.problem(3, 16)
    rng = trial.rng()
    many = problem.unseen[rng.integers(0, len(problem.unseen), size=_MANY_ROWS)]
    life = _Life(trial, problem, (problem.unseen[:1], problem.unseen, many), steps=_MANY_STEPS)
    with watched_stdout() as watch:
        for call in life.calls():
            call.run()
            python, below = watch.taken()
            for text, place in ((python, ""), (below, ", past sys.stdout, as C code or a child process does")):
                if text:
                    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
                    raise CheckFailed(f"{call.name} wrote to standard output{place}: {line[:100]!r}")


def _short_life(trial: Trial) -> _Life:
    problem = trial.problem(3, 16)
    return _Life(trial, problem, (problem.unseen[:1], problem.unseen))


# Random generators


@dataclass(frozen=True)
class _States:
    name: str
    purpose: str
    before: dict[str, Any]
    after: dict[str, Any]


def _states_around_calls(trial: Trial, start: int) -> list[_States]:
    states = []
    for number, call in enumerate(_short_life(trial).calls()):
        random.seed(f"{start} {number}")
        np.random.seed(1000 * start + number)  # noqa: NPY002  # the global generator is what it is about
        torch.manual_seed(1000 * start + number)
        before = _generators()
        call.run()
        states.append(_States(call.name, call.purpose, before, _generators()))
    return states


def _generators() -> dict[str, Any]:
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002  # as above
    return {
        "Python's global generator (random)": random.getstate(),
        "NumPy's global generator (np.random)": repr({name: _hashed(value) for name, value in numpy_state.items()}),
        "torch's global generator": torch.get_rng_state().numpy().tobytes(),
    }


def _hashed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _hashed(item) for name, item in value.items()}
    return value.tobytes() if isinstance(value, np.ndarray) else value


# Settings


def _changes(trial: Trial, ignored: Sequence[str]) -> list[str]:
    """Return which call has changed what; a head that can't work under these settings is not asked on."""
    found = []
    for gradients in (True, False):
        for call in _short_life(trial).calls():
            if trial.differentiable:
                torch.set_grad_enabled(gradients or call.purpose == "training")
            before = read_settings()
            try:
                call.run()
            except CheckFailed:
                break
            finally:
                changed = changed_settings(before, ignored)
                restore_settings(before)
            found += [f"{call.name} changed {change}" for change in changed]
        if found or not trial.differentiable:
            break
    return found


def _first_settings() -> None:
    np.seterr(divide="ignore", over="warn", under="ignore", invalid="warn")
    np.seterrcall(_ignored)
    np.set_printoptions(precision=5)
    sklearn.set_config(display="text")
    torch.set_num_threads(2)
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    warnings.filterwarnings("ignore", message="a filter of the conformance suite")
    logging.root.handlers[:] = [logging.NullHandler()]
    logging.root.setLevel(logging.WARNING + 5)
    for name in _USUAL_VARIABLES:
        os.environ.pop(name, None)
    sys.setrecursionlimit(sys.getrecursionlimit() + 500)


def _second_settings() -> None:
    _first_settings()
    np.seterr(divide="warn", over="ignore", under="warn", invalid="ignore")
    np.seterrcall(None)
    np.set_printoptions(precision=7)
    sklearn.set_config(display="diagram")
    torch.set_num_threads(3)
    logging.root.handlers.clear()


def _third_settings(folder: str) -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    os.chdir(folder)


def _ignored(_kind: str, _flag: int) -> None:
    """Be a handler of floating-point errors that isn't None."""
