"""Where a head's search space is found: its hook, then its class; and what is said of one that is none."""

import functools
import itertools

import pytest

from setfit_core.errors import NonConformingHeadError
from setfit_core.heads.construction import head_recipe
from setfit_core.heads.search_spaces import search_space_of
from setfit_core.search_space import Choices, Range

PLUGIN = """
import pluggy

hookimpl = pluggy.HookimplMarker("setfit")

class Head:
    setfit_head = {{"search_space": {{"width": {{"low": 1, "high": 9}}}}}}

    def __init__(self, width=1): ...
    def fit(self, embeddings, labels): ...
    def predict(self, embeddings): ...
    def predict_proba(self, embeddings): ...

def build(width=1):
    return Head(width)

@hookimpl
def setfit_head_factory():
    return {factory}
"""
HOOK = """
@hookimpl
def setfit_search_space():
    {body}
"""
DECLARED = {"width": Range(1, 9)}
# What is loaded stays loaded: each test has names of its own.
NUMBERS = itertools.count()


@pytest.fixture
def recipe_of(site):
    """A function that installs a plugin of two heads, one with and one without the hook, and returns their recipes."""

    def recipes(body, factory="Head"):
        number = next(NUMBERS)
        with_hook, without = f"fx_space_{number}", f"fx_spaceless_{number}"
        site.module(with_hook, PLUGIN.format(factory=factory) + HOOK.format(body=body))
        site.module(without, PLUGIN.format(factory=factory))
        site.distribution("fx-spaces", {with_hook: with_hook, without: without})
        return head_recipe(with_hook), head_recipe(without)

    return recipes


def test_the_hook_comes_before_the_class_and_serves_no_other_head(recipe_of):
    with_hook, without = recipe_of("return {'width': {'choices': [2, None]}}")
    assert search_space_of(with_hook) == {"width": Choices((2, None))}
    assert search_space_of(without) == DECLARED


def test_a_hook_that_returns_none_leaves_it_to_the_class(recipe_of):
    assert search_space_of(recipe_of("return None")[0]) == DECLARED


def test_an_empty_space_of_the_hook_counts(recipe_of):
    assert search_space_of(recipe_of("return {}")[0]) == {}


def test_a_function_is_not_called_for_its_class(recipe_of):
    with_hook, without = recipe_of("return {'width': {'choices': [2]}}", factory="build")
    assert search_space_of(with_hook) == {"width": Choices((2,))}
    assert search_space_of(without) == search_space_of(head_recipe(functools.partial(without.factory, width=2))) == {}


def test_a_class_of_another_library_can_be_declared_for():
    recipe = head_recipe("sklearn.svm:SVC")
    assert search_space_of(recipe) == {}
    declared = {"search_space": {"C": {"low": 0.1, "high": 10.0, "log": True}}}
    assert search_space_of(recipe, declared) == {"C": Range(0.1, 10.0, log=True)}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return {'width': {'low': 2, 'high': 1}}", "search space from the hook .* for 'width': low and high are"),
        ("return ['width']", "search space from the hook .* is of the type list"),
        ("raise SystemExit('gone')", "hook .* raised SystemExit: gone"),
    ],
)
def test_a_bad_hook_is_named(recipe_of, body, said):
    with_hook, without = recipe_of(body)
    with pytest.raises(NonConformingHeadError, match=said) as caught:
        search_space_of(with_hook)
    assert f"setfit_search_space of the head {with_hook.info.qualified_name!r}" in str(caught.value)
    assert search_space_of(without) == DECLARED
