"""Building: which keywords reach the factory, what becomes of its errors, and the random state around it."""

import inspect
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC
from torch import nn

from setfit_core.errors import AmbiguousHeadError, HeadParameterError, LabelError, NonConformingHeadError
from setfit_core.heads.construction import head_recipe

FROM_CORE = {"in_features": 5, "out_features": 3, "device": "cpu", "random_state": 11}


class Module(nn.Module):
    def __init__(self, in_features, out_features, device="cpu"):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, device=device)
        self.noise = np.random.rand(), random.random()

    def forward(self, features):
        return {"logits": self.linear(features["sentence_embedding"])}

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(-1)

    def predict_proba(self, embeddings):
        return self.linear(embeddings).softmax(-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


# Keywords


def test_the_default_head_looks_as_if_the_user_had_made_it():
    head, keywords = head_recipe("logistic").build(in_features=384, out_features=2, device="cpu")
    assert repr(head) == "LogisticRegression()"
    assert keywords == {}


def test_a_random_state_is_passed_only_if_there_is_one():
    assert head_recipe("logistic").build(random_state=0)[0].random_state == 0
    assert head_recipe("logistic").build(random_state=None)[0].random_state is None
    assert head_recipe("logistic", {"random_state": 3}).build(random_state=0)[1] == {"random_state": 3}


def test_the_linear_head_gets_its_sizes():
    head, keywords = head_recipe("linear", {"temperature": 2.0}).build(in_features=4, out_features=3, device="cpu")
    assert keywords == {"in_features": 4, "out_features": 3, "device": "cpu", "temperature": 2.0}
    assert (head.in_features, head.out_features, head.temperature) == (4, 3, 2.0)
    assert keywords == {key: value for key, value in head.get_config_dict().items() if key in keywords}


def test_the_user_has_the_last_word_even_with_none():
    params = {"in_features": None, "out_features": 7}
    _, keywords = head_recipe("linear", params).build(in_features=4, out_features=3, device="cpu")
    assert keywords == {"in_features": None, "out_features": 7, "device": "cpu"}


@pytest.mark.parametrize("multi_label", [False, True])
def test_several_labels_are_announced_where_they_are_understood(multi_label):
    def factory(multi_label=False, multitarget=False):
        return LogisticRegression()

    _, keywords = head_recipe(factory).build(multi_label=multi_label)
    assert keywords == ({"multi_label": True, "multitarget": True} if multi_label else {})
    _, keywords = head_recipe(factory, {"multitarget": False}).build(multi_label=multi_label)
    assert keywords["multitarget"] is False


def test_a_required_number_of_classes_that_nobody_knows_is_two():
    _, keywords = head_recipe(Module).build(in_features=3)
    assert keywords == {"in_features": 3, "out_features": 2}
    _, keywords = head_recipe(lambda out_features=9: LogisticRegression()).build()
    assert keywords == {}


def test_a_required_parameter_that_nobody_gives():
    with pytest.raises(HeadParameterError, match=r"needs 'in_features'.*head_params=\{'in_features': \.\.\.\}"):
        head_recipe(Module).build(out_features=2)
    called = []
    with pytest.raises(HeadParameterError, match="needs 'a', 'b'"):
        head_recipe(lambda a, b, c=1, **more: called.append(1)).build(**FROM_CORE)
    assert called == []


NAMES = ["in_features", "out_features", "device", "random_state", "multi_label", "multitarget", "alpha", "beta"]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    parameters=st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), unique_by=lambda p: p[0]),
    params=st.dictionaries(st.sampled_from(NAMES), st.one_of(st.none(), st.integers(0, 3))),
    known=st.dictionaries(st.sampled_from(NAMES[:4]), st.integers(1, 9)),
    multi_label=st.booleans(),
    double_star=st.booleans(),
)
def test_keywords_come_from_the_user_and_else_from_the_core(parameters, params, known, multi_label, double_star):
    received = []

    def factory(**keywords):
        received.append(keywords)
        return LogisticRegression()

    Parameter = inspect.Parameter
    signature = [
        Parameter(name, Parameter.KEYWORD_ONLY, default="default" if optional else Parameter.empty)
        for name, optional in parameters
    ]
    if double_star:
        signature.append(Parameter("more", Parameter.VAR_KEYWORD))
    factory.__signature__ = inspect.Signature(signature)
    named = dict(parameters)
    core = {**known, **({"multi_label": True, "multitarget": True} if multi_label else {})}
    expected = {**{name: value for name, value in core.items() if name in named}, **params}
    if "out_features" in named and not named["out_features"]:
        expected.setdefault("out_features", 2)

    if not double_star and not params.keys() <= named.keys():
        with pytest.raises(HeadParameterError, match="doesn't accept"):
            head_recipe(factory, params)
    elif not {name for name, optional in parameters if not optional} <= expected.keys():
        with pytest.raises(HeadParameterError, match="nobody has given"):
            head_recipe(factory, params).build(**known, multi_label=multi_label)
    else:
        _, keywords = head_recipe(factory, params).build(**known, multi_label=multi_label)
        assert keywords == expected
        assert received == [expected]


# Errors


