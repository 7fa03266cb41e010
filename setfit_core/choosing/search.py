"""Searching for a head and its parameters: cross-validated, with optuna's proposals."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from setfit_core.choosing.candidates import Candidate, Heads, one_line, read_candidates
from setfit_core.choosing.compare import FOLDS, REPEATS, checked_training, fold_scores
from setfit_core.choosing.comparison import METRICS, Estimate, Metric
from setfit_core.choosing.folds import Fold, check_division, folds_a_repeat, make_folds
from setfit_core.choosing.found import HeadSearch, SearchTrial
from setfit_core.choosing.out_of_fold import FoldResult, cross_fit
from setfit_core.choosing.task import EmbeddingModel, Task, make_task
from setfit_core.errors import ArgumentError, HeadError, SetFitError
from setfit_core.evaluation.scores import log_loss
from setfit_core.heads.construction import HeadRecipe
from setfit_core.heads.held import HeldHead
from setfit_core.heads.search_spaces import search_space_of
from setfit_core.heads.settings import HeadTraining
from setfit_core.registry.loading import PASSED_THROUGH
from setfit_core.search_space import Choices, Range, SearchSpace, checked_search_space
from setfit_core.values import is_number, one_of, positive_integer

if TYPE_CHECKING:
    import optuna


def search_heads(
    model_or_embeddings: EmbeddingModel | Any,
    texts: Sequence[str] | None,
    labels: Sequence[Any],
    heads: Heads | None = None,
    *,
    n_trials: int = 50,
    timeout: float | None = None,
    seed: int = 42,
    metric: Metric = "log_loss",
    folds: int = FOLDS,
    repeats: int = REPEATS,
    spaces: Mapping[str, Mapping[str, Any]] | None = None,
    training: HeadTraining | None = None,
    multi_target_strategy: str | None = None,
) -> HeadSearch:
    """Search for the head and the parameters that predict best what they were not trained on.

    The texts are embedded once, and every trial is cross-validated on the same folds. Each head is first tried as it is
    given, so that the result is never worse than that. The other trials are proposed by optuna's TPE (Bergstra et al.,
    "Algorithms for Hyper-Parameter Optimization", 2011) among the heads that have a search space. The score of the best
    of many trials is flattering; for what to expect of it, test on other texts.

    Args:
        model_or_embeddings: A model, whose body, settings and labels count, and whose own head doesn't; or embeddings,
            floats `[n, embedding_size]`.
        texts: The texts; may be None beside embeddings.
        labels: The labels, one a text.
        heads: The heads, as in `compare.compare_heads`; parameters that are given here stay as they are. None for all
            that are installed.
        n_trials: How many trials, the first ones included: at least one a head.
        timeout: Seconds after which no trial is started any more; the first one always is. None for no limit.
        seed: Seed of the proposals, of the divisions, and of the heads unless `training` has another.
        metric: What is searched for: `"log_loss"`, `"accuracy"` or `"macro_f1"`.
        folds: Into how many folds the texts are divided; fewer if a class has fewer texts (`folds.make_folds`).
        repeats: How often they are divided anew.
        spaces: By the name of a head in `heads`, the parameters to try instead of those that the head declares, such as
            `{"logistic": {"C": {"low": 0.01, "high": 100.0, "log": True}}}`; see `setfit_core.search_space`.
        training: How differentiable heads are trained; None for the defaults of `SetFitModel.fit`.
        multi_target_strategy: For several labels a text, beside embeddings; a model has its own.

    Returns:
        All trials, the best one at hand; the same arguments give the same trials, unless time runs out.

    Raises:
        SetFitError: If optuna isn't installed.
        InputError: If texts, embeddings or labels can't be used.
        ArgumentError: If another argument has no meaning.
        HeadParameterError: If a head doesn't take a parameter of `spaces`.
    """
    _optuna()
    training = checked_training(training, seed)
    searched = searched_heads(heads, spaces)
    check_search(searched, n_trials, timeout, metric)
    check_division(folds, repeats, seed)
    task = make_task(model_or_embeddings, texts, labels, multi_target_strategy)
    divisions = make_folds(task.targets, folds=folds, repeats=repeats, seed=seed)
    return search_on(
        task,
        searched,
        lambda _: divisions,
        training,
        n_trials=n_trials,
        timeout=timeout,
        seed=seed,
        metric=metric,
    )


@dataclass(frozen=True)
class SearchedHead:
    """A head, and which of its parameters a search tries.

    Attributes:
        candidate: The head as it was given.
        space: The parameters; none if it has no search space.
    """

    candidate: Candidate
    space: SearchSpace


def searched_heads(heads: Heads | None, spaces: Mapping[str, Any] | None) -> tuple[SearchedHead, ...]:
    """Find out what builds each head, and which parameters to try; see `search_heads`.

    Raises:
        ArgumentError: If heads or spaces have no meaning.
        HeadParameterError: If a head doesn't take a parameter of `spaces`.
    """
    candidates = read_candidates(heads)
    spaces = {} if spaces is None else spaces
    if not isinstance(spaces, Mapping):
        msg = f"spaces is a {type(spaces).__name__}. Give a mapping from names of heads to their search spaces."
        raise ArgumentError(msg)
    names = [candidate.name for candidate in candidates]
    strange = [name for name in spaces if name not in names]
    if strange:
        msg = f"spaces names {strange}, but the heads are {names}. Correct the names."
        raise ArgumentError(msg)
    return tuple(_searched(candidate, spaces.get(candidate.name)) for candidate in candidates)


def _searched(candidate: Candidate, space: Any) -> SearchedHead:
    recipe = candidate.recipe
    if recipe is None:
        return SearchedHead(candidate, {})
    if space is not None:
        try:
            checked = checked_search_space(space)
        except ValueError as error:
            msg = f"The search space of {candidate.name!r} {error}."
            raise ArgumentError(msg) from error
        _with(recipe, dict.fromkeys(checked))  # does the head take them?
        return SearchedHead(candidate, checked)
    try:
        declared = search_space_of(recipe)
        _with(recipe, dict.fromkeys(declared))
    except HeadError as error:
        return SearchedHead(replace(candidate, recipe=None, error=one_line(error)), {})
    return SearchedHead(candidate, {name: domain for name, domain in declared.items() if name not in recipe.params})


def search_on(
    task: Task,
    searched: Sequence[SearchedHead],
    folds_for: Callable[[Mapping[str, Any]], Sequence[Fold]],
    training: HeadTraining,
    *,
    body_space: SearchSpace = MappingProxyType({}),
    n_trials: int,
    timeout: float | None,
    seed: int,
    metric: Metric,
) -> HeadSearch:
    """Search among heads on a task, and for arguments of the body's training if there is a space of them.

    Args:
        task: The labelled embeddings.
        searched: The heads.
        folds_for: Returns the folds for arguments from `body_space`; for none of them, those that are given anyway.
        training: How differentiable heads are trained.
        body_space: Arguments of the body's training to try along with each head.
        n_trials: How many trials.
        timeout: Seconds after which no trial is started any more, or None.
        seed: Seed of the proposals.
        metric: What is searched for.

    Raises:
        ArgumentError: If an argument has no meaning.
        SetFitError: If optuna isn't installed.
    """
    check_search(searched, n_trials, timeout, metric)
    optuna = _optuna()
    evaluation = _Evaluation(task, folds_for, training, metric)
    ends = math.inf if timeout is None else time.perf_counter() + timeout
    trials: list[SearchTrial] = []
    tried: dict[tuple[tuple[str, Any], ...], SearchTrial] = {}  # few choices are proposed again and again
    with _quiet(optuna):
        proposals = _Proposals(optuna, searched, body_space, metric, seed)
        for head in searched:
            if not trials or time.perf_counter() < ends:
                trials.append(evaluation.run(head.candidate, {}))
                proposals.learn_given(trials[-1])
        while proposals.possible and len(trials) < n_trials and time.perf_counter() < ends:
            proposal, candidate, arguments = proposals.next()
            drawn = tuple(proposal.params.items())
            tried[drawn] = tried.get(drawn) or evaluation.run(candidate, arguments)
            trials.append(tried[drawn])
            proposals.learn(proposal, trials[-1])
    given = folds_for({})
    return HeadSearch(tuple(trials), metric, len(task), folds_a_repeat(given), len({fold.repeat for fold in given}))


def check_search(searched: Sequence[SearchedHead], n_trials: Any, timeout: Any, metric: Any) -> None:
    """Raise `ArgumentError` unless heads can be searched for like this; see `search_heads`."""
    one_of("metric", metric, METRICS)
    positive_integer("n_trials", n_trials)
    if n_trials < len(searched):
        msg = (
            f"n_trials is {n_trials}, but there are {len(searched)} heads, each of which is tried as it is. Give more."
        )
        raise ArgumentError(msg)
    if timeout is not None and not (is_number(timeout) and timeout > 0):
        msg = f"timeout is {timeout!r}. Give seconds, a number above 0, or None."
        raise ArgumentError(msg)


@dataclass(frozen=True)
class _Evaluation:
    """How every trial is evaluated."""

    task: Task
    folds_for: Callable[[Mapping[str, Any]], Sequence[Fold]]
    training: HeadTraining
    metric: Metric

    def run(self, candidate: Candidate, arguments: Mapping[str, Any]) -> SearchTrial:
        """Cross-validate a head on a body that was trained with these arguments."""
        recipe = candidate.recipe
        start = time.perf_counter()
        score, error = (None, candidate.error) if recipe is None else self._score(recipe, arguments)
        return SearchTrial(candidate.name, recipe, score, time.perf_counter() - start, error, arguments)

    def _score(self, recipe: HeadRecipe, arguments: Mapping[str, Any]) -> tuple[Estimate | None, str | None]:
        def build() -> HeldHead:
            return self.task.build(recipe, self.training.seed)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # dozens of trials would give the same ones
            try:
                values = self._values(list(cross_fit(self.task, build, self.training, self.folds_for(arguments))))
            except PASSED_THROUGH:
                raise
            except BaseException as error:  # a plugin may raise or exit in any way
                return None, one_line(error)
        if not values:
            return None, "It has no predict_proba, so there is no log loss. Search with metric='accuracy'."
        return Estimate.of(values), None

    def _values(self, results: Sequence[FoldResult]) -> list[float]:
        """Return the metric of each fold; none for the log loss of a head without probabilities."""
        if self.metric != "log_loss":
            return [getattr(score, self.metric) for score in fold_scores(self.task, results)]
        return [  # alone, since the other scores take longer than the training of a small head
            log_loss(self.task.targets[result.fold.test], result.probabilities)
            for result in results
            if result.probabilities is not None
        ]


class _Proposals:
    """Optuna's proposals, among the heads that have a search space; among all if the body's training has one."""

    def __init__(
        self,
        optuna: ModuleType,
        searched: Sequence[SearchedHead],
        body_space: SearchSpace,
        metric: Metric,
        seed: int,
    ) -> None:
        self._optuna = optuna
        self._body_space = body_space
        self._heads = {head.candidate.name: head for head in searched if head.space or body_space}
        # `group` samples the parameters of each head together, which no trial has in common with the other heads.
        self._study = optuna.create_study(
            direction="minimize" if metric == "log_loss" else "maximize",
            sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True),
        )

    @property
    def possible(self) -> bool:
        """Whether there is anything to propose."""
        return bool(self._heads)

    def next(self) -> tuple[optuna.Trial, Candidate, Mapping[str, Any]]:
        """Return a proposal, and the head and the arguments of the body's training that it means."""
        proposal = self._study.ask()
        head = self._heads[proposal.suggest_categorical("head", list(self._heads))]
        drawn = {
            name: _drawn(proposal, f"{head.candidate.name}: {name}", domain) for name, domain in head.space.items()
        }
        arguments = {name: _drawn(proposal, name, domain) for name, domain in self._body_space.items()}
        recipe = head.candidate.recipe
        return proposal, replace(head.candidate, recipe=None if recipe is None else _with(recipe, drawn)), arguments

    def learn(self, proposal: optuna.Trial, trial: SearchTrial) -> None:
        """Tell how good a proposal was."""
        self._study.tell(proposal, **self._outcome(trial))

    def learn_given(self, trial: SearchTrial) -> None:
        """Tell how good a head is as it was given."""
        if trial.head in self._heads:
            choice = self._optuna.distributions.CategoricalDistribution(list(self._heads))
            outcome = self._outcome(trial)
            made = self._optuna.trial.create_trial(
                state=outcome["state"],
                value=outcome["values"],
                params={"head": trial.head},
                distributions={"head": choice},
            )
            self._study.add_trial(made)

    def _outcome(self, trial: SearchTrial) -> dict[str, Any]:
        # The sampler passes over failed trials and would propose their like again; pruned ones count as the worst.
        states = self._optuna.trial.TrialState
        if trial.score is None:
            return {"state": states.PRUNED, "values": None}
        return {"state": states.COMPLETE, "values": trial.score.mean}


def _drawn(proposal: optuna.Trial, name: str, domain: Range | Choices) -> Any:
    if isinstance(domain, Choices):
        return proposal.suggest_categorical(name, domain.values)
    if domain.whole:
        return proposal.suggest_int(name, int(domain.low), int(domain.high), log=domain.log)
    return proposal.suggest_float(name, domain.low, domain.high, log=domain.log)


def _with(recipe: HeadRecipe, params: Mapping[str, Any]) -> HeadRecipe:
    return replace(recipe, params={**recipe.params, **params})


def _optuna() -> ModuleType:
    try:
        import optuna
    except ImportError as error:
        msg = 'A search needs optuna. Install it: pip install "setfit-core[search]"'
        raise SetFitError(msg) from error
    return optuna


@contextmanager
def _quiet(optuna: ModuleType) -> Iterator[None]:
    """Keep optuna from logging each trial, and from warning that the sampler's `group` is experimental."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
