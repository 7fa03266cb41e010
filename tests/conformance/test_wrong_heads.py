"""Objects that keep no contract: each must be found out for its own defect, and nothing of it may run."""

import functools
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from torch import nn

from setfit_core import ContractReport, DifferentiableHead, NonDifferentiableHead, check_contract
from setfit_core.errors import AmbiguousHeadError, NonConformingHeadError

ND, D = "non-differentiable", "differentiable"
ran = []


class Sound:
    def fit(self, X, y):
        ran.append("fit")

    def predict(self, X):
        ran.append("predict")

    def predict_proba(self, X):
        ran.append("predict_proba")


class SoundModule(nn.Module):
    def forward(self, features):
        ran.append("forward")

    def predict(self, X):
        ran.append("predict")

    def predict_proba(self, X):
        ran.append("predict_proba")

    def get_loss_fn(self):
        ran.append("get_loss_fn")


def traced_getter(self, *_):
    ran.append("property")
    raise RuntimeError("a property was run")


class Trap:
    """A data descriptor that isn't a `property`."""

    __get__ = __set__ = traced_getter


class CallableTrap(Trap):
    def __call__(self, X):
        pass


class HomeMadeCachedProperty:
    def __init__(self, function):
        functools.update_wrapper(self, function)

    def __get__(self, instance, owner=None):
        return traced_getter(instance)


class NoGet:
    pass


class OnlyGetattr:
    def __getattr__(self, name):
        ran.append("__getattr__")
        return lambda *args: None


class SubmoduleAsPredict(nn.Module):
    forward, predict_proba = SoundModule.forward, SoundModule.predict_proba
    get_loss_fn = SoundModule.get_loss_fn

    def __init__(self):
        super().__init__()
        self.predict = nn.Linear(2, 2)


class ModuleWithFit(SoundModule):
    fit = Sound.fit


class Slotted:
    __slots__ = ("predict_proba",)
    fit, predict = Sound.fit, Sound.predict


class MetaWithMethods(type):
    def predict_proba(cls, X):
        ran.append("metaclass")


class MethodsOnMetaclass(metaclass=MetaWithMethods):
    fit, predict = Sound.fit, Sound.predict


class Fussy(BaseEstimator):
    """scikit-learn's way of making a method conditional, in an author's own class."""

    fit, predict = Sound.fit, Sound.predict

    from sklearn.utils.metaestimators import available_if

    @available_if(lambda self: False)
    def predict_proba(self, X):
        pass


class Conditional:
    """A descriptor that wraps a method and fails when it is bound."""

    def __init__(self, function):
        functools.update_wrapper(self, function)

    def __get__(self, instance, owner=None):
        raise RuntimeError("no licence")


class FailingLookup(Sound):
    @Conditional
    def predict_proba(self, X):
        pass


class RunsOnLookup(Sound):
    @HomeMadeCachedProperty
    def predict_proba(self):
        pass


class UnfinishedProtocol(NonDifferentiableHead):
    fit, predict = Sound.fit, Sound.predict


class UnfinishedModule(nn.Module):
    predict, predict_proba = SoundModule.predict, SoundModule.predict_proba
    get_loss_fn = SoundModule.get_loss_fn


class UnfinishedModuleOfTheProtocol(DifferentiableHead, nn.Module):
    forward, predict, predict_proba = SoundModule.forward, SoundModule.predict, SoundModule.predict_proba


async def asynchronous(self, X):
    pass


async def asynchronous_generator(self, X):
    yield X


def generator(self, X):
    yield X


def like(base, **members):
    return type("Wrong", (base,), members)


def with_init(base, **attributes):
    def __init__(self):
        self.__dict__.update(attributes)

    return type("Wrong", (base,), {"__init__": __init__})


class AsyncCallable:
    async def __call__(self, X):
        pass