@pytest.mark.parametrize("error", [TypeError, ValueError])
def test_a_factory_that_refuses_its_parameters(error):
    def factory(scale):
        raise error("scale must be 3")

    with pytest.raises(HeadParameterError, match=r"\(scale=2\), it raised \w+Error: scale must be 3") as caught:
        head_recipe(factory, {"scale": 2}).build()
    assert type(caught.value.__cause__) is error


def test_the_linear_head_refuses_a_temperature_of_zero():
    with pytest.raises(HeadParameterError, match="temperature must be greater than 0"):
        head_recipe("linear", {"temperature": 0}).build(in_features=3, device="cpu")


def test_long_values_are_cut_in_the_message():
    def factory(weights):
        raise ValueError("no")

    with pytest.raises(HeadParameterError) as caught:
        head_recipe(factory, {"weights": list(range(10_000))}).build()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("error", [RuntimeError("no GPU"), OSError("no disk"), LabelError("ours"), SystemExit(3)])
def test_other_errors_of_a_factory_pass_through(error):
    def factory():
        raise error

    with pytest.raises(type(error)) as caught:
        head_recipe(factory).build()
    assert caught.value is error


def test_what_was_built_is_examined():
    with pytest.raises(NonConformingHeadError, match="(?s)What the head .*<lambda> built .*`fit` is missing"):
        head_recipe(lambda: object()).build()
    with pytest.raises(NonConformingHeadError):
        head_recipe(lambda: None).build()
    both = type("Both", (Module,), {"fit": LogisticRegression.fit})
    with pytest.raises(AmbiguousHeadError, match="What the head"):
        head_recipe(lambda: both(2, 2)).build()
    with pytest.raises(HeadParameterError, match="gave the class LinearSVC instead"):
        head_recipe(lambda: LinearSVC).build()


def test_a_head_without_probabilities_can_be_built():
    head, _ = head_recipe("sklearn.svm:LinearSVC", {"C": 0.5}).build(in_features=3, random_state=4)
    assert repr(head) == "LinearSVC(C=0.5, random_state=4)"


def test_an_entry_point_is_named_in_errors(site, head_source):
    site.module("made_up_heads", head_source("Head") + "\ndef broken(scale=1): return 5")
    site.distribution("made-up", {"made-up": "made_up_heads:Head", "broken": "made_up_heads:broken"})
    recipe = head_recipe("made-up", {"scale": 2})
    head, keywords = recipe.build(in_features=3, out_features=4)
    assert (head.scale, keywords) == (2, {"in_features": 3, "scale": 2})
    assert recipe.info.distribution == "made-up"
    with pytest.raises(HeadParameterError, match="The head 'made-up:made-up' doesn't accept"):
        head_recipe("made-up:made-up", {"x": 2})
    with pytest.raises(NonConformingHeadError, match="What the head 'made-up:broken' built"):
        head_recipe("broken").build()


# Random state


def global_draws():
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), [random.random() for _ in range(3)]


def seed_everything(seed):
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


@pytest.mark.parametrize("head", [Module, "linear", MLPClassifier, lambda: [global_draws(), LogisticRegression()][1]])
def test_building_disturbs_no_random_state(head):
    seed_everything(5)
    undisturbed = global_draws()
    seed_everything(5)
    head_recipe(head).build(**FROM_CORE)
    assert global_draws() == undisturbed


def test_a_failing_factory_disturbs_no_random_state_either():
    def factory():
        global_draws()
        raise RuntimeError("late")

    seed_everything(5)
    undisturbed = global_draws()
    seed_everything(5)
    with pytest.raises(RuntimeError, match="late"):
        head_recipe(factory).build()
    assert global_draws() == undisturbed


def build(seed, params=None, **more):
    head, _ = head_recipe(Module, params).build(in_features=4, out_features=3, random_state=seed, **more)
    return head.linear.weight.tolist(), head.noise


def test_the_same_seed_gives_the_same_head_whatever_happened_before():
    seed_everything(1)
    first = build(7)
    seed_everything(2)
    assert build(7) == first
    assert build(8)[0] != first[0]
    assert build(8)[1] != first[1]


def test_without_a_seed_it_is_42_and_zero_is_a_seed():
    assert build(None) == build(42)
    assert build(0) != build(42)


def test_a_seed_too_large_for_numpy_is_a_seed_too():
    assert build(2**40 + 7) == build(7)
    assert build(-1) == build(-1)


def test_the_users_own_random_state_seeds_the_building():
    def factory(random_state=None):
        return Module(4, 3)

    def weights(params, **keywords):
        return head_recipe(factory, params).build(**keywords)[0].linear.weight.tolist()

    assert weights({"random_state": 9}) == weights({}, random_state=9)
    assert weights({"random_state": 9}, random_state=8) == weights({}, random_state=9)
    assert weights({"random_state": np.random.RandomState(3)}) == weights({})


def test_a_factory_that_brings_torch_along_is_seeded_as_well(tmp_path):
    """In a process of its own, where nothing has imported torch before the factory does."""
    import subprocess
    import sys

    code = """
import sys
from setfit_core.heads.construction import head_recipe
def factory():
    import torch
    class Head(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 2)
        def forward(self, features): ...
        def predict(self, X): ...
        def predict_proba(self, X): ...
        def get_loss_fn(self): ...
    return Head()
recipe = head_recipe(factory)
assert not {"torch", "numpy"} & set(sys.modules)
first, second = (recipe.build()[0].linear.weight.tolist() for _ in range(2))
assert first == second
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
