"""What builds a head, found from a string, a class or a function; and its parameters, checked before anything runs."""

import functools
import sys
from typing import ClassVar

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, LinearSVC
from torch import nn

from setfit_core.errors import (
    AmbiguousHeadError,
    ArgumentError,
    BrokenHeadError,
    HeadParameterError,
    NonConformingHeadError,
    UnknownHeadError,
)
from setfit_core.heads.construction import HeadRecipe, head_recipe


class Module(nn.Module):
    def __init__(self, in_features, out_features=2):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, features):
        return {"logits": self.linear(features["sentence_embedding"])}

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(-1)

    def predict_proba(self, embeddings):
        return self.linear(embeddings).softmax(-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


# Strings


@pytest.mark.parametrize("name", ["logistic", "setfit-head-logistic:logistic", "Setfit_Head.Logistic:logistic"])
def test_a_registered_name(name):
    recipe = head_recipe(name, {"C": 2.0})
    assert recipe.factory is LogisticRegression
    assert recipe.params == {"C": 2.0}
    assert recipe.info.qualified_name == "setfit-head-logistic:logistic"


@pytest.mark.parametrize(
    ("path", "target"),
    [("sklearn.svm:LinearSVC", LinearSVC), ("sklearn.linear_model._logistic:LogisticRegression", LogisticRegression)],
)
def test_an_import_path(path, target):
    recipe = head_recipe(path)
    assert recipe.factory is target
    assert recipe.info is None


def test_an_import_path_may_lead_into_a_class(site, head_source):
    site.module("nested_heads", f"class Outer:\n{head_source('Inner').replace(chr(10), chr(10) + '    ')}")
    head, _ = head_recipe("nested_heads:Outer.Inner").build()
    assert type(head).__qualname__ == "Outer.Inner"


def test_an_import_path_may_lead_to_a_function(site, head_source):
    site.module("function_heads", head_source("Head") + "\ndef make(scale): return Head(scale=scale)")
    head, keywords = head_recipe("function_heads:make", {"scale": 3}).build(in_features=5)
    assert head.scale == 3
    assert keywords == {"scale": 3}


def test_a_distribution_comes_before_a_module_of_its_name(site, head_source):
    site.module("twice_named", head_source("Head") + "\nclass Other: ...")
    site.module("twice_named_plugin", head_source("FromPlugin"))
    site.distribution("twice-named", {"Head": "twice_named_plugin:FromPlugin"})
    recipe = head_recipe("twice_named:Head")
    assert recipe.factory.__name__ == "FromPlugin"
    assert recipe.info.qualified_name == "twice-named:Head"
    with pytest.raises(UnknownHeadError, match="offers no head named 'Other', only 'Head'"):
        head_recipe("twice_named:Other")
    assert "twice_named" not in sys.modules


def test_a_module_named_like_a_distribution_without_heads():
    assert head_recipe("sklearn.svm:SVC").factory is SVC


@pytest.mark.parametrize(
    "name", ["logistik", "no-such-dist:logistic", "a b:c", "", ":", "x:", ":x", "a:b:c", "1a:b", "class:b"]
)
def test_a_name_that_is_nowhere(name):
    with pytest.raises(UnknownHeadError):
        head_recipe(name)


def test_a_dotted_name_is_told_how_to_import():
    with pytest.raises(UnknownHeadError, match=r"write 'sklearn\.svm:SVC'"):
        head_recipe("sklearn.svm.SVC")
    with pytest.raises(UnknownHeadError) as caught:
        head_recipe("logistik")
    assert "import" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module_at_all:Head", "importing 'no_such_module_at_all' raised ModuleNotFoundError"),
        ("sklearn.no_such_part:Head", "importing 'sklearn.no_such_part' raised ModuleNotFoundError"),
        ("sklearn.svm:LinearSVCC", "Did you mean 'LinearSVC'?"),
        ("sklearn.svm:LinearSVC.fitt", "Did you mean 'fit'?"),
        ("sklearn.svm:qqqqqq", "looking up 'qqqqqq' raised AttributeError"),
    ],
)
def test_an_import_that_fails_is_a_broken_head(path, message):
    with pytest.raises(BrokenHeadError) as caught:
        head_recipe(path)
    assert message in str(caught.value)
    assert isinstance(caught.value.__cause__, ImportError | AttributeError)


@pytest.mark.parametrize(
    ("statement", "cause"),
    [("raise RuntimeError('boom')", RuntimeError), ("import sys; sys.exit(7)", SystemExit), ("x = (", SyntaxError)],
)
def test_a_module_that_fails_or_exits_is_a_broken_head(site, statement, cause):
    site.module("failing_heads", statement)
    with pytest.raises(BrokenHeadError, match="failing_heads") as caught:
        head_recipe("failing_heads:Head")
    assert isinstance(caught.value.__cause__, cause)


def test_a_look_up_that_fails_is_a_broken_head(site):
    site.module("lazy_heads", "def __getattr__(name): raise OSError('no disk')")
    with pytest.raises(BrokenHeadError, match="OSError: no disk"):
        head_recipe("lazy_heads:Head")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interruption_passes_through(site, error):
    site.module("interrupted_heads", f"raise {error.__name__}")
    with pytest.raises(error):
        head_recipe("interrupted_heads:Head")
    site.module("lazily_interrupted_heads", f"def __getattr__(name): raise {error.__name__}")
    with pytest.raises(error):
        head_recipe("lazily_interrupted_heads:Head")


# Objects


@pytest.mark.parametrize("head", [LinearSVC, SVC, Pipeline, Module, LogisticRegression])
def test_a_class(head):
    assert head_recipe(head) == HeadRecipe(head, {}, None)


