"""Objects that keep a contract must be found to keep it, however their methods come about."""

import abc
import functools
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils import all_estimators
from torch import nn

from setfit_core import DifferentiableHead, NonDifferentiableHead, check_contract

MEMBERS = {
    "differentiable": ["forward", "predict", "predict_proba", "get_loss_fn"],
    "non-differentiable": ["fit", "predict", "predict_proba"],
}


class Minimal:
    def fit(self, X, y):
        pass

    def predict(self, X):
        pass

    def predict_proba(self, X):
        pass


class MinimalModule(nn.Module):
    def forward(self, features):
        pass

    def predict(self, embeddings):
        pass

    def predict_proba(self, embeddings):
        pass

    def get_loss_fn(self):
        pass


def answer(*args):
    return args


class StarArguments:
    def fit(self, *args, **kwargs):
        pass

    def predict(*args):
        pass

    def predict_proba(self, X, *more, scale=1.0):
        pass


class OptionalArguments:
    def fit(self, X, y, sample_weight=None, *, verbose=False):
        return self

    def predict(self, X, /):
        pass

    def predict_proba(self, X, batch_size=32):
        pass


class StaticAndClassMethods:
    @staticmethod
    def fit(X, y):
        pass

    @classmethod
    def predict(cls, X):
        pass

    @staticmethod
    def predict_proba(X):
        pass


class Partials:
    def _run(self, what, X, y):
        pass

    fit = functools.partialmethod(_run, "fit")
    predict = functools.partialmethod(_run, "predict", y=None)
    predict_proba = staticmethod(functools.partial(answer, 1))


class Builtins:
    fit = staticmethod(print)
    predict = staticmethod(len)
    predict_proba = staticmethod(max)  # has no readable signature


class CallableObjects:
    class Method:
        def __call__(self, X):
            pass

    def fit(self, X, y):
        pass

    predict = Method()
    predict_proba = Method()


class SetOnTheInstance:
    def __init__(self):
        self.fit = lambda X, y: None
        self.predict = self.predict_proba = functools.partial(answer, self)


class Slots:
    __slots__ = ("fit", "predict", "predict_proba")

    def __init__(self):
        self.fit, self.predict, self.predict_proba = answer, answer, answer


class DispatchedByType:
    def fit(self, X, y):
        pass

    @functools.singledispatchmethod
    def predict(self, X):
        pass

    @functools.singledispatchmethod
    def predict_proba(self, X):
        pass


def logged(method):
    @functools.wraps(method)
    def wrapper(*args, **kwargs):
        return method(*args, **kwargs)

    return wrapper


class Decorated:
    @logged
    def fit(self, X, y):
        pass

    @logged
    def predict(self, X):
        pass

    @functools.lru_cache  # noqa: B019  # what such a decorator leaves on the class is the point
    def predict_proba(self, X):
        pass


class InheritsTheProtocol(NonDifferentiableHead):
    def fit(self, embeddings, labels):
        pass

    def predict(self, embeddings):
        pass

    def predict_proba(self, embeddings):
        pass


class WithUnrelatedProperties(Minimal):
    @property
    def classes_(self):
        raise RuntimeError("a property was run")


class DeclaredModuleWithFit(MinimalModule):
    setfit_head: ClassVar = {"api": 1, "contract": "differentiable"}

    def fit(self, X, y):
        pass


class ModuleWithNumberFit(MinimalModule):
    fit = 0.5


class ModuleOfTheOtherKind(nn.Module):
    setfit_head: ClassVar = {"contract": "non-differentiable"}
    fit, predict, predict_proba = Minimal.fit, Minimal.predict, Minimal.predict_proba


class LossClassAsMethod(MinimalModule):
    get_loss_fn = nn.CrossEntropyLoss


class WithoutGradients(MinimalModule):
    @torch.no_grad()
    def predict(self, embeddings):
        pass

    @torch.inference_mode()
    def predict_proba(self, embeddings):
        pass


class ModuleOfTheProtocol(DifferentiableHead, nn.Module):
    forward, predict = MinimalModule.forward, MinimalModule.predict
    predict_proba, get_loss_fn = MinimalModule.predict_proba, MinimalModule.get_loss_fn


