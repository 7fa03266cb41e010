"""Checks of saving and loading, as the core does it: through the head's own hooks or in one of the core's formats."""

from __future__ import annotations

import functools
import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from setfit_core.errors import UnsavableHeadError, UntrustedTypesError
from setfit_core.heads.construction import HeadRecipe
from setfit_core.persistence.config import HeadRecord
from setfit_core.persistence.head import read_head, write_head
from setfit_core.registry.loading import PASSED_THROUGH
from setfit_core.testing.check import CheckFailed, CheckSkipped, check
from setfit_core.testing.pickles import holds_pickle, watched_pickling
from setfit_core.testing.problems import Problem
from setfit_core.testing.target import Copies
from setfit_core.testing.trial import Array, Trained, Trial, asked

#: Parameters that the core gives, or that mean nothing for what a head predicts.
_NO_CHOICE: Final = frozenset(
    {"device", "in_features", "multi_label", "multitarget", "n_jobs", "out_features", "random_state", "verbose"}
)
_MOST_TRIED: Final = 6
_PLAIN: Final = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class _Saver:
    """Saves and loads the heads of a trial as the core does.

    Attributes:
        trial: The trial.
        recipe: How the head was built; None if it was given as it is.
        built_with: The keywords that it was built with; None if it was given as it is.
        named: What a user passes as `head=` to load it; None if the saved model says which head it is.
    """

    trial: Trial
    recipe: HeadRecipe | None
    built_with: Mapping[str, Any] | None
    named: Any

    def write(self, folder: Path, head: Any) -> HeadRecord:
        """Save a head into an empty folder.

        Raises:
            CheckFailed: If it can't be saved.
            CheckSkipped: If that is for want of a place where its class could be found again.
        """
        try:
            return write_head(folder, head, self.recipe, self.built_with)
        except UnsavableHeadError as error:
            if "<locals>" in type(head).__qualname__ and not self.trial.differentiable:
                raise CheckSkipped(
                    "the head's class is defined inside a function, where no file format finds it again; define it in "
                    "a module to have it tried"
                ) from error
            raise CheckFailed(str(error)) from error

    def read(self, folder: Path, record: HeadRecord) -> tuple[Any, tuple[str, ...]]:
        """Load a head; return it and the types that had to be trusted for that."""
        read = functools.partial(read_head, folder, record, head=self.named, device="cpu")
        try:
            return read()[0], ()
        except UntrustedTypesError as error:
            return read(trusted=error.types)[0], error.types


@check(
    "save-load",
    "A trained head that was saved and loaded predicts as before, and can be trained again.",
    remedy="Keep what is learned in attributes that its file format takes (numbers, strings, arrays; for a torch "
    "module parameters and buffers), or give the head a format of its own with the hooks setfit_save_head and "
    "setfit_load_head.",
)
def save_load(trial: Trial) -> str | None:
    """With the parameters as they are, and with one of them changed if there is one that can be."""
    problem = trial.problem(3, 16)
    head, built_with = _trained(trial, problem)
    saver, note = _saver(trial, head, built_with)
    loaded, trusted = _check_round_trip(saver, head, problem)
    _check_round_trip(saver, loaded, problem, "loaded before, ")
    _check_training(trial, head, loaded)
    other = _built_otherwise(trial, head, problem)
    if other is not None:
        changed, another, keywords = other
        name, value = next(iter(changed.recipe.params.items()))
        _check_round_trip(_saver(changed, another, keywords)[0], another, problem, f"built with {name}={value:g}, ")
    return "; ".join(filter(None, [note, f"loads only with trusted={list(trusted)}" if trusted else ""])) or None