class Factory:
    def __call__(self, scale=1):
        return LogisticRegression(C=scale)


@pytest.mark.parametrize(
    "head",
    [
        lambda C=1.0: LogisticRegression(C=C),
        functools.partial(LogisticRegression, max_iter=7),
        Factory().__call__,
        Factory(),
    ],
)
def test_a_function_builds_the_head(head):
    built, _ = head_recipe(head).build(in_features=3)
    assert isinstance(built, LogisticRegression)


@pytest.mark.parametrize("head", [LogisticRegression(), LinearSVC(), Module(3), torch.nn.Linear(2, 2)])
def test_an_instance_is_sent_to_the_model(head):
    with pytest.raises(ArgumentError, match=r"built already.*SetFitModel\(model_body, model_head\)"):
        head_recipe(head)


def test_an_ambiguous_instance_is_an_instance_too():
    cls = type("Both", (Module,), {"fit": LogisticRegression.fit})
    with pytest.raises(ArgumentError, match="built already"):
        head_recipe(cls(3))


@pytest.mark.parametrize("head", [3, None, ["logistic"], "math:pi", "sklearn:svm"])
def test_what_builds_nothing(head):
    with pytest.raises(ArgumentError, match="builds no head"):
        head_recipe(head)


def test_a_class_that_keeps_no_contract():
    with pytest.raises(NonConformingHeadError, match="`fit` is missing"):
        head_recipe(dict)
    with pytest.raises(NonConformingHeadError, match="`predict` is missing"):
        head_recipe("sklearn.decomposition:PCA")
    with pytest.raises(AmbiguousHeadError):
        head_recipe(type("Both", (Module,), {"fit": LogisticRegression.fit}))


# Parameters


def test_an_unknown_parameter_is_found_before_anything_is_built():
    built = []

    def factory(scale=1.0, offset=0.0):
        built.append(1)

    with pytest.raises(HeadParameterError) as caught:
        head_recipe(factory, {"scael": 2, "zzz": 3, "offset": 1})
    message = str(caught.value)
    assert "doesn't accept 'scael', 'zzz'" in message
    assert "Did you mean 'scale' by 'scael'?" in message
    assert "It accepts 'scale', 'offset'." in message
    assert built == []


@pytest.mark.parametrize("head", ["logistic", "sklearn.linear_model:LogisticRegression", LogisticRegression])
def test_the_parameters_of_real_heads_are_checked(head):
    with pytest.raises(HeadParameterError, match="Did you mean 'max_iter' by 'max_itr'"):
        head_recipe(head, {"max_itr": 300})


def test_a_factory_without_parameters():
    with pytest.raises(HeadParameterError, match="It accepts no parameters"):
        head_recipe(lambda: LogisticRegression(), {"C": 1})


def test_a_recipe_checks_itself_however_it_is_made():
    with pytest.raises(HeadParameterError, match="'nope'"):
        HeadRecipe(LogisticRegression, {"nope": 1}, None)


def test_a_factory_with_double_star_takes_anything():
    head, keywords = head_recipe(lambda **more: LogisticRegression(**more), {"C": 3.0}).build(
        in_features=4, out_features=2, device="cpu", random_state=1, multi_label=True
    )
    assert head.C == 3.0
    assert keywords == {"C": 3.0}


def test_a_factory_without_a_readable_signature_gets_the_users_parameters_only():
    with pytest.raises(NonConformingHeadError):
        head_recipe(functools.partial(dict), {"in_features": 3}).build(in_features=4)
    built = []

    class Unreadable:
        __signature__ = "nonsense"

        def __call__(self, **keywords):
            built.append(keywords)
            return LogisticRegression()

    recipe = head_recipe(Unreadable(), {"x": 1})
    recipe.build(in_features=4, random_state=3)
    assert built == [{"x": 1}]
    assert not recipe.accepts("in_features")


@pytest.mark.parametrize("params", [[("C", 1)], "C", 3])
def test_parameters_that_are_no_mapping(params):
    with pytest.raises(HeadParameterError, match="must be a mapping"):
        head_recipe("logistic", params)


def test_a_recipe_keeps_its_own_parameters():
    params = {"C": 2.0}
    recipe = head_recipe("logistic", params)
    params["C"] = 5.0
    assert recipe.build()[0].C == 2.0


def test_positional_only_parameters_are_refused():
    def factory(size, /, scale=1):
        return LogisticRegression()

    with pytest.raises(HeadParameterError, match="'size' by position only"):
        head_recipe(factory, {"scale": 2})
    with pytest.raises(HeadParameterError, match="'size' by position only"):
        head_recipe(factory)


def test_accepts_is_about_names():
    recipe = head_recipe(lambda in_features, *rest, out_features=3, **more: None)
    assert recipe.accepts("in_features")
    assert recipe.accepts("out_features")
    assert not recipe.accepts("rest")
    assert not recipe.accepts("more")
    assert not recipe.accepts("device")


# Sizes


class HardCoded(Module):
    def __init__(self, size=3):
        super().__init__(size)


class OneSize(Module):
    def __init__(self, out_features):
        super().__init__(3, out_features)


class Declared(nn.Module):
    """A torch module of the other kind needs no size."""

    setfit_head: ClassVar = {"contract": "non-differentiable"}
    fit, predict, predict_proba = LogisticRegression.fit, LogisticRegression.predict, LogisticRegression.predict_proba


def test_a_differentiable_class_that_names_no_size():
    with pytest.raises(HeadParameterError, match="names neither 'in_features' nor 'out_features'.*a function"):
        head_recipe(HardCoded, {"size": 4})
    head_recipe(lambda: HardCoded(4)).build()
    head_recipe(OneSize).build()
    head_recipe(Declared).build()