# name: (object, contract, {member: kind}, a part of the message)
WRONG = {
    # nothing there
    "none": (None, None, {"fit": "missing", "predict": "missing", "predict_proba": "missing"}, "has nothing of"),
    "number": (3, None, {"fit": "missing", "predict": "missing", "predict_proba": "missing"}, "int object"),
    "function": (like, None, dict.fromkeys(["fit", "predict", "predict_proba"], "missing"), "function "),
    "array": (np.zeros(3), None, dict.fromkeys(["fit", "predict", "predict_proba"], "missing"), "numpy.ndarray"),
    "plain module": (
        nn.Linear(2, 2),
        D,
        {"predict": "missing", "predict_proba": "missing", "get_loss_fn": "missing"},
        "`get_loss_fn` is missing",
    ),
    "bare module": (
        nn.Module(),
        D,
        dict.fromkeys(["forward", "predict", "predict_proba", "get_loss_fn"], "missing"),
        "`torch.nn.Module` itself has none",
    ),
    "no forward": (UnfinishedModule(), D, {"forward": "missing"}, "`def forward(self, features)`"),
    "no forward, class": (UnfinishedModule, D, {"forward": "missing"}, "class "),
    "module without probabilities": (
        type("Wrong", (nn.Module,), {n: vars(SoundModule)[n] for n in ("forward", "predict", "get_loss_fn")})(),
        D,
        {"predict_proba": "missing"},
        "`def predict_proba(self, embeddings)`",
    ),
    "no predict": (
        type("Wrong", (), {"fit": Sound.fit, "predict_proba": Sound.predict_proba})(),
        ND,
        {"predict": "missing"},
        "`def predict(self, embeddings)`",
    ),
    "no fit": (
        type("Wrong", (), {"predict": Sound.predict, "predict_proba": Sound.predict_proba})(),
        ND,
        {"fit": "missing"},
        "`def fit(self, embeddings, labels)`",
    ),
    "only getattr": (OnlyGetattr(), None, dict.fromkeys(["fit", "predict", "predict_proba"], "missing"), "__getattr__"),
    "misspelt": (
        type("Wrong", (), {"fit": Sound.fit, "predict": Sound.predict, "predict_probas": Sound.predict})(),
        ND,
        {"predict_proba": "missing"},
        "If `predict_probas` is meant to be it, rename it",
    ),
    "misspelt on the instance": (
        with_init(NoGet, fit=print, predict=print, predict_probs=print)(),
        ND,
        {"predict_proba": "missing"},
        "`predict_probs`",
    ),
    "set by init, class": (
        with_init(NoGet, fit=print, predict=print, predict_proba=print),
        None,
        dict.fromkeys(["fit", "predict", "predict_proba"], "missing"),
        "If `__init__` sets it",
    ),
    "on the metaclass": (MethodsOnMetaclass, ND, {"predict_proba": "missing"}, "`predict_proba` is missing"),
    "unfilled slot": (Slotted(), ND, {"predict_proba": "missing"}, "slot that nothing has filled"),
    "slot of a class": (Slotted, ND, {"predict_proba": "not-a-method"}, "slot"),
    # no method
    "number as fit": (like(Sound, fit=3)(), ND, {"fit": "not-callable"}, "`fit` is not callable (it is 3)"),
    "none as method": (like(Sound, predict_proba=None)(), ND, {"predict_proba": "not-callable"}, "(it is None)"),
    "array as method": (like(Sound, predict=np.zeros(2))(), ND, {"predict": "not-callable"}, "(it is ndarray)"),
    "value on the instance": (with_init(Sound, predict=[1])(), ND, {"predict": "not-callable"}, "(it is list)"),
    "property": (like(Sound, predict=property(traced_getter))(), ND, {"predict": "not-a-method"}, "a property"),
    "property, class": (like(Sound, predict=property(traced_getter)), ND, {"predict": "not-a-method"}, "a property"),
    "class property": (
        like(Sound, predict=classmethod(property(traced_getter)))(),
        ND,
        {"predict": "not-a-method"},
        "a property",
    ),
    "cached property": (
        like(Sound, predict=functools.cached_property(traced_getter))(),
        ND,
        {"predict": "not-a-method"},
        "a cached property",
    ),
    "data descriptor": (like(Sound, predict=Trap())(), ND, {"predict": "not-a-method"}, "Trap, a descriptor"),
    "callable data descriptor": (
        like(Sound, predict=CallableTrap())(),
        ND,
        {"predict": "not-a-method"},
        "CallableTrap",
    ),
    "home-made cached property": (RunsOnLookup(), ND, {"predict_proba": "not-a-method"}, "HomeMadeCachedProperty"),
    "home-made cached property, class": (RunsOnLookup, ND, {"predict_proba": "not-a-method"}, "HomeMadeCachedProperty"),
    "submodule": (SubmoduleAsPredict(), D, {"predict": "not-a-method"}, "a submodule of the module"),
    "abstract": (UnfinishedProtocol, ND, {"predict_proba": "abstract"}, "nothing implements it"),
    "abstract module": (UnfinishedModuleOfTheProtocol, D, {"get_loss_fn": "abstract"}, "nothing implements it"),
    # a method that can't be called as the contract calls it
    "fit without labels": (
        like(Sound, fit=lambda self, X: None)(),
        ND,
        {"fit": "signature"},
        "takes 1 positional argument, but it is called as fit(embeddings, labels)",
    ),
    "fit with too many": (
        like(Sound, fit=lambda self, X, y, weights, groups: None)(),
        ND,
        {"fit": "signature"},
        "'weights', 'groups'",
    ),
    "forgotten self": (like(Sound, predict=lambda X: None)(), ND, {"predict": "signature"}, "`self` is missing"),
    "forgotten self, class": (like(Sound, predict=lambda X: None), ND, {"predict": "signature"}, "`self` is missing"),
    "no parameters": (like(Sound, predict=lambda: None)(), ND, {"predict": "signature"}, "no positional argument"),
    "keyword only": (like(Sound, predict=lambda self, *, X: None)(), ND, {"predict": "signature"}, "no positional"),
    "required keyword": (like(Sound, predict=lambda self, X, *, k: None)(), ND, {"predict": "signature"}, "'k'"),
    "static with self": (
        like(Sound, predict=staticmethod(lambda self, X: None))(),
        ND,
        {"predict": "signature"},
        "'X'",
    ),
    "class method without room": (
        like(Sound, predict=classmethod(lambda cls: None))(),
        ND,
        {"predict": "signature"},
        "no positional argument",
    ),
    "partial of too much": (
        like(Sound, predict=functools.partialmethod(lambda self, a, X: None, 1, 2))(),
        ND,
        {"predict": "signature"},
        "called as predict(embeddings)",
    ),
    "loss wants an argument": (
        like(SoundModule, get_loss_fn=lambda self, weights: None)(),
        D,
        {"get_loss_fn": "signature"},
        "it is called as get_loss_fn()",
    ),
    "forward wants two": (
        like(SoundModule, forward=lambda self, features, labels: None)(),
        D,
        {"forward": "signature"},
        "'labels'",
    ),
    "conditional with wrong arity": (
        like(Fussy, predict_proba=type(Fussy.__dict__["predict_proba"])(lambda self, X, k: 0, bool, "x"))(),
        ND,
        {"predict_proba": "signature"},
        "'k'",
    ),
    "async": (like(Sound, predict=asynchronous)(), ND, {"predict": "asynchronous"}, "an `async def`"),
    "async callable": (like(Sound, predict=AsyncCallable())(), ND, {"predict": "asynchronous"}, "an `async def`"),
    "generator": (like(Sound, predict=generator)(), ND, {"predict": "asynchronous"}, "a generator function"),
    "async generator": (like(Sound, predict=asynchronous_generator), ND, {"predict": "asynchronous"}, "a generator"),
    # conditional methods
    "svc": (SVC(), ND, {"predict_proba": "unavailable"}, "predict_proba is not available when probability=False"),
    "sgd": (SGDClassifier(loss="hinge"), ND, {"predict_proba": "unavailable"}, "not available for loss='hinge'"),
    "grid search": (
        GridSearchCV(LinearSVC(), {"C": [1]}),
        ND,
        {"predict_proba": "unavailable"},
        "CalibratedClassifierCV(GridSearchCV(...))",
    ),
    "pipeline": (
        make_pipeline(StandardScaler(), LinearSVC()),
        ND,
        {"predict_proba": "unavailable"},
        "'LinearSVC' object has no attribute 'predict_proba'",
    ),
    "own conditional method": (Fussy(), ND, {"predict_proba": "unavailable"}, "CalibratedClassifierCV(Fussy())"),
    "look-up that fails": (
        FailingLookup(),
        ND,
        {"predict_proba": "not-a-method"},
        "raises RuntimeError when it is looked up: no licence",
    ),
    # of the wrong kind
    "linear svc": (
        LinearSVC(),
        ND,
        {"predict_proba": "missing"},
        "sklearn.calibration.CalibratedClassifierCV(LinearSVC())",
    ),
    "linear svc, class": (LinearSVC, ND, {"predict_proba": "missing"}, "CalibratedClassifierCV(LinearSVC())"),
    "regressor": (LinearRegression(), ND, {"predict_proba": "missing"}, "`def predict_proba(self, embeddings)`"),
    "transformer": (PCA(), ND, {"predict": "missing", "predict_proba": "missing"}, "`def predict_proba("),
    "differentiable without module": (
        type("Wrong", (), {n: vars(SoundModule)[n] for n in ("forward", "predict", "predict_proba", "get_loss_fn")})(),
        D,
        {"nn.Module": "base-class"},
        "`class Wrong(torch.nn.Module)`",
    ),
    "only a loss": (
        type("Wrong", (), {"get_loss_fn": SoundModule.get_loss_fn}),
        D,
        {"nn.Module": "base-class", "forward": "missing", "predict": "missing", "predict_proba": "missing"},
        "subclass of `torch.nn.Module`",
    ),
    "declared module that is none": (
        like(Sound, setfit_head={"contract": "differentiable"})(),
        D,
        {"nn.Module": "base-class", "forward": "missing", "get_loss_fn": "missing"},
        "subclass of `torch.nn.Module`",
    ),
    "module with fit": (ModuleWithFit(), None, {"setfit_head": "ambiguous"}, "setfit_head = {'contract':"),
    "module with fit, class": (
        ModuleWithFit,
        None,
        {"setfit_head": "ambiguous"},
        "As a differentiable head it would lack nothing",
    ),
    "module with fit property": (
        like(SoundModule, fit=property(traced_getter))(),
        None,
        {"setfit_head": "ambiguous"},
        "As a non-differentiable head it would have to mend `fit`",
    ),
    # several defects, all of them told
    "everything at once": (
        like(Sound, fit=3, predict=property(traced_getter), predict_proba=asynchronous)(),
        ND,
        {"fit": "not-callable", "predict": "not-a-method", "predict_proba": "asynchronous"},
        "`fit` is not callable",
    ),
    "bad declaration": (
        like(Sound, setfit_head={"multilabel": True})(),
        ND,
        {"setfit_head": "declaration"},
        "Did you mean 'multi_label'?",
    ),
}