@check(
    "no-pickle",
    "Saving writes no pickle, and loading reads none: a file that somebody else has made runs no code.",
    remedy="Write numbers, strings and arrays: JSON, safetensors, numpy.savez, or the model format of the library "
    "underneath; leave out pickle, joblib, torch.save and arrays of objects.",
)
def no_pickle(trial: Trial) -> str:
    """Seen in what Python executes meanwhile, and in the files."""
    problem = trial.problem(3, 16)
    head, built_with = _trained(trial, problem)
    saver, _ = _saver(trial, head, built_with)
    try:
        traces, written = _traces_of_pickle(saver, head)
        if traces:
            # What a library does when it is used first, such as reading tables of its own, is not done again.
            traces, written = _traces_of_pickle(saver, head)
    except (CheckSkipped, *PASSED_THROUGH):
        raise
    except BaseException as error:
        raise CheckSkipped("it can't be saved and loaded, see the check 'save-load'") from error
    if traces:
        raise CheckFailed("; ".join(traces[:3]))
    return written


def _traces_of_pickle(saver: _Saver, head: Any) -> tuple[list[str], str]:
    """Save and load a head; return what gives a pickle away, and what was written."""
    with _folder() as folder:
        with watched_pickling() as saving:
            record = saver.write(folder, head)
        with watched_pickling() as loading:
            saver.read(folder, record)
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        pickles = [name for name, path in files.items() if holds_pickle(path)]
    traces = [f"saving {event}" for event in saving[:1]] + [f"loading {event}" for event in loading[:1]]
    traces += [f"{name} is a pickle, or has one inside" for name in pickles]
    return traces, f"format {record.metadata['format']!r}: {', '.join(files) or 'no file'}"


# Heads to be saved


def _trained(trial: Trial, problem: Problem) -> tuple[Any, dict[str, Any]]:
    head, built_with = trial.build(problem.num_classes, problem.embedding_size)
    trial.train(head, problem.embeddings, problem.labels)
    return head, built_with


def _saver(trial: Trial, head: Any, built_with: Mapping[str, Any]) -> tuple[_Saver, str]:
    """Return what saves a head, and a note for the report where one is due."""
    recipe = trial.recipe
    built = _Saver(trial, recipe, built_with, recipe.factory if recipe.info is None else None)
    if not isinstance(recipe.factory, Copies):
        return built, ""
    given = _Saver(trial, None, None, type(head))
    try:
        with _folder() as folder:
            given.write(folder, head)
    except CheckFailed as failure:
        if trial.differentiable:
            # What it was built with can't be seen from outside; a user who passes a factory can save it all the same.
            return built, f"it can be saved only if it is built by a class or function: {failure.seen}"
    except Exception:  # said by the check, where it matters
        return given, ""
    return given, ""


def _built_otherwise(trial: Trial, head: Any, problem: Problem) -> tuple[Trial, Any, dict[str, Any]] | None:
    """Return a trial in which a parameter has another value, with a trained head and its keywords.

    Rather one that matters for the predictions; None if no parameter has a number for its default.
    """
    usual = Trained(head, trial.contract).probabilities(problem.unseen)
    found = None
    for name, value in list(_other_values(trial.recipe.factory))[:_MOST_TRIED]:
        try:
            changed = replace(trial, recipe=replace(trial.recipe, params={name: value}))
            another, keywords = _trained(changed, problem)
            unusual = Trained(another, trial.contract).probabilities(problem.unseen)
        except CheckFailed:  # the value is none that it takes
            continue
        if usual.shape != unusual.shape or not np.allclose(usual, unusual, rtol=1e-3):
            return changed, another, keywords
        found = found or (changed, another, keywords)
    return found