class FitsAndHasForward(Minimal):
    """Like skorch's classifiers: no module, trained by `fit`, `forward` is beside the point."""

    def forward(self, X, training=False):
        pass


SOUND = {
    "minimal": (Minimal(), "non-differentiable"),
    "minimal class": (Minimal, "non-differentiable"),
    "minimal module": (MinimalModule(), "differentiable"),
    "minimal module class": (MinimalModule, "differentiable"),
    "star arguments": (StarArguments(), "non-differentiable"),
    "star arguments class": (StarArguments, "non-differentiable"),
    "optional arguments": (OptionalArguments(), "non-differentiable"),
    "optional arguments class": (OptionalArguments, "non-differentiable"),
    "static and class methods": (StaticAndClassMethods(), "non-differentiable"),
    "static and class methods class": (StaticAndClassMethods, "non-differentiable"),
    "partials": (Partials(), "non-differentiable"),
    "partials class": (Partials, "non-differentiable"),
    "builtins": (Builtins(), "non-differentiable"),
    "callable objects": (CallableObjects(), "non-differentiable"),
    "callable objects class": (CallableObjects, "non-differentiable"),
    "set on the instance": (SetOnTheInstance(), "non-differentiable"),
    "slots": (Slots(), "non-differentiable"),
    "dispatched by type": (DispatchedByType(), "non-differentiable"),
    "dispatched by type class": (DispatchedByType, "non-differentiable"),
    "decorated": (Decorated(), "non-differentiable"),
    "decorated class": (Decorated, "non-differentiable"),
    "inherits the protocol": (InheritsTheProtocol(), "non-differentiable"),
    "unrelated property": (WithUnrelatedProperties(), "non-differentiable"),
    "declared module with fit": (DeclaredModuleWithFit(), "differentiable"),
    "module whose fit is a number": (ModuleWithNumberFit(), "differentiable"),
    "module of the other kind": (ModuleOfTheOtherKind(), "non-differentiable"),
    "loss class as method": (LossClassAsMethod(), "differentiable"),
    "loss class as method class": (LossClassAsMethod, "differentiable"),
    "without gradients": (WithoutGradients(), "differentiable"),
    "module of the protocol": (ModuleOfTheProtocol(), "differentiable"),
    "fits and has forward": (FitsAndHasForward(), "non-differentiable"),
    "sklearn": (LogisticRegression(), "non-differentiable"),
    "sklearn class": (LogisticRegression, "non-differentiable"),
    "class with conditional method": (SVC, "non-differentiable"),
    "dummy": (DummyClassifier(), "non-differentiable"),
    "calibrated": (CalibratedClassifierCV(LinearSVC()), "non-differentiable"),
    "pipeline": (make_pipeline(StandardScaler(), LogisticRegression()), "non-differentiable"),
    "grid search": (GridSearchCV(LogisticRegression(), {"C": [1, 2]}), "non-differentiable"),
}


@pytest.mark.parametrize("subject", SOUND)
def test_a_sound_head_is_ok(subject):
    head, contract = SOUND[subject]
    report = check_contract(head)
    assert (report.contract, report.problems, report.ambiguous) == (contract, (), False), str(report)
    assert report.ok
    assert report.usable
    report.raise_for_problems()
    assert str(report) == f"{report.subject} keeps the {contract} head contract."


# Left out: `inspect.signature` shows `self` as a parameter of a bound `singledispatchmethod`.
INSTANCES = [n for n, (head, _) in SOUND.items() if not isinstance(head, type) and n != "dispatched by type"]


@pytest.mark.parametrize("subject", INSTANCES)
def test_what_is_called_ok_can_really_be_called(subject):
    """The oracle is Python: binding the contract's arguments to the member that attribute access gives."""
    head, contract = SOUND[subject]
    arity = {"fit": 2, "get_loss_fn": 0}
    for name in MEMBERS[contract]:
        try:
            signature = inspect.signature(getattr(head, name))
        except ValueError:
            continue  # a builtin without a readable signature
        signature.bind(*range(arity.get(name, 1)))


