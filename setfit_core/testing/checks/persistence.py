"""Checks of saving and loading, as the core does it: through the head's own hooks or in one of the core's formats."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np

from setfit_core.registry.loading import PASSED_THROUGH
from setfit_core.testing.answers import answers, asked_rows, require_unmoved
from setfit_core.testing.check import CheckFailed, CheckSkipped, check
from setfit_core.testing.pickles import holds_pickle, watched_pickling
from setfit_core.testing.problems import Problem
from setfit_core.testing.saving import Saver, saver_of, temporary_folder
from setfit_core.testing.trial import Trained, Trial, asked

#: Parameters that the core gives, or that mean nothing for what a head predicts.
_NO_CHOICE: Final = frozenset(
    {"device", "in_features", "multi_label", "multitarget", "n_jobs", "out_features", "random_state", "verbose"}
)
_MOST_TRIED: Final = 6
#: Of probabilities: files hold all digits of a number.
_EXACTLY: Final = 2e-6
_MUCH_WORSE: Final = 0.25
_PLAIN: Final = (bool, int, float, str, type(None))


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
    saver, note = saver_of(trial, head, built_with)
    loaded, trusted = _check_round_trip(saver, head, problem)
    _check_round_trip(saver, loaded, problem, "loaded before, ")
    _check_training(trial, head, loaded)
    other = _built_otherwise(trial, head, problem)
    if other is not None:
        changed, another, keywords = other
        name, value = next(iter(changed.recipe.params.items()))
        _check_round_trip(saver_of(changed, another, keywords)[0], another, problem, f"built with {name}={value:g}, ")
    return "; ".join(filter(None, [note, f"loads only with trusted={list(trusted)}" if trusted else ""])) or None


@check(
    "no-pickle",
    "Saving writes no pickle, and loading reads none: a file that somebody else has made runs no code.",
    remedy="Write numbers, strings and arrays: JSON, safetensors, numpy.savez, or the model format of the library "
    "underneath; leave out pickle, joblib, torch.save and arrays of objects.",
)
def no_pickle(trial: Trial) -> str:
    """Seen in the files, and in what Python executes while they are loaded."""
    problem = trial.problem(3, 16)
    head, built_with = _trained(trial, problem)
    saver, _ = saver_of(trial, head, built_with)
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


def _traces_of_pickle(saver: Saver, head: Any) -> tuple[list[str], str]:
    """Save and load a head; return what gives a pickle away, and what was written."""
    with temporary_folder() as folder:
        record = saver.write(folder, head)
        with watched_pickling() as events:
            saver.read(folder, record)
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        traces = [f"{name} is a pickle, or has one inside" for name, path in files.items() if holds_pickle(path)]
    traces += [f"loading {event}" for event in events]
    return traces, f"format {record.metadata['format']!r}: {', '.join(files) or 'no file'}"


# Heads to be saved


def _trained(trial: Trial, problem: Problem) -> tuple[Any, dict[str, Any]]:
    head, built_with = trial.build(problem.num_classes, problem.embedding_size)
    trial.train(head, problem.embeddings, problem.labels)
    return head, built_with


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


def _check_round_trip(saver: Saver, head: Any, problem: Problem, how: str = "") -> tuple[Any, tuple[str, ...]]:
    """Save, load and compare; return the loaded head and the types that had to be trusted."""
    trial = saver.trial
    rows = asked_rows(problem, trial.seed)
    before = answers(Trained(head, trial.contract), rows)
    with temporary_folder() as folder:
        (folder / "written").mkdir()
        record = _asked(f"{how}saving the head", saver.write, folder / "written", head)
        require_unmoved(Trained(head, trial.contract), rows, before, f"{how}after the head was saved", _EXACTLY)
        # The core, too, writes into a folder of its own and moves it to where the user wants it.
        place = (folder / "written").rename(folder / "moved")
        loaded, trusted = _asked(f"{how}loading the head", saver.read, place, record)
    if loaded is head:
        raise CheckFailed(f"{how}loading returned the very object that was saved, so it was not read from a file")
    require_unmoved(Trained(loaded, trial.contract), rows, before, f"{how}after the head was loaded", _EXACTLY)
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
    ours, theirs = Trained(loaded, trial.contract), Trained(head, trial.contract)
    if not trial.differentiable:
        require_unmoved(ours, problem.unseen, answers(theirs, problem.unseen), "trained again after it was loaded")
    elif ours.accuracy(problem) < theirs.accuracy(problem) - _MUCH_WORSE:
        raise CheckFailed(
            f"trained again, the loaded head classifies {ours.accuracy(problem):.0%} of new examples rightly, the "
            f"saved one {theirs.accuracy(problem):.0%}"
        )


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


def _asked(what: str, call: Callable[..., Any], *arguments: Any) -> Any:
    return asked(what, functools.partial(call, *arguments))