def _other_values(factory: Callable[..., Any]) -> Iterator[tuple[str, float]]:
    """Yield parameters that have a number for their default, with another number; fractions first."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # as some builtins
        return
    usable = [each for each in parameters if each.kind is not each.POSITIONAL_ONLY and each.name not in _NO_CHOICE]
    for each in usable:
        if isinstance(each.default, float) and np.isfinite(each.default):
            yield each.name, 0.5 * each.default if each.default else 0.5
    for each in usable:
        if type(each.default) is int:
            yield each.name, each.default + 1


# There and back


def _check_round_trip(saver: _Saver, head: Any, problem: Problem, how: str = "") -> tuple[Any, tuple[str, ...]]:
    """Save, load and compare; return the loaded head and the types that had to be trusted."""
    trial = saver.trial
    rows = np.concatenate([problem.unseen, problem.between(64, trial.seed)])
    before = _answers(trial, head, rows)
    with _folder() as folder:
        (folder / "written").mkdir()
        record = _asked(f"{how}saving the head", saver.write, folder / "written", head)
        _compare(before, _answers(trial, head, rows), f"{how}the head itself predicts otherwise after it was saved")
        # The core, too, writes into a folder of its own and moves it to where the user wants it.
        place = (folder / "written").rename(folder / "moved")
        loaded, trusted = _asked(f"{how}loading the head", saver.read, place, record)
    if loaded is head:
        raise CheckFailed(f"{how}loading returned the very object that was saved, so it was not read from a file")
    _compare(before, _answers(trial, loaded, rows), f"{how}the loaded head predicts otherwise than the saved one")
    _compare_parameters(head, loaded, how)
    return loaded, trusted


def _check_training(trial: Trial, head: Any, loaded: Any) -> None:
    """See that a loaded head can be trained like the one that was saved."""
    problem = trial.problem(3, 16, seed=1)
    try:
        trial.train(head, problem.embeddings, problem.labels)
    except CheckFailed:  # it can't be trained twice, which is for another check to say
        return
    _asked("training the loaded head", trial.train, loaded, problem.embeddings, problem.labels)
    if trial.differentiable:
        ours, theirs = (Trained(each, trial.contract).accuracy(problem) for each in (loaded, head))
        if ours < theirs - 0.25:
            raise CheckFailed(
                f"trained again, the loaded head classifies {ours:.0%} of new examples rightly, the saved one "
                f"{theirs:.0%}"
            )
        return
    expected = _answers(trial, head, problem.unseen)
    _compare(expected, _answers(trial, loaded, problem.unseen), "trained again, the loaded head predicts otherwise")


def _compare_parameters(head: Any, loaded: Any, how: str) -> None:
    before, after = _parameters(head), _parameters(loaded)
    for name in before:
        if name in after and repr(before[name]) != repr(after[name]):  # by text, as NaN is not equal to itself
            raise CheckFailed(f"{how}the loaded head has {name}={after[name]!r}, the saved one {name}={before[name]!r}")


def _parameters(head: Any) -> dict[str, Any]:
    get_params = getattr(head, "get_params", None)
    if not callable(get_params):
        return {}
    try:
        parameters = dict(get_params())
    except Exception:  # not what scikit-learn means by the name
        return {}
    return {name: value for name, value in parameters.items() if isinstance(value, _PLAIN)}


@dataclass(frozen=True)
class _Answers:
    ids: Array
    probabilities: Array


def _answers(trial: Trial, head: Any, rows: Array) -> _Answers:
    trained = Trained(head, trial.contract)
    return _Answers(trained.ids(rows).copy(), trained.probabilities(rows).copy())


def _compare(before: _Answers, after: _Answers, seen: str) -> None:
    if before.probabilities.shape != after.probabilities.shape:
        raise CheckFailed(
            f"{seen}: probabilities of shape {list(after.probabilities.shape)} instead of "
            f"{list(before.probabilities.shape)}"
        )
    far = ~np.isclose(before.probabilities, after.probabilities, rtol=1e-4, atol=1e-6, equal_nan=True)
    if far.any():
        off = np.abs(before.probabilities - after.probabilities).max()
        raise CheckFailed(f"{seen}: {int(far.any(axis=1).sum())} of {len(far)} rows, by up to {off:.2g}")
    top = np.sort(before.probabilities, axis=1)[:, -2:]
    other = (before.ids != after.ids) & (top[:, -1] - top[:, 0] > 1e-4)
    if other.any():
        raise CheckFailed(f"{seen}: other class ids for {int(other.sum())} of {len(other)} rows")


def _asked(what: str, call: Callable[..., Any], *arguments: Any) -> Any:
    return asked(what, functools.partial(call, *arguments))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="setfit-core-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