@pytest.mark.filterwarnings("ignore::FutureWarning")  # scikit-learn announces what it will remove
@pytest.mark.parametrize("name", sorted(name for name, _ in all_estimators("classifier")))
def test_every_classifier_of_sklearn_is_judged_by_what_it_has(name):
    cls = dict(all_estimators("classifier"))[name]
    arguments = {
        "estimators": [("one", LogisticRegression()), ("two", LogisticRegression())],
        "estimator": LogisticRegression(),
        "base_estimator": LogisticRegression(),
        "param_grid": {},
        "param_distributions": {},
    }
    required = [p.name for p in inspect.signature(cls).parameters.values() if p.default is p.empty]
    head = cls(**{parameter: arguments[parameter] for parameter in required})

    report = check_contract(head)

    missing = [member for member in MEMBERS["non-differentiable"] if not hasattr(head, member)]
    assert [problem.member for problem in report.problems] == missing, str(report)
    assert report.contract == "non-differentiable"
    assert report.ok == (not missing)
    # All of them can be trained; what an unfitted one lacks is probabilities, or passed on to a part not there yet.
    assert report.usable
    assert check_contract(cls).usable


@pytest.mark.parametrize("voting", ["hard", "soft"])
def test_availability_is_that_of_the_instance(voting):
    from sklearn.ensemble import VotingClassifier

    head = VotingClassifier([("one", LogisticRegression())], voting=voting)
    assert check_contract(head).ok == (voting == "soft")


def test_a_typed_head_satisfies_the_protocols_for_a_type_checker(tmp_path):
    from mypy import api

    source = tmp_path / "heads.py"
    source.write_text(
        """
from __future__ import annotations
from typing import Any, TypeAlias
import numpy.typing as npt
import torch
from setfit_core.protocols import DifferentiableHead, NonDifferentiableHead

Array: TypeAlias = npt.NDArray[Any]

class Sound(torch.nn.Module):
    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]: return features
    def predict(self, embeddings: torch.Tensor) -> torch.Tensor: return embeddings
    def predict_proba(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor: return x
    def get_loss_fn(self) -> torch.nn.Module: return torch.nn.CrossEntropyLoss()

class Fitted:
    def fit(self, X: Array, y: list[Any], weights: Any = None) -> Fitted: return self
    def predict(self, X: Array) -> Array: return X
    def predict_proba(self, X: Array) -> Array: return X

class NoProbabilities:
    def fit(self, X: Array, y: list[Any]) -> None: ...
    def predict(self, X: Array) -> Array: return X

class NoLoss:
    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]: return features
    def predict(self, embeddings: torch.Tensor) -> torch.Tensor: return embeddings
    def predict_proba(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor: return x

one: DifferentiableHead = Sound()
also_wrong: DifferentiableHead = NoLoss()
two: NonDifferentiableHead = Fitted()
wrong: NonDifferentiableHead = NoProbabilities()
"""
    )
    config = tmp_path / "mypy.ini"
    # Analysing torch and numpy takes minutes. Without them arrays are Any; members and arity still count.
    config.write_text("[mypy]\nfollow_imports = skip\n[mypy-setfit_core.protocols]\nfollow_imports = normal\n")
    cache = str(tmp_path / "cache")
    output, problems, _ = api.run([str(source), "--config-file", str(config), "--cache-dir", cache])
    errors = [line for line in output.splitlines() if ": error:" in line]
    assert len(errors) == 2, output + problems
    assert '"NoProbabilities" is missing following "NonDifferentiableHead" protocol member' in output
    assert '"NoLoss" is missing following "DifferentiableHead" protocol member' in output


def test_the_tables_and_the_protocols_name_the_same_members():
    from setfit_core.protocols import CONTRACT_MEMBERS

    protocols: Mapping[str, Any] = {
        "differentiable": DifferentiableHead,
        "non-differentiable": NonDifferentiableHead,
    }
    for contract, protocol in protocols.items():
        for name, arguments in CONTRACT_MEMBERS[contract].items():
            assert list(inspect.signature(getattr(protocol, name)).parameters) == ["self", *arguments]
        abstract = protocol.__abstractmethods__
        assert set(CONTRACT_MEMBERS[contract]) == abstract
        assert isinstance(protocol, abc.ABCMeta)