@pytest.fixture(autouse=True)
def nothing_of_the_head_runs():
    ran.clear()
    yield
    assert ran == []


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_head_is_found_out(name):
    head, contract, problems, message = WRONG[name]

    report = check_contract(head)

    assert {problem.member: problem.kind for problem in report.problems} == problems, str(report)
    assert len(report.problems) == len(problems)
    assert report.contract == contract
    assert not report.ok
    assert message in str(report)
    for problem in report.problems:
        assert problem.message in str(report)
        assert problem.remedy in str(report)
        assert problem.remedy.endswith(".")
        assert not problem.message.endswith(".")
    assert report.ambiguous == ("ambiguous" in problems.values())
    with pytest.raises(AmbiguousHeadError if report.ambiguous else NonConformingHeadError) as caught:
        report.raise_for_problems()
    assert str(caught.value) == str(report)


USABLE = {
    "linear svc", "linear svc, class", "svc", "sgd", "grid search", "pipeline", "own conditional method", "misspelt",
    "misspelt on the instance", "regressor", "on the metaclass", "unfilled slot",
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_usable_means_that_only_probabilities_are_lacking(name):
    head, *_ = WRONG[name]
    assert check_contract(head).usable == (name in USABLE)


@pytest.mark.parametrize(
    ("head", "hint"),
    [
        # torch's own `__getattr__` answers for parameters and submodules only.
        (nn.Linear(2, 2), "__getattr__"),
        (type("Wrong", (), {"fit": print, "predict": print, "predict_log_proba": print}), "rename"),
        (type("Wrong", (), {"fit": print, "predict": print, "_predict_proba": print}), "rename"),
        (type("Wrong", (), {"fit": print, "predict_proba": print}), "rename"),
        (like(Sound, fit=lambda self, X: None), "`self` is missing"),
        (like(Sound, predict_proba=None)(), "__init__"),
        (NoGet(), "__init__"),
    ],
)
def test_hints_are_given_only_where_they_help(head, hint):
    report = check_contract(head)
    assert not report.ok
    assert hint not in str(report)


def test_a_conditional_method_may_take_any_arguments():
    wrapped = type(Fussy.__dict__["predict_proba"])
    assert check_contract(like(Fussy, predict_proba=wrapped(lambda *args: 0, lambda self: True, "x"))()).ok


def test_a_partial_on_a_class_is_taken_as_this_python_binds_it():
    """Up to 3.13 it is called without `self`; 3.14 makes it a method."""
    report = check_contract(like(Sound, predict=functools.partial(lambda X: None)))
    assert report.ok == (sys.version_info < (3, 14))


def test_a_report_on_nothing_is_not_ok():
    assert not ContractReport("something", None, (), ambiguous=False).ok


def test_lines_come_in_the_order_of_the_contract():
    lines = str(check_contract(nn.Module())).splitlines()
    assert [line.split("`")[1] for line in lines[1:]] == ["forward", "predict", "predict_proba", "get_loss_fn"]


@pytest.mark.parametrize("base", [Sound, SoundModule])
def test_a_counting_property_is_never_read(base):
    """Not even `__class__`, `__dict__`-like or declaration properties."""
    counted = property(traced_getter)
    names = ["fit", "predict", "predict_proba", "forward", "get_loss_fn", "setfit_head", "classes_", "__class__"]
    head = like(base, **dict.fromkeys(names, counted))()
    assert not check_contract(head).ok
    assert not check_contract(like(NoGet, __dict__=counted)()).ok
    assert ran == []


def test_the_verdict_does_not_depend_on_the_objects_own_repr():
    head = like(Sound, __repr__=traced_getter, __str__=traced_getter, __eq__=traced_getter, predict=3)()
    assert "Wrong object" in str(check_contract(head))
    assert ran == []


def test_a_property_with_side_effects_that_isinstance_would_run():
    """The reason for all this: `isinstance` with a runtime-checkable protocol accepts what can't work."""
    from typing import Protocol, runtime_checkable

    @runtime_checkable
    class Loose(Protocol):
        def fit(self, X, y): ...

    wrong = like(Sound, fit=3)()
    assert isinstance(wrong, Loose)
    assert not check_contract(wrong).ok


@st.composite
def parameter_lists(draw):
    """Source text of a parameter list that Python accepts, without `self`."""
    required = draw(st.integers(0, 4))
    optional = draw(st.integers(0, 3))
    names = [f"a{i}" for i in range(required)] + [f"b{i}=None" for i in range(optional)]
    if names and draw(st.booleans()):
        names.insert(draw(st.integers(1, len(names))), "/")
    star = draw(st.booleans())
    keywords = draw(st.lists(st.sampled_from(["k=None", "m=None", "k", "m"]), max_size=2, unique_by=lambda k: k[0]))
    if star:
        names.append("*rest")
    elif keywords:
        names.append("*")
    names += keywords
    if draw(st.booleans()):
        names.append("**more")
    return names


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    member=st.sampled_from(["fit", "predict", "predict_proba"]),
    parameters=parameter_lists(),
    kind=st.sampled_from(["method", "staticmethod", "classmethod", "instance", "partialmethod"]),
    of_class=st.booleans(),
)
def test_a_signature_passes_exactly_if_the_call_works(member, parameters, kind, of_class):
    """The oracle is the call itself."""
    receiver = [] if kind in ("staticmethod", "instance") else ["self"]
    if kind == "partialmethod":
        receiver.append("bound")
    namespace = {}
    # A `/` may not come first, which a receiver before it always prevents.
    source = ", ".join([*receiver, *parameters])
    exec(f"def member({source}): return 'called'", namespace)
    function = namespace["member"]
    wrap = {
        "method": lambda f: f,
        "staticmethod": staticmethod,
        "classmethod": classmethod,
        "partialmethod": lambda f: functools.partialmethod(f, 1),
        "instance": lambda f: f,
    }[kind]
    make, wrapped = (with_init, function) if kind == "instance" else (like, wrap(function))
    head = make(Sound, **{member: wrapped})()
    arguments = (0, 0) if member == "fit" else (0,)
    try:
        works = getattr(head, member)(*arguments) == "called"
    except TypeError:
        works = False

    report = check_contract(type(head) if of_class and kind != "instance" else head)

    assert [problem.kind for problem in report.problems] == ([] if works else ["signature"]), (source, str(report))
    ran.clear()


