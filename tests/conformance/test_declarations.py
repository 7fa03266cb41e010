"""`setfit_head`: what a head declares beyond its contract."""

import types
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from setfit_core import check_contract
from setfit_core.conformance import declared_capabilities
from setfit_core.errors import HeadError, IncompatibleHeadError, NonConformingHeadError


def declaring(value):
    return type("Declaring", (), {"setfit_head": value})


@pytest.mark.parametrize(
    "mapping",
    [
        {},
        {"api": 1},
        {"contract": "differentiable"},
        {"contract": "non-differentiable"},
        {"multi_label": False},
        {"api": 1, "contract": "differentiable", "multi_label": True},
        {"partial_fit": True, "sample_weight": False},
        {"open_set": True, "explain": False},
        {"search_space": {"C": {"low": 0.1, "high": 10, "log": True}, "kind": {"choices": ["a", None]}}},
        types.MappingProxyType({"multi_label": True}),
    ],
)
def test_a_declaration_is_returned_from_class_and_instance(mapping):
    cls = declaring(mapping)
    assert dict(declared_capabilities(cls)) == dict(mapping)
    assert dict(declared_capabilities(cls())) == dict(mapping)


def test_no_declaration_claims_nothing():
    assert declared_capabilities(LogisticRegression) == {}
    assert declared_capabilities(LogisticRegression()) == {}
    assert declared_capabilities(None) == {}


def test_an_instance_may_declare_for_itself_and_a_subclass_inherits():
    class Head(declaring({"multi_label": True})):
        pass

    assert declared_capabilities(Head) == {"multi_label": True}
    head = Head()
    head.setfit_head = {"multi_label": False}
    assert declared_capabilities(head) == {"multi_label": False}


def test_the_result_is_a_copy_that_cannot_be_changed():
    mapping = {"multi_label": True}
    declared = declared_capabilities(declaring(mapping))
    mapping["multi_label"] = False
    assert declared["multi_label"] is True
    with pytest.raises(TypeError):
        declared["api"] = 1


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"multilabel": True},
            "'multilabel'. Known keys are 'api', 'contract', 'explain', 'multi_label', 'open_set', 'partial_fit', "
            "'sample_weight', 'search_space'. Did you mean 'multi_label'",
        ),
        ({"search_space": True}, "is of the type bool, it must be a mapping of parameters"),
        ({"search_space": {"C": {"low": 2}}}, "has {'low': 2} for 'C', it must be {'low': ..., 'high': ...}"),
        ({"search_space": {"C": {"low": 2, "high": 1}}}, "finite numbers in this order"),
        ({"search_space": {"C": {"low": 0, "high": 1, "log": True}}}, "above 0 if 'log' is True"),
        ({"search_space": {"C": {"choices": []}}}, "choices are a list"),
        ({"search_space": {"C": {"choices": [object]}}}, "choices are a list"),
        ({"search_space": {"a b": {"choices": [1]}}}, "'a b', which can't be the name of a parameter"),
        ({"open_set": 1}, "1 for 'open_set', it must be True or False"),
        ({"explain": "yes"}, "'yes' for 'explain', it must be True or False"),
        ({"partial_fit": 1}, "1 for 'partial_fit', it must be True or False"),
        ({"sample_weight": None}, "None for 'sample_weight', it must be True or False"),
        ({3: True}, "unknown key 3"),
        ({"api": "1"}, "'1' for 'api', it must be an integer"),
        ({"api": True}, "True for 'api', it must be an integer"),
        ({"api": None}, "None for 'api'"),
        ({"contract": "diffrentiable"}, "it must be 'differentiable' or 'non-differentiable'"),
        ({"contract": None}, "None for 'contract'"),
        ({"contract": ["differentiable"]}, "['differentiable'] for 'contract'"),
        ({"multi_label": 1}, "1 for 'multi_label', it must be True or False"),
        ({"multi_label": "yes"}, "'yes' for 'multi_label'"),
        ([("api", 1)], "of the type list, it must be a plain mapping"),
        (None, "of the type NoneType"),
        ("api", "of the type str"),
        (lambda self: {"api": 1}, "of the type function"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_an_error(mapping, message):
    for subject in (declaring(mapping), declaring(mapping)()):
        with pytest.raises(NonConformingHeadError) as caught:
            declared_capabilities(subject)
        assert message in str(caught.value)
        assert "Declaring" in str(caught.value)


@pytest.mark.parametrize("api", [0, 2, -1])
def test_another_head_api_is_an_error_of_its_own(api):
    with pytest.raises(IncompatibleHeadError, match=f"written for the head API {api}.*has the head API 1"):
        declared_capabilities(declaring({"api": api}))


def test_a_property_is_refused_and_does_not_run():
    def getter(self):
        raise RuntimeError("a property was run")

    with pytest.raises(NonConformingHeadError, match="of the type property"):
        declared_capabilities(declaring(property(getter))())


def test_the_report_tells_a_bad_declaration_beside_the_other_defects():
    class Head:
        setfit_head: ClassVar = {"api": 2}

        def fit(self, X, y):
            pass

        def predict(self, X):
            pass

    report = check_contract(Head)
    assert [(p.member, p.kind) for p in report.problems] == [
        ("setfit_head", "declaration"),
        ("predict_proba", "missing"),
    ]
    assert not report.usable


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.dictionaries(
        st.one_of(st.sampled_from(["api", "contract", "multi_label", "name"]), st.integers()),
        st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.sampled_from(["differentiable", "x"])),
    )
)
def test_a_mapping_is_either_returned_as_it_is_or_refused(mapping):
    valid = {"api": (1,), "contract": ("differentiable",), "multi_label": (True, False)}
    fine = all(
        any(value is allowed or (value == allowed and type(value) is type(allowed)) for allowed in valid.get(key, ()))
        for key, value in mapping.items()
    )
    if fine:
        assert declared_capabilities(declaring(mapping)) == mapping
    else:
        with pytest.raises(HeadError):
            declared_capabilities(declaring(mapping))