MEMBERS = ["fit", "predict", "predict_proba", "forward", "get_loss_fn"]
VALUES = {
    "method": None,  # the right method, filled in below
    "number": 3,
    "none": None,
    "property": property(traced_getter),
    "async": asynchronous,
}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    members=st.dictionaries(st.sampled_from(MEMBERS), st.sampled_from(sorted(VALUES))),
    module=st.booleans(),
    of_class=st.booleans(),
    declared=st.sampled_from([None, "differentiable", "non-differentiable"]),
)
def test_every_defect_is_told_and_no_other(members, module, of_class, declared):
    sound = {**vars(Sound), **vars(SoundModule)}
    body = {name: sound[name] if what == "method" else VALUES[what] for name, what in members.items()}
    if declared:
        body["setfit_head"] = {"contract": declared}
    cls = type("Made", (nn.Module,) if module else (), body)

    report = check_contract(cls if of_class else cls())

    if report.ambiguous:
        assert module
        assert declared is None
        assert members["fit"] not in ("number", "none")
        return
    if declared:
        assert report.contract == declared
    elif module:
        assert report.contract == "differentiable"
    wanted = MEMBERS[:3] if report.contract in (None, "non-differentiable") else [*MEMBERS[3:], *MEMBERS[1:3]]
    faulty = {name for name in wanted if members.get(name) != "method"}
    if report.contract == "differentiable" and not module:
        faulty.add("nn.Module")
    assert {problem.member for problem in report.problems} == faulty
    assert report.ok == (not faulty)
    assert ran == []


def test_without_torch_nothing_imports_it():
    import subprocess

    code = """
import sys
from setfit_core import check_contract
class Loss:
    def get_loss_fn(self): ...
report = check_contract(Loss)
assert report.problems[0].member == "nn.Module", report
class Sound:
    def fit(self, X, y): ...
    def predict(self, X): ...
    def predict_proba(self, X): ...
assert check_contract(Sound()).ok
print([name for name in ("torch", "numpy", "sklearn", "pluggy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_head_of_another_process_wide_state_is_left_alone():
    """Examining draws no random number and moves no parameter."""
    torch.manual_seed(0)
    state = torch.get_rng_state().clone()
    head = SoundModule()
    check_contract(head)
    assert torch.equal(torch.get_rng_state(), state)
    assert head.training


def test_an_estimator_of_ones_own_is_judged_like_sklearns():
    class Own(ClassifierMixin, BaseEstimator):
        fit, predict = Sound.fit, Sound.predict

        def __init__(self, size):
            self.size = size

    report = check_contract(Own(3))
    assert report.usable
    assert "CalibratedClassifierCV(Own(...))" in str(report)
    assert check_contract(LogisticRegression()).ok
